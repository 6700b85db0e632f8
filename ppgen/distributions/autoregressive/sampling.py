"""Three ways to generate one dimension after another: they agree, up to rounding.

Each solves x_i = draw(theta_i(x_<i), noise_i) for x, with the noise given.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ppgen import ops

Map = Callable[..., ops.Array]


def generate(method: str, net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """The x [..., D] with x_i = draw(theta_i(x_<i), noise_i), by one of `METHODS`.

    Gradients are those of the equation, whatever the method: they cost a few parallel passes, at most D.

    Args:
        method: "incremental", "jacobi" or "naive".
        net: computes theta; a `Network`.
        params: parameters of the network.
        encode: from values [...] to what enters the network, [..., inputs].
        draw: from theta [..., outputs] and noise [..., n] of some dimensions to their values [...].
        noise: [..., D, n].
        context: what the network sees beside x, or None.
    """

    def once(x: ops.Array) -> ops.Array:
        return draw(net.conditionals(params, encode(x), context), noise)

    def solve() -> ops.Array:
        return METHODS[method](net, params, encode, draw, noise, context)

    return ops.triangular_solution(once, solve, noise[..., 0] * 0, noise.shape[-2])


def incremental(net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """One dimension after another, or one block of them after another, from what has been computed before."""
    noise = ops.take(noise, net.permutation, -2)
    cache = net.init_cache(params, tuple(noise.shape[:-2]), context)
    forward = _block_by_block if hasattr(net, "block") else _step_by_step
    return ops.take(forward(net, params, cache, encode, draw, noise), np.argsort(net.permutation))


def _step_by_step(net: Any, params: Any, cache: Any, encode: Map, draw: Map, noise: ops.Array) -> ops.Array:
    def step(carry: Any, noise: ops.Array) -> Any:
        i, cache, entering = carry
        cache, theta = net.step(params, cache, entering, i)
        x = draw(theta, noise)
        return (i + 1, cache, encode(x)), x

    start = 0, cache, encode(noise[..., 0, 0]) * 0
    return ops.moveaxis(ops.scan(step, start, ops.moveaxis(noise, -2, 0))[1], 0, -1)


def _block_by_block(net: Any, params: Any, cache: Any, encode: Map, draw: Map, noise: ops.Array) -> ops.Array:
    """Within a block all dimensions at once until nothing changes, as in `jacobi`: that takes a few turns (Song et al., 2021).

    Each turn computes the hidden units of the block, and of no other.
    """
    *shape, dim, size = noise.shape
    blocks = -(-dim // net.block)
    missing = blocks * net.block - dim  # dimensions that complete the last block
    noise = ops.concatenate([noise, noise[..., :missing, :]], -2).reshape(*shape, blocks, net.block, size)

    def solve(carry: Any, noise: ops.Array) -> Any:
        first, cache = carry
        inner = net.enter(params, cache, first)

        def again(x: ops.Array) -> ops.Array:
            return draw(net.inside(params, inner, encode(x)), noise)

        x = ops.settle(again, noise[..., 0] * 0, net.block, exact=True)
        return (first + net.block, net.leave(params, cache, inner, encode(x))), x

    _, x = ops.scan(solve, (0, cache), ops.moveaxis(noise, -3, 0))
    return ops.moveaxis(x, 0, -2).reshape(*shape, blocks * net.block)[..., :dim]


def jacobi(net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """All dimensions at once, again and again until nothing changes: at most D passes, often a few (Song et al., 2021)."""
    return ops.settle(
        lambda x: draw(net.conditionals(params, encode(x), context), noise), noise[..., 0] * 0, noise.shape[-2]
    )


def naive(net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """One pass over all dimensions for each of them: the reference."""
    ranks = ops.asarray(np.argsort(net.permutation), like=noise)

    def step(x: Any, i: Any) -> Any:
        theta = net.conditionals(params, encode(x), context)
        return ops.where(ranks == i, draw(theta, noise), x), None

    return ops.scan(step, noise[..., 0] * 0, ops.arange(noise.shape[-2], noise))[0]


METHODS = {"incremental": incremental, "jacobi": jacobi, "naive": naive}
