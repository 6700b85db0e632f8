import gc
import sys
import weakref

import numpy as np
import pyro
import pytest
from scipy import stats
from scipy.special import logsumexp

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation import evidence, kept, likelihood, weights
from ppgen.problem.trace import Trace


@pytest.mark.parametrize("particles", [1, 30])
def test_exact_posterior_gives_log_p_for_any_number_of_particles(ready, gaussian, particles):
    found = likelihood(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x}), particles=particles)
    assert np.allclose(found.per_row, gaussian.log_prob, atol=1e-4)
    assert found.nats == pytest.approx(gaussian.log_prob.mean(), abs=1e-4)
    assert (found.kind, found.particles, found.dimensions) == ("lower bound", particles, 2)
    assert found.estimator == "importance sampling from the guide"
    assert np.all(found.khat == (-np.inf if particles >= 25 else np.inf)), "one weight alone tells nothing"
    assert found.ess == pytest.approx(particles, rel=1e-3)


def test_dropped_guide_density_is_noticed(ready, gaussian, monkeypatch):
    monkeypatch.setattr(Trace, "latent", property(lambda trace: trace.only()))
    found = likelihood(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x}))
    assert np.abs(found.per_row - gaussian.log_prob).min() > 0.1


def test_wide_guide_comes_close_from_many_particles(ready, gaussian):
    arguments = ready(gaussian.model, gaussian.guide(2.0), {"x": gaussian.x})
    found = likelihood(*arguments, particles=4000)
    assert np.allclose(found.per_row, gaussian.log_prob, atol=0.1)
    assert found.khat.max() < 0.5
    assert 400 < found.ess < 4000


def test_narrow_guide_is_not_trusted(ready, gaussian):
    found = likelihood(*ready(gaussian.model, gaussian.guide(0.3), {"x": gaussian.x}), particles=2000)
    assert found.khat.max() > 0.7
    assert "unreliable" in repr(found)
    assert found.khat.shape == (11,)


