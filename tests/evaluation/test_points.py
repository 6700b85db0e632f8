"""Guides that give each site one value: a Delta has no density, so what is computed is called the joint there."""

import numpy as np
import numpyro
import numpyro.distributions as nd
import pyro
import pyro.distributions as pd
import pytest
from numpyro.infer.autoguide import AutoDelta as NumpyroDelta
from pyro.infer.autoguide import AutoDelta as PyroDelta
from scipy import stats

import ppgen
from ppgen import dist, plate, sample
from ppgen.errors import IllegalPairing, NoLikelihoodError

Y = np.array([3.0, 4.0, 2.0, 5.0], np.float32)


def shared(rows):
    rate = sample("rate", dist.Gamma(2.0, 1.0))
    with plate("data", rows):
        sample("y", dist.Poisson(rate))


def of_rows(rows):
    with plate("data", rows):
        rate = sample("rate", dist.Gamma(2.0, 1.0))
        sample("y", dist.Poisson(rate))


def native(backend):
    """The model of a shared rate in the backend's own language, and its AutoDelta."""
    lib, d, auto = (numpyro, nd, NumpyroDelta) if backend == "numpyro" else (pyro, pd, PyroDelta)

    def model(y):
        rate = lib.sample("rate", d.Gamma(2.0, 1.0))
        with lib.plate("data", len(y)):
            lib.sample("y", d.Poisson(rate), obs=y)

    return model, auto(model)


def at(problem):
    """Where the guide puts the rate."""
    joints = problem.joints()
    with ppgen.ops.activate(problem.backend):
        value = joints["guide"].draw(ppgen.Batch(problem.device({"y": Y}))).values["rate"]
    return problem.backend.numpy(value)[0]


@pytest.mark.parametrize("kind", ["portable", "native"])
def test_of_a_shared_site_it_predicts(kind, backend):
    programs = (shared, ppgen.guides.MAP()) if kind == "portable" else native(backend)
    problem = ppgen.Problem(*programs, data={"y": Y}, backend=backend)
    found = ppgen.evaluation.likelihood(problem, problem.start, {"y": Y})
    assert (found.kind, found.khat, found.ess) == ("estimate", None, None)
    np.testing.assert_allclose(found.per_row, stats.poisson(at(problem)).logpmf(Y), rtol=1e-5)
    with pytest.raises(NoLikelihoodError, match="one value"):
        ppgen.evaluation.evidence(problem, problem.start, {"y": Y})


def test_of_sites_of_rows_it_is_the_joint(backend):
    problem = ppgen.Problem(of_rows, ppgen.guides.MAP(), data={"y": Y}, backend=backend)
    found = ppgen.evaluation.likelihood(problem, problem.start, {"y": Y})
    rate = at(problem)
    np.testing.assert_allclose(found.per_row, stats.gamma(2.0).logpdf(rate) + stats.poisson(rate).logpmf(Y), rtol=1e-5)
    assert (found.kind, found.khat) == ("joint", None) and np.isnan(found.bits_per_dim)
    assert "no bound on log p(x)" in repr(found)


def test_rows_have_weights_given_points_that_they_share(backend):
    """A point for the shared site beside the posterior of each row's own: their weights are p(y | rate)."""

    def model(rows):
        rate = sample("rate", dist.Gamma(2.0, 1.0))
        with plate("data", rows):
            twice = sample("twice", dist.Bernoulli(0.5))
            sample("y", dist.Poisson(rate * (1.0 + twice)))

    def guide(y):
        rate = sample("rate", dist.Delta(ppgen.param("rate", 2.5, "positive")))
        with plate("data", len(y)):
            odds = y * np.log(2.0) - rate
            sample("twice", dist.Bernoulli(logits=odds))

    problem = ppgen.Problem(model, guide, data={"y": Y}, backend=backend)
    found = ppgen.evaluation.likelihood(problem, problem.start, {"y": Y}, particles=2)
    expected = np.log(0.5 * stats.poisson(2.5).pmf(Y) + 0.5 * stats.poisson(5.0).pmf(Y))
    assert found.kind == "estimate"
    np.testing.assert_allclose(found.per_row, expected, rtol=1e-5)


@pytest.mark.parametrize("algorithm", [ppgen.IWAE(3), ppgen.Renyi(0.5, 3), ppgen.ReweightedWakeSleep(3)], ids=repr)
def test_no_weights_are_made_of_it(algorithm, backend):
    for programs in ((shared, ppgen.guides.MAP()), native(backend)):
        problem = ppgen.Problem(*programs, data={"y": Y}, backend=backend)
        with pytest.raises(IllegalPairing, match=r"'rate' of the guide is a point \(a Delta\), which has no density"):
            algorithm.check(problem)
    ppgen.ELBO().check(problem)
