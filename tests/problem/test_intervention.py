"""Interventions against exact numbers: a confounded graph in which p(x | do(z)) is not p(x | z)."""

import numpy as np
import numpyro
import numpyro.distributions as nd
import pyro
import pyro.distributions as pd
import pytest

import ppgen
from ppgen import dist, ops, plate, sample
from ppgen.errors import ProgramError

U, Z, X = 0.4, np.array([0.2, 0.9]), np.array([[0.1, 0.5], [0.3, 0.95]])
"""p(u = 1); p(z = 1 | u); p(x = 1 | z, u) by [z, u]."""


def graph(rows):
    with plate("data", rows):
        u = sample("u", dist.Bernoulli(U))
        z = sample("z", dist.Bernoulli(Z[0] + (Z[1] - Z[0]) * u))
        sample("x", dist.Bernoulli(effect(z, u)))


def effect(z, u):
    (none, by_u), (by_z, both) = X
    return none + (by_u - none) * u + (by_z - none) * z + (both - by_u - by_z + none) * z * u


def native(library):
    sample, plate, dist = (numpyro.sample, numpyro.plate, nd) if library == "numpyro" else (pyro.sample, pyro.plate, pd)

    def program(x):
        with plate("rows", len(x)):
            u = sample("u", dist.Bernoulli(U))
            z = sample("z", dist.Bernoulli(Z[0] + (Z[1] - Z[0]) * u))
            sample("obs", dist.Bernoulli(effect(z, u)), obs=x)

    return program


def bernoulli(p, value):
    return p if value else 1 - p


def joint(z, x):
    return sum(bernoulli(U, u) * bernoulli(Z[u], z) * bernoulli(X[z, u], x) for u in (0, 1))


def given(z, x):
    return joint(z, x) / (joint(z, 0) + joint(z, 1))


def done(z, x):
    return sum(bernoulli(U, u) * bernoulli(X[z, u], x) for u in (0, 1))


def probabilities(model, data, backend):
    return np.exp(ppgen.evaluate(model, data=data, backend=backend).per_row)


def test_the_graph_is_confounded():
    assert min(abs(given(z, 1) - done(z, 1)) for z in (0, 1)) > 0.05


@pytest.mark.parametrize("z", [0, 1])
def test_seeing_and_doing(backend, z):
    x = np.array([0.0, 1.0, 1.0], np.float32)
    doing = probabilities(ppgen.do(graph, {"z": z}), {"x": x}, backend)
    np.testing.assert_allclose(doing, [done(z, int(i)) for i in x], atol=1e-6)
    seeing = probabilities(graph, {"x": x, "z": np.full(3, z)}, backend)
    np.testing.assert_allclose(seeing, [joint(z, int(i)) for i in x], atol=1e-6)


def test_native_programs(backend):
    x = np.array([0.0, 1.0], np.float32)
    found = probabilities(ppgen.do(native(backend), {"z": 1}), {"x": x}, backend)
    np.testing.assert_allclose(found, [done(1, 0), done(1, 1)], atol=1e-6)
    assert "z" in ppgen.Problem(native(backend), data={"x": x}, backend=backend).model.sites


def test_interventions_on_several_sites_and_in_turn(backend):
    """Nothing latent is left of u; the outer of two interventions on one site decides."""
    for model in (
        ppgen.do(graph, {"z": 1, "u": 0.0}),
        ppgen.do(ppgen.do(graph, {"z": 1}), {"u": 0.0}),
        ppgen.do(ppgen.do(graph, {"z": 0, "u": 0.0}), {"z": 1}),
    ):
        problem = ppgen.Problem(model, data={"x": np.ones(2, np.float32)}, backend=backend)
        assert list(problem.model.sites) == ["x"]
        np.testing.assert_allclose(probabilities(model, {"x": np.ones(2)}, backend), X[1, 0], atol=1e-6)


