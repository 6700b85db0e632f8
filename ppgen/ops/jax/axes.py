"""Sums, extremes and orders along axes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ppgen.ops.axes import Axes
from ppgen.ops.dispatch import Array


def _over(function: Callable[..., Array], default: int | None = None) -> Callable[..., Array]:
    """A reduction that takes any sequence of axes; JAX's own take tuples."""

    def reduce(x: Array, axis: Axes = default, keepdims: bool = False) -> Array:
        return function(x, axis if axis is None or isinstance(axis, int) else tuple(axis), keepdims=keepdims)

    return reduce


sum, prod, mean, var = map(_over, (jnp.sum, jnp.prod, jnp.mean, jnp.var))
amax, amin, any, all = map(_over, (jnp.max, jnp.min, jnp.any, jnp.all))
logsumexp = _over(jax.nn.logsumexp, default=-1)
softmax, log_softmax = jax.nn.softmax, jax.nn.log_softmax


def std(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    variance = var(x, axis, keepdims)
    same = variance == 0  # the gradient of a root at 0 is infinite
    return jnp.where(same, 0, jnp.sqrt(jnp.where(same, 1, variance)))


def cumsum(x: Array, axis: int = -1) -> Array:
    return jnp.cumsum(x, axis)


def sort(x: Array, axis: int = -1) -> Array:
    return jnp.sort(x, axis)


def argsort(x: Array, axis: int = -1) -> Array:
    return jnp.argsort(x, axis)


def argmax(x: Array, axis: int = -1) -> Array:
    return jnp.argmax(x, axis)
