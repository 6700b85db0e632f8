"""Gradients through draws, averaged over their noise by quadrature: which estimators have the gradient of the bound."""

import itertools

import numpy as np
import pytest

import ppgen
from ppgen import ELBO, IWAE, dist, ops, param, plate, sample

DATA = {"x": np.array([1.3], np.float32)}
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(10)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def model(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(param("prior", 0.4), 1.0))
        sample("x", dist.Normal(z, 0.8))


def guide(x):
    with plate("data", len(x)):
        sample("z", dist.Normal(param("slope", 0.2) * x, ops.exp(param("log_scale", -0.4))))


def expected_gradient(algorithm, backend, play):
    """The mean of the gradient over the noise of both particles."""
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=DATA, backend=backend), algorithm)
    run, total = play(trainer, trainer.init(), DATA), {}
    for pair in itertools.product(range(len(NODES)), repeat=algorithm.particles):
        _, grads = run(normal=NODES[list(pair)][:, None])
        total = {name: total.get(name, 0) + WEIGHTS[list(pair)].prod() * grad for name, grad in grads.items()}
    return {name: float(grad) for name, grad in total.items()}


@pytest.mark.parametrize(
    ("plain", "without_score"),
    [(ELBO(1), ELBO(1, gradient="stl")), (IWAE(2), IWAE(2, gradient="dreg"))],
    ids=["stl", "dreg"],
)
def test_leaving_out_the_score_leaves_the_mean(backend, plain, without_score, play):
    wanted, found = (expected_gradient(algorithm, backend, play) for algorithm in (plain, without_score))
    assert found == pytest.approx(wanted, abs=2e-4)


def test_sticking_the_landing_is_biased_for_more_particles(backend, play):
    """As its description says; so the comparison above can fail."""
    wanted, found = (expected_gradient(IWAE(2, gradient=gradient), backend, play) for gradient in ("reparam", "stl"))
    assert abs(found["log_scale"] - wanted["log_scale"]) > 1e-2
    assert found["prior"] == pytest.approx(wanted["prior"], abs=2e-4), "the model's gradient is the same"
