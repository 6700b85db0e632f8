"""Joining, cutting, repeating and picking entries."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppgen.ops.dispatch import Array


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    return jnp.stack(arrays, axis)


def concatenate(arrays: Sequence[Array], axis: int = -1) -> Array:
    return jnp.concatenate(arrays, axis)


def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    return tuple(jax.lax.split(x, sizes, axis % x.ndim))


def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    return jnp.broadcast_to(x, shape)


def tile(x: Array, times: Sequence[int]) -> Array:
    return jnp.tile(x, times)


def moveaxis(x: Array, source: int, target: int) -> Array:
    return jnp.moveaxis(x, source, target)


def take(x: Array, index: Any, axis: int = -1) -> Array:
    if isinstance(index, jax.Array):
        index = jnp.where(index < 0, x.shape[axis], index)  # neither end of the axis is a wrong number
    else:
        index = np.asarray(index)
    return jnp.take(x, index, axis)


def permute(x: Array, order: Array, axis: int = -1) -> Array:
    return jnp.moveaxis(_permute_rows(jnp.moveaxis(x, axis, 0), order), 0, axis)


@jax.custom_vjp
def _permute_rows(x: Array, order: Array) -> Array:
    """x[order]. Its gradient, too, picks rows; that of indexing adds them up one by one, several times as slow."""
    return x[order]


_permute_rows.defvjp(
    lambda x, order: (x[order], order),
    lambda order, cotangent: (cotangent[jnp.argsort(order)], None),
)


def take_along(x: Array, index: Array, axis: int = -1) -> Array:
    return jnp.take_along_axis(x, index, axis)


def window(x: Array, start: Any, size: int, axis: int = -1) -> Array:
    return jax.lax.dynamic_slice_in_dim(x, start, size, axis)


def put_window(x: Array, piece: Array, start: Any, axis: int = -1) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(x, piece, start, axis)
