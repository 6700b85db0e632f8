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
        return draw(net.parameters(params, encode(x), context), noise)

    def solve() -> ops.Array:
        return METHODS[method](net, params, encode, draw, noise, context)

    return ops.triangular_solution(once, solve, noise[..., 0] * 0, noise.shape[-2])


def incremental(net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """One dimension a step, from what earlier steps have computed.

    A network with a `block` prepares so many steps at once, and each of them computes the block's hidden units: those of
    a `MaskedMLP` up to 14 times each, but a block has few of them.
    """
    *shape, dim, size = noise.shape
    noise = ops.moveaxis(ops.take(noise, net.permutation, -2), -2, 0)

    def step(carry: Any, noise: ops.Array) -> Any:
        i, cache, entering = carry
        cache, theta = net.step(params, cache, entering, i)
        x = draw(theta, noise)
        return (i + 1, cache, encode(x)), x

    def steps(carry: Any, noise: ops.Array) -> Any:
        first, cache, entering = carry
        inner = net.enter(params, cache, first)
        (after, inner, entering), x = ops.scan(step, (first, inner, entering), noise)
        return (after, net.leave(params, cache, inner, first), entering), x

    start = 0, net.init_cache(params, tuple(shape), context), encode(noise[0, ..., 0]) * 0
    block = getattr(net, "block", None)
    if block is None:
        _, x = ops.scan(step, start, noise)
    else:
        blocks = -(-dim // block)
        missing = blocks * block - dim  # steps that complete the last block
        noise = ops.concatenate([noise, noise[:missing]], 0).reshape(blocks, block, *shape, size)
        _, x = ops.scan(steps, start, noise)
        x = x.reshape(blocks * block, *shape)[:dim]
    return ops.take(ops.moveaxis(x, 0, -1), np.argsort(net.permutation))


def jacobi(net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """All dimensions at once, again and again until nothing changes: at most D passes, often a few (Song et al., 2021)."""
    return ops.settle(
        lambda x: draw(net.parameters(params, encode(x), context), noise), noise[..., 0] * 0, noise.shape[-2]
    )


def naive(net: Any, params: Any, encode: Map, draw: Map, noise: ops.Array, context: Any) -> ops.Array:
    """One pass over all dimensions for each of them: the reference."""
    ranks = ops.asarray(np.argsort(net.permutation), like=noise)

    def step(x: Any, i: Any) -> Any:
        theta = net.parameters(params, encode(x), context)
        return ops.where(ranks == i, draw(theta, noise), x), None

    return ops.scan(step, noise[..., 0] * 0, ops.arange(noise.shape[-2], noise))[0]


METHODS = {"incremental": incremental, "jacobi": jacobi, "naive": naive}
