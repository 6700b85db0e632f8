"""Checks of arguments, for those who build distributions and models."""

import operator
from typing import Any

from ppgen.nn.arguments import settle, size, sizes

__all__ = ["kind", "order", "settle", "size", "sizes"]


def order(owner: str, value: Any) -> tuple[int, ...] | None:
    """`value` as a tuple of integers, or ValueError; None stays."""
    if value is None:
        return None
    try:
        return tuple(operator.index(place) for place in value)
    except TypeError:
        raise ValueError(
            f"{owner}: expected an order, the integers 0..D-1 in some order; got {value!r}. Write order=(2, 0, 1)."
        ) from None


def kind(owner: str, name: str, value: Any, wanted: type, example: str) -> None:
    """ValueError unless `value` is an instance of a class."""
    if not isinstance(value, wanted):
        article = "an" if wanted.__name__[0] in "AEIOU" else "a"
        raise ValueError(
            f"{owner}: expected {name} to be {article} {wanted.__name__}, such as {example}; got {value!r}."
        )
