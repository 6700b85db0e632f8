"""The density that samplers move in: all rows, globals once, discrete sites summed out, bijections with their slopes."""

import itertools

import jax
import numpy as np
import numpyro
import numpyro.distributions as nd
import pytest
from scipy import stats
from scipy.special import logsumexp

import ppgen
from ppgen import dist, factor, ops, plate, sample
from ppgen.backends.recorder import Onto
from ppgen.inference.target import Target
from ppgen.problem.batch import Batch

X = np.array([0.3, 1.5, -0.7], np.float32)
RNG = np.random.default_rng(0)


def target(model, backend, data=None, **options):
    problem = ppgen.Problem(model, data={"x": X} if data is None else data, backend=backend, full_batch=True, **options)
    with ops.activate(problem.backend):
        return Target(problem.joints()["model"], Batch(problem.device(problem.example)))


def at(target, u, method="log_density"):
    """A method of a target at points u [n, width], on the host."""
    backend = target.p.backend

    def call(u):
        with ops.activate(backend):
            return getattr(target, method)(u)

    found = backend.without_gradients(call)(backend.array(np.asarray(u, np.float32)))
    return jax.tree.map(backend.numpy, found)


# bijections ---------------------------------------------------------------------------------------------------------------


def of_many_supports(rows):
    scale = sample("scale", dist.HalfNormal(2.0))
    low = sample("low", dist.Uniform(-1.0, scale))  # a support that depends on another site
    share = sample("share", dist.Beta(2.0, 3.0))
    weights = sample("weights", dist.Dirichlet(np.array([1.0, 2.0, 3.0], np.float32)))
    turn = sample("turn", dist.LKJCholesky(3, 1.5))
    with plate("inner", 2, dim=-2):
        loc = sample("loc", dist.Normal(low, scale))
    with plate("data", rows, dim=-1):
        z = sample("z", dist.LogNormal(0.0, 1.0).expand([2]).to_event(1))
        mean = share * z.sum(-1) + weights[..., 0] * turn[..., 2, 0] + loc.sum(-2)
        sample("x", dist.Normal(mean, scale))


def native(x):
    scale = numpyro.sample("scale", nd.HalfNormal(2.0))
    low = numpyro.sample("low", nd.Uniform(-1.0, scale))
    share = numpyro.sample("share", nd.Beta(2.0, 3.0))
    weights = numpyro.sample("weights", nd.Dirichlet(np.array([1.0, 2.0, 3.0])))
    turn = numpyro.sample("turn", nd.LKJCholesky(3, 1.5))
    with numpyro.plate("inner", 2, dim=-2):
        loc = numpyro.sample("loc", nd.Normal(low, scale))
    with numpyro.plate("data", len(x), dim=-1):
        z = numpyro.sample("z", nd.LogNormal(0.0, 1.0).expand([2]).to_event(1))
        numpyro.sample("x", nd.Normal(share * z.sum(-1) + weights[0] * turn[2, 0] + loc.sum(-2), scale), obs=x)


def test_it_is_the_density_that_numpyro_moves_in(backend):
    """Every kind of support at once, against NumPyro's own potential of the same model."""
    mine = target(of_many_supports, backend)
    points = RNG.normal(size=(3, mine.width)).astype(np.float32)

    def energy(u):
        parts = jax.numpy.split(u, np.cumsum(mine.sizes)[:-1])
        given = {site.name: part.reshape(site.real_shape) for site, part in zip(mine.sites, parts, strict=True)}
        return numpyro.infer.util.potential_energy(native, (X,), {}, given)

    np.testing.assert_allclose(at(mine, points), -jax.jit(jax.vmap(energy))(points), rtol=1e-4)


def positive_and_bounded(rows):
    scale = sample("scale", dist.Gamma(3.0, 2.0))
    sample("z", dist.Uniform(0.0, scale))
    with plate("data", rows):
        sample("x", dist.Normal(0.0, 1.0))


def mass(target):
    """The integral of the density over a grid of the plane."""
    line = np.linspace(-9, 9, 151)
    points = np.array(list(itertools.product(line, line)))
    log_likelihood = stats.norm.logpdf(X).sum()
    return np.exp(at(target, points) - log_likelihood).sum() * (line[1] - line[0]) ** 2


def test_it_integrates_to_the_evidence(backend, monkeypatch):
    """So no log-determinant is missing; one that is dropped is seen."""
    assert mass(target(positive_and_bounded, backend)) == pytest.approx(1, abs=2e-3)
    monkeypatch.setattr(Onto, "log_slope", lambda self, real, value: 0.0 * real)
    assert abs(mass(target(positive_and_bounded, backend)) - 1) > 0.1


def test_values_are_images_of_the_reals(backend):
    mine = target(of_many_supports, backend)
    values = at(mine, RNG.normal(size=(4, mine.width)), "values")
    assert (values["scale"] > 0).all() and ((values["low"] > -1) & (values["low"] < values["scale"])).all()
    np.testing.assert_allclose(values["weights"].sum(-1), 1, rtol=1e-5)
    assert values["loc"].shape == (4, 2, 1) and values["z"].shape == (4, 3, 2) and (values["z"] > 0).all()