def test_seed_decides(ready, gaussian):
    arguments = ready(gaussian.model, gaussian.guide(2.0), {"x": gaussian.x})
    first, again, other = (likelihood(*arguments, particles=50, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.per_row, again.per_row)
    assert not np.array_equal(first.per_row, other.per_row)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_chunks_of_rows_drop_none(ready, gaussian, batch_size):
    arguments = ready(gaussian.model, gaussian.guide(), {"x": gaussian.x})
    found = likelihood(*arguments, particles=2, batch_size=batch_size)
    assert np.allclose(found.per_row, gaussian.log_prob, atol=1e-4)
    assert found.rows == 11
    assert found.khat.shape == (11,)


def test_chunks_of_particles_drop_none(ready, gaussian, monkeypatch):
    monkeypatch.setattr(weights, "SCALARS", 11 * 512 * 3)  # three particles at a time
    arguments = ready(gaussian.model, gaussian.guide(2.0), {"x": gaussian.x})
    chunks = weights.Chunks(*arguments, particles=7, rows=None, seed=0)
    drawn = [local for local, _, _ in chunks.draws(0)]
    assert [len(local) for local in drawn] == [3, 3, 1]
    found = likelihood(*arguments, particles=7, batch_size=11)
    every = np.concatenate(drawn)
    assert len(np.unique(every)) == every.size  # fresh noise in each chunk
    assert np.allclose(found.per_row, logsumexp(every, 0) - np.log(7))
    assert found.ess == pytest.approx(np.mean(1 / np.sum(np.exp(every - logsumexp(every, 0)) ** 2, 0)))


def test_rows_in_other_chunks_have_other_noise(ready, gaussian):
    x = np.repeat(gaussian.x[:1], 4, 0)
    found = likelihood(*ready(gaussian.model, gaussian.guide(2.0), {"x": x}), particles=1, batch_size=2)
    assert len(np.unique(found.per_row)) == 4


def test_bound_does_not_fall_with_particles_on_fixed_weights(ready, gaussian):
    chunks = weights.Chunks(*ready(gaussian.model, gaussian.guide(3.0), {"x": gaussian.x}), 64, None, 0)
    (log_weights, _, _) = next(chunks.draws(0))
    bounds = []
    for size in (1, 2, 4, 8, 16, 32, 64):
        means = []
        for part in np.split(log_weights, 64 // size):
            running = weights.Running()
            running.add(part)
            means.append(running.log_mean)
        bounds.append(np.mean(means, 0))
    assert np.all(np.diff(bounds, axis=0) >= -1e-9)


def test_running_matches_one_pass():
    log_weights = np.random.default_rng(0).normal(size=(13, 4)) * 30
    log_weights[:, 3] = -np.inf
    running = weights.Running()
    for part in (log_weights[:5], log_weights[5:6], log_weights[6:]):
        running.add(part)
    assert np.allclose(running.log_mean, logsumexp(log_weights, 0) - np.log(13))
    normalised = np.exp(log_weights[:, :3] - logsumexp(log_weights[:, :3], 0))
    assert np.allclose(running.ess, [*(1 / np.sum(normalised**2, 0)), 0])


def test_programs_are_compiled_once(gaussian):
    calls = []
    guide = gaussian.guide()

    def counted(x):
        calls.append(len(x))
        return guide(x)

    problem = ppgen.Problem(gaussian.model, counted, data={"x": gaussian.x}, backend="numpyro")
    parameters = problem.start
    calls.clear()
    likelihood(problem, parameters, {"x": gaussian.x}, particles=10, batch_size=4)
    assert len(set(calls)) == 1
    before = len(calls)
    likelihood(problem, parameters, {"x": gaussian.x}, particles=10, batch_size=4, seed=3)
    assert len(calls) == before


def test_no_gradients_are_kept(gaussian):
    problem = ppgen.Problem(gaussian.model, gaussian.guide(), data={"x": gaussian.x}, backend="pyro")
    batch = weights.device(problem, {"x": gaussian.x}, slice(0, 11), 11)
    local, _, _ = weights.compiled(problem, 2, False)(problem.start, batch, problem.backend.key(0))
    assert not local.requires_grad


def test_khat_of_some_rows(ready, gaussian, monkeypatch):
    monkeypatch.setattr(sys.modules["ppgen.evaluation.likelihood"], "KHAT_ROWS", 5)
    arguments = ready(gaussian.model, gaussian.guide(2.0), {"x": gaussian.x})
    found = likelihood(*arguments, particles=100, batch_size=3)
    assert found.khat.shape == (5,)
    assert found.note == "k-hat of 5 rows chosen at random"
    assert likelihood(*arguments, particles=100, khat=False).khat is None


def counts(rows):
    rate = param("rate", 2.0, "positive")
    with plate("data", rows):
        sample("n", dist.Poisson(rate))


def test_all_sites_observed(ready):
    n = np.array([0, 1, 5, 2, 2], np.int32)
    found = likelihood(*ready(counts, None, {"n": n}), batch_size=2)
    assert np.allclose(found.per_row, stats.poisson(2.0).logpmf(n), atol=1e-5)
    assert (found.kind, found.estimator, found.particles) == ("exact", "all sites observed", None)
    assert found.bits_per_dim == pytest.approx(-found.nats / np.log(2))


def uniform(rows):
    low = param("low", 0.0)
    with plate("data", rows):
        sample("x", dist.Uniform(low, 1.0).expand([3]).to_event(1))


def test_quantisation(ready):
    x = np.random.default_rng(0).uniform(size=(4, 3)).astype(np.float32)
    arguments = ready(uniform, None, {"x": x})
    assert likelihood(*arguments).bits_per_dim == pytest.approx(0.0, abs=1e-6)
    assert likelihood(*arguments, quantization=256).bits_per_dim == pytest.approx(8.0)
    with pytest.raises(ValueError, match="every observed site is discrete"):
        likelihood(*ready(counts, None, {"n": np.ones(3)}), quantization=256)


def pixels(rows):
    logits = param("logits", np.zeros((3, 4)))
    with plate("data", rows):
        sample("x", pyro.distributions.OneHotCategorical(logits=logits).to_event(1))


def test_a_one_hot_vector_is_one_variable():
    x = np.eye(4, dtype=np.float32)[np.zeros((5, 3), int)]
    found = ppgen.evaluate(pixels, data={"x": x}, backend="pyro")
    assert found.dimensions == 3
    assert found.bits_per_dim == pytest.approx(2.0, abs=1e-5)


def test_without_a_guide(ready, gaussian):
    arguments = ready(gaussian.model, None, {"x": gaussian.x})
    for ask in (likelihood, evidence):
        with pytest.raises(NoLikelihoodError, match=r"latent sites \['z'\].*train=\('guide',\)"):
            ask(*arguments)


def test_the_way_out_after_a_gan(backend, gaussian):
    data = {"x": gaussian.x}
    gan = ppgen.GAN(critic=ppgen.nn.MLP(2, 4, 1))
    fit = ppgen.fit(gaussian.model, data=data, algorithm=gan, steps=2, backend=backend)

    def guide(x):
        loc, spread = param("q.loc", 0.0), param("q.spread", 1.0, "positive")
        with plate("data", len(x)):
            sample("z", dist.Normal(loc * x[..., 0], spread))

    fit = ppgen.fit(
        gaussian.model, guide, data=data, params=fit, train=("guide",),
        algorithm=ppgen.ReweightedWakeSleep(5), steps=2, backend=backend,
    )  # fmt: skip
    assert fit.evaluate(data, particles=10).kind == "lower bound"


def test_evidence_of_local_sites_is_the_sum_over_rows(ready, gaussian):
    found = evidence(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x}), particles=5)
    assert found.total == pytest.approx(gaussian.log_prob.sum(), abs=1e-3)
    assert found.per_row is None
    assert np.isnan(found.stderr)


@pytest.mark.parametrize("wrong", [0, 2.5, True])
def test_particles_are_counted(ready, gaussian, wrong):
    with pytest.raises(ValueError, match="particles to be a positive integer"):
        likelihood(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x}), particles=wrong)


def test_what_was_compiled_is_not_kept_for_ever(ready, gaussian):
    """Ever new numbers of particles and rows; an executable that nothing refers to any more is gone."""
    problem, parameters, _ = ready(gaussian.model, gaussian.guide(), {"x": gaussian.x})
    made, real = [], problem.backend.without_gradients

    def counted(fn):
        made.append(weakref.ref(fn))
        return real(fn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(problem.backend), "without_gradients", lambda self, fn: counted(fn))
        patch.setattr(kept, "KEPT", 3)
        for particles, rows in [(1, 4), (2, 4), (2, 4), (3, 4), (4, 4), (4, 3), (4, 2), (4, 3)]:
            likelihood(problem, parameters, {"x": gaussian.x[:rows]}, particles=particles, khat=False)
    gc.collect()
    assert len(made) == 6, "once for each shape, while it is kept"
    assert len(problem.compiled["functions"]) == 3 and sum(ref() is not None for ref in made) == 3


def test_a_guide_that_was_held_fixed_is_noted(backend, gaussian):
    """It may be as it started, and its bound far from the truth; a run that trains it says nothing."""
    data = {"x": gaussian.x}
    for train, said in ((("model",), True), (("model", "guide"), False)):
        fit = ppgen.fit(gaussian.model, gaussian.guide(), data=data, backend=backend, steps=1, train=train)
        assert ("guide was held fixed" in fit.evaluate(data, particles=5).note) == said
