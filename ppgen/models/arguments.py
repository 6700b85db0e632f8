"""Checks of arguments that the builders of models share."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def size(model: str, name: str, value: Any) -> int:
    """`value` as a positive integer, or ValueError."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"{model}: expected {name} to be a positive integer; got {value!r}. Give a number of 1 or more."
        )
    return int(value)


def sizes(model: str, name: str, value: Any, *, empty: bool = False) -> tuple[int, ...]:
    """`value` as a tuple of positive integers, or ValueError; `empty` allows the tuple ()."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not (value or empty):
        raise ValueError(
            f"{model}: expected {name} to be a tuple of positive integers, one a layer; got {value!r}. "
            f"Write {name}=(20,) for one layer of 20."
        )
    return tuple(size(model, f"each of {name}", n) for n in value)


def positive(model: str, name: str, value: Any) -> float:
    """`value` as a positive finite number, or ValueError."""
    if not isinstance(value, Real) or not 0 < value < float("inf"):
        raise ValueError(
            f"{model}: expected {name} to be a positive number; got {value!r}. Give a standard deviation above 0."
        )
    return float(value)


def choice(model: str, name: str, value: Any, legal: tuple[str, ...]) -> str:
    """`value` if it is one of `legal`, or ValueError."""
    if value not in legal:
        raise ValueError(
            f"{model}: expected {name} to be one of {legal}; got {value!r}. Choose one, or write the program "
            "with a likelihood of your own."
        )
    return value
