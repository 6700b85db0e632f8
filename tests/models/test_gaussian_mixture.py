import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.models import gaussian_mixture

K = 20


def by_scipy(params, x):
    log_prob = norm(params["loc"], params["scale"]).logpdf(x[:, None]).sum(-1)
    return logsumexp(np.log(params["weights"]) + log_prob, axis=1)


def test_maximum_likelihood_sums_the_component_out(backend, registered):
    setup = registered("gaussian_mixture", backend)
    loss = setup.run(lambda p, q, batch: ppgen.MaximumLikelihood().losses(p, q, batch)["model"])
    np.testing.assert_allclose(float(loss), -by_scipy(setup.params, setup.data["x"]).mean(), rtol=1e-5)


def test_every_log_weight_is_the_likelihood(backend, registered):
    setup = registered("gaussian_mixture", backend)
    exact = by_scipy(setup.params, setup.data["x"])
    np.testing.assert_allclose(setup.log_weights(K), np.tile(exact, (K, 1)), rtol=1e-4)


def test_responsibilities_without_the_weights_are_noticed(backend, registered):
    def guide(x):
        loc = param("loc", lambda rng: rng.normal(size=(3, 2)))
        scale = param("scale", np.ones((3, 2)), "positive")
        with plate("data", len(x)):
            sample("k", dist.Categorical(logits=dist.Normal(loc, scale).log_prob(x[:, None]).sum(-1)))

    log_w = registered("gaussian_mixture", backend).with_guide(guide).log_weights(K)
    assert log_w.std(0).max() > 0.01


def test_weights_start_equal_and_stay_on_the_simplex(backend, registered):
    params = registered("gaussian_mixture", backend).params
    assert params["weights"].shape == (3,)
    np.testing.assert_allclose(params["weights"].sum(), 1, rtol=1e-6)
    problem = ppgen.Problem(*gaussian_mixture(2, 4), data={"x": np.zeros((2, 2), np.float32)}, backend=backend)
    np.testing.assert_allclose(problem.export(problem.start)["weights"], 0.25, rtol=1e-5)


def test_components_are_counted():
    with pytest.raises(ValueError, match="gaussian_mixture: expected components to be a positive integer; got 0"):
        gaussian_mixture(2, components=0)
