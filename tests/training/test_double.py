"""In double precision, as each library is told to compute in it, everything is double: parameters, losses, likelihoods."""

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import dist, module, plate, sample
from ppgen.backends.sites import Initialiser
from ppgen.distributions import MADE, NADE, RealNVP, Recurrent
from ppgen.models import vae


def density(net):
    def model(rows):
        with plate("data", rows):
            sample("x", module("p", net)())

    return model, None, ppgen.MaximumLikelihood()


BITS = np.eye(4)
COUNTS = 3.0 + BITS[0]


def with_guide(guide):
    def model(rows):
        rate = sample("rate", dist.Gamma(2.0, 1.0))
        with plate("data", rows):
            sample("x", dist.Poisson(rate))

    return model, guide, ppgen.ELBO(), COUNTS


PROGRAMS = {
    "made": lambda: (*density(MADE(4, hidden=(8,))), BITS),
    "made of integers": lambda: (*density(MADE(4, hidden=(8,))), BITS.astype(int)),
    "nade": lambda: (*density(NADE(4, hidden=4)), BITS),
    "recurrent": lambda: (*density(Recurrent(4, hidden=4)), BITS),
    "realnvp": lambda: (*density(RealNVP(4, transforms=2, hidden=(8,))), BITS + 0.5),
    "full rank": lambda: with_guide(ppgen.guides.FullRank()),
    "laplace": lambda: with_guide(ppgen.guides.Laplace()),
    "vae": lambda: (*vae(4, latents=(2,), hidden=(8,)), ppgen.ELBO(), BITS),
}


@pytest.fixture
def double(backend):
    if backend == "numpyro":
        with jax.enable_x64(True):
            yield backend
    else:
        torch.set_default_dtype(torch.float64)
        yield backend
        torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore:guides.Laplace")  # two steps are not enough for it
@pytest.mark.parametrize("name", PROGRAMS)
def test_everything_is_double(name, double):
    model, guide, algorithm, x = PROGRAMS[name]()
    fit = ppgen.fit(model, guide, data={"x": x}, algorithm=algorithm, backend=double, steps=2, seed=0, progress=False)
    assert {value.dtype for value in fit.params.values()} == {np.dtype(np.float64)}
    evaluation = fit.evaluate({"x": x}, **({"particles": 3} if guide else {}))
    assert evaluation.per_row.dtype == np.float64
    assert np.isfinite(evaluation.nats)


def test_it_starts_where_single_precision_does(double):
    model, _, _, x = PROGRAMS["made"]()
    start = ppgen.Problem(model, data={"x": x}, backend=double, seed=3).start["p.0.weight"]
    single = MADE(4, hidden=(8,)).specs()["0.weight"].draw(Initialiser(3).generator("p.0.weight"))
    np.testing.assert_array_equal(ppgen.backends.get(double).numpy(start), single)
