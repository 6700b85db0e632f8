"""Matrix products and triangular systems."""

from typing import Any

import numpy as np

from ppgen.ops.dispatch import Array, dispatched, dispatched_by


@dispatched_by("x", "y")
def matmul(x: Array, y: Array) -> Array:
    """X @ y: the product of matrices [..., l, m] and [..., m, n], whose leading axes broadcast; vectors are [m]."""


@dispatched_by("arrays")
def einsum(equation: str, *arrays: Array) -> Array:
    """Einstein summation."""


@dispatched_by("x", "weight")
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """X @ weight + bias for `x` [..., m], `weight` [m, n], `bias` [n]."""


@dispatched
def inverse(x: Array) -> Array:
    """The inverse of a matrix, or of each matrix in a batch [..., n, n]."""


@dispatched
def cholesky(x: Array) -> Array:
    """The lower triangular L with L L^T = x, for each positive definite matrix of a batch [..., n, n].

    Where there is none torch raises, and JAX, which cannot, gives NaN.
    """


@dispatched_by("matrix", "x")
def solve_triangular(matrix: Array, x: Array, lower: bool = True) -> Array:
    """The solution y of `matrix y = x` for a triangular matrix [..., n, n] and columns `x` [..., n, m]."""


class Mask:
    """A fixed mask of zeros and ones: `mask(weight)` has the entries of a matrix where it has a one, and 0 elsewhere.

    torch gets it once for each number type and device: to convert it takes longer than to apply it.
    """

    def __init__(self, ones: np.ndarray) -> None:
        self.ones = np.asarray(ones, bool)
        self.tensors: dict[Any, Array] = {}

    def __call__(self, weight: Array) -> Array:
        return masked(weight, self)

    def __reduce__(self) -> tuple:
        return Mask, (self.ones,)


@dispatched
def masked(weight: Array, mask: Mask) -> Array:
    """`weight` where the mask has a one, and 0 elsewhere."""
