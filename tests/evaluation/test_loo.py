"""Leave-one-out predictive densities against exact ones, from draws of the posterior and of a guide."""

import arviz as az
import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation import loo
from ppgen.evaluation.loo import _pointwise
from ppgen.evaluation.psis import smoothed

RNG = np.random.default_rng(0)


class Drawn:
    """A fit of a sampler that knows the posterior."""

    def __init__(self, problem, draws):
        self.problem, self.draws, self.algorithm = problem, draws, None
        self.state = ppgen.State(problem.start, {}, None, 0)


def left_out(regression):
    """Log p(y_i | y_-i), exactly."""
    a, y = regression.data["a"], regression.data["y"]
    found = []
    for i in range(len(y)):
        others = np.delete(a, i, 0)
        covariance = np.linalg.inv(np.eye(2) + others.T @ others)
        mean = covariance @ others.T @ np.delete(y, i)
        found.append(stats.norm(a[i] @ mean, (1 + a[i] @ covariance @ a[i]) ** 0.5).logpdf(y[i]))
    return np.array(found)


def guided(regression, backend, width=1.0):
    """The regression with the posterior as its guide, or one that is wider."""

    def guide():
        loc = param("loc", regression.mean.astype(np.float32))
        cov = (width**2 * regression.covariance).astype(np.float32)
        sample("w", dist.MultivariateNormal(loc, covariance_matrix=cov))

    return ppgen.fit(regression.model, guide, data=regression.data, steps=1, backend=backend, optimizer=ppgen.SGD(1e-9))


@pytest.mark.parametrize("width", [1.0, 1.6])
def test_a_guide_is_corrected(backend, regression, width):
    found = loo(guided(regression, backend, width), regression.data, draws=4000)
    truth = left_out(regression)
    assert np.abs(found.per_row - truth).max() < 0.1 and abs(found.nats - truth.mean()) < 0.02
    assert found.kind == "estimate" and found.khat.shape == (20,) and found.particles == 4000
    a, y = regression.data["a"], regression.data["y"]
    spread = (1 + np.einsum("ni,ij,nj->n", a, regression.covariance, a)) ** 0.5
    parameters = (stats.norm(a @ regression.mean, spread).logpdf(y) - truth).sum()
    assert float(found.note.split()[-1]) == pytest.approx(parameters, abs=0.1)


def test_uncorrected_draws_would_be_seen(regression):
    fit, truth = guided(regression, "pyro", 1.6), left_out(regression)
    fit = Drawn(fit.problem, {"w": fit.posterior(regression.data, draws=4000)["posterior"]["w"].values})
    assert np.abs(loo(fit, regression.data, draws=4000).per_row - truth).max() > 0.1


def test_draws_of_a_sampler_as_arviz_has_it(backend, regression):
    """To the number that az.loo finds from the same log-likelihoods."""
    w = RNG.multivariate_normal(regression.mean, regression.covariance, size=(2, 400)).astype(np.float32)
    problem = ppgen.Problem(regression.model, data=regression.data, backend=backend)
    found = loo(Drawn(problem, {"w": w}), regression.data)
    log_likelihood = _pointwise(problem, problem.start, {"w": w.reshape(800, 2)}, problem.example)
    exact = stats.norm(w.reshape(800, 2) @ regression.data["a"].T, 1).logpdf(regression.data["y"])
    np.testing.assert_allclose(log_likelihood, exact, atol=1e-4)
    tree = az.from_dict(posterior={"w": w}, log_likelihood={"y": log_likelihood.reshape(2, 400, 20)})
    theirs = az.loo(tree, pointwise=True, reff=1.0)
    np.testing.assert_allclose(found.per_row, theirs.loo_i.values, atol=1e-3)
    np.testing.assert_allclose(found.khat, theirs.pareto_k.values, atol=0.02)
    assert float(found.note.split()[-1]) == pytest.approx(float(theirs.p_loo), abs=0.02)


def test_two_models_are_compared_row_by_row(regression):
    def without(a):
        w = sample("w", dist.Normal(0.0, 1.0))
        with plate("data", len(a)):
            sample("y", dist.Normal(a[..., 0] * w, 1.0))

    problem = ppgen.Problem(without, data=regression.data, backend="pyro")
    a, y = regression.data["a"][:, 0], regression.data["y"]
    scale = (1 + a @ a) ** -0.5
    small = Drawn(problem, {"w": (a @ y * scale**2 + scale * RNG.normal(size=(1, 500))).astype(np.float32)})
    found = ppgen.compare(
        {"both": loo(guided(regression, "pyro"), regression.data), "one": loo(small, regression.data)}
    )
    assert found.reference == "both" and found["one"].relation == "~"
    assert found["one"].difference < -2 * found["one"].stderr


def test_discrete_sites_of_rows_are_summed_out(backend):
    def mixture(rows):
        loc = sample("loc", dist.Normal(0.0, 2.0))
        with plate("data", rows):
            k = sample("k", dist.Bernoulli(0.3))
            sample("x", dist.Normal(loc + 4 * k, 1.0))

    x, loc = np.array([0.0, 4.2, -1.0], np.float32), RNG.normal(size=(1, 200)).astype(np.float32)
    problem = ppgen.Problem(mixture, data={"x": x}, backend=backend)
    found = _pointwise(problem, problem.start, {"loc": loc[0]}, problem.example)
    parts = [np.log(p) + stats.norm(loc[0][:, None] + 4 * k, 1).logpdf(x) for k, p in ((0, 0.7), (1, 0.3))]
    np.testing.assert_allclose(found, np.logaddexp(*parts), atol=1e-4)
    assert loo(Drawn(problem, {"loc": loc}), {"x": x}).rows == 3


def test_smoothed_weights():
    """They sum to one, keep their order, and those of a Pareto tail have less variance than the raw ones."""
    log_weights = np.log(RNG.pareto(1.2, size=(2000, 50)))
    shares, tails = smoothed(log_weights)
    np.testing.assert_allclose(np.exp(shares).sum(0), 1, rtol=1e-6)
    raw = np.exp(log_weights - np.logaddexp.reduce(log_weights, 0))
    assert np.exp(shares).max(0).mean() <= raw.max(0).mean() and tails.mean() == pytest.approx(1 / 1.2, abs=0.1)
    in_order = np.take_along_axis(shares, np.argsort(log_weights, 0), 0)
    assert (np.diff(in_order, axis=0) > -1e-9).all()


def test_where_there_is_nothing_to_leave_out(gaussian, regression):
    data = {"x": gaussian.x}
    fit = ppgen.fit(gaussian.model, gaussian.guide(), data=data, steps=1, backend="pyro")
    with pytest.raises(NoLikelihoodError, match=r"rows are independent|\['z'\], which each row has"):
        loo(fit, data)
    with pytest.raises(ValueError, match="at least 100"):
        loo(guided(regression, "pyro"), regression.data, draws=50)
