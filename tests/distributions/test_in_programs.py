"""Learnable distributions at the sites of programs: observed, latent, in guides, in plates, as parts of others.

Every entry of the registry runs on Pyro. NumPyro computes the same there (`test_contracts.py` compares them one by one), and
would compile for minutes: it runs a few entries, one of each kind, whose losses and gradients are compared with Pyro's.
"""

import functools
import itertools
import re
import zlib
from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import dist, module, nn, ops, param, plate, sample
from ppgen.distributions import MADE, Flow, GaussianMixture, MarkovChain, RealNVP, StandardNormal
from ppgen.distributions.flows import LU
from ppgen.distributions.registry import DISTRIBUTIONS
from ppgen.errors import IllegalPairing

ENTRIES = {name: entry for name, build in DISTRIBUTIONS.items() if (entry := build()).has_density}
LEARNING = [name for name, entry in ENTRIES.items() if entry.specs()]
COVARIATES = 2


# programs and data -------------------------------------------------------------------------------------------------


def flat(x, entry):
    """Events as vectors."""
    return x.reshape(*x.shape[: x.ndim - len(entry.event_shape)], -1)


def placed(name, entry, features):
    """The distribution of a site, its context from a network of `features` where it has one."""
    learned = module(name, entry)
    return (
        learned(module(f"{name}_context", nn.MLP(features.shape[-1], entry.context))(features))
        if entry.context
        else learned()
    )


def observing(names):
    """A model whose observed sites are entries of the registry, with contexts from covariates."""

    def model(rows, covariates):
        with plate("data", rows):
            for name in names:
                sample(name, placed(f"p_{name}", ENTRIES[name], covariates))

    return model


def inferring(entry):
    """A model and a guide in which one distribution is the prior and the posterior of z; contexts come from networks."""
    size = int(np.prod(entry.event_shape))

    def model(rows, covariates):
        with plate("data", rows):
            z = sample("z", placed("prior", entry, covariates))
            x = module("decoder", nn.MLP(size, 3))(flat(z, entry) * 1.0)
            sample("x", dist.Normal(x, 1.0).to_event(1))

    def guide(x):
        with plate("data", len(x)):
            sample("z", placed("posterior", entry, x))

    return model, guide


def data(names, rows):
    """Rows with something to learn: values at one end of what is possible, with some spread."""
    rng = np.random.default_rng(3)
    found = {"covariates": rng.normal(size=(rows, COVARIATES))}
    for name in names:
        support, shape = ENTRIES[name].support, (rows, *ENTRIES[name].event_shape)
        if support == "boolean" or isinstance(support, int):
            found[name] = (rng.random(shape) < 0.8).astype(int)
        elif support == "positive":
            found[name] = 1 + rng.random(shape)
        elif support == "real":
            found[name] = 0.3 + 0.5 * rng.normal(size=shape)
        else:
            low, high = (0, 1) if support == "unit_interval" else support
            found[name] = low + (high - low) * rng.uniform(0.6, 0.9, shape)
    return {name: value.astype(np.float32) for name, value in found.items()}


OBSERVED = {
    "x": np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32),
    "covariates": data((), 3)["covariates"],
}


def started(model, guide, algorithm, arrays, backend):
    """A trainer, and a state whose parameters are away from their start, where flows and tables are all alike."""
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=arrays, backend=backend), algorithm)
    state = trainer.init()

    def moved(name, value):
        noise = np.random.default_rng(zlib.crc32(name.encode())).normal(size=value.shape)
        return trainer.backend.leaf(trainer.backend.array((0.7 * value + 0.2 * noise).astype(np.float32)))

    found = trainer.problem.export(state.parameters)
    return trainer, replace(state, parameters={name: moved(name, value) for name, value in found.items()})


# noise that both backends share, after `tests/inference/conftest.py` ------------------------------------------------


class Table:
    """The n-th draw of a learnable distribution in a run has the same noise on both backends, particle by particle.

    On NumPyro a particle's key is replaced by its number, under `vmap` too, which looks its noise up; Pyro's draws have
    the particles in front.
    """

    def __init__(self):
        self.particles, self.calls, self.given = 1, 0, None

    def numbers(self, kind, shape):
        self.calls += 1
        if self.given is not None:
            return self.given.reshape(self.particles, *shape)
        rng = np.random.default_rng(self.calls)
        size = (self.particles, *shape)
        return (rng.normal(size=size) if kind == "normal" else rng.random(size)).astype(np.float32)


