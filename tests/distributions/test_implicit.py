"""Distributions without a density: what they draw, who learns them, and how everything else refuses them."""

import copy
import functools

import jax
import numpy as np
import numpyro.distributions as nd
import pyro.distributions as pd
import pytest
import torch

import ppgen
from ppgen import ALI, GAN, dist, module, nn, ops, param, plate, sample
from ppgen.distributions import MADE, Implicit, InfiniteMixture, StandardNormal
from ppgen.distributions.registry import DISTRIBUTIONS, IMPLICIT
from ppgen.errors import IllegalPairing, NoLikelihoodError
from ppgen.inference import EVERYTHING

ALL = list(IMPLICIT)
PATHWISE = [name for name in ALL if IMPLICIT[name]().reparameterised]


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max(initial=0.0))))


# the contract --------------------------------------------------------------------------------------------------------


def test_the_table_is_complete():
    """Every learnable distribution is in one of the two tables, by whether it has a density."""
    assert not any(build().has_density for build in IMPLICIT.values())
    assert all(build().has_density for build in DISTRIBUTIONS.values())


@pytest.mark.parametrize("name", ALL)
def test_the_native_distribution(name, case, backend):
    """It is a distribution of the backend, and says whether draws carry gradients; its shapes are those of all others."""
    on = case(name, backend)
    with ppgen.using(backend):
        d = on.entry.apply(*on.arrays((on.params, on.context)))
    assert isinstance(d, nd.Distribution if backend == "numpyro" else pd.TorchDistribution)
    assert d.has_rsample == on.entry.reparameterised


@functools.cache
def drawn(on):
    """Draws [2, 3, ...] at the shared noise, and the gradients of a weighted sum of them."""

    def draw(inputs, weights):
        params = {name: value for name, value in inputs.items() if name != "context"}
        x = on.entry.draw(params, on.noise(), (2, 3), inputs.get("context"))
        return (x * weights).sum(), {"x": x}

    weights = np.random.default_rng(2).normal(size=(2, 3, *on.entry.event_shape)).astype(np.float32)
    inputs = dict(on.params) | ({} if on.context is None else {"context": on.context})
    return on.differentiated(draw, on.entry.reparameterised)(inputs, weights)


@pytest.mark.parametrize("name", ALL)
def test_backends_agree(name, case):
    """At the same noise they draw the same, and gradients are the same; every parameter and the context has one."""
    jax_found, torch_found = (drawn(case(name, backend)) for backend in ("numpyro", "pyro"))
    close(jax_found["x"], torch_found["x"])
    assert len(np.unique(jax_found["x"])) == jax_found["x"].size
    if name not in PATHWISE:
        return
    for path, grad in jax_found["grads"].items():
        assert np.isfinite(grad).all()
        assert np.any(grad != 0), f"no gradient to {path}"
        close(grad, torch_found["grads"][path], 5e-4)


@pytest.mark.parametrize("name", ALL)
def test_draws_lie_in_the_support(name, case, backend):
    on = case(name, backend)
    with ppgen.using(backend):
        support = on.entry.apply(*on.arrays((on.params, on.context))).support
    inside = (support if backend == "numpyro" else support.check)(on.backend.array(drawn(on)["x"]))
    assert inside.shape == (2, 3)
    assert inside.all()


@pytest.mark.parametrize("name", [name for name in ALL if IMPLICIT[name]().context])
def test_each_row_has_its_own_context(name, case):
    """Rows that share a context are drawn as if each had a copy of it; another context draws otherwise."""
    on = case(name, "pyro")

    def draw(context):
        return on.call(lambda p, c: on.entry.draw(p, on.noise(), (2, 3), c), on.params, context)

    one = on.context[:1]
    close(draw(one), draw(np.repeat(one, 3, 0)))
    close(draw(on.context), draw(np.stack([on.context] * 2)))
    assert np.abs(draw(on.context)[:, 1:] - draw(one)[:, 1:]).max(-1).min() > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_float64_all_the_way(name, case):
    on = case(name, "pyro")
    params, context = on.arrays((on.params, on.context), np.float64)
    with ppgen.using("pyro"):
        assert on.entry.draw(params, on.noise(np.float64), (2, 3), context).dtype == torch.float64
        assert on.entry.apply(params, context).sample((2,)).dtype == torch.float64


