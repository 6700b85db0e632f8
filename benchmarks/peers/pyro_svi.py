"""The VAE with Pyro: `SVI.step` with vectorised particles."""

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO

from benchmarks.peers.problem import BATCH, LATENT, LEARNING_RATE
from benchmarks.peers.torch_networks import networks


def start(problem):
    torch.manual_seed(0)
    encoder, decoder = networks(problem)

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(LATENT), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x):
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            loc, log_scale = encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))

    rows = torch.from_numpy(problem.rows)
    elbo = Trace_ELBO(num_particles=problem.particles, vectorize_particles=True, max_plate_nesting=1)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": LEARNING_RATE}), elbo)

    def run(index):
        return np.array([svi.step(rows[batch]) for batch in torch.from_numpy(index)]) / BATCH

    return run