@pytest.fixture
def noise(monkeypatch):
    table = Table()

    def jax_draw(kind):
        def draw(self, shape):
            number = jax.random.key_data(self.key)[1]
            return jax.numpy.asarray(table.numbers(kind, tuple(n for n in shape if n != 1)))[number].reshape(shape)

        return draw

    def torch_draw(kind):
        def draw(self, shape):
            own = tuple(n for n in (shape[1:] if table.particles > 1 else shape) if n != 1)
            return torch.as_tensor(table.numbers(kind, own)).reshape(shape)

        return draw

    def split(key, count=None):
        if count is None:  # a handler takes the key of a particle apart: both halves keep its number
            return [key, key]
        numbered = np.stack([np.zeros(count), np.arange(count)], 1).astype(np.uint32)
        return jax.random.wrap_key_data(jax.numpy.asarray(numbered))

    for name, draw in (("numpyro", jax_draw), ("pyro", torch_draw)):
        kind = type(ppgen.backends.get(name))

        def run(self, program, parameters, key, fixed, drawn, rows, particles, *rest, _run=kind.run):
            table.particles = particles
            try:
                return _run(self, program, parameters, key, fixed, drawn, rows, particles, *rest)
            finally:
                table.particles = 1  # as where a program is only looked at

        monkeypatch.setattr(kind, "run", run)
        for what in ("normal", "uniform"):
            monkeypatch.setattr(f"ppgen.backends.{name}.densities.Noise.{what}", draw(what))
    monkeypatch.setattr(jax.random, "split", split)
    monkeypatch.setattr(jax.random, "fold_in", lambda key, number: split(key, 1)[0])
    return table


def losses_and_gradients(trainer, noise=None):
    """Compiled: from parameters and a batch to every loss, and the gradients of each role's own parameters."""
    key = trainer.backend.key(0)

    def play(parameters, batch, *given):
        if noise is not None:
            noise.calls, noise.given = 0, next(iter(given), None)
        return trainer._turn(parameters, batch, trainer.algorithm.roles, key)[:2]

    play = trainer.backend.compile(play)

    def call(state, batch, *given):
        numpy = trainer.backend.numpy
        losses, grads = play(state.parameters, trainer.device(batch), *given)
        return {role: float(loss) for role, loss in losses.items()}, {name: numpy(g) for name, g in grads.items()}

    return call


def same(one, other, tolerance=5e-4):
    """Losses and gradients are equal."""
    assert one[0] == pytest.approx(other[0], rel=2e-4, abs=2e-4)
    assert one[1].keys() == other[1].keys()
    for name, grad in one[1].items():
        np.testing.assert_allclose(grad, other[1][name], atol=tolerance * max(1, np.abs(grad).max()), err_msg=name)


def idle(name, entry):
    """In one dimension nothing comes before: what reads earlier ones has nothing to read."""
    return entry.event_shape == (1,) and re.search(r"\d\.(weight|bias)$|out\.weight$", name) and "context" not in name


# observed ----------------------------------------------------------------------------------------------------------


@functools.cache
def fitted(backend, *names):
    """Trained on ten rows in batches of four, four and two."""
    return ppgen.fit(
        observing(names), data=data(names, 10), algorithm=ppgen.MaximumLikelihood(), backend=backend,
        optimizer=ppgen.Adam(0.01), epochs=5, batch_size=4, progress=False,
    )  # fmt: skip


def check_fit(fit, *names):
    """The loss fell, everything moved, and what a fit is asked for is there."""
    loss, arrays = fit.history["loss/model"], data(names, 10)
    assert np.isfinite(loss).all()
    assert loss[-1] < loss[0]
    check_sites(fit.problem, names)
    for path, value in fit.problem.export(fit.problem.start).items():
        assert np.isfinite(fit.params[path]).all()
        moved = np.any(fit.params[path] != value)
        assert moved or any(idle(path, ENTRIES[name]) for name in names), f"{path} did not move"
    found = fit.evaluate(arrays)
    assert found.kind == "exact"
    assert found.nats > -loss[0]
    drawn = fit.sample(data={"covariates": arrays["covariates"][:3]})
    for name in names:
        entry, values = ENTRIES[name], drawn[name]
        assert values.shape == (3, *entry.event_shape)
        assert not fit.problem.model.sites[name].support.outside(values).any()


