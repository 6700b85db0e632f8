from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, ops, sample
from ppgen.errors import DataError
from ppgen.models.registry import responses
from ppgen.models.regression import linear_regression, linear_regression_posterior, logistic_regression

K, SCALE = 3, 0.5


def posterior_program(data, *, correlated):
    """The exact posterior as a guide, q(w) q(b | w); without the correlation, its marginals q(w) q(b)."""
    mean, covariance, _ = linear_regression_posterior(data["x"], data["y"], SCALE)
    gain = np.linalg.solve(covariance[:3, :3], covariance[:3, 3]) * correlated
    spread = np.sqrt(covariance[3, 3] - gain @ covariance[:3, 3])

    def guide():
        loc = ppgen.param("loc", mean)
        w_covariance = ops.asarray(covariance[:3, :3].astype(np.float32))
        w = sample("w", dist.MultivariateNormal(loc[:3], covariance_matrix=w_covariance))
        b_loc = loc[3] + ((w - loc[:3]) * ops.asarray(gain.astype(np.float32))).sum(-1)
        sample("b", dist.Normal(b_loc, float(spread)))

    return guide


def at_the_posterior(setup, guide):
    setup = setup.with_guide(guide)
    return replace(setup, parameters=setup.problem.start)


def test_every_pooled_log_weight_is_the_evidence(backend, registered):
    setup = registered("linear_regression", backend)
    log_evidence = linear_regression_posterior(setup.data["x"], setup.data["y"], SCALE)[2]
    exact = at_the_posterior(setup, posterior_program(setup.data, correlated=True))
    np.testing.assert_allclose(exact.log_weights(20_000), np.full((20_000, 1), log_evidence), rtol=1e-4)


def test_a_posterior_without_correlation_is_noticed(backend, registered):
    setup = registered("linear_regression", backend)
    marginals = at_the_posterior(setup, posterior_program(setup.data, correlated=False))
    assert marginals.log_weights(20_000).std() > 0.01


def test_the_evidence_is_the_marginal_of_the_responses():
    data = responses(0, 9)
    x = np.concatenate([data["x"], np.ones((9, 1))], 1)
    expected = stats.multivariate_normal(np.zeros(9), x @ x.T + SCALE**2 * np.eye(9)).logpdf(data["y"])
    np.testing.assert_allclose(linear_regression_posterior(**data, scale=SCALE)[2], expected, rtol=1e-8)


def test_the_posterior_is_bayes_rule():
    data = responses(0, 9)
    mean, covariance, log_evidence = linear_regression_posterior(**data, scale=SCALE)
    for w in np.random.default_rng(0).normal(size=(5, 4)):
        log_prior = stats.norm.logpdf(w).sum()
        log_likelihood = stats.norm(data["x"] @ w[:3] + w[3], SCALE).logpdf(data["y"]).sum()
        log_posterior = stats.multivariate_normal(mean, covariance).logpdf(w)
        np.testing.assert_allclose(log_prior + log_likelihood - log_posterior, log_evidence, rtol=1e-8)


def test_the_log_joint_is_written_out(backend, registered):
    setup = registered("logistic_regression", backend)
    (z, _), x, y = setup.draw(K), setup.data["x"], setup.data["y"]
    logits = z["w"] @ x.T + z["b"][:, None]
    expected = (y * logits - np.logaddexp(0, logits)).sum(1)
    expected += stats.norm.logpdf(z["w"]).sum(1) + stats.norm.logpdf(z["b"])
    np.testing.assert_allclose(setup.log_prob(z)["model"].sum(1), expected, rtol=1e-4)


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_covariates_have_the_columns_that_were_announced(backend, columns):
    data = {"x": np.ones((4, columns), np.float32), "y": np.ones(4, np.float32)}
    with pytest.raises(DataError, match="expected covariates x with 3 columns; got shape"):
        ppgen.Problem(*logistic_regression(3), data=data, backend=backend)


def test_bad_arguments_say_what_to_do():
    with pytest.raises(ValueError, match="linear_regression: expected scale to be a positive number; got 0"):
        linear_regression(3, scale=0)
    with pytest.raises(ValueError, match=r"got shapes \(4, 3\) and \(4, 1\). Reshape them"):
        linear_regression_posterior(np.ones((4, 3)), np.ones((4, 1)))
