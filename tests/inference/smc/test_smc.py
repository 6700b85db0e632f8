"""Tempered SMC: its parts by themselves, and evidence and draws of models whose posterior is known."""

from functools import partial

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

import ppgen
from ppgen import SMC, dist, factor, ops, plate, sample
from ppgen.errors import NonFiniteError
from ppgen.inference import SamplingWarning
from ppgen.inference.smc import moves, tempered
from ppgen.inference.smc.moves import MOVES, Population
from ppgen.inference.smc.temperatures import ess, rise
from ppgen.inference.target import target_of
from ppgen.models.regression import linear_regression, linear_regression_posterior
from ppgen.problem.resampling import systematic

RNG = np.random.default_rng(0)


def on(backend, fn, *arrays):
    """A function of arrays on a backend, from the host and back to it."""
    library = ppgen.backends.get(backend)
    with ops.activate(library):
        found = library.without_gradients(fn)(*(library.array(np.asarray(x, np.float32)) for x in arrays))
    return [library.numpy(x) for x in found] if isinstance(found, tuple) else library.numpy(found)


# parts --------------------------------------------------------------------------------------------------------------------


def offspring(backend, weights, uniform):
    """How many particles each one is the parent of, [uniforms, n]."""
    parents = on(backend, systematic, np.tile(weights, (len(uniform), 1)), uniform)
    return np.stack([(parents == j).sum(1) for j in range(len(weights))], 1)


def test_resampling_is_fair(backend):
    """n w offspring on average over the comb's place, never further from it than one, and in order."""
    weights = RNG.dirichlet(np.full(7, 0.5)).astype(np.float32)
    count = offspring(backend, weights, (np.arange(4000) + 0.5) / 4000)
    assert (np.abs(count - 7 * weights) < 1).all() and (count.sum(1) == 7).all()
    np.testing.assert_allclose(count.mean(0), 7 * weights, atol=1e-3)
    even = on(backend, systematic, np.full((2, 5), 0.2), np.array([0.3, 0.9]))
    np.testing.assert_array_equal(even, np.tile(np.arange(5), (2, 1)))


def test_temperatures_rise_as_far_as_particles_allow(backend):
    log_likelihood = RNG.normal(0, 5, 200)
    rose = on(backend, partial(rise, target_ess=0.5), log_likelihood, 1.0)
    assert on(backend, ess, rose * log_likelihood) == pytest.approx(100, rel=1e-3)
    assert on(backend, partial(rise, target_ess=0.5), log_likelihood / 100, 0.25) == 0.25
    few = np.where(np.arange(200) < 150, -np.inf, log_likelihood)
    rose = on(backend, partial(rise, target_ess=0.5), few, 1.0)
    assert on(backend, ess, rose * few) == pytest.approx(25, rel=1e-3), "of the 50 that are possible"


def correlated(rows):
    z = sample("z", dist.MultivariateNormal(np.zeros(2, np.float32), np.array([[1.0, 0.8], [0.8, 1.0]], np.float32)))
    scale = sample("scale", dist.Gamma(3.0, 2.0))
    with plate("data", rows):
        sample("x", dist.Normal(0.0 * z.sum(-1), 1.0 + 0.0 * scale))


def moved(backend, kernel, n=4000):
    """Draws from `correlated`'s posterior, which is its prior, before and after a few moves."""
    problem = ppgen.Problem(correlated, data={"x": np.zeros(1, np.float32)}, backend=backend)
    library, move = problem.backend, MOVES[kernel]

    def run(batch):
        with ops.activate(library):
            target = target_of(problem, {}, batch, library.key(1))
            here = there = moves.population(target, target.draw(n))
            for i in range(4):
                there, rate, _ = move(target, there, 1.0, 0.7, move.first(3), library.fold_in(library.key(2), i))
            return here.u, there.u, rate

    return [library.numpy(x) for x in library.without_gradients(run)(problem.device(problem.example))]


