"""Scales that a network computes, kept in bounds."""

import math
from typing import Any

from ppgen import ops

BOUND = 5.0  # of a log scale that no other multiplies: scales from 0.0067 to 148
LAYER_BOUND = 3.0  # of the log scale of one layer of a flow: scales from 0.050 to 20


def bounded(log_scale: ops.Array, bound: float = BOUND) -> ops.Array:
    """A log scale in (-bound, bound): bound * tanh(. / bound), close to the identity well inside.

    Without a bound a large value makes the next scale larger still, and draws of many dimensions overflow.

    The scales of a flow's layers multiply, those of its linear maps too, so each may do with less: five layers of
    `LAYER_BOUND` still reach e^15. What a bound b saves is the row that the network has not seen. At a distance r, with a
    scale of e^b where it should be 1, its z is r e^b, which costs (r e^b)^2 / 2 nats: at r = 4 they are 180000 with b = 5,
    and 3200 with b = 3.
    """
    return bound * ops.tanh(log_scale / bound)


def check_bound(owner: str, bound: Any) -> None:
    """Raise where a bound is not a positive number."""
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 < bound < math.inf:
        raise ValueError(
            f"{owner}: expected a positive bound of the log scale; got {bound!r}. Give one such as {BOUND}."
        )
