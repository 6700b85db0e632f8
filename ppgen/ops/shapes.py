"""Joining, cutting, repeating and picking entries."""

from collections.abc import Sequence
from typing import Any

from ppgen.ops.arrays import zeros
from ppgen.ops.dispatch import Array, dispatched, dispatched_by


@dispatched
def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Join arrays along a new axis."""


@dispatched
def concatenate(arrays: Sequence[Array], axis: int = -1) -> Array:
    """Join arrays along an axis they have."""


@dispatched
def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """`x` cut along an axis into pieces of the given sizes; the inverse of `concatenate`."""
    ...


@dispatched
def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """`x` repeated to `shape`, without a copy where the library can."""


@dispatched
def tile(x: Array, times: Sequence[int]) -> Array:
    """`x` repeated as a whole, a number of times along each of its last axes."""


@dispatched
def moveaxis(x: Array, source: int, target: int) -> Array:
    """`x` with one axis moved to another place."""


@dispatched_by("x", "index")
def take(x: Array, index: Any, axis: int = -1) -> Array:
    """The entries of an axis at some positions: a permutation, a selection, rows of a table.

    The axis gives way to those of `index`, fixed integers or an array of computed ones. A computed position that is
    not there gives NaN under JAX, which cannot raise; torch raises.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> table = np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
        >>> ops.take(table, np.array([[2, 0], [1, 1]]), 0).shape
        (2, 2, 2)
    """


@dispatched_by("x", "order")
def permute(x: Array, order: Array, axis: int = -1) -> Array:
    """The entries of an axis in another order, a permutation [n] that may be computed."""


@dispatched_by("x", "index")
def take_along(x: Array, index: Array, axis: int = -1) -> Array:
    """One entry along `axis` for each entry of `index`, an integer array of as many axes as `x`."""


@dispatched
def window(x: Array, start: Any, size: int, axis: int = -1) -> Array:
    """`size` entries of an axis from `start`, which may be computed; near the end the last `size` ones."""


@dispatched_by("x", "piece")
def put_window(x: Array, piece: Array, start: Any, axis: int = -1) -> Array:
    """`x` with `piece` in the place that `window` of its size would read."""


def pad(x: Array, count: int, axis: int = -1) -> Array:
    """`x` with `count` zeros behind the last entry of an axis."""
    shape = list(x.shape)
    shape[axis] = count
    return concatenate([x, zeros(shape, x)], axis)
