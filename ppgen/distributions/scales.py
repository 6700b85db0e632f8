"""Scales that a network computes, kept in bounds."""

import math
from typing import Any

from ppgen import ops

BOUND = 5.0  # of a log scale: scales from 0.0067 to 148


def bounded(log_scale: ops.Array, bound: float = BOUND) -> ops.Array:
    """A log scale in (-bound, bound): bound * tanh(. / bound), close to the identity well inside.

    Without a bound a large value makes the next scale larger still, and draws of many dimensions overflow.
    """
    return bound * ops.tanh(log_scale / bound)


def check_bound(owner: str, bound: Any) -> None:
    """Raise where a bound is not a positive number."""
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 < bound < math.inf:
        raise ValueError(
            f"{owner}: expected a positive bound of the log scale; got {bound!r}. Give one such as {BOUND}."
        )