def test_draws_from_the_prior_come_back(backend):
    """The u of a draw is mapped onto that draw: here onto one uniform between 0 and its own scale."""
    mine = target(positive_and_bounded, backend)
    backend = mine.p.backend
    with ops.activate(backend):
        values = at(mine, backend.numpy(backend.without_gradients(lambda: mine.draw(2000))()), "values")
    ratio = values["z"] / values["scale"]
    assert stats.kstest(ratio, "uniform").pvalue > 1e-3
    assert stats.kstest(values["scale"], stats.gamma(3, scale=0.5).cdf).pvalue > 1e-3


# sums ---------------------------------------------------------------------------------------------------------------------


def test_rows_count_whole_and_globals_once(backend):
    def model(rows):
        w = sample("w", dist.Normal(0.0, 2.0))
        factor("tilt", 0.5 * w)
        with plate("data", rows):
            z = sample("z", dist.Normal(w, 1.0))
            sample("x", dist.Normal(z, 0.5))

    u = RNG.normal(size=(2, 4))
    w, z = u[:, 0], u[:, 1:]
    prior = stats.norm.logpdf(w, 0, 2) + stats.norm.logpdf(z, w[:, None], 1).sum(1)
    likelihood = stats.norm.logpdf(X, z, 0.5).sum(1) + 0.5 * w
    mine = target(model, backend)
    np.testing.assert_allclose(at(mine, u), prior + likelihood, rtol=1e-5)
    np.testing.assert_allclose(at(mine, u, "log_prior_and_likelihood"), (prior, likelihood), rtol=1e-5)


def test_a_native_program():
    def native(x):
        scale = numpyro.sample("scale", nd.HalfNormal(2.0))
        with numpyro.plate("rows", len(x)):
            numpyro.sample("obs", nd.Normal(0.0, scale), obs=x)

    u = np.array([[-0.5], [1.0]])
    prior = stats.halfnorm.logpdf(np.exp(u[:, 0]), scale=2) + u[:, 0]
    likelihood = stats.norm.logpdf(X, 0, np.exp(u)).sum(1)
    np.testing.assert_allclose(
        at(target(native, "numpyro"), u, "log_prior_and_likelihood"), (prior, likelihood), rtol=1e-5
    )


def test_discrete_sites_are_summed_out(backend):
    """A global one and a local one beside continuous ones, by hand; in the prior, too."""

    def model(rows):
        flip = sample("flip", dist.Bernoulli(0.3))
        w = sample("w", dist.Normal(2.0 * flip, 1.0))
        with plate("data", rows):
            k = sample("k", dist.Categorical(np.array([0.5, 0.2, 0.3], np.float32)))
            sample("x", dist.Normal(w + k, 0.5 + flip))

    u = RNG.normal(size=(2, 1))
    w, prior, joint = u[:, 0], [], []
    for flip, p in ((0, 0.7), (1, 0.3)):
        own = np.log(p) + stats.norm.logpdf(w, 2 * flip, 1)
        rows = [np.log(q) + stats.norm.logpdf(X, w[:, None] + k, 0.5 + flip) for k, q in enumerate((0.5, 0.2, 0.3))]
        prior.append(own)
        joint.append(own + logsumexp(rows, 0).sum(1))
    prior, joint = logsumexp(prior, 0), logsumexp(joint, 0)
    mine = target(model, backend)
    np.testing.assert_allclose(at(mine, u), joint, rtol=1e-5)
    np.testing.assert_allclose(at(mine, u, "log_prior_and_likelihood"), (prior, joint - prior), rtol=1e-4)


def test_a_site_that_some_rows_give(backend):
    """There its u stands idle, as a standard normal; elsewhere it is sampled."""

    def model(rows):
        with plate("data", rows):
            y = sample("y", dist.LogNormal(0.0, 1.0))
            sample("x", dist.Normal(y, 1.0))

    y = np.ma.masked_array([2.0, 1.0, 0.5], [False, True, False]).astype(np.float32)
    u = RNG.normal(size=(2, 3))
    full = np.stack([np.full(2, 2.0), np.exp(u[:, 1]), np.full(2, 0.5)], 1)
    idle = stats.norm.logpdf(u[:, [0, 2]]).sum(1) + np.log(2 * np.pi)  # but for the constant
    mapped = stats.norm.logpdf(u[:, 1])  # log y is normal
    given = stats.lognorm.logpdf([2.0, 0.5], 1).sum() + stats.norm.logpdf(X, full, 1).sum(1)
    mine = target(model, backend, {"x": X, "y": y}, rows="data")
    np.testing.assert_allclose(at(mine, u), idle + mapped + given, rtol=1e-5)
    np.testing.assert_allclose(at(mine, u, "log_prior_and_likelihood"), (idle + mapped, given), rtol=1e-5)
    np.testing.assert_allclose(at(mine, u, "values")["y"], full, rtol=1e-5)
