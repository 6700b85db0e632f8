"""The VAE with NumPyro: a jitted `svi.update`, called from a Python loop."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, Trace_ELBO

from benchmarks.peers.handwritten_jax import decode, encode
from benchmarks.peers.problem import BATCH, LATENT, LEARNING_RATE


def start(problem):
    initial = problem.weights()

    def weights(network):
        return {name: numpyro.param(name, initial[name]) for name in initial if name.startswith(network)}

    def model(x):
        decoder = weights("decoder")
        with numpyro.plate("data", len(x)):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([LATENT]).to_event(1))
            numpyro.sample("x", dist.Bernoulli(logits=decode(decoder, z)).to_event(1), obs=x)

    def guide(x):
        encoder = weights("encoder")
        loc, log_scale = encode(encoder, x)
        with numpyro.plate("data", len(x)):
            numpyro.sample("z", dist.Normal(loc, jnp.exp(log_scale)).to_event(1))

    rows = jnp.asarray(problem.rows)
    svi = SVI(model, guide, numpyro.optim.Adam(LEARNING_RATE), Trace_ELBO(num_particles=problem.particles))
    state = svi.init(jax.random.key(0), rows[:BATCH])
    update = jax.jit(lambda state, rows, batch: svi.update(state, rows[batch]))

    def run(index):
        nonlocal state
        losses = []
        for batch in jnp.asarray(index):
            state, loss = update(state, rows, batch)
            losses.append(loss)
        state = jax.block_until_ready(state)
        return np.asarray(jnp.stack(losses)) / BATCH

    return run