@pytest.mark.parametrize("name", ALL)
def test_it_is_a_value(name, case):
    """Equal to one with the same settings, immutable, told whole by its repr, and a tree of arrays to JAX."""
    one, same = IMPLICIT[name](), IMPLICIT[name]()
    assert one == same
    assert hash(one) == hash(same)
    assert copy.deepcopy(one) == one
    assert repr(one) == repr(same)
    assert repr(one).startswith(type(one).__name__)
    field = next(iter(type(one).__dataclass_fields__))
    with pytest.raises(AttributeError):
        setattr(one, field, getattr(one, field))
    others = [build() for other, build in IMPLICIT.items() if other != name]
    assert one not in others
    assert repr(one) not in map(repr, others)
    on = case(name, "numpyro")
    trees = [entry.apply(*on.arrays((on.params, on.context))) for entry in (one, same)]
    assert jax.tree.structure(trees[0]) == jax.tree.structure(trees[1])


@pytest.mark.parametrize("name", ALL)
def test_it_says_that_it_has_no_density(name, case, backend):
    """A program finds out at the site; by hand, at log_prob."""
    on = case(name, backend)
    with ppgen.using(backend):
        d = on.entry.apply(*on.arrays((on.params, on.context)))
    with pytest.raises(NoLikelihoodError, match=r"density; got (Implicit\(|an InfiniteMixture)"):
        d.log_prob(on.backend.array(drawn(on)["x"]))


