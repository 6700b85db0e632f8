"""Convolutions along one or two axes, and their transposes."""

import jax
import jax.numpy as jnp

from ppgen.ops.convolution import Pairs
from ppgen.ops.dispatch import Array


def correlate(x: Array, weight: Array, stride: int, padding: Pairs, dilation: int) -> Array:
    number, axes = jnp.result_type(x, weight), len(padding)
    return jax.lax.conv_general_dilated(
        jnp.asarray(x, number), jnp.asarray(weight, number), (stride,) * axes, padding, rhs_dilation=(dilation,) * axes
    )


def spread(x: Array, weight: Array, stride: int, padding: Pairs) -> Array:
    number, axes = jnp.result_type(x, weight), len(padding)
    flipped = jnp.flip(jnp.asarray(weight, number), range(2, weight.ndim)).swapaxes(0, 1)
    around = [(k - 1 - before, k - 1 - after) for k, (before, after) in zip(weight.shape[2:], padding, strict=True)]
    return jax.lax.conv_general_dilated(
        jnp.asarray(x, number), flipped, (1,) * axes, around, lhs_dilation=(stride,) * axes
    )