@pytest.mark.parametrize("name", LEARNING)
def test_every_entry_learns_from_data(name):
    check_fit(fitted("pyro", name), name)


SEVERAL = ("made_categorical", "gaussian_mixture_full", "flow_positive")


def test_several_in_one_program_learn_the_same_on_both_backends():
    """After fifteen steps, some on batches of another size, parameters and losses agree."""
    fits = [fitted(backend, *SEVERAL) for backend in ("numpyro", "pyro")]
    check_fit(fits[0], *SEVERAL)
    np.testing.assert_allclose(fits[0].history["loss/model"], fits[1].history["loss/model"], rtol=1e-4)
    for path, value in fits[0].params.items():
        np.testing.assert_allclose(value, fits[1].params[path], atol=2e-3, err_msg=path)


@pytest.mark.parametrize(("one", "other"), [("numpyro", "pyro"), ("pyro", "numpyro")])
def test_a_fit_moves_to_the_other_backend(one, other, tmp_path):
    fit = fitted(one, *SEVERAL)
    fit.save(tmp_path / "fit")
    moved = ppgen.load(tmp_path / "fit", observing(SEVERAL), backend=other)
    arrays = data(SEVERAL, 10)
    found, expected = moved.evaluate(arrays), fit.evaluate(arrays)
    assert found.kind == expected.kind == "exact"
    np.testing.assert_allclose(found.per_row, expected.per_row, rtol=1e-4)


def check_sites(problem, names):
    """Sites and parameters are those of the entries."""
    sites = problem.model.sites
    for name in names:
        entry, site = ENTRIES[name], sites[name]
        (rows,) = site.batch_shape
        assert (site.event_shape, dict(site.plates)) == (entry.event_shape, {"data": (-1, rows)})
        assert site.reparameterised == entry.reparameterised
        assert site.support.discrete == (entry.support == "boolean" or isinstance(entry.support, int))
        for path, spec in entry.specs().items():
            assert problem.model.parameters[f"p_{name}.{path}"].shape == spec.shape


def test_all_in_one_program():
    """NumPyro takes every entry as an observed site, with the parameters that it has on Pyro."""
    check_sites(ppgen.Problem(observing(LEARNING), data=data(LEARNING, 2)), LEARNING)


@pytest.mark.parametrize("name", ["empirical", "standard_normal"])
def test_without_parameters_there_is_nothing_to_learn(name, backend):
    with pytest.raises(IllegalPairing, match="the model has no parameters, so there is nothing to learn"):
        ppgen.fit(
            observing([name]), data=data([name], 2), algorithm=ppgen.MaximumLikelihood(), steps=1, backend=backend
        )


# latent: prior and guide -------------------------------------------------------------------------------------------


@functools.cache
def latent(name, backend, algorithm):
    model, guide = inferring(ENTRIES[name])
    return started(model, guide, algorithm, OBSERVED, backend)


@pytest.mark.parametrize("name", ENTRIES)
def test_gradients_reach_prior_guide_and_contexts(name):
    """By ELBO with two particles: every parameter, those of the networks before the contexts too."""
    gradient = "reparam" if ENTRIES[name].reparameterised else "score"
    trainer, state = latent(name, "pyro", ppgen.ELBO(particles=2, gradient=gradient))
    losses, grads = losses_and_gradients(trainer)(state, OBSERVED)
    assert np.isfinite(losses["model"])
    assert any(path.startswith("decoder") for path in grads)
    for path, grad in grads.items():
        assert np.isfinite(grad).all(), path
        assert np.any(grad != 0) or idle(path, ENTRIES[name]), f"no gradient to {path}"


def test_draws_without_a_gradient_are_refused_where_one_is_needed(backend):
    model, guide = inferring(ENTRIES["gaussian_mixture_one"])
    with pytest.raises(
        IllegalPairing, match=r"site 'z' of the guide \(continuous, the reals\) has no reparameterised draw"
    ):
        ppgen.Trainer(ppgen.Problem(model, guide, data=OBSERVED, backend=backend), ppgen.ELBO())


LATENT = [
    ("made_gaussian", ppgen.ELBO(particles=2)),
    ("flow_in_a_cube", ppgen.IWAE(particles=3)),
    ("iaf", ppgen.ELBO(particles=1, gradient="stl")),
]


