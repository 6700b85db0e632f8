"""The VAE with ppgen, one program for both backends."""

from functools import partial

import numpy as np

import ppgen
from benchmarks.peers.problem import BATCH, HIDDEN, LATENT, LEARNING_RATE, PIXELS, ROWS
from ppgen import dist, module, nn, plate, sample


def model(rows):
    decoder = module("decoder", nn.MLP(LATENT, HIDDEN, PIXELS, activation="relu"))
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([LATENT]).to_event(1))
        sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1))


def guide(x):
    encoder = module("encoder", nn.MLP(PIXELS, HIDDEN, (LATENT, LATENT), activation="relu"))
    with plate("data", len(x)):
        loc, log_scale = encoder(x)
        sample("z", dist.Normal(loc, ppgen.ops.exp(log_scale)).to_event(1))


def start(problem, backend):
    first = {"x": problem.rows[:BATCH]}
    programs = ppgen.Problem(model, guide, data=first, backend=backend, size=ROWS)
    trainer = ppgen.Trainer(programs, ppgen.ELBO(particles=problem.particles), ppgen.Adam(LEARNING_RATE))
    state = trainer.init()
    data = trainer.device({"x": problem.rows})

    def run(index):
        nonlocal state
        state, metrics, _ = trainer.run(state, data, index)  # ends when the work is done
        return np.asarray(metrics["loss/model"])

    return run


start_numpyro = partial(start, backend="numpyro")
start_pyro = partial(start, backend="pyro")
