import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation import evidence, likelihood, weights


def test_predictive_density_of_regression(ready, regression):
    problem, parameters, _ = ready(regression.model, regression.guide, regression.data)
    found = likelihood(problem, parameters, regression.new, particles=20_000, khat=False)
    assert np.allclose(found.per_row, regression.predictive, atol=0.03)
    assert (found.kind, found.estimator) == ("estimate", "posterior predictive under the guide")
    assert found.dimensions == 1


@pytest.mark.parametrize("particles", [1, 50])
def test_evidence_of_regression_with_exact_posterior(ready, regression, particles):
    found = evidence(*ready(regression.model, regression.guide, regression.data), particles=particles)
    assert found.total == pytest.approx(regression.evidence, abs=1e-3)
    assert found.nats == pytest.approx(regression.evidence / 20, abs=1e-4)
    assert (found.kind, found.per_row) == ("lower bound", None)
    assert found.khat.shape == (1,)


def test_evidence_in_chunks(ready, regression, monkeypatch):
    monkeypatch.setattr(weights, "SCALARS", 20 * 512 * 3)
    found = evidence(*ready(regression.model, regression.guide, regression.data), particles=7)
    assert found.total == pytest.approx(regression.evidence, abs=1e-3)


def hierarchy(x):
    """mu ~ N(0, 1), z_i ~ N(mu, 1), x_i ~ N(z_i, 1), with the exact posterior given x."""
    n, precision = len(x), 1 + len(x) / 2

    def model(rows):
        mu = sample("mu", dist.Normal(0.0, 1.0))
        with plate("data", rows):
            z = sample("z", dist.Normal(mu, 1.0))
            sample("x", dist.Normal(z, 1.0))

    def guide(x):
        mu = sample("mu", dist.Normal(param("m", float(x0.sum() / 2 / precision)), precision**-0.5))
        with plate("data", len(x)):
            sample("z", dist.Normal((mu + x) / 2, 0.5**0.5))

    x0 = x
    evidence = stats.multivariate_normal(np.zeros(n), 2 * np.eye(n) + 1).logpdf(x)
    predictive = stats.norm(x.sum() / 2 / precision, (2 + 1 / precision) ** 0.5)
    return model, guide, evidence, predictive


def test_global_and_local_sites(ready):
    x = np.array([0.3, 1.4, -0.2, 2.0, 1.1], np.float32)
    model, guide, truth, predictive = hierarchy(x)
    problem, parameters, _ = ready(model, guide, {"x": x})
    assert evidence(problem, parameters, {"x": x}, particles=3).total == pytest.approx(truth, abs=1e-3)

    new = np.linspace(-2, 3, 7).astype(np.float32)
    found = likelihood(problem, parameters, {"x": new}, particles=20_000, batch_size=3, khat=False)
    assert np.allclose(found.per_row, predictive.logpdf(new), atol=0.03)
    assert found.estimator.endswith("importance sampling of local sites")


def test_rows_drawn_together_have_no_weights_of_their_own(gaussian):
    import numpyro
    import numpyro.distributions as nd

    def model(x):
        scale = numpyro.param("scale", 1.0)
        with numpyro.plate("rows", len(x)):
            z = numpyro.sample("z", nd.Normal(0.0, 1.0))
            numpyro.sample("obs", nd.Normal(z, scale), obs=x)

    def guide(x):  # as an autoguide with a full covariance does it
        width = numpyro.param("width", 0.5**0.5)
        u = numpyro.sample("u", nd.Normal(0.0, 1.0).expand([len(x)]).to_event(1), infer={"is_auxiliary": True})
        with numpyro.plate("rows", len(x)):
            numpyro.sample("z", nd.Delta(x / 2 + width * u, log_density=np.log(2) / 2))

    x = gaussian.x[:, 0]
    problem = ppgen.Problem(model, guide, data={"x": x}, backend="numpyro")
    parameters = problem.start
    with pytest.raises(NoLikelihoodError, match=r"all rows together, in \['u'\]"):
        likelihood(problem, parameters, {"x": x})
    found = evidence(problem, parameters, {"x": x}, particles=3)
    assert found.total == pytest.approx(stats.norm(0, 2**0.5).logpdf(x).sum(), abs=1e-3)