@pytest.mark.parametrize(("name", "algorithm"), LATENT, ids=[name for name, _ in LATENT])
def test_backends_agree_at_latent_sites(name, algorithm, noise):
    """The same losses and gradients at the same parameters and the same noise."""
    found = {}
    for backend in ("numpyro", "pyro"):
        trainer, state = latent(name, backend, algorithm)
        found[backend] = losses_and_gradients(trainer, noise)(state, OBSERVED)
    same(found["numpyro"], found["pyro"])


def test_a_stopped_context_is_caught(noise, monkeypatch):
    """A posterior whose context is cut off from its encoder leaves the encoder without a gradient."""
    draw = ENTRIES["iaf"].__class__.draw_with_log_prob
    monkeypatch.setattr(
        type(ENTRIES["flow_in_a_cube"]), "draw_with_log_prob",
        lambda self, p, noise, shape, context=None: draw(self, p, noise, shape, context.detach()),
    )  # fmt: skip
    trainer, state = latent("flow_in_a_cube", "pyro", ppgen.ELBO(particles=2))
    _, grads = losses_and_gradients(trainer)(state, OBSERVED)
    assert not grads["posterior_context.0.weight"].any()


def test_a_flow_over_global_weights(backend):
    """Outside of the plate of rows too: q(w) of a regression, w drawn once for all rows."""

    def model(rows, covariates):
        w = sample("w", dist.Normal(0.0, 1.0).expand([COVARIATES]).to_event(1))
        with plate("data", rows):
            sample("y", dist.Normal(covariates @ w, 1.0))

    def guide():
        sample("w", module("posterior", RealNVP(COVARIATES, transforms=1, hidden=(4,)))())

    arrays = data((), 6)
    arrays["y"] = arrays["covariates"] @ np.array([1.0, -1.0], np.float32)
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=arrays, backend=backend), ppgen.ELBO(particles=2))
    _, first = trainer.step(trainer.init(), arrays)
    assert np.isfinite(float(first["loss/guide"]))
    assert not trainer.problem.guide.sites["w"].plates


# the score function ------------------------------------------------------------------------------------------------

PAIR = MarkovChain(2, classes=2, context=2)  # four values


def chained(rows, covariates):
    with plate("data", rows):
        z = sample("z", module("prior", PAIR)(covariates))
        sample("x", dist.Normal(module("decoder", nn.MLP(2, 3))(ops.as_type_of(z, covariates)), 1.0).to_event(1))


def chain(x):
    with plate("data", len(x)):
        sample("z", module("posterior", PAIR)(module("encoder", nn.MLP(3, 2))(x)))


def exact_elbo(p, x, covariates):
    """sum_z q(z | x) {log p(x, z) - log q(z | x)} at every parameter, in torch."""
    z = torch.tensor(list(itertools.product(range(2), repeat=2)))
    context = x @ p["encoder.0.weight"] + p["encoder.0.bias"]
    of = {
        who: {path.removeprefix(who): v for path, v in p.items() if path.startswith(who)}
        for who in ("prior.", "posterior.")
    }
    log_q = PAIR.log_prob(of["posterior."], z[:, None], context)
    mean = z.float() @ p["decoder.0.weight"] + p["decoder.0.bias"]
    log_p = PAIR.log_prob(of["prior."], z[:, None], covariates)
    log_p = log_p + torch.distributions.Normal(mean[:, None], 1.0).log_prob(x).sum(-1)
    return (log_q.exp() * (log_p - log_q)).sum(0).mean(), log_q


def expected_score_gradient(backend, noise, monkeypatch):
    """The estimator's mean over all pairs of draws of one row, by their probability; and the exact gradient."""
    monkeypatch.setattr(
        MarkovChain,
        "draw",
        lambda self, p, noise, shape, context=None: ops.as_integer(noise.uniform((*shape, 2)) + 0.5),
    )
    arrays = {name: value[:1] for name, value in OBSERVED.items()}
    trainer, state = started(chained, chain, ppgen.ELBO(particles=2, gradient="score"), arrays, backend)
    leaves = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in trainer.problem.export(state.parameters).items()
    }
    elbo, log_q = exact_elbo(leaves, *(torch.tensor(arrays[name]) for name in ("x", "covariates")))
    exact = dict(zip(leaves, torch.autograd.grad(elbo, list(leaves.values())), strict=True))
    play, chance, total = losses_and_gradients(trainer, noise), log_q[:, 0].exp().detach().numpy(), {}
    values = list(itertools.product(range(2), repeat=2))
    for i, j in itertools.product(range(4), repeat=2):
        _, grads = play(state, arrays, trainer.backend.array(np.array([values[i], values[j]], np.float32)))
        for name, grad in grads.items():
            total[name] = total.get(name, 0) - chance[i] * chance[j] * grad
    return total, {name: value.numpy() for name, value in exact.items()}


