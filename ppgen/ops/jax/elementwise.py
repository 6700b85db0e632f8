"""Functions of each entry."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy import special

from ppgen.ops.dispatch import Array

exp, expm1, log, log1p, sqrt, square = jnp.exp, jnp.expm1, jnp.log, jnp.log1p, jnp.sqrt, jnp.square
sin, cos, sinh, cosh, arcsinh, tanh = jnp.sin, jnp.cos, jnp.sinh, jnp.cosh, jnp.arcsinh, jnp.tanh
sign, floor, erf, lgamma, digamma = jnp.sign, jnp.floor, special.erf, special.gammaln, special.digamma
sigmoid, relu, softplus, elu, silu = jax.nn.sigmoid, jax.nn.relu, jax.nn.softplus, jax.nn.elu, jax.nn.silu
maximum, minimum, where = jnp.maximum, jnp.minimum, jnp.where


def absolute(x: Array) -> Array:
    return x * jnp.sign(x)  # the gradient of jnp.abs at 0 is 1


def leaky_relu(x: Array) -> Array:
    return jnp.where(x > 0, x, 0.2 * x)


def gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def clip(x: Array, low: Any = None, high: Any = None) -> Array:
    x = x if low is None else jnp.where(x < low, low, x)
    return x if high is None else jnp.where(x > high, high, x)


def finite(x: Array) -> Array:
    return jnp.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
