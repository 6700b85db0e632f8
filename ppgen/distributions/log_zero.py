"""Log probabilities of what cannot be: minus infinity outside, a large finite number while sums are taken."""

import math

from ppgen import ops

IMPOSSIBLE = -1e30  # in the place of log 0: e^(a - b) is then 0 or 1 and never nan, in values and in gradients


def floored(log_prob: ops.Array) -> ops.Array:
    """IMPOSSIBLE in the place of minus infinity, to which no gradient flows."""
    return ops.clip(log_prob, IMPOSSIBLE)


def infinite(log_prob: ops.Array) -> ops.Array:
    """Minus infinity again, for sums in which every term is impossible."""
    return ops.where(log_prob < IMPOSSIBLE / 2, -math.inf, log_prob)
