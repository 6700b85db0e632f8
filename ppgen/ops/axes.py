"""Sums, extremes and orders along axes."""

import math
from collections.abc import Sequence

from ppgen.ops.dispatch import Array, dispatched

Axes = int | Sequence[int] | None
"""One axis, several, or None for all of them."""


@dispatched
def sum(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Sum over `axis` (all axes by default)."""


@dispatched
def prod(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Product over `axis` (all axes by default)."""


@dispatched
def mean(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Mean over `axis` (all axes by default)."""


@dispatched
def var(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Variance over `axis` (all axes by default): the mean squared distance from the mean, a sum divided by n."""


@dispatched
def std(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """The square root of `var`; where that is 0, so is its gradient."""


@dispatched
def amax(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """The largest entry over `axis` (all axes by default); equal ones share the gradient."""


@dispatched
def amin(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """The smallest entry over `axis` (all axes by default); equal ones share the gradient."""


@dispatched
def any(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether some entry over `axis` (all axes by default) is true."""


@dispatched
def all(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether each entry over `axis` (all axes by default) is true."""


@dispatched
def logsumexp(x: Array, axis: Axes = -1, keepdims: bool = False) -> Array:
    """Log sum e^x over `axis`, without overflow."""


def logmeanexp(x: Array, axis: int = 0) -> Array:
    """Log mean e^x over `axis`, without overflow: the log of an average of weights."""
    return logsumexp(x, axis) - math.log(x.shape[axis])


@dispatched
def softmax(x: Array, axis: int = -1) -> Array:
    """e^x normalised to sum to one over `axis`."""


@dispatched
def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of `softmax`, without overflow."""


@dispatched
def cumsum(x: Array, axis: int = -1) -> Array:
    """Running sums along an axis."""


@dispatched
def sort(x: Array, axis: int = -1) -> Array:
    """The entries of an axis from the smallest to the largest, NaN last; a gradient goes back to where an entry was."""


@dispatched
def argsort(x: Array, axis: int = -1) -> Array:
    """Where the entries that `sort` gives were; equal ones stay in their order."""


@dispatched
def argmax(x: Array, axis: int = -1) -> Array:
    """Where the largest entry along `axis` is."""
