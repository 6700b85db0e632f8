"""Simulation-based calibration sees posteriors that are too narrow, too wide or off, and lets right ones pass."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation import calibration
from ppgen.evaluation.calibration import Calibration, rank, symmetry

RNG = np.random.default_rng(0)


def amortised(gaussian, backend, width=1.0, shift=0.0):
    """A fit whose guide is the posterior, but for its width and a shift in units of that."""

    def guide(x):
        loc, spread = param("loc", [0.5, 1.0]), param("width", width)
        with plate("data", len(x)):
            slope = np.array([1.0, -2.0], np.float32)
            mean = ((x - loc) * ppgen.ops.asarray(slope)).sum(-1) * gaussian.std**2 / 0.25 + shift * gaussian.std
            sample("z", dist.Normal(mean, gaussian.std * spread))

    data = {"x": gaussian.x}
    return ppgen.fit(gaussian.model, guide, data=data, steps=1, backend=backend, optimizer=ppgen.SGD(1e-9))


def test_the_exact_posterior_passes(backend, gaussian):
    found = calibration(amortised(gaussian, backend), simulations=500)
    assert found.ranks["z"].shape == (500, 1) and found.simulations == 500
    assert found.p_value > 1e-3 and found.symmetric["z"][0] > 1e-3
    assert found.spread["z"] == pytest.approx(1, abs=0.25)
    assert "no fault seen" in repr(found) and "500 simulations, 99 draws" in repr(found)


@pytest.mark.parametrize(
    ("backend", "width", "shift", "reading"),
    [
        ("numpyro", 0.5, 0.0, "too narrow"),
        ("pyro", 0.5, 0.0, "too narrow"),
        ("pyro", 2.0, 0.0, "too wide"),
        ("pyro", 1.0, 0.6, "biased"),
    ],
    indirect=["backend"],
)
def test_a_wrong_guide_is_seen(backend, gaussian, width, shift, reading):
    """Symmetry, the calibration of variational fits, asks for the centre alone."""
    found = calibration(amortised(gaussian, backend, width, shift), simulations=300)
    assert found.p_value < 1e-4 and reading in repr(found)
    assert (found.symmetric["z"][0] < 1e-3) == (shift != 0)
    assert (found.spread["z"][0] > 1.2) == (width < 1)
    distance = np.abs(np.sort(found.probabilities["z"][:, 0]) - (np.arange(300) + 0.5) / 300).max()
    assert distance > found.band()


def level(rows):
    scale = sample("scale", dist.LogNormal(0.0, 0.3))
    loc = sample("loc", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    with plate("data", rows):
        sample("x", dist.Normal(loc, scale).to_event(1))


def test_what_learns_anew_from_each_data_set():
    """Draws of an algorithm that knows the answer, at the sizes that are asked for, thinned to the ranks' number."""
    data = {"x": np.ones((5, 2), np.float32)}
    first = ppgen.fit(level, ppgen.guides.MeanField(), data=data, steps=1, backend="pyro")
    seen = []

    def learn(wrong):
        def exact(data, seed):
            x, rng = data["x"], np.random.default_rng(seed)
            seen.append(x.shape)
            grid = np.exp(0.3 * rng.normal(size=1000))  # by importance sampling over the scale
            n, variance = len(x), grid**2
            marginal = np.eye(n) * variance[:, None, None] + 1  # loc integrated out
            inverse = np.linalg.inv(marginal)
            log_p = -0.5 * np.einsum("in,snm,im->s", x.T, inverse, x.T) - np.linalg.slogdet(marginal)[1]
            chosen = rng.choice(1000, 300, p=np.exp(log_p - np.logaddexp.reduce(log_p)))
            precision = 1 + n / variance[chosen, None]
            mean = (x.sum(0) / variance[chosen, None]) / precision
            loc = mean + wrong * rng.normal(size=mean.shape) / precision**0.5
            z = {"scale": grid[chosen], "loc": loc}
            return drawn({name: value.reshape(2, 150, *value.shape[1:]) for name, value in z.items()})

        return exact

    right, narrow = (calibration(first, learn(wrong), simulations=100, draws=60, rows=3) for wrong in (1.0, 0.4))
    assert set(seen) == {(3, 2)} and right.ranks["loc"].shape == (100, 2) and right.ranks["scale"].shape == (100, 1)
    assert right.ranks["loc"].max() <= 60 and right.p_value > 1e-3
    assert narrow.uniform["loc"].max() < 1e-3 < narrow.uniform["scale"].min()


