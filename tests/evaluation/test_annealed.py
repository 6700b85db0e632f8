"""Annealed importance sampling against exact likelihoods: mean weights are p(x) on the way up, and 1 / p(x) on the way down."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, ops, plate, sample
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation import annealed, sandwich
from ppgen.evaluation.annealed import _Annealer
from ppgen.evaluation.simulated import as_data, simulate
from ppgen.inference.smc import moves
from ppgen.inference.smc.annealing import Path


class Fit:
    """Programs as they start."""

    def __init__(self, model, data, backend, guide=None):
        self.problem = ppgen.Problem(model, guide, data=data, backend=backend)
        self.state, self.algorithm, self.draws = ppgen.State(self.problem.start, {}, None, 0), None, {}


def mixed(c):
    """A discrete site to sum out, a positive one, one in an inner plate, and a covariate; x and y as good as known."""
    with plate("data", len(c)):
        k = sample("k", dist.Bernoulli(0.3))
        scale = sample("scale", dist.LogNormal(0.0, 0.5))
        with plate("inner", 2, dim=-2):
            sample("w", dist.Normal(c, 1.0))
        sample("x", dist.Normal(2 * k + c, scale))


def exact_of_mixed(c, x):
    """By quadrature over the scale."""
    grid = np.exp(0.5 * stats.norm.ppf((np.arange(4000) + 0.5) / 4000))[:, None]
    given = [stats.norm(2 * k + c, grid).pdf(x).mean(0) for k in (0, 1)]
    return np.log(0.7 * given[0] + 0.3 * given[1])


C = np.array([0.0, 1.0, -1.0], np.float32)
MIXED = {"c": C, "x": np.array([0.5, 4.0, -1.2], np.float32)}


def weights(fit, data, particles, temperatures, truth=None, seed=0):
    """Log weights [particles, rows] of each direction."""
    annealer = _Annealer(fit.problem, fit.problem.start, particles, temperatures, None, seed, None)
    batch = fit.problem.device(data)
    true_u = None if truth is None else annealer._laid_out(data, truth)
    return annealer._chunk(batch, len(next(iter(data.values()))), annealer.key, true_u)[0]


def misses(log_weights, log_mean):
    """By how many standard errors mean weights miss the truth, row by row."""
    ratios = np.exp(log_weights - log_mean)
    return (ratios.mean(0) - 1) / (ratios.std(0) / len(ratios) ** 0.5)


def test_mean_weights_are_the_likelihood(backend, gaussian):
    """Few temperatures, so that weights differ much: unbiased all the same."""
    (log_weights,) = weights(Fit(gaussian.model, {"x": gaussian.x}, backend), {"x": gaussian.x}, 1500, 12)
    assert log_weights.std(0).min() > 0.1
    assert np.abs(misses(log_weights, gaussian.log_prob)).max() < 4


def test_mean_weights_on_the_way_down(backend, gaussian):
    """From exact draws of the posterior, 1 / p(x); of few temperatures the weights would have no variance."""
    fit = Fit(gaussian.model, {"x": gaussian.x}, backend)
    annealer, library = _Annealer(fit.problem, fit.problem.start, 1, 40, None, 0, None), fit.problem.backend
    z = gaussian.mean + gaussian.std * np.random.default_rng(0).normal(size=(500, 11))
    steps, scale = library.array(np.full((40, 11), 0.2, np.float32)), library.array(np.ones(1, np.float32))
    batch, u = fit.problem.device({"x": gaussian.x}), library.array(z[..., None].astype(np.float32))
    log_weights, _, _ = annealer._anneal(batch, u, annealer.path.down, scale, steps, False, library.key(1))
    assert np.abs(misses(library.numpy(log_weights), -gaussian.log_prob)).max() < 4


def without_momentum(leap, target, here, temperature, *rest):
    there, _ = leap(target, here, temperature, *rest)
    return there, there.at(temperature) - here.at(temperature)


def following(leap, target, here, temperature, scale, step, key):
    return leap(target, here, temperature, scale, step * ops.exp(here.u[..., 0]), key)


@pytest.mark.parametrize("planted", [without_momentum, following])
def test_a_bias_would_be_seen(gaussian, monkeypatch, planted):
    """Moves that forget kinetic energy; steps that follow where a particle is."""
    wrong = partial(planted, moves.leap)
    monkeypatch.setitem(moves.MOVES, "hmc", moves.Move(wrong, 0.8, lambda width: 1.0, lambda width: 5))
    (log_weights,) = weights(Fit(gaussian.model, {"x": gaussian.x}, "pyro"), {"x": gaussian.x}, 1500, 12)
    assert np.abs(misses(log_weights, gaussian.log_prob)).max() > 4


def test_step_sizes_come_from_another_run(gaussian, monkeypatch):
    """Of other particles; the weighed run takes them as they are, and so does the way down, in turn."""
    runs, right = [], _Annealer._anneal

    def spied(self, batch, u, path, scale, steps, adapt, key):
        found = right(self, batch, u, path, scale, steps, adapt, key)
        runs.append((u, steps, found[1], adapt))
        return found

    monkeypatch.setattr(_Annealer, "_anneal", spied)
    sandwich(Fit(gaussian.model, {"x": gaussian.x}, "pyro"), particles=2, temperatures=6)
    (u, _, found, adapted), (u2, given, taken, adapted_2), (_, back, _, adapted_3) = runs
    assert (adapted, adapted_2, adapted_3) == (True, False, False) and not np.array_equal(u, u2)
    for steps in (given, taken, back.flip(0)):
        np.testing.assert_array_equal(steps, found)


def test_rows_with_discrete_and_inner_sites_and_covariates(backend):
    fit = Fit(mixed, MIXED, backend)
    (log_weights,) = weights(fit, MIXED, 800, 8)
    assert np.abs(misses(log_weights, exact_of_mixed(C, MIXED["x"]))).max() < 4


def test_it_is_tight_and_below(backend, gaussian):
    """In chunks, on other rows than the programs met first; the note says how moves went."""
    fit = Fit(gaussian.model, {"x": gaussian.x[:5]}, backend)
    found = annealed(fit, {"x": gaussian.x}, particles=25, temperatures=50, batch_size=6)
    assert found.kind == "lower bound" and found.particles == 25 and found.rows == 11
    assert np.abs(found.per_row - gaussian.log_prob).max() < 0.5
    assert abs(found.nats - gaussian.log_prob.mean()) < 0.1
    assert "acceptance rate 0." in found.note and "50 temperatures, from the prior" in found.estimator
    assert found.khat.shape == (11,)


def gaussian_log_prob(x):
    slope = np.array([1.0, -2.0])
    return stats.multivariate_normal([0.5, 1.0], np.outer(slope, slope) + 0.25 * np.eye(2)).logpdf(x)


def test_the_truth_is_in_the_sandwich(backend, gaussian):
    found = sandwich(Fit(gaussian.model, {"x": gaussian.x}, backend), rows=40, particles=4, temperatures=12, seed=1)
    truth = gaussian_log_prob(found.data["x"])
    below, above = truth - found.lower.per_row, found.upper.per_row - truth
    for side in (below, above):  # in expectation
        assert side.mean() > -3 * side.std() / 40**0.5
    assert found.gap == pytest.approx(below.mean() + above.mean()) and 0 < found.gap < 1.5
    assert (found.lower.kind, found.upper.kind) == ("lower bound", "upper bound")
    shown = ppgen.compare({"below": found.lower, "above": found.upper}, against="above")
    assert shown["below"].relation == "≥"


def test_more_temperatures_close_the_sandwich(gaussian):
    fit = Fit(gaussian.model, {"x": gaussian.x}, "pyro")
    gaps = [sandwich(fit, particles=2, temperatures=t).gap for t in (3, 25)]
    assert gaps[1] < 0.5 * gaps[0]


def test_simulated_rows_have_the_distribution_of_the_model(backend):
    fit = Fit(mixed, MIXED, backend)
    drawn = simulate(fit.problem, fit.problem.start, MIXED, 2000, seed=1)
    assert drawn["x"].shape == (2000, 3) and drawn["w"].shape == (2000, 2, 3) and drawn["real:scale"].shape == (2000, 3)
    np.testing.assert_allclose(np.log(drawn["scale"]), drawn["real:scale"], atol=1e-5)
    standard = (drawn["x"] - 2 * drawn["k"] - C) / drawn["scale"]
    assert stats.kstest(standard.ravel(), "norm").pvalue > 1e-3
    data = as_data(fit.problem, drawn, MIXED, 7)
    np.testing.assert_array_equal(data["x"], drawn["x"][7])
    np.testing.assert_array_equal(data["c"], C)


def test_the_way_down_is_the_way_up():
    up = Path.up(7)
    np.testing.assert_allclose(up.before.sum(), 1, rtol=1e-6)
    assert (up.before > 0).all() and up.temperature[-1] == 1 and not up.after.any()
    for once, twice in zip(vars(up).values(), vars(up.down.down).values(), strict=True):
        np.testing.assert_array_equal(once, twice)
    assert up.down.after.sum() == pytest.approx(-1) and up.down.temperature[0] == 1


def shared(rows):
    loc = sample("loc", dist.Normal(0.0, 1.0))
    with plate("data", rows):
        sample("x", dist.Normal(loc, 1.0))


def discrete(rows):
    with plate("data", rows):
        k = sample("k", dist.Bernoulli(0.5))
        sample("x", dist.Normal(k, 1.0))


def endless(rows):
    with plate("data", rows):
        n = sample("n", dist.Poisson(1.0))
        z = sample("z", dist.Normal(n, 1.0))
        sample("x", dist.Normal(z, 1.0))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (shared, "'loc' is global.*ppgen.SMC finds the evidence"),
        (discrete, "are discrete.*fit.evaluate finds"),
        (endless, "cannot be summed out exactly.*with a guide"),
    ],
)
def test_what_cannot_be_annealed_is_said(model, message):
    fit = Fit(model, {"x": np.ones(2, np.float32)}, "pyro")
    with pytest.raises(NoLikelihoodError, match=message):
        annealed(fit, {"x": np.ones(2, np.float32)})


def test_rows_that_give_a_latent_site(backend):
    """Log p(x, z) where z is given, log p(x) elsewhere; positive, so that a bijection is in between."""

    def model(rows):
        with plate("data", rows):
            z = sample("z", dist.LogNormal(0.0, 0.5))
            sample("x", dist.Normal(ops.log(z), 1.0))

    x, seen = np.array([0.5, -1.0, 2.0], np.float32), np.array([True, False, True])
    z = np.ma.masked_array(np.array([1.5, 7.0, 0.4], np.float32), ~seen)
    data = {"x": x, "z": z}
    given = stats.lognorm(0.5).logpdf(z.data) + stats.norm(np.log(z.data), 1).logpdf(x)
    exact = np.where(seen, given, stats.norm(0, 1.25**0.5).logpdf(x))
    found = annealed(Fit(model, data, backend), data, particles=300, temperatures=10)
    np.testing.assert_allclose(found.per_row[seen], exact[seen], atol=1e-4)
    assert found.per_row[1] == pytest.approx(exact[1], abs=0.1)
