"""Checks of arguments that the builders of models share."""

from numbers import Real
from typing import Any

from ppgen.distributions.arguments import size, sizes

__all__ = ["choice", "positive", "size", "sizes"]


def positive(model: str, name: str, value: Any) -> float:
    """`value` as a positive finite number, or ValueError."""
    if not isinstance(value, Real) or not 0 < float(value) < float("inf"):
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
