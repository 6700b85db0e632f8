"""The VAE by hand in JAX: the whole loop is one compiled `lax.scan`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers.problem import BATCH, LATENT, LEARNING_RATE, PIXELS


def encode(w, x):
    return jnp.split(mlp(w, "encoder", x), 2, axis=-1)


def decode(w, z):
    return mlp(w, "decoder", z)


def mlp(w, name, x):
    hidden = jax.nn.relu(x @ w[f"{name}.0.weight"] + w[f"{name}.0.bias"])
    return hidden @ w[f"{name}.1.weight"] + w[f"{name}.1.bias"]


def loss(w, x, key, particles):
    """E_q[log q(z | x) - log p(x, z)] from reparameterised draws; the terms log 2 pi cancel."""
    loc, log_scale = encode(w, x)
    noise = jax.random.normal(key, (particles, BATCH, LATENT))
    z = loc + jnp.exp(log_scale) * noise
    logits = decode(w, z.reshape(-1, LATENT)).reshape(particles, BATCH, PIXELS)  # flat: faster in XLA
    log_likelihood = (x * logits - jax.nn.softplus(logits)).sum(-1)
    log_prior = -0.5 * (z**2).sum(-1)
    log_q = (-0.5 * noise**2 - log_scale).sum(-1)
    return (log_q - log_prior - log_likelihood).mean()


def start(problem):
    optimizer = optax.adam(LEARNING_RATE)

    @partial(jax.jit, donate_argnums=0)
    def train(state, rows, index):
        def step(state, batch):
            weights, moments, key = state
            key, noise = jax.random.split(key)
            value, gradient = jax.value_and_grad(loss)(weights, rows[batch], noise, problem.particles)
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(weights, updates), moments, key), value

        return jax.lax.scan(step, state, index)

    rows = jnp.asarray(problem.rows)
    weights = jax.tree.map(jnp.asarray, problem.weights())
    state = weights, optimizer.init(weights), jax.random.key(0)

    def run(index):
        nonlocal state
        state, losses = jax.block_until_ready(train(state, rows, index))
        return np.asarray(losses)

    return run
