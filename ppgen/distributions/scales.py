"""Scales that a network computes, kept in bounds."""

import math
from typing import Any

from ppgen import ops

BOUND = 5.0  # of a log scale that no other multiplies: scales from 0.0067 to 148
LAYER_BOUND = 2.0  # of the log scale of one layer of a flow: scales from 0.14 to 7.4


def bounded(log_scale: ops.Array, bound: float = BOUND) -> ops.Array:
    """A log scale in (-bound, bound): bound * tanh(. / bound), close to the identity well inside.

    Without a bound a large value makes the next scale larger still, and draws of many dimensions overflow.
    """
    return bound * ops.tanh(log_scale / bound)


def softly_bounded(log_scale: ops.Array, bound: float = LAYER_BOUND) -> ops.Array:
    """The log scale s of one layer of a flow in (-bound, bound): s / (1 + |s| / bound).

    The scales of a flow's layers multiply, those of its linear maps too, so each may do with less: five layers of
    `LAYER_BOUND` still reach e^10. What a bound b saves is the row that the network has not seen. At a distance r, with a
    scale of e^b where it should be 1, its z is r e^b, which costs (r e^b)^2 / 2 nats. At r = 4 they are 180000 with b = 5,
    3200 with b = 3, and 440 with b = 2.

    A hyperbolic tangent would be flat near its ends, where a unit that has gone too far has no gradient to come back by. This
    one is not, and it takes ever larger numbers to come close to the bound at all (`python -m benchmarks.starts`).
    """
    return log_scale / (1 + ops.absolute(log_scale) / bound)


def check_bound(owner: str, bound: Any) -> None:
    """Raise where a bound is not a positive number."""
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 < bound < math.inf:
        raise ValueError(
            f"{owner}: expected a positive bound of the log scale; got {bound!r}. Give one such as {BOUND}."
        )
