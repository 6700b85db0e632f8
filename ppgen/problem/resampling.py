"""Systematic resampling."""

from ppgen import ops


def systematic(weights: ops.Array, uniform: ops.Array) -> ops.Array:
    r"""Which particle each of n takes after, in every group: [groups, n] integers.

    A comb of n equally spaced teeth, moved by one uniform number, falls on the cumulated weights (Kitagawa, 1996): a particle
    of weight w has n w offspring, rounded up or down, and n w on average.

    .. math:: a_i = \min \{ j : \textstyle\sum_{k \le j} w_k > (i + u) / n \}, \qquad u \sim U(0, 1)

    Args:
        weights: of each particle, which sum to 1 in each group [groups, n].
        uniform: a number in [0, 1) for each group [groups].

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> systematic(ops.asarray(np.array([[0.5, 0.0, 0.25, 0.25]])), ops.asarray(np.array([0.4]))).tolist()
        [[0, 0, 2, 3]]
    """
    n = weights.shape[1]
    counter = ops.arange(n, weights)
    teeth = (counter + uniform[:, None]) / n
    both = ops.concatenate([ops.cumsum(weights, 1), teeth], 1)
    ranks = ops.argsort(ops.argsort(both, 1), 1)  # of a tooth: the teeth before it, and the particles below it
    return ops.clip(ranks[:, n:] - counter, 0, n - 1)
