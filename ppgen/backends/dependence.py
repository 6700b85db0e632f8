"""What each site of a program depends on: the entries it reads, the other rows, its place in the batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppgen.backends.support import Support, describe

NAMED = ("Independent", "ExpandedDistribution", "MaskedDistribution")
ENDS = ("low", "high")  # as both libraries call those of a Uniform
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Dependence:
    """What the distribution at one site is made of, as far as a backend can tell; the defaults claim nothing.

    Attributes:
        entries: names of the entries whose numbers it depends on.
        mixes: whether that of one row depends on other rows.
        places: what makes it depend on a row's place in the batch: names of parameters that have a value a row, or
            "a constant".
        moving: ends of its interval, low or high, that change with the parameters.
        outside: its parameters that leave their range at some values of the program's: by name, an example.
    """

    entries: frozenset[str] = frozenset()
    mixes: bool = False
    places: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    outside: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Dependences:
    """Of all sites of a program.

    Attributes:
        sites: by name.
        fixed: whether the program draws random numbers that are the same in each run.
        constants: arrays that it takes as they are, its parameters apart; None where that is not known.
    """

    sites: Mapping[str, Dependence] = field(default_factory=dict)
    fixed: bool = False
    constants: list[Any] | None = None


def unwrapped(distribution: Any) -> Any:
    """A distribution without events, expansion or mask around it."""
    while type(distribution).__name__ in NAMED:
        distribution = distribution.base_dist
    return distribution


def limited(distribution: Any) -> dict[str, Support]:
    """The parameters of a distribution that are given to it and have a range, with that range."""
    base = unwrapped(distribution)
    named = {name: describe(c) for name, c in getattr(base, "arg_constraints", {}).items() if name in vars(base)}
    known = ((0, None), (0, 1))  # not of ends that depend on each other
    return {name: at for name, at in named.items() if at.kind == "simplex" or (at.low, at.high) in known}


def example_outside(limit: Support, values: np.ndarray, rows: int) -> float | None:
    """A number that is clearly out of a range; None where all are inside, up to rounding, and for what rows share."""
    if rows not in values.shape:
        return None
    values = values[np.isfinite(values)] if limit.kind != "simplex" else values
    if not values.size or (limit.kind != "simplex" and np.ptp(values) == 0):  # one number for all rows
        return None
    if limit.kind == "simplex":
        totals = values.sum(-1)
        if (values >= -_ROUNDING).all() and (np.abs(totals - 1) < 1e-2).all():
            return None
        return (
            float(values.min()) if values.min() < -_ROUNDING else float(totals.ravel()[np.argmax(np.abs(totals - 1))])
        )
    low, high = (-np.inf if limit.low is None else limit.low), (np.inf if limit.high is None else limit.high)
    bad = values[(values < low - _ROUNDING) | (values > high + _ROUNDING)]
    return float(bad.flat[0]) if bad.size else None
