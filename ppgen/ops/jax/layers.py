"""Layer normalisation and attention."""

import math

import jax
import jax.numpy as jnp

from ppgen.ops.dispatch import Array


def layer_norm(x: Array, scale: Array, bias: Array, epsilon: float = 1e-5) -> Array:
    centred = x - jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), -1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon) * scale + bias


def attend(query: Array, key: Array, value: Array, bias: Array | None, causal: bool) -> Array:
    scores = jnp.matmul(query, jnp.swapaxes(key, -1, -2)) / math.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = jnp.where(jnp.tri(query.shape[-2], dtype=bool), scores, -jnp.inf)
    blind = jnp.all(scores == -jnp.inf, -1, keepdims=True)
    return jnp.where(blind, 0, jnp.matmul(jax.nn.softmax(jnp.where(blind, 0, scores), -1), value))
