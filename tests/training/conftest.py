"""A small problem that trains in a moment."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, plate, sample


def model(rows):
    decoder = module("decoder", nn.MLP(2, 6, 4))
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1))


def guide(x):
    encoder = module("encoder", nn.MLP(4, 6, (2, 2)))
    with plate("data", len(x)):
        loc, log_scale = encoder(x)
        sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))


@pytest.fixture(scope="session")
def bits():
    """Nineteen rows of four bits: with batches of eight, the last batch of an epoch has three."""
    rng = np.random.default_rng(0)
    return np.repeat(rng.random((19, 2)) < 0.5, 2, axis=1).astype(np.float32)


@pytest.fixture
def programs():
    return model, guide


@pytest.fixture
def quick(bits, backend):
    """`ppgen.fit` on the small problem, with any option replaced."""

    def fit(**options):
        settings = {"data": {"x": bits}, "backend": backend, "epochs": 3, "batch_size": 8, "seed": 0} | options
        if "steps" in options:
            settings.pop("epochs")
        return ppgen.fit(model, guide, **settings)

    return fit