def chain(rows):
    """A continuous confounder, a network, classes that index, an inner plate."""
    net = ppgen.module("net", ppgen.nn.MLP(2, 4, 3))
    shift = sample("shift", dist.Normal(0.0, 1.0))
    with plate("data", rows):
        u = sample("u", dist.Normal(shift, 1.0).expand([2]).to_event(1))
        k = sample("k", dist.Categorical(logits=net(u)))
        level = ops.take(ops.asarray(np.array([-1.0, 0.0, 2.0], np.float32)), k, 0)
        sample("x", dist.Normal(level + u.sum(-1), 0.5))


def guide(x):
    scale = ppgen.param("scale", 1.0, "positive")
    sample("shift", dist.Normal(0.0, scale))
    with plate("data", len(x)):
        sample("u", dist.Normal(x[..., None] / 3, scale).expand([len(x), 2]).to_event(1))


def test_it_is_a_program_as_any_other(backend):
    """It trains with minibatches, is evaluated, generates, and keeps parameters that no longer matter."""
    data = {"x": np.linspace(-2, 4, 8).astype(np.float32)}
    model = ppgen.do(chain, {"k": 2})
    fit = ppgen.fit(model, guide, data=data, algorithm=ppgen.ELBO(3), steps=3, batch_size=4, backend=backend)
    assert np.isfinite(fit.history["loss/model"]).all() and any(name.startswith("net.") for name in fit.params)
    assert np.isfinite(fit.evaluate(data, particles=5).nats)
    other = ppgen.evaluate(ppgen.do(chain, {"k": 0}), guide, data=data, params=fit, backend=backend, particles=5)
    assert other.nats != fit.evaluate(data, particles=5).nats
    drawn = fit.sample(rows=4000, seed=1)
    assert "k" not in drawn and abs((drawn["x"] - drawn["u"].sum(1)).mean() - 2) < 4 * 0.5 / 4000**0.5


def test_the_log_joint_lacks_the_site_alone(backend):
    """At the same values: log p(x, u) under do(k) is log p(x, u, k) less log p(k | u)."""
    data = {"x": np.linspace(-2, 4, 3).astype(np.float32)}
    rng = np.random.default_rng(0)
    values = {"shift": rng.normal(size=5), "u": rng.normal(size=(5, 3, 2))}
    both = []
    for model, more in ((ppgen.do(chain, {"k": 1}), {}), (chain, {"k": np.ones((5, 3), np.int32)})):
        problem = ppgen.Problem(model, data=data, backend=backend)
        library = problem.backend
        drawn = {name: library.array(np.asarray(v, np.float32)) for name, v in values.items()}
        drawn |= {name: library.array(v) for name, v in more.items()}
        batch = ppgen.Batch(problem.device(data)) | ppgen.Batch(drawn, rows=3, drawn=drawn, particles=5)
        trace = problem.joints()["model"].trace(batch)
        both.append(library.numpy(trace.without("k").log_prob))
    np.testing.assert_allclose(*both, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"zz": 1}, r"no sample site \['zz'\] to intervene on.*'u', 'x', 'z'"),
        ({"z": 2}, r"a value in \{0, 1\}.*array\(2\)"),
        ({"z": np.zeros(3)}, "of shape"),
        ({}, "expected values by site"),
    ],
)
def test_mistakes_are_told(backend, values, message):
    with pytest.raises(ProgramError, match=message):
        ppgen.evaluate(ppgen.do(graph, values), data={"x": np.ones(2)}, backend=backend)


def test_it_runs_inside_ppgen():
    with pytest.raises(ProgramError, match="called outside a run"):
        ppgen.do(graph, {"z": 1})(rows=2)


def test_the_data_cannot_give_it(backend):
    with pytest.raises(ppgen.errors.DataError, match="'z' that no program uses"):
        ppgen.evaluate(ppgen.do(graph, {"z": 1}), data={"x": np.ones(2), "z": np.ones(2)}, backend=backend)
