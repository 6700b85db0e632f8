"""Checks of sizes, for all that is built from them."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any


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


def settle(target: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass, while it is made."""
    for name, value in values.items():
        object.__setattr__(target, name, value)