def test_the_score_gradient_of_a_discrete_latent_is_exact_on_average(backend, noise, monkeypatch):
    found, exact = expected_score_gradient(backend, noise, monkeypatch)
    assert found.keys() == exact.keys()
    for name, gradient in exact.items():
        assert np.any(gradient != 0)
        np.testing.assert_allclose(found[name], gradient, atol=2e-5, err_msg=name)


def test_a_dropped_score_is_caught(noise, monkeypatch):
    monkeypatch.setattr("ppgen.inference.variational.elbo.scored", lambda log_w, score, baseline: log_w)
    found, exact = expected_score_gradient("pyro", noise, monkeypatch)
    assert np.abs(found["encoder.0.weight"] - exact["encoder.0.weight"]).max() > 1e-3


TILTED = Flow(StandardNormal(2), (LU(2),))


def positive(rows):
    with plate("data", rows):
        z = sample("z", dist.LogNormal(0.0, 1.0).expand([2]).to_event(1))
        w = sample("w", dist.Normal(z, 1.0).to_event(1))
        sample("x", dist.Normal(ops.concatenate([z, w[..., :1]]), 1.0).to_event(1))


def by_lognormal_and_flow(x):
    """Sites whose draws know more than their values: the base value of a transformed one, the density of a flow's."""
    loc, log_scale = param("loc", np.array([0.3, -0.2])), param("log_scale", np.array([-0.5, 0.1]))
    with plate("data", len(x)):
        sample("z", dist.LogNormal(loc + x[..., :2] * 0.1, ops.exp(log_scale)).to_event(1))
        sample("w", module("flow", TILTED)())


def scoring(backend):
    algorithm = ppgen.ELBO(particles=3, gradient="score")
    return started(positive, by_lognormal_and_flow, algorithm, {"x": OBSERVED["x"]}, backend)


@functools.cache
def score_differences(backend):
    """The gradient of the estimator by differences of its surrogate, with the draws held as numbers."""
    trainer, state = scoring(backend)
    on, batch = trainer.backend, ppgen.Batch(trainer.device({"x": OBSERVED["x"]}))

    def draw(parameters, key):
        z = trainer.joints(parameters, key)["guide"].draw(batch, 3, pathwise=False)
        log_p = trainer.joints(parameters, key)["model"].log_prob(batch | z.values)
        return dict(z.values), log_p, z.log_prob

    def log_q(parameters, values, key):
        given = ppgen.Batch(values, rows=3, drawn=values, particles=3)
        return trainer.joints(parameters, key)["guide"].log_prob(batch | given)

    values, log_p, drawn = on.without_gradients(draw)(state.parameters, on.key(0))
    log_q = on.without_gradients(log_q)
    at = {name: on.numpy(value).astype(float) for name, value in state.parameters.items()}
    log_w = on.numpy(log_p).astype(float) - on.numpy(drawn)
    advantage = log_w - (log_w.sum(0) - log_w) / 2

    def surrogate(name, value):
        parameters = {name: on.array(value.astype(np.float32)) for name, value in {**at, name: value}.items()}
        score = on.numpy(log_q(parameters, values, on.key(0))).astype(float)
        return ((advantage - 1) * score).mean()  # log w holds -log q too, whose gradient is wanted as it is

    steps = 1e-2 * np.eye(2)
    return {
        name: np.array([surrogate(name, at[name] + s) - surrogate(name, at[name] - s) for s in steps]) / 2e-2
        for name in ("loc", "log_scale", "flow.0.shift")
    }


def score_errors(backend):
    """How far the estimator's gradient is from its differences, by parameter."""
    trainer, state = scoring(backend)
    _, grads = losses_and_gradients(trainer)(state, {"x": OBSERVED["x"]})
    return {name: np.abs(-grads[name] - wanted).max() for name, wanted in score_differences(backend).items()}


def test_the_score_gradient_holds_draws_fixed(backend):
    """At sites whose distribution is not a plain one, too: log-normal, and a flow."""
    assert min(np.abs(gradient).max() for gradient in score_differences(backend).values()) > 0.1
    assert max(score_errors(backend).values()) < 5e-3


