import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, ops, param, plate, sample
from ppgen.models.ppca import log_likelihood, maximum_likelihood, posterior, ppca
from ppgen.models.registry import continuous

K = 20_000


@pytest.fixture
def params():
    rng = np.random.default_rng(3)
    return {"W": rng.normal(size=(5, 2)), "mu": rng.normal(size=5), "sigma": 0.7}


def test_every_log_weight_is_the_likelihood(backend, registered):
    setup = registered("ppca", backend)
    exact = log_likelihood(setup.params, setup.data["x"])
    np.testing.assert_allclose(setup.log_weights(K), np.tile(exact, (K, 1)), rtol=1e-4)


@pytest.mark.parametrize("bug", ["noise missing from M", "covariance not scaled", "mean not subtracted"])
def test_a_wrong_posterior_is_noticed(backend, bug, registered):
    def guide(x):
        W = param("W", lambda rng: rng.normal(size=(5, 2)) / np.sqrt(2))
        mu, sigma = param("mu", np.zeros(5)), param("sigma", 1.0, "positive")
        noise = 0.0 if bug == "noise missing from M" else sigma**2
        inverse = ops.inverse(W.T @ W + noise * ops.eye(2))
        covariance = inverse if bug == "covariance not scaled" else sigma**2 * inverse
        centred = x if bug == "mean not subtracted" else x - mu
        with plate("data", len(x)):
            sample("z", dist.MultivariateNormal(centred @ W @ inverse, covariance_matrix=covariance))

    log_w = registered("ppca", backend).with_guide(guide).log_weights(K)
    assert log_w.std(0).max() > 0.01


def test_the_likelihood_is_the_marginal_gaussian(params):
    x = continuous(0, 7)["x"]
    covariance = params["W"] @ params["W"].T + params["sigma"] ** 2 * np.eye(5)
    expected = stats.multivariate_normal(params["mu"], covariance).logpdf(x)
    np.testing.assert_allclose(log_likelihood(params, x), expected, rtol=1e-10)


def test_the_posterior_conditions_the_joint_gaussian(params):
    x = continuous(0, 7)["x"]
    mean, covariance = posterior(params, x)
    gain = params["W"].T @ np.linalg.inv(params["W"] @ params["W"].T + params["sigma"] ** 2 * np.eye(5))
    np.testing.assert_allclose(mean, (x - params["mu"]) @ gain.T, rtol=1e-8)
    np.testing.assert_allclose(covariance, np.eye(2) - gain @ params["W"], rtol=1e-8, atol=1e-12)


def test_nothing_is_likelier_than_maximum_likelihood():
    x = continuous(0, 200)["x"]
    best = maximum_likelihood(x, latents=2)
    assert (best["W"].shape, best["mu"].shape, best["sigma"].shape) == ((5, 2), (5,), ())
    highest = log_likelihood(best, x).mean()
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            other = {name: value + size * rng.normal(size=value.shape) for name, value in best.items()}
            assert log_likelihood(other, x).mean() < highest


def test_maximum_likelihood_leaves_room_for_noise():
    with pytest.raises(ValueError, match="expected fewer latents than the 5 features; got 5"):
        maximum_likelihood(continuous(0, 10)["x"], latents=5)


def test_the_guide_has_no_parameters_of_its_own(backend, registered):
    assert registered("ppca", backend).problem.owned == {"model": ("W", "mu", "sigma"), "guide": ()}


@pytest.mark.parametrize(("features", "latents"), [(0, 1), (3, 0), (3.0, 1), (3, True)])
def test_sizes_are_positive_integers(features, latents):
    with pytest.raises(ValueError, match="ppca: expected (features|latents) to be a positive integer; got"):
        ppca(features, latents)


def test_the_bound_climbs_to_the_closed_form_maximum(backend):
    data = continuous(0, 100)
    problem = ppgen.Problem(*ppca(5, latents=2), data=data, backend=backend)
    trainer = ppgen.Trainer(problem, ppgen.ELBO(), ppgen.Adam(0.05))
    state, _, _ = trainer.run(trainer.init(), data, np.tile(np.arange(100), (300, 1)))
    found = trainer.problem.export(state.parameters)
    highest = log_likelihood(maximum_likelihood(data["x"], latents=2), data["x"]).mean()
    assert highest - 1e-4 < log_likelihood(found, data["x"]).mean() <= highest
