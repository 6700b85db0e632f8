"""Making arrays, and what they are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppgen.ops.dispatch import Array, dispatched, dispatched_by


@dispatched_by("x", "like")
def asarray(x: Any, dtype: str | None = None, like: Array | None = None) -> Array:
    """`x` as an array of the active library, or of that of `like`; `dtype` by name ("float32", "int32", "bool")."""


@dispatched_by("like")
def zeros(shape: Sequence[int], like: Array | None = None) -> Array:
    """Zeros of the number type of `like`; by default, of the active library's default float type."""


@dispatched
def ones(shape: Sequence[int]) -> Array:
    """Ones of the active library's default float type."""


@dispatched
def zeros_like(x: Array, /) -> Array:
    """Zeros of the shape and the number type of `x`."""


@dispatched
def ones_like(x: Array, /) -> Array:
    """Ones of the shape and the number type of `x`."""


@dispatched_by("like")
def arange(n: int, like: Array | None = None) -> Array:
    """The integers 0 to n - 1, of the library of `like`; by default, of the active one."""


@dispatched
def eye(n: int) -> Array:
    """The n x n identity."""


@dispatched
def one_hot(x: Array, classes: int) -> Array:
    """Class numbers as rows of an identity: [...] integers to [..., classes] floats."""


@dispatched_by("x", "like")
def as_float(x: Any, like: Array | None = None) -> Array:
    """`x` in floating point: floats as they are, integers and booleans in the number type of `like` or the default."""


@dispatched
def as_integer(x: Array) -> Array:
    """`x` as integers, cut towards 0."""


@dispatched_by("like")
def as_type_of(x: Any, like: Array) -> Array:
    """`x` as an array of the library and the number type of `like`."""


def finfo(x: Array) -> np.finfo:
    """The limits of the floating point numbers of `x`."""
    return np.finfo(str(x.dtype).removeprefix("torch."))


@dispatched_by("x", "y")
def known_equal(x: Array, y: Array) -> bool:
    """Whether two arrays of one shape are known to be equal: never while JAX compiles, when values are not known."""
    ...