def test_draws_that_keep_their_path_are_caught(monkeypatch):
    """NumPyro hands a draw's base value on to its density, where it would carry the path's gradient past the stop."""
    kind = ppgen.backends.numpyro.sites._Recorder
    after, density = kind.after, kind.scaled_log_density

    def keeping(self, msg):
        self.kept = msg.get("intermediates")
        return after(self, msg)

    monkeypatch.setattr(kind, "after", keeping)
    monkeypatch.setattr(kind, "scaled_log_density", lambda self, msg: density(self, msg | {"intermediates": self.kept}))
    errors = score_errors("numpyro")
    assert errors["loc"] > 0.05
    assert errors["flow.0.shift"] > 0.05


# plates, events, mixtures ------------------------------------------------------------------------------------------

BITS, POINTS = MADE(3, hidden=(4,), context=2), GaussianMixture(2, 2)


def structured(rows, covariates):
    bits, points = module("bits", BITS), module("points", POINTS)
    with plate("data", rows):
        sample("event", points().expand([rows, 4]).to_event(1))
        each = bits(ops.stack([covariates, -covariates], -2))  # two components a row
        sample("mixed", dist.MixtureSameFamily(dist.Categorical(logits=ops.zeros([2])), each))
    with plate("copies", 5, dim=-2), plate("data", rows, dim=-1):
        sample("inner", bits(covariates))


def test_events_plates_and_mixtures(backend):
    """log p is that of the parts: four points to an event, five copies of each row, the mean of two densities."""
    rng, n = np.random.default_rng(0), 3
    arrays = {
        "covariates": data((), n)["covariates"], "event": rng.normal(size=(n, 4, 2)).astype(np.float32),
        "mixed": rng.integers(0, 2, (n, 3)).astype(np.float32),
    }  # fmt: skip
    inner = rng.integers(0, 2, (5, n, 3)).astype(np.float32)

    def guide(mixed):
        with plate("copies", 5, dim=-2), plate("data", len(mixed), dim=-1):
            sample("inner", module("guess", MADE(3, hidden=(4,)))())

    algorithm = ppgen.ELBO(particles=2, gradient="score")
    trainer, state = started(structured, guide, algorithm, arrays, backend)
    on = trainer.backend

    def log_prob(parameters, batch, inner):
        given = ppgen.Batch({"inner": inner}, rows=n, drawn=["inner"], particles=2)
        return trainer.joints(parameters, on.key(0))["model"].log_prob(ppgen.Batch(batch) | given)

    found = on.numpy(
        on.without_gradients(log_prob)(state.parameters, trainer.device(arrays), on.array(np.stack([inner, 1 - inner])))
    )
    assert found.shape == (2, n)
    torch_of = {name: torch.tensor(value) for name, value in trainer.problem.export(state.parameters).items()}
    bits, points = (
        {path.removeprefix(who): v for path, v in torch_of.items() if path.startswith(who)}
        for who in ("bits.", "points.")
    )
    event, mixed, c = (torch.tensor(arrays[name]) for name in ("event", "mixed", "covariates"))
    expected = POINTS.log_prob(points, event).sum(-1)
    halves = torch.stack([BITS.log_prob(bits, mixed, c), BITS.log_prob(bits, mixed, -c)])
    expected = expected + torch.logsumexp(halves, 0) - np.log(2)
    for k, copies in enumerate((inner, 1 - inner)):
        copies = BITS.log_prob(bits, torch.tensor(copies), c).sum(0)
        np.testing.assert_allclose(found[k], (expected + copies).numpy(), rtol=1e-4)


def test_a_vae_whose_decoder_is_autoregressive(backend):
    """p(x | z) by MADE with a context: it learns, and dreams bits."""
    x = (np.random.default_rng(0).random((12, 1)) < 0.5) ^ np.zeros((12, 4), bool)  # four copies of a bit
    model, guide = ppgen.models.vae(4, latents=(2,), hidden=(8,), likelihood=MADE(4, hidden=(8,), context=5))
    fit = ppgen.fit(
        model, guide, data={"x": x}, algorithm=ppgen.ELBO(), backend=backend, optimizer=ppgen.Adam(0.02),
        epochs=30, progress=False,
    )  # fmt: skip
    assert fit.history["loss/model"][-5:].mean() < fit.history["loss/model"][:5].mean() - 0.5
    assert set(np.unique(fit.sample(rows=20)["x"])) == {0, 1}