def test_draws_of_a_linear_network_are_gaussian(backend):
    """x = z W + b: its mean is b, its covariance W'W."""
    entry = Implicit((2,), noise=3, hidden=())
    on = ppgen.backends.get(backend)
    w, b = np.array([[1.0, -0.5], [0.5, 2.0], [0.0, 1.0]], np.float32), np.array([3.0, -1.0], np.float32)
    d = entry.apply({"0.weight": on.array(w), "0.bias": on.array(b)})
    torch.manual_seed(0)
    x = on.numpy(d.sample(jax.random.key(0), (20_000,)) if backend == "numpyro" else d.sample((20_000,)))
    error = np.sqrt(np.diag(w.T @ w) / len(x))
    assert (np.abs(x.mean(0) - b) < 5 * error).all()
    np.testing.assert_allclose(np.cov(x.T), w.T @ w, atol=0.15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Implicit((0,)), r"Implicit: expected each of event_shape to be a positive integer; got 0"),
        (lambda: Implicit(64), r"expected event_shape to be a tuple of positive integers, one a layer; got 64"),
        (lambda: Implicit((2,), hidden=(8.0,)), r"expected each of hidden to be a positive integer; got 8\.0"),
        (lambda: Implicit((2,), noise=0), "noise to be a positive integer; got 0"),
        (
            lambda: Implicit((2,), support="boolean"),
            r"a finite interval \(low, high\).*got 'boolean'. Draws of a network are",
        ),
        (lambda: Implicit((2,), support=3), r"a finite interval \(low, high\).*got 3\. "),
        (lambda: Implicit((2,), support=(0.0, float("inf"))), r"a finite interval.*; got \(0\.0, inf\)"),
        (lambda: Implicit((2,), support=(1.0, 0.0)), r"with low < high; got \(1\.0, 0\.0\)"),
        (lambda: Implicit((2,), activation="step"), "expected an activation"),
        (lambda: Implicit((2,)).apply({}, np.ones(3)), r"expected no context.*got a context of shape \(3,\)"),
        (lambda: Implicit((2,), context=4).apply({}), "expected a context whose last axis has size 4"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# in programs ---------------------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal((2.0, -1.0), (0.5, 1.0), (128, 2)).astype(np.float32)


def as_likelihood(rows):
    with plate("data", rows):
        sample("x", module("net", Implicit((2,), noise=3, hidden=(16,)))())


def as_likelihood_given(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        sample("x", module("net", Implicit((2,), noise=3, hidden=(16,), context=2))(z))


def as_rows_of_an_event(rows):
    """The event is two draws side by side: an implicit distribution inside of another."""
    with plate("data", rows):
        net = module("net", Implicit((), noise=2, hidden=(8,)))
        sample("x", net().expand((rows, 2)).to_event(1))


def as_prior(rows):
    with plate("data", rows):
        z = sample("z", module("net", Implicit((2,), noise=3, hidden=(16,)))())
        sample("x", dist.Normal(z, param("scale", 0.5)).to_event(1))


def gaussian(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        sample("x", dist.Normal(z, param("scale", 0.5)).to_event(1))


def guide(x):
    with plate("data", len(x)):
        loc, log_scale = module("encoder", nn.MLP(2, 8, (2, 2)))(x)
        sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))


def implicit_guide(x):
    with plate("data", len(x)):
        sample("z", module("encoder", Implicit((2,), noise=3, hidden=(8,), context=2))(x))


PROGRAMS = {
    "likelihood": (as_likelihood, None, "site 'x' of the model"),
    "likelihood given": (as_likelihood_given, guide, "site 'x' of the model"),
    "side by side": (as_rows_of_an_event, None, "site 'x' of the model"),
    "prior": (as_prior, guide, "site 'z' of the model"),
    "guide": (gaussian, implicit_guide, "site 'z' of the guide"),
}
DENSITIES = [algorithm for algorithm in EVERYTHING if not isinstance(algorithm, GAN | ALI)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_needs_densities_refuses_it(program, backend):
    """Every algorithm without a critic, before the first step, naming the site and what is legal."""
    model, guide, site = PROGRAMS[program]
    problem = ppgen.Problem(model, guide, data={"x": X[:4]}, backend=backend)
    for algorithm in DENSITIES:
        with pytest.raises(IllegalPairing, match=rf"{site} is implicit.*Legal here: GAN\(") as caught:
            algorithm.check(problem, EVERYTHING)
        assert str(caught.value).endswith(f"Legal here: {GAN()!r}{f', {ALI()!r}' if guide else ''}.")


@pytest.mark.parametrize("program", PROGRAMS)
def test_evaluation_says_that_there_is_no_likelihood(program, backend):
    model, guide, site = PROGRAMS[program]
    problem = ppgen.Problem(model, guide, data={"x": X[:4]}, backend=backend)
    evaluation = ppgen.evaluation
    latent = problem.model.latent({"x"})
    for ask in (evaluation.likelihood, evaluation.evidence, *([evaluation.posterior] if latent else [])):
        with pytest.raises(NoLikelihoodError, match=rf"cannot be computed: {site} is implicit.*fit\.sample"):
            ask(problem, problem.start, {"x": X[:4]})


class Careless(ppgen.Algorithm):
    """A user's own, which does not say that it needs densities."""

    roles = ("model",)

    def losses(self, p, q, batch):
        return {"model": -ops.sum(p.log_prob(batch))}


def test_an_algorithm_that_does_not_say_what_it_needs_finds_out(backend):
    with pytest.raises(NoLikelihoodError, match="a log density of site 'x' of the model; it is implicit"):
        ppgen.fit(as_likelihood, data={"x": X}, algorithm=Careless(), backend=backend, steps=1)


def test_draws_that_carry_no_gradient_cannot_play(backend):
    mixture = InfiniteMixture(StandardNormal(2), MADE(2, hidden=(4,), context=2))

    def model(rows):
        with plate("data", rows):
            sample("x", module("net", mixture)())

    for emit in ("mean", "draw"):
        with pytest.raises(
            IllegalPairing, match=r"site 'x' \(discrete.*no reparameterised draw\. No algorithm"
        ) as caught:
            ppgen.Trainer(ppgen.Problem(model, data={"x": np.eye(2)}, backend=backend), GAN(emit=emit))
        assert "emit=" not in str(caught.value).split(":", 1)[1]  # neither would help


# learning ------------------------------------------------------------------------------------------------------------


def distance(a, b):
    """The energy distance of two samples (Szekely & Rizzo, 2013); near 0 for samples of one distribution."""

    def mean(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=-1).mean()

    return 2 * mean(a, b) - mean(a, a) - mean(b, b)


@pytest.mark.parametrize("program", ["likelihood given", "prior"])
def test_a_game_learns_it(program, backend):
    """Adversarial training brings the draws of a fresh network (more than 1.5 away, by the test below) near the data."""
    model, guide, _ = PROGRAMS[program]
    fit = ppgen.fit(
        model, guide, data={"x": X}, algorithm=GAN(nn.MLP(2, 16, 1, activation="leaky_relu")), backend=backend,
        steps=600, batch_size=128, optimizer=ppgen.Adam(5e-3), seed=0,
    )  # fmt: skip
    assert distance(fit.sample(rows=500, seed=1)["x"], X) < 1


@pytest.mark.parametrize("seed", range(3))
def test_a_fresh_network_is_far_from_the_data(case, seed):
    """What the test above would see if nothing were learned."""
    on, fresh = case("implicit", "pyro"), Implicit((2,), noise=3, hidden=(16,))
    assert distance(on.call(lambda p: fresh.draw(p, on.noise(), (500,)), fresh.init(seed)), X) > 1.5


def test_save_and_load(tmp_path):
    """What was learned is there afterwards, on either backend, and draws the same on its own."""
    fit = ppgen.fit(as_likelihood, data={"x": X}, algorithm=GAN(), backend="pyro", steps=2)
    fit.save(tmp_path / "fit")
    for backend in ("numpyro", "pyro"):
        loaded = ppgen.load(tmp_path / "fit", as_likelihood, backend=backend)
        assert loaded.params.keys() == fit.params.keys()
        for name, value in fit.params.items():
            np.testing.assert_array_equal(loaded.params[name], value)
    np.testing.assert_array_equal(loaded.sample(rows=5, seed=3)["x"], fit.sample(rows=5, seed=3)["x"])
