"""Expectation maximisation: the likelihood never falls, and its maximum is that of closed forms."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, param, plate, sample
from ppgen.distributions import GaussianMixture, HiddenMarkov, Mixture, StandardNormal
from ppgen.errors import IllegalPairing, ProgramError
from ppgen.models import gaussian_mixture, ppca
from ppgen.models.ppca import log_likelihood as ppca_log_likelihood

RNG = np.random.default_rng(0)
POINTS = np.concatenate([RNG.normal([-2, 0], 0.5, (20, 2)), RNG.normal([2, 1], 0.7, (30, 2))]).astype(np.float32)
PLANE = (RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 4)) + RNG.normal(0, 0.3, (60, 4)) + 1).astype(np.float32)
PATHS = np.where(RNG.random((15, 6)).cumsum(1) % 1 < 0.5, -1.0, 1.0).astype(np.float32) + 0.1 * POINTS[:15, :1]


def of(learnable):
    def model(rows):
        with plate("data", rows):
            sample("x", module("p", learnable)())

    return model


CASES = {
    "discrete sites": (gaussian_mixture(2, 2)[0], POINTS),
    "gaussian mixture": (of(GaussianMixture(2, 2, covariance="full")), POINTS),
    "mixture": (of(Mixture((GaussianMixture(2, 1), GaussianMixture(2, 2), StandardNormal(2)))), POINTS),
    "hidden markov": (of(HiddenMarkov(6, 2)), PATHS),
    "probabilistic pca": (ppca(4, latents=2)[0], PLANE),
}


@pytest.mark.parametrize("case", CASES)
def test_the_likelihood_never_falls(backend, case):
    model, x = CASES[case]
    fit = ppgen.fit(model, data={"x": x}, algorithm=ppgen.EM(climb=8), steps=6, backend=backend)
    path = fit.history["log_likelihood"]
    assert (np.diff(path) >= -1e-5 * np.abs(path[1:])).all() and path[-1] > path[0] + 0.1
    if case == "probabilistic pca":
        assert ppca_log_likelihood(fit.params, x).mean() >= path[-1] - 1e-4
    else:  # what the history says of the parameters before a step is their exact likelihood
        start = ppgen.evaluate(model, data={"x": x}, backend=backend).nats
        assert path[0] == pytest.approx(start, rel=1e-5)


def test_probabilistic_pca_reaches_its_closed_form(backend):
    """The noise is the mean of the smallest eigenvalues of the covariance (Tipping & Bishop, 1999)."""
    x = PLANE + RNG.normal(size=PLANE.shape).astype(np.float32)  # with little noise EM is slow
    x = x - x.mean(0)
    fit = ppgen.fit(ppca(4, latents=2)[0], data={"x": x}, algorithm=ppgen.EM(), steps=60, backend=backend)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))
    assert fit.params["sigma"] ** 2 == pytest.approx(eigenvalues[:2].mean(), rel=0.01)
    np.testing.assert_allclose(fit.params["mu"], 0, atol=1e-2)
    found = np.linalg.eigvalsh(fit.params["W"].T @ fit.params["W"]) + fit.params["sigma"] ** 2
    np.testing.assert_allclose(found, eigenvalues[2:], rtol=0.01)


def test_rows_that_are_labelled_keep_their_component(backend):
    """A site observed in some rows: the posterior of those rows is their value."""
    k = np.ma.masked_array(np.r_[np.zeros(20), np.ones(30)].astype(np.int32), mask=np.arange(50) % 5 > 0)
    fit = ppgen.fit(
        gaussian_mixture(2, 2)[0], data={"x": POINTS, "k": k}, algorithm=ppgen.EM(), steps=8, backend=backend
    )
    np.testing.assert_allclose(fit.params["loc"], [POINTS[:20].mean(0), POINTS[20:].mean(0)], atol=0.1)


def test_responsibilities_of_the_wrong_sign_are_noticed(monkeypatch):
    """A planted bug: where points go to the components that they are not of, the likelihood falls."""
    from ppgen.inference.exact import posteriors

    softmax = posteriors.ops.softmax
    monkeypatch.setattr(posteriors.ops, "softmax", lambda x, axis=-1: softmax(-x, axis))
    model, x = CASES["discrete sites"]
    path = ppgen.fit(model, data={"x": x}, algorithm=ppgen.EM(climb=8), steps=6).history["log_likelihood"]
    assert np.diff(path).min() < -0.01


def test_what_has_no_exact_posterior_is_refused(backend):
    net = nn.MLP(1, 4, 2)

    def decoder(rows):
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([1]).to_event(1))
            sample("x", dist.Normal(module("net", net)(z), 1.0).to_event(1))

    with pytest.raises(ProgramError, match=r"exact posterior of the latent sites \['z'\].*not. Use ppgen.ELBO"):
        ppgen.fit(decoder, data={"x": POINTS}, algorithm=ppgen.EM(), steps=1, backend=backend)

    def positive(rows):
        rate = param("rate", 1.0, "positive")
        with plate("data", rows):
            z = sample("z", dist.Gamma(rate, 1.0))
            sample("x", dist.Poisson(z))

    with pytest.raises(IllegalPairing, match=r"site 'z' \(continuous, reals in \[0, inf\]\) has no Gaussian posterior"):
        ppgen.fit(positive, data={"x": np.ones(3)}, algorithm=ppgen.EM(), steps=1, backend=backend)
