"""Matrix products and triangular systems."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ppgen.ops.dispatch import Array, torch_of


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """X @ weight + bias for `x` [..., m], `weight` [m, n], `bias` [n]."""
    torch = torch_of(x, weight)
    if torch is None:
        number = jnp.result_type(x, weight)  # one for both: each gradient has the type of what it is taken for
        return _product.bind(jnp.asarray(x, number), jnp.asarray(weight, number)) + bias
    return torch.addmm(bias, x, weight) if x.ndim == 2 else x @ weight + bias


def _flat_product(x: jax.Array, weight: jax.Array) -> jax.Array:
    """X @ weight with all axes of `x` but the last folded into one."""
    return (x.reshape(-1, x.shape[-1]) @ weight).reshape(*x.shape[:-1], weight.shape[-1])


def _weight_gradient(cotangent: jax.Array, x: jax.Array, _: Any) -> jax.Array:
    return x.reshape(-1, x.shape[-1]).T @ cotangent.reshape(-1, cotangent.shape[-1])


def _batched_product(operands: tuple, axes: tuple) -> tuple[jax.Array, int]:
    """Under `vmap` an axis of particles joins the other leading axes of `x`; a batch of weights is an ordinary product."""
    (x, weight), (x_axis, weight_axis) = operands, axes
    if weight_axis is None:
        return _product.bind(jnp.moveaxis(x, x_axis, 0), weight), 0
    return jax.vmap(jnp.matmul, (x_axis, weight_axis))(x, weight), 0


_product = Primitive("ppgen_product")  # a matrix product that stays two-dimensional under vmap: a tenth faster on CPUs
_product.def_impl(jax.jit(_flat_product))
_product.def_abstract_eval(lambda x, w: jax.core.ShapedArray((*x.shape[:-1], w.shape[-1]), jnp.result_type(x, w)))
mlir.register_lowering(_product, mlir.lower_fun(_flat_product, multiple_results=False))
ad.defbilinear(_product, lambda cotangent, _, weight: _product.bind(cotangent, weight.T), _weight_gradient)
batching.primitive_batchers[_product] = _batched_product


class Mask:
    """A fixed mask of zeros and ones: `mask(weight)` has the entries of a matrix where it has a one, and 0 elsewhere.

    torch gets it once for each number type and device: to convert it takes longer than to apply it.
    """

    def __init__(self, ones: np.ndarray) -> None:
        self.ones = np.asarray(ones, bool)
        self._tensors: dict[Any, Array] = {}

    def __call__(self, weight: Array) -> Array:
        torch = torch_of(weight)
        if torch is None:
            return jnp.where(self.ones, weight, 0)  # a mask of bits is the fastest in XLA, one of floats in torch
        kind = weight.dtype, weight.device
        if kind not in self._tensors:
            with torch.inference_mode(False):  # gradients could not pass a tensor made in that mode
                self._tensors[kind] = torch.tensor(self.ones, dtype=weight.dtype, device=weight.device)
        return weight * self._tensors[kind]

    def __reduce__(self) -> tuple:
        return Mask, (self.ones,)


def inverse(x: Array) -> Array:
    """The inverse of a matrix, or of each matrix in a batch [..., n, n]."""
    torch = torch_of(x)
    return jnp.linalg.inv(x) if torch is None else torch.linalg.inv(x)


def solve_triangular(matrix: Array, x: Array, lower: bool = True) -> Array:
    """The solution y of `matrix y = x` for a triangular matrix [..., n, n] and columns `x` [..., n, m]."""
    torch = torch_of(matrix, x)
    if torch is None:
        return jax.scipy.linalg.solve_triangular(matrix, x, lower=lower)
    return torch.linalg.solve_triangular(matrix, x, upper=not lower)
