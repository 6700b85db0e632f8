"""Three ways to generate one dimension after another: they agree.

Each solves x_i = draw(theta_i(x_<i), noise_i) for x, with the noise given, and returns x and all theta.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ppgen import ops

Draw = Callable[[ops.Array, ops.Array], ops.Array]
"""From parameters [..., outputs] and noise [..., n] of some dimensions to their values [...]."""


def incremental(
    net: Any, params: Any, encode: Any, draw: Draw, noise: ops.Array, context: Any, tolerance: float
) -> tuple[ops.Array, ops.Array]:
    """One dimension a step, from what earlier steps have computed: about the cost of one pass."""
    *shape, dim, _ = noise.shape
    order = net.permutation
    noise = ops.moveaxis(ops.take(noise, order, -2), -2, 0)

    def step(carry: Any, current: Any) -> Any:
        cache, x = carry
        i, noise = current
        cache, theta = net.step(params, cache, encode(x) * (i > 0), i)
        x = draw(theta, noise)
        return (cache, x), (x, theta)

    start = net.init_cache(params, tuple(shape), context), noise[0, ..., 0] * 0
    _, (x, theta) = ops.scan(step, start, (ops.arange(dim), noise))
    ranks = np.argsort(order)
    return ops.take(ops.moveaxis(x, 0, -1), ranks), ops.take(ops.moveaxis(theta, 0, -2), ranks, -2)


def jacobi(
    net: Any, params: Any, encode: Any, draw: Draw, noise: ops.Array, context: Any, tolerance: float
) -> tuple[ops.Array, ops.Array]:
    """All dimensions at once, again and again until nothing changes: at most D passes, often a few (Song et al., 2021).

    Real values count as unchanged within `tolerance`, relative to their size.
    """
    dim = noise.shape[-2]

    def unfinished(carry: Any) -> Any:
        passes, changed, *_ = carry
        return (passes < dim) & changed

    def step(carry: Any) -> Any:
        passes, _, x, _ = carry
        theta = net.parameters(params, encode(x), context)
        new = draw(theta, noise)
        new = ops.where(ops.isfinite(new), new, x * 0)  # what is not yet right may overflow, and must not spread
        changed = ~ops.every(ops.absolute(new - x) <= tolerance * (1 + ops.absolute(new)))
        return passes + 1, changed, new, theta

    x = noise[..., 0] * 0
    start = step((ops.arange(1)[0], None, x, None))
    _, _, x, theta = ops.while_loop(unfinished, step, start)
    return x, theta


def naive(
    net: Any, params: Any, encode: Any, draw: Draw, noise: ops.Array, context: Any, tolerance: float
) -> tuple[ops.Array, ops.Array]:
    """One pass over all dimensions for each of them: the reference."""
    ranks = ops.asarray(np.argsort(net.permutation))

    def step(x: Any, i: Any) -> Any:
        theta = net.parameters(params, encode(x), context)
        return ops.where(ranks == i, draw(theta, noise), x), None

    x, _ = ops.scan(step, noise[..., 0] * 0, ops.arange(noise.shape[-2]))
    return x, net.parameters(params, encode(x), context)


METHODS = {"incremental": incremental, "jacobi": jacobi, "naive": naive}