def drawn(z):
    """A fit with draws."""
    variables = {name: SimpleNamespace(values=value) for name, value in z.items()}
    tree = {"posterior": SimpleNamespace(data_vars=variables)}
    return SimpleNamespace(draws=z, posterior=lambda data: tree)


def test_a_sampler_is_judged():
    """Through ppgen.fit, from start to end; few simulations, for the shapes."""
    data = {"x": np.ones((4, 2), np.float32)}
    algorithm = ppgen.SMC(particles=20, kernel="random_walk", moves=1)
    first = ppgen.fit(level, data=data, algorithm=algorithm, backend="pyro")

    def learn(data, seed):
        return ppgen.fit(level, data=data, algorithm=algorithm, backend="pyro", seed=seed)

    found = calibration(first, learn, simulations=4, draws=19)
    assert found.ranks["loc"].shape == (4, 2) and len(np.unique(found.ranks["scale"])) > 1
    with pytest.raises(NoLikelihoodError, match=r"SMC.*learns from each data set anew.*learn=lambda"):
        calibration(first)


def test_sites_of_rows_in_inner_plates_and_discrete_ones(backend):
    """Ranks compare each number with draws of itself; equal ones are placed at random."""

    def model(rows):
        with plate("data", rows):
            k = sample("k", dist.Bernoulli(0.4))
            with plate("inner", 2, dim=-2):
                z = sample("z", dist.Normal(0.0, 1.0))
            sample("x", dist.Normal(3 * k + 10 * z[..., 0, :] - 10 * z[..., 1, :], param("scale", 50.0)))

    def guide(x):  # the data say next to nothing: the prior
        with plate("data", len(x)):
            sample("k", dist.Bernoulli(param("p", 0.4) + 0 * x))
            with plate("inner", 2, dim=-2):
                sample("z", dist.Normal(0 * x, 1.0))

    algorithm = ppgen.ReweightedWakeSleep(2)
    data = {"x": np.zeros(6, np.float32)}
    fit = ppgen.fit(model, guide, data=data, steps=1, backend=backend, algorithm=algorithm, optimizer=ppgen.SGD(1e-9))
    found = calibration(fit, simulations=400, draws=19)
    assert found.ranks["z"].shape == (400, 2) and found.ranks["k"].shape == (400, 1)
    assert found.p_value > 1e-3


def test_ranks_of_equal_values_are_uniform():
    truth, draws = RNG.integers(0, 2, 4000), RNG.integers(0, 2, (9, 4000))
    assert stats.chisquare(np.bincount(rank(truth, draws, RNG), minlength=10)).pvalue > 1e-3


def test_p_values_are_uniform_where_all_is_right():
    """Both tests, at a number of draws that bins do not divide."""
    runs = [Calibration({"z": RNG.integers(0, 52, (100, 8))}, 51) for _ in range(40)]
    for name in ("uniform", "symmetric"):
        p = np.concatenate([getattr(run, name)["z"] for run in runs])
        assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03), name
        assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.1), name
    assert np.mean([run.p_value < 0.05 for run in runs]) < 0.15


def test_symmetry_asks_for_no_more():
    assert symmetry(RNG.beta(0.3, 0.3, 500)) > 1e-3
    assert symmetry(RNG.beta(5, 5, 500)) > 1e-3
    assert symmetry(RNG.beta(1, 1.5, 500)) < 1e-3


def test_nothing_latent():
    def model(rows):
        with plate("data", rows):
            sample("x", dist.Normal(param("loc", 0.0), 1.0))

    data = {"x": np.ones(2, np.float32)}
    fit = ppgen.fit(model, data=data, algorithm=ppgen.MaximumLikelihood(), steps=1, backend="pyro")
    with pytest.raises(NoLikelihoodError, match="every site is observed"):
        calibration(fit)