@pytest.mark.parametrize("kernel", MOVES)
def test_moves_leave_the_target_as_it_is(backend, kernel):
    """Of particles that have the target's distribution, means, variances and correlations stay; yet each particle moved."""
    before, after, rate = moved(backend, kernel)
    assert 0.1 < rate < 1 and (np.abs(after - before).max(1) > 0).mean() > 0.5
    scale, z = np.exp(after[:, 0]), after[:, 1:]
    assert stats.kstest(scale, stats.gamma(3, scale=0.5).cdf).pvalue > 1e-3
    assert stats.kstest(z.sum(1) / np.sqrt(3.6), "norm").pvalue > 1e-3
    assert stats.kstest((z[:, 0] - z[:, 1]) / np.sqrt(0.4), "norm").pvalue > 1e-3


def test_a_wrong_acceptance_is_seen(monkeypatch):
    """A trajectory whose kinetic energy does not count."""
    right = moves.leap

    def wrong(target, here, *rest):
        there, _ = right(target, here, *rest)
        return there, there.at(1.0) - here.at(1.0)

    monkeypatch.setitem(MOVES, "hmc", moves.Move(wrong, 0.8, lambda width: 1.0, lambda width: 5))
    _, after, _ = moved("pyro", "hmc")
    assert stats.kstest(after[:, 1:].sum(1) / np.sqrt(3.6), "norm").pvalue < 1e-3


# whole runs ---------------------------------------------------------------------------------------------------------------

X = RNG.normal(size=(20, 2)).astype(np.float32)
Y = (X @ np.array([1.0, -0.5]) + RNG.normal(0, 0.5, 20)).astype(np.float32)
REGRESSION = linear_regression(2, scale=0.5)[0]


@pytest.mark.parametrize("kernel", MOVES)
def test_evidence_and_posterior_of_a_regression(backend, kernel):
    mean, covariance, log_evidence = linear_regression_posterior(X, Y, 0.5)
    fit = ppgen.fit(REGRESSION, data={"x": X, "y": Y}, algorithm=SMC(500, kernel=kernel), backend=backend, seed=3)
    found, error = fit.evidence, 20 * fit.evidence.stderr
    assert error < 0.3 and abs(found.total - log_evidence) < 4 * error
    assert found.kind == "estimate" and found.rows == 20 and "SMC" in found.estimator
    draws = np.concatenate([fit.draws["w"][0], fit.draws["b"][0][:, None]], 1)
    assert draws.shape == (500, 3)
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * np.sqrt(covariance.diagonal().max() / 250))
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.4 * covariance.max())
    history = fit.history
    assert history["temperature"][-1] == 1 and (np.diff(history["temperature"]) > 0).all()
    assert (history["ess"] > 249).all() and history["log_evidence"][-1] == pytest.approx(found.total, abs=1e-3)
    assert fit.posterior().attrs.keys() >= {"algorithm"} and fit.evaluate({"x": X, "y": Y}).kind == "estimate"


def test_the_stated_error_is_right():
    """Over seeds the evidence misses the truth by as much as it says: t-distributed with 9 degrees of freedom."""
    log_evidence = linear_regression_posterior(X, Y, 0.5)[2]
    algorithm, z = SMC(200, moves=10, kernel="random_walk"), []
    for seed in range(25):
        found = ppgen.fit(REGRESSION, data={"x": X, "y": Y}, algorithm=algorithm, backend="pyro", seed=seed).evidence
        z.append((found.nats - log_evidence / 20) / found.stderr)
    assert abs(np.mean(z)) < 4 * 1.13 / 5 and 0.6 < np.std(z) < 2


def counts(rows):
    rate = sample("rate", dist.Gamma(3.0, 2.0))
    with plate("data", rows):
        sample("x", dist.Poisson(rate))


def log_evidence_of_counts(x):
    total, n = x.sum(), len(x)
    return 3 * np.log(2) - gammaln(3) + gammaln(3 + total) - (3 + total) * np.log(2 + n) - gammaln(x + 1).sum()


