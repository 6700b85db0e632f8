"""What values a site can take, described alike for both backends."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Support:
    """A set of values: an interval of the reals or of the integers, a simplex, or `other` (known to the backend only).

    A `point` is the one value of a Delta, whatever it is: it is in every set, as the guide of a MAP estimate is.

    Attributes:
        kind: `"real"`, `"integer"`, `"simplex"`, `"point"` or `"other"`.
        low: smallest value; None where unbounded, nan where it is not one known number (an array, a traced value).
        high: largest value, likewise.
        name: the backend's own name of the constraint.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    name: str = ""

    @property
    def discrete(self) -> bool:
        """True for sets of integers."""
        return self.kind == "integer"

    @property
    def values(self) -> range | None:
        """The integers of the set, None where they are not finitely many or not known."""
        if self.kind != "integer" or self.low is None or self.high is None or math.isnan(self.high - self.low):
            return None
        return range(int(self.low), int(self.high) + 1)

    @property
    def count(self) -> int | None:
        """How many integers the set has, None where that is not finite or not known."""
        return None if self.values is None else len(self.values)

    @property
    def inside(self) -> tuple[float, float]:
        """Two numbers of the set, by which missing ones are filled."""
        low, high = (None if end is None or math.isnan(end) else end for end in (self.low, self.high))
        if self.kind == "integer":
            return (low or 0, (low or 0) + 1)
        if low is not None and high is not None:
            return ((low + high) / 2, (low + 3 * high) / 4)
        if low is not None or high is not None:
            return (low + 1, low + 2) if high is None else (high - 1, high - 2)  # pyright: ignore[reportOptionalOperand]  # one is
        return (0.0, 1.0)

    def bounded(self) -> bool:
        """True for integers and for an interval that is not all of the reals."""
        return self.discrete or (self.kind == "real" and (self.low, self.high) != (None, None))

    def outside(self, values: np.ndarray) -> np.ndarray:
        """True where an entry of `values` (a whole row for a simplex) is not in the set; never for `other`."""
        values = np.asarray(values)
        if self.kind in ("other", "point"):
            return np.zeros(values.shape, bool)
        if self.kind == "simplex":
            return (values < 0).any(-1) | (np.abs(values.sum(-1) - 1) > 1e-4)
        bad = np.zeros(values.shape, bool)
        if self.kind == "integer" and values.dtype.kind == "f":
            bad |= values != np.floor(values)
        if self.low is not None:
            bad |= values < self.low
        if self.high is not None:
            bad |= values > self.high
        return bad

    def same(self, other: "Support") -> bool:
        """True when both describe one set (or either is not known well enough to tell)."""
        if "point" in (self.kind, other.kind):
            return True
        if "other" in (self.kind, other.kind):
            return self.name == other.name
        bounds = (self.low, other.low), (self.high, other.high)
        return self.kind == other.kind and all(_agree(*pair) for pair in bounds)

    def __str__(self) -> str:
        if self.kind in ("simplex", "point", "other"):
            return self.name or self.kind
        if self.kind == "integer" and (self.low, self.high) == (0, 1):
            return "{0, 1}"
        if self.low is None and self.high is None:
            return "the reals" if self.kind == "real" else "the integers"
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{'reals' if self.kind == 'real' else 'integers'} in [{low}, {high}]".replace("nan", "?")


def support_of(fn: Any) -> Support:
    """The `Support` of a distribution."""
    base = fn
    while type(base).__name__ in ("Independent", "ExpandedDistribution", "MaskedDistribution"):
        base = base.base_dist
    if type(base).__name__ == "Delta":  # both libraries call its support the reals
        return Support("point", name="one point")
    return describe(fn.support)


def describe(constraint: Any) -> Support:
    """The `Support` of a NumPyro or torch constraint; the two libraries name their classes alike."""
    while hasattr(constraint, "base_constraint"):  # independent(...) wraps another constraint
        constraint = constraint.base_constraint
    name = type(constraint).__name__.lstrip("_")

    def bound(attribute: str) -> float:
        try:
            numbers = np.unique(np.asarray(getattr(constraint, attribute)))
        except Exception:  # an array that is traced, or carries a gradient, shows no value
            return math.nan
        return float(numbers[0]) if numbers.size == 1 else math.nan

    if name == "Boolean":
        return Support("integer", 0, 1, name)
    if name == "IntegerInterval":
        return Support("integer", bound("lower_bound"), bound("upper_bound"), name)
    if name == "Multinomial":  # counts; that they have a sum, the density tells
        return Support("integer", 0, None, name)
    if name in ("IntegerGreaterThan", "IntegerNonnegative", "IntegerPositive"):
        return Support("integer", bound("lower_bound"), None, name)
    if name in ("Real", "RealVector", "RealMatrix"):
        return Support("real", None, None, name)
    if name in ("GreaterThan", "GreaterThanEq", "Positive", "Nonnegative", "SoftplusPositive"):
        return Support("real", bound("lower_bound"), None, name)
    if name in ("LessThan", "LessThanEq"):
        return Support("real", None, bound("upper_bound"), name)
    if name in ("Interval", "OpenInterval", "HalfOpenInterval", "UnitInterval", "Circular"):
        return Support("real", bound("lower_bound"), bound("upper_bound"), name)
    if name == "Simplex":
        return Support("simplex", name=name)
    return Support("other", name=name)


def _agree(a: float | None, b: float | None) -> bool:
    """True for equal bounds, and where one is a number not known."""
    return a == b or (a is not None and b is not None and math.isnan(a - b))
