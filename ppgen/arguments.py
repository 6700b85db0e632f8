"""Checks of arguments, for all that is built from them, and how a frozen dataclass keeps what was checked."""

import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def assign(target: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass, while it is made."""
    for name, value in values.items():
        object.__setattr__(target, name, value)


def is_size(value: Any, least: int = 1) -> bool:
    """Whether `value` is an integer, NumPy's too, of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def size(owner: str, name: str, value: Any, least: int = 1) -> int:
    """`value` as an integer of at least 1, or 0 if that is `least`; or ValueError."""
    if not is_size(value, least):
        wanted = "a positive integer" if least else "0 or a positive integer"
        raise ValueError(f"{owner}: expected {name} to be {wanted}; got {value!r}. Give a number of {least} or more.")
    return int(value)


def sizes(owner: str, name: str, value: Any, *, empty: bool = False) -> tuple[int, ...]:
    """`value` as a tuple of positive integers, or ValueError; `empty` allows the tuple ()."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not (value or empty):
        raise ValueError(
            f"{owner}: expected {name} to be a tuple of positive integers, one a layer; got {value!r}. "
            f"Write {name}=(20,) for one layer of 20."
        )
    return tuple(size(owner, f"each of {name}", n) for n in value)


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


def seed(owner: str, value: Any) -> int:
    """`value` as a seed, an integer of at least 0; or ValueError."""
    if not is_size(value, 0):
        raise ValueError(f"{owner}: expected seed to be 0 or a positive integer; got {value!r}. Write seed=0.")
    return int(value)


def kind(owner: str, name: str, value: Any, wanted: type, example: str) -> None:
    """ValueError unless `value` is an instance of a class."""
    if not isinstance(value, wanted):
        article = "an" if wanted.__name__[0] in "AEIOU" else "a"
        raise ValueError(
            f"{owner}: expected {name} to be {article} {wanted.__name__}, such as {example}; got {value!r}."
        )


def positive(owner: str, name: str, value: Any) -> float:
    """`value` as a positive finite number, or ValueError."""
    if not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise ValueError(
            f"{owner}: expected {name} to be a positive number; got {value!r}. Give a standard deviation above 0."
        )
    return float(value)


def choice(owner: str, name: str, value: Any, legal: tuple[str, ...]) -> str:
    """`value` if it is one of `legal`, or ValueError."""
    if value not in legal:
        raise ValueError(
            f"{owner}: expected {name} to be one of {legal}; got {value!r}. Choose one, or write the program "
            "with a likelihood of your own."
        )
    return value