def test_evidence_where_the_latent_is_positive():
    x = np.array([2.0, 0, 3, 1, 9], np.float32)
    fit = ppgen.fit(counts, data={"x": x}, algorithm=SMC(), backend="pyro")
    assert abs(fit.evidence.total - log_evidence_of_counts(x)) < 4 * 5 * fit.evidence.stderr
    exact = stats.gamma(3 + x.sum(), scale=1 / 7)
    assert abs(fit.draws["rate"].mean() - exact.mean()) < 4 * exact.std() / np.sqrt(300)


def test_evidence_of_rows_with_latents_of_their_own_and_discrete_ones():
    """All rows together; discrete sites summed out."""

    def mixture(rows):
        with plate("data", rows):
            k = sample("k", dist.Bernoulli(0.3))
            z = sample("z", dist.Normal(3.0 * k, 1.0))
            sample("x", dist.Normal(z, 1.0))

    x = np.array([0.5, 3.0, -1.0], np.float32)
    exact = np.logaddexp(
        np.log(0.7) + stats.norm.logpdf(x, 0, 2**0.5), np.log(0.3) + stats.norm.logpdf(x, 3, 2**0.5)
    ).sum()
    fit = ppgen.fit(mixture, data={"x": x}, algorithm=SMC(), backend="pyro")
    assert set(fit.draws) == {"z"} and abs(fit.evidence.total - exact) < 4 * 3 * fit.evidence.stderr


def above(least):
    """A density of `top` that is 0 up to some value."""

    def program(rows):
        top = sample("top", dist.Uniform(0.0, 9.0))
        factor("possible", ops.where(top > least, -3 * ops.log(top), 0 * top - np.inf))
        with plate("data", rows):
            sample("x", dist.Normal(0.0, 1.0))

    return program


def test_particles_that_are_impossible():
    """Two thirds of the prior cannot have given the data."""
    x = np.array([0.5], np.float32)
    exact = np.log((6.0**-2 - 9.0**-2) / 2 / 9) + stats.norm.logpdf(x[0])
    fit = ppgen.fit(above(6.0), data={"x": x}, algorithm=SMC(kernel="random_walk"), backend="pyro")
    assert abs(fit.evidence.total - exact) < 4 * fit.evidence.stderr and fit.draws["top"].min() > 6
    with pytest.raises(NonFiniteError, match="no finite likelihood under any of 1000 draws"):
        ppgen.fit(above(10.0), data={"x": x}, algorithm=SMC(), backend="pyro")


def test_a_run_that_does_not_come_to_the_posterior(monkeypatch):
    monkeypatch.setattr(tempered, "STAGES", 2)
    with pytest.warns(SamplingWarning, match="came to temperature 0.* only") as caught:
        fit = ppgen.fit(REGRESSION, data={"x": X, "y": Y}, algorithm=SMC(100), backend="pyro")
    assert not fit.draws and fit.evidence is None and caught[0].filename == __file__


def test_evidence_is_kept_on_disk(tmp_path):
    fit = ppgen.fit(counts, data={"x": np.ones(3, np.float32)}, algorithm=SMC(100), backend="pyro")
    fit.save(tmp_path / "fit")
    again = ppgen.load(tmp_path / "fit", counts)
    assert again.evidence == fit.evidence or repr(again.evidence) == repr(fit.evidence)
    np.testing.assert_array_equal(again.draws["rate"], fit.draws["rate"])


def test_groups_do_not_meet():
    """A particle's parent is one of its own group."""
    n = 40
    u = np.repeat(np.arange(10.0), 4)[:, None]
    particles = Population(u, np.zeros(n), np.zeros(n))

    def resampled(u, log_weights, uniform):
        return SMC.resampled(Population(u, log_weights, log_weights), log_weights, uniform).u

    after = on("pyro", resampled, u, RNG.normal(0, 3, n), RNG.random(10))
    np.testing.assert_array_equal(after, particles.u)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SMC(particles=105), "a multiple of 10"),
        (lambda: SMC(particles=10), "20 at least"),
        (lambda: SMC(kernel="gibbs"), "kernel to be one of"),
        (lambda: SMC(moves=0), "moves"),
        (lambda: SMC(target_ess=1.0), "target_ess between 0 and 1"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
