"""With the exact posterior as guide every log-weight is log p(x): all bounds meet there, and gradients say so."""

import functools

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, param, plate, sample
from ppgen.models.ppca import log_likelihood, ppca

ROWS, K = 6, 4
BOUNDS = [
    ppgen.ELBO(K),
    ppgen.ELBO(K, gradient="stl"),
    ppgen.ELBO(K, gradient="score"),
    ppgen.IWAE(K),
    ppgen.IWAE(K, gradient="dreg"),
    ppgen.IWAE(K, gradient="vimco"),
    ppgen.Renyi(0.3, K),
    ppgen.Renyi(1, K),
    ppgen.Renyi(0, K),
    ppgen.Renyi(-1.5, K),
    ppgen.ReweightedWakeSleep(K),
]


@functools.cache
def x():
    return np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)


def bound(model, guide, algorithm, backend):
    """What an algorithm gives for `x()` at the parameters of the start, and the truth, in nats per row."""
    data = {"x": x()}
    problem = ppgen.Problem(model, guide, data=data, backend=backend)
    trainer = ppgen.Trainer(problem, algorithm)
    found = -float(trainer.losses(trainer.init(), data)["model"])
    return found, float(log_likelihood(problem.export(problem.start), x()).mean())


@pytest.mark.parametrize("algorithm", BOUNDS, ids=repr)
def test_every_bound_is_the_log_evidence(backend, algorithm):
    found, truth = bound(*ppca(4, latents=2), algorithm, backend)
    assert found == pytest.approx(truth, abs=2e-4)


def test_a_guide_that_is_not_exact_shows(backend):
    """A guide with the wrong covariance leaves the bounds apart: ELBO < IWAE < log p(x)."""
    model, _ = ppca(4, latents=2)

    def guide(x):
        net = module("encoder", nn.MLP(4, 2))
        with plate("data", len(x)):
            sample("z", dist.Normal(net(x), 1.0).to_event(1))

    (elbo, truth), (iwae, _) = (
        bound(model, guide, algorithm, backend) for algorithm in (ppgen.ELBO(2000), ppgen.IWAE(2000))
    )
    assert elbo < iwae - 0.05
    assert iwae < truth + 0.05


def guide_gradient(backend, algorithm, log_scale, seed=0):
    """Gradient of the guide's own parameters on p(z) p(x | z) = N(z; 0, 1) N(x; z, 1), posterior N(x / 2, 1 / 2)."""

    def model(rows):
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0))
            sample("x", dist.Normal(z, 1.0))

    def guide(x):
        slope, log_scale_ = param("slope", 0.5), param("log_scale", log_scale)
        with plate("data", len(x)):
            sample("z", dist.Normal(slope * x, ops.exp(log_scale_)))

    data = {"x": x()[:, 0]}
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=data, backend=backend), algorithm, train=("guide",))
    return {name: float(grad) for name, grad in trainer.gradients(trainer.init(seed), data).items()}


EXACT = float(np.log(np.sqrt(0.5)))


@pytest.mark.parametrize("algorithm", [ppgen.ELBO(K, gradient="stl"), ppgen.IWAE(K, gradient="dreg")], ids=repr)
def test_path_gradients_vanish_at_the_posterior(backend, algorithm):
    """Sticking the landing: no noise is left in the gradient; the plain estimator keeps its noise there."""
    assert guide_gradient(backend, algorithm, EXACT) == pytest.approx({"slope": 0.0, "log_scale": 0.0}, abs=1e-5)
    plain = guide_gradient(backend, ppgen.ELBO(K), EXACT)
    assert max(map(abs, plain.values())) > 1e-2
    away = guide_gradient(backend, algorithm, EXACT + 0.5)
    assert max(map(abs, away.values())) > 1e-2
