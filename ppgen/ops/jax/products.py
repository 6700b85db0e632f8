"""Matrix products and triangular systems."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ppgen.ops.dispatch import Array
from ppgen.ops.products import Mask


def matmul(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y)


def einsum(equation: str, *arrays: Array) -> Array:
    return jnp.einsum(equation, *arrays)


def linear(x: Array, weight: Array, bias: Array) -> Array:
    number = jnp.result_type(x, weight)  # one for both: each gradient has the type of what it is taken for
    return _product.bind(jnp.asarray(x, number), jnp.asarray(weight, number)) + bias


def inverse(x: Array) -> Array:
    return jnp.linalg.inv(x)


def cholesky(x: Array) -> Array:
    return jnp.linalg.cholesky(x)


def solve_triangular(matrix: Array, x: Array, lower: bool = True) -> Array:
    return jax.scipy.linalg.solve_triangular(matrix, x, lower=lower)


def masked(weight: Array, mask: Mask) -> Array:
    return jnp.where(mask.ones, weight, 0)  # a mask of bits is the fastest in XLA, one of floats in torch


# a matrix product that stays two-dimensional under vmap, which CPUs like better -----------------------------------------


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


_product = Primitive("ppgen_product")
_product.def_impl(jax.jit(_flat_product))
_product.def_abstract_eval(lambda x, w: ShapedArray((*x.shape[:-1], w.shape[-1]), jnp.result_type(x, w)))
mlir.register_lowering(_product, mlir.lower_fun(_flat_product, multiple_results=False))
ad.defbilinear(_product, lambda cotangent, _, weight: _product.bind(cotangent, weight.T), _weight_gradient)
batching.primitive_batchers[_product] = _batched_product
