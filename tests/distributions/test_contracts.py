"""What every learnable distribution of the registry owes, on both backends."""

import copy
import re
from dataclasses import replace
from typing import ClassVar

import jax
import numpy as np
import numpyro.distributions as nd
import pyro.distributions as pd
import pytest
import torch

import ppgen
from ppgen import nn, ops
from ppgen.distributions.autoregressive import Autoregressive
from ppgen.distributions.bases import StandardNormal
from ppgen.distributions.flows import Affine
from ppgen.distributions.registry import DISTRIBUTIONS, IMPLICIT

AUTOREGRESSIVE = [name for name, build in DISTRIBUTIONS.items() if isinstance(build(), Autoregressive)]
WITH_PARAMETERS = [name for name, build in DISTRIBUTIONS.items() if build().specs()]
ALL = list(DISTRIBUTIONS)
DISCRETE = [n for n in ALL if DISTRIBUTIONS[n]().support == "boolean" or isinstance(DISTRIBUTIONS[n]().support, int)]


def close(a, b, tolerance=1e-4):
    """Equal up to `tolerance` of the larger of 1 and the largest number."""
    scale = max(1.0, float(np.abs(b).max(initial=0.0)))
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


# shapes --------------------------------------------------------------------------------------------------------


SHAPES = {  # sample shape, batch shape, leading axes of the context
    "alone": ((), (), ()),
    "rows": ((), (3,), (3,)),
    "sampled": ((4,), (3,), (3,)),
    "expanded": ((), (2, 3), (3,)),
    "particles": ((), (2, 3), (2, 3)),
    "one-context": ((2,), (3,), (1,)),
    "empty": ((), (0,), (0,)),
}


@pytest.mark.parametrize("name", [*ALL, *IMPLICIT])
def test_shapes(name, case, backend):
    """Draws are [*sample, *batch, *event], their log densities [*sample, *batch]; under JAX without computing them."""
    on = case(name, backend)

    def shapes(params, contexts):
        for kind, (sampled, batch, _) in SHAPES.items():
            d = on.entry.apply(params, contexts[kind]).expand(batch)
            x = d.sample(on.backend.key(0), sampled) if backend == "numpyro" else d.sample(sampled)
            assert tuple(d.batch_shape) == batch, kind
            assert tuple(d.event_shape) == on.event_shape, kind
            assert tuple(x.shape) == (*sampled, *batch, *on.event_shape), kind
            if on.entry.has_density:
                assert tuple(d.log_prob(x).shape) == (*sampled, *batch), kind
            if kind == "sampled":
                rows = d.to_event(1)
                assert tuple(rows.event_shape) == (batch[-1], *on.event_shape)
                assert not on.entry.has_density or tuple(rows.log_prob(x).shape) == (*sampled, *batch[:-1])

    width = on.entry.context
    contexts = {kind: np.ones((*lead, width), np.float32) if width else None for kind, (*_, lead) in SHAPES.items()}
    run = jax.eval_shape if backend == "numpyro" else lambda fn, *arrays: fn(*arrays)
    with ppgen.using(backend):
        run(shapes, *on.arrays((on.params, contexts)))


@pytest.mark.parametrize("name", ALL)
def test_leading_axes_broadcast(name, case, data):
    """Rows and particles are computed as if each were alone, whichever of value and context has the axis.

    (On one backend: `test_backends_agree` has the other.)
    """
    on, x = case(name, "pyro"), data(name)
    context = on.context

    def log_prob(x, context):
        return on.call(lambda params, x, context: on.entry.log_prob(params, x, context), on.params, x, context)

    whole = log_prob(x, context)
    one = [[log_prob(x[k, b], context if context is None else context[b]) for b in range(3)] for k in range(2)]
    close(np.array(one), whole)
    if context is not None:
        close(log_prob(x[:, :1], context), log_prob(np.repeat(x[:, :1], 3, 1), context))
        several = np.stack([context, context + 1])
        by_hand = [log_prob(x[k], several[k]) for k in range(2)]
        close(log_prob(x, several), np.stack(by_hand))
        close(log_prob(x[0, 0], several), np.stack([log_prob(np.stack([x[0, 0]] * 3), c) for c in several]))


@pytest.mark.parametrize("name", ALL)
def test_the_native_distribution(name, case, data, backend):
    """It is a distribution of the backend: its class, support, and whether draws carry gradients."""
    on = case(name, backend)
    with ppgen.using(backend):  # one without parameters could be of either
        d = on.entry.apply(*on.arrays((on.params, on.context)))
    assert isinstance(d, nd.Distribution if backend == "numpyro" else pd.TorchDistribution)
    assert d.has_rsample == on.entry.reparameterised
    support, within = on.entry.support, d.support if backend == "numpyro" else d.support.check
    assert d.support.is_discrete == (name in DISCRETE)
    inside = within(on.backend.array(data(name)))
    assert inside.shape == (2, 3)
    assert inside.all()
    high = {"boolean": 1, "positive": -2.5, "unit_interval": 1, "real": 0}.get(support, support)
    outside = data(name) * 0 + (high[1] if isinstance(high, tuple) else high) + 1
    assert within(on.backend.array(outside)).all() == (support == "real")
    if backend == "pyro" and d.has_rsample and on.params:
        params = {path: value.requires_grad_() for path, value in on.arrays(on.params).items()}
        learning = on.entry.apply(params, *on.arrays([on.context]))
        assert learning.rsample().requires_grad
        assert not learning.sample().requires_grad
    if backend == "pyro" and not d.has_rsample:
        with pytest.raises(NotImplementedError, match="carry no gradient"):
            d.rsample()


# values and gradients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_backends_agree(name, case):
    """Log densities with their gradients, and draws, are the same numbers at the same parameters and noise."""
    jax_found, torch_found = (case(name, b).evaluate() for b in ("numpyro", "pyro"))
    close(jax_found["log_prob"], torch_found["log_prob"])
    assert jax_found["grads"].keys() == torch_found["grads"].keys()
    for path, grad in jax_found["grads"].items():
        close(grad, torch_found["grads"][path], 5e-4)
    jax_drawn, torch_drawn = (case(name, b).draw() for b in ("numpyro", "pyro"))
    close(jax_drawn["x"], torch_drawn["x"])
    close(jax_drawn["log_prob"], torch_drawn["log_prob"])


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_learns(name, case, backend):
    """The density gives every parameter, and the context, a finite gradient that is not zero."""
    check_gradients(case(name, backend).evaluate()["grads"], DISTRIBUTIONS[name]())


@pytest.mark.parametrize("name", [name for name in WITH_PARAMETERS if DISTRIBUTIONS[name]().reparameterised])
def test_draws_carry_gradients(name, case):
    """Reparameterised draws give every parameter, and the context, a gradient."""
    check_gradients(case(name, "pyro").draw()["grads"], DISTRIBUTIONS[name]())


def check_gradients(grads, learnable):
    """Finite, and not zero but for the one dimension that nothing comes before: what reads earlier ones is idle there."""
    for path, grad in grads.items():
        assert np.isfinite(grad).all(), path
        idle = learnable.event_shape == (1,) and re.search(r"\d\.(weight|bias)$|out\.weight$", path)
        assert idle or np.any(grad != 0), f"no gradient to {path}"


def draws_in_double(on):
    """The values of `draw_with_log_prob` and of `draw`, by NumPyro in double precision, at one noise."""

    def draws(params, context):
        x, _ = on.entry.draw_with_log_prob(params, on.noise(np.float64), (2, 3), context)
        return x, on.entry.draw(params, on.noise(np.float64), (2, 3), context)

    with jax.enable_x64(True):
        return on.call(draws, *jax.tree.map(np.float64, (on.params, on.context)))


@pytest.mark.parametrize("name", ALL)
def test_draws_know_their_density(name, case, backend):
    """`draw_with_log_prob` gives the values of `draw`, and the density that `log_prob` gives them."""
    on = case(name, backend)
    drawn = on.draw()
    if name == "realnvp_images" and backend == "numpyro":  # steep: two compiled programs round float32 in two ways
        np.testing.assert_allclose(*draws_in_double(on), rtol=1e-9)
    else:
        np.testing.assert_allclose(drawn["x"], drawn["alone"], rtol=0 if name in DISCRETE else 1e-6)
    again = case(name, "pyro").call(
        lambda params, x, context: on.entry.log_prob(params, x, context), on.params, drawn["x"], on.context
    )
    close(drawn["log_prob"], again, 5e-4)


def test_a_draw_changed_in_place(case):
    """What a draw knows of its density is forgotten when its numbers change."""
    on = case("realnvp", "pyro")
    p = on.entry.apply(on.arrays(on.params))
    x = p.rsample((3,))
    torch.testing.assert_close(p.log_prob(x), p.log_prob(x.clone()))
    x += 1
    torch.testing.assert_close(p.log_prob(x), p.log_prob(x.clone()))


def test_parameters_changed_in_place(case):
    """What a draw knows of its density is forgotten when parameters or the context change."""
    on = case("realnvp_conditional", "pyro")
    p = on.entry.apply(*on.arrays((on.params, on.context)))
    for changed in (*p.params.values(), p.context):
        x = p.rsample()
        known = p.log_prob(x)
        assert p.log_prob(x) is known
        changed += 0.1
        assert p.log_prob(x) is not known
        torch.testing.assert_close(p.log_prob(x), p.log_prob(x.clone()))


def test_draws_in_inference_mode(case):
    """There, tensors do not know whether they were changed."""
    on = case("realnvp", "pyro")
    p = on.entry.apply(on.arrays(on.params))
    with torch.inference_mode():
        x = p.rsample((3,))
        torch.testing.assert_close(p.log_prob(x), p.log_prob(x.clone()))


@pytest.mark.parametrize("name", ["maf", "iaf", "made", "made_gaussian"])
def test_nothing_to_learn(name, case, data):
    """Without a tensor that wants a gradient, densities and draws want none, and are NumPy arrays at once."""
    on = case(name, "pyro")
    p = on.entry.apply(*on.arrays((on.params, on.context)))
    x = p.rsample() if p.has_rsample else p.sample()
    for found in (x, p.log_prob(x), p.log_prob(on.backend.array(data(name)))):
        assert np.isfinite(found.numpy()).all()


@pytest.mark.parametrize("wanted", [(), (1,), (2,), (3, 1), (3, 2)], ids=str)
def test_shapes_that_cannot_be_expanded_to(wanted, case, backend):
    on = case("realnvp_conditional", backend)
    p = on.entry.apply(*on.arrays((on.params, on.context)))
    message = rf"expected a batch shape that \(3,\) broadcasts to; got {re.escape(str(wanted))}"
    with pytest.raises(ValueError, match=message):
        p.expand(wanted)


class Counted(StandardNormal):
    """Counts how often Python runs its density and its draws; under JAX that is once, while they are compiled."""

    calls: ClassVar[list] = []

    def log_prob(self, params, x, context=None):
        self.calls.append("log_prob")
        return super().log_prob(params, x, context)

    def draw(self, params, noise, shape, context=None):
        self.calls.append("draw")
        return super().draw(params, noise, shape, context)


class Unhashable(Counted):
    """One that cannot be a key of compiled functions."""

    __hash__ = None


@pytest.mark.parametrize(("kind", "times"), [(Counted, 1), (Unhashable, 2)])
def test_compiled_once_outside_of_programs(kind, times, monkeypatch):
    """Calls outside of compiled code are compiled as a whole, once for all equal distributions and shapes."""
    x = np.ones((2, 3), np.float32)

    def counts(run):
        monkeypatch.setattr(Counted, "calls", [])
        for _ in range(2):
            run(kind(3).apply({}))
        return [Counted.calls.count(name) for name in ("log_prob", "draw")]

    assert counts(lambda p: p.log_prob(x)) == [times, 0]
    assert counts(lambda p: p.sample(jax.random.key(0), (2,))) == [0, times]
    assert counts(lambda p: p.sample_with_intermediates(jax.random.key(0), (5,))) == [times, times]
    assert counts(lambda p: p.expand((4, 2)).log_prob(x)) == [times, 0]
    with pytest.raises(ValueError, match=r"expected values whose last axes are \(3,\).*got shape \(2, 2\)"):
        kind(3).apply({}).log_prob(x[:, :2])


def test_compiled_calls_are_those_of_the_learnable(case, data):
    """The same density and draws as without compilation; gradients, and maps over rows, go through them."""
    on, x = case("flow_positive", "numpyro"), data("flow_positive")
    params, context = on.arrays((on.params, on.context))
    p, key = on.entry.apply(params, context), jax.random.key(0)
    by_hand = on.call(lambda params, x, context: on.entry.log_prob(params, x, context), on.params, x, on.context)
    close(p.log_prob(x), by_hand)
    close(jax.vmap(p.log_prob)(x), by_hand)
    drawn, (known,) = p.sample_with_intermediates(key, (2,))
    close(p.sample(key, (2,)), drawn, 1e-6)
    close(jax.jit(lambda key: p.sample(key, (2,)))(key), drawn, 1e-6)
    close(known, p.log_prob(drawn), 5e-4)
    gradient = jax.grad(lambda params: on.entry.apply(params, context).log_prob(x).sum())(params)
    assert all(np.any(value != 0) for value in gradient.values())


@pytest.mark.parametrize("name", ALL)
def test_compiled_once(name, case):
    """New parameters do not trace again, and a native distribution enters compiled code as a tree of its arrays."""
    on = case(name, "numpyro")
    on.evaluate()
    moved = {path: value + np.float32(0.1) for path, value in on.params.items()}
    found = on.evaluate(moved)
    assert found["traces"] == 1
    same = DISTRIBUTIONS[name]()
    trees = [e.apply(*on.arrays((p, on.context))) for e, p in ((on.entry, on.params), (same, moved))]
    assert jax.tree.structure(trees[0]) == jax.tree.structure(trees[1])


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_the_start_is_tame(name, case):
    """At its initial parameters a distribution neither overflows nor is far from where data are."""
    on = case(name, "pyro")
    context = None if on.context is None else np.repeat(on.context[:1], 500, 0)
    x, log_prob = on.call(
        lambda params, context: on.entry.draw_with_log_prob(params, on.noise(), (500,), context),
        on.entry.init(seed=3), context,
    )  # fmt: skip
    assert np.isfinite(log_prob).all()
    assert np.abs(x).max() < 1e4


# densities -----------------------------------------------------------------------------------------------------


def total(on, configurations):
    """The sum of a discrete density, at each context."""
    values = configurations(on.entry)[:, None]

    def log_total(params, values, context):
        return ops.logsumexp(on.entry.log_prob(params, values, context), 0)

    return np.exp(on.call(log_total, on.params, values, on.context))


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_densities_sum_to_one(name, case, configurations):
    on = case(name, "pyro")
    if configurations(on.entry) is None:
        pytest.skip("too many configurations to enumerate")
    np.testing.assert_allclose(total(on, configurations), 1, atol=1e-5)


def test_a_planted_lost_mask_is_caught(case, configurations, monkeypatch):
    """A dimension that sees itself gives a density that does not sum to one."""
    on = case("made_categorical", "pyro")
    masks = dict(nn.MaskedMLP._masks.__get__(on.entry.net))
    monkeypatch.setitem(on.entry.net.__dict__, "_masks", {**masks, "out": ops.Mask(np.ones_like(masks["out"].ones))})
    assert np.abs(total(on, configurations) - 1).max() > 0.01


def integral(on, draws):
    """The integral of a density of one or two numbers by a Riemann sum, at the first context."""
    size = int(np.prod(on.event_shape))
    bounds = (0.0, 1.0) if on.entry.support == "unit_interval" else on.entry.support
    if isinstance(bounds, tuple):
        n = 801
        axes = [bounds[0] + (bounds[1] - bounds[0]) * (np.arange(n) + 0.5) / n] * size
        cells, volume = ((bounds[1] - bounds[0]) / n) ** size, 1.0
    else:
        n = 40001 if size == 1 else 801
        grid = np.linspace(-1, 1, n)
        flat = draws.reshape(len(draws), size)
        if on.entry.support == "positive":  # x = e^y
            flat = np.log(flat)
        middle, width = np.median(flat, 0), 14 * np.abs(flat - np.median(flat, 0)).mean(0)
        axes = [m + w * grid for m, w in zip(middle, width, strict=True)]
        cells = float(np.prod(width * (grid[1] - grid[0])))
        volume = 1.0
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, size)
    if on.entry.support == "positive":
        volume, points = np.exp(points).prod(-1), np.exp(points)
    context = None if on.context is None else on.context[0].astype(np.float64)
    log_prob = on.call(
        lambda params, x, context: on.entry.log_prob(params, x, context),
        {path: value.astype(np.float64) for path, value in on.params.items()},
        points.reshape(-1, *on.event_shape), context,
    )  # fmt: skip
    return float((np.exp(log_prob) * volume).sum() * cells)


SMALL = [name for name in ALL if name not in DISCRETE and np.prod(DISTRIBUTIONS[name]().event_shape) <= 2]


@pytest.mark.parametrize("name", SMALL)
def test_small_continuous_densities_integrate_to_one(name, case):
    on = case(name, "pyro")
    assert integral(on, many_draws(on, 500)) == pytest.approx(1, abs=0.01)


# draws follow the density --------------------------------------------------------------------------------------


def many_draws(on, n, context=None, seed=11):
    """Draws [n, ...] at one context."""
    context = on.context if context is None else context
    context = None if context is None else context[0].astype(np.float64)
    params = {path: value.astype(np.float64) for path, value in on.params.items()}
    return on.call(
        lambda params, context: on.entry.draw(params, on.noise(np.float64, seed), (n,), context), params, context
    )


def score_statistics(on, n=2000):
    """How far the mean score of draws is from 0, in standard errors, along four directions of the parameters.

    The score d log p(x) / d theta has mean zero under p, and under no other distribution, bar accidents. The first
    direction is that of the parameters themselves, the others are random.
    """
    x = many_draws(on, n)
    context = None if on.context is None else on.context[0].astype(np.float64)
    rng = np.random.default_rng(7)

    def log_prob(step, direction):
        moved = {path: value.astype(np.float64) + step * direction[path] for path, value in on.params.items()}
        return on.call(lambda params, x, context: on.entry.log_prob(params, x, context), moved, x, context)

    directions = [on.params, *({k: rng.normal(size=v.shape) for k, v in on.params.items()} for _ in range(3))]
    scores = [(log_prob(1e-5, direction) - log_prob(-1e-5, direction)) / 2e-5 for direction in directions]
    return np.array([abs(score.mean()) / (score.std() / np.sqrt(n)) for score in scores])


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_draws_follow_the_density(name, case):
    assert score_statistics(case(name, "pyro")).max() < 4.5


@pytest.mark.parametrize("name", ["made", "made_categorical"])
def test_planted_wrong_draws_are_caught(name, case, monkeypatch):
    """Draws from other parameters do not pass for draws of the density."""
    on = case(name, "pyro")
    kind = type(on.entry)
    draw = kind.draw
    monkeypatch.setattr(
        kind, "draw", lambda self, params, *rest: draw(self, {k: 0.3 * v for k, v in params.items()}, *rest)
    )
    assert score_statistics(on).max() > 4.5


def test_a_planted_lost_log_determinant_is_caught(case, monkeypatch):
    """A flow whose density leaves out log-determinants is another density than that of its draws."""
    on = case("maf", "pyro")
    inverse = Affine.inverse
    monkeypatch.setattr(Affine, "inverse", lambda self, theta, y: (inverse(self, theta, y)[0], theta[..., 1] * 0))
    assert score_statistics(on).max() > 4.5


@pytest.mark.parametrize("name", [name for name in DISCRETE if name in ("made", "made_categorical", "made_deep")])
def test_frequencies_follow_the_density(name, case, configurations):
    """Every configuration comes up as often as its probability says."""
    on, n = case(name, "pyro"), 20000
    values = configurations(on.entry)
    p = np.exp(on.call(lambda params, x: on.entry.log_prob(params, x), on.params, values))
    drawn = many_draws(on, n)
    keys = {tuple(v): i for i, v in enumerate(values.reshape(len(values), -1))}
    counts = np.bincount([keys[tuple(v)] for v in drawn.reshape(n, -1)], minlength=len(values))
    z = (counts - n * p) / np.sqrt(n * p * (1 - p))
    assert np.abs(z).max() < 5


@pytest.mark.parametrize("name", ALL)
def test_the_mean_where_there_is_one(name, case):
    """A closed form of the mean is the mean of draws."""
    on = case(name, "pyro")
    context = None if on.context is None else on.context[0]
    try:
        mean = on.call(lambda params, context: on.entry.mean(params, context), on.params, context)
    except NotImplementedError as error:
        assert type(on.entry).__name__ in str(error)
        return
    drawn = many_draws(on, 2000)
    stderr = drawn.std(0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(0) - mean) < 4.5 * stderr + 1e-3)


# autoregressive densities --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_methods_agree(name, case, backend, small_blocks):
    """Dimension by dimension, by iteration and by brute force: the same draws from the same noise."""

    def drawn(method):
        on = case(name, backend).with_method(method)
        return on.call(
            lambda params, context: on.entry.draw_with_log_prob(params, on.noise(), (40, 3), context),
            on.params, on.context,
        )  # fmt: skip

    x, log_prob = drawn("naive")
    for method in ("incremental", "jacobi"):
        other, other_log_prob = drawn(method)
        if name in DISCRETE:
            np.testing.assert_array_equal(other, x)
        else:
            close(other, x)
        close(other_log_prob, log_prob, 5e-4)


@pytest.mark.parametrize("name", ["made_deep", "made_gaussian"])
@pytest.mark.parametrize("bug", ["a block forgotten", "one turn too few"])
def test_a_planted_bug_of_blocks_is_caught(bug, name, case, backend, small_blocks, planted_in_blocks):
    def dependent(name, backend):  # dimensions of a block that decide one another
        on = case(name, backend)
        return replace(on, params={path: 2 * value for path, value in on.params.items()})

    test_methods_agree(name, dependent, backend, small_blocks)
    planted_in_blocks(bug)
    with pytest.raises(AssertionError):
        test_methods_agree(name, dependent, backend, small_blocks)


def dependence(on):
    """Largest change of theta_i when x_j alone takes another value, over some draws: [D, D] in the order of generation."""
    learnable, x = on.entry, many_draws(on, 16).astype(np.float32)
    values = 2 if learnable.support == "boolean" else learnable.support
    order = np.asarray(learnable.net.permutation)

    def theta(params, x, context):
        return learnable.conditionals(params, x, None if context is None else context[0])

    found = []
    for j in order:
        other = x.copy()
        other[:, j] = (x[:, j] + 1) % values if isinstance(values, int) else x[:, j] + 1
        before, after = (on.call(theta, on.params, rows, on.context)[:, order] for rows in (x, other))
        found.append(np.abs(after - before).max((0, 2)))
    return np.stack(found, -1)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_a_dimension_sees_those_before_it(name, case):
    """The parameters of a dimension depend on earlier dimensions, and on no others."""
    found = dependence(case(name, "pyro"))
    assert not np.triu(found).any()
    assert np.tril(found, -1).any(1)[1:].all()


def test_a_planted_shifted_mask_is_caught(case, monkeypatch):
    """A mask that is off by one lets a dimension see itself."""
    on = case("made", "pyro")
    net = on.entry.net
    shifted = np.repeat(net.ranks, net.inputs)[:, None] <= net._degrees[0]
    monkeypatch.setitem(net.__dict__, "_masks", {**net._masks, "0": ops.Mask(shifted)})
    assert np.triu(dependence(on)).any()


# number types --------------------------------------------------------------------------------------------------


class Types(torch.overrides.TorchFunctionMode):
    """Notes the number types of all tensors that torch functions give."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_function__(self, fn, types, args=(), kwargs=None):
        result = fn(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.is_floating_point() and result.ndim:
            self.seen.add(result.dtype)
        return result


@pytest.mark.parametrize("name", ALL)
def test_float64_all_the_way(name, case, data, backend, variables):
    """With parameters, context and values in float64 nothing is computed in float32."""
    on = case(name, backend)
    x = data(name)
    x = x if x.dtype.kind == "i" else x.astype(np.float64)

    def both(params, context, x):
        log_prob = on.entry.log_prob(params, x, context)
        drawn, known = on.entry.draw_with_log_prob(params, on.noise(np.float64), (2, 3), context)
        return log_prob, drawn, known

    if backend == "numpyro":
        with jax.enable_x64(True), ppgen.using(backend):
            inputs = *on.arrays((on.params, on.context), np.float64), on.backend.array(x)
            seen = {str(v.aval.dtype) for v in variables(jax.make_jaxpr(both)(*inputs).jaxpr)}
            assert not seen & {"float32", "float16"}
            return
    with ppgen.using(backend), torch.no_grad(), Types() as types:
        log_prob, drawn, known = both(*on.arrays((on.params, on.context), np.float64), on.backend.array(x))
    assert log_prob.dtype == known.dtype == torch.float64
    assert drawn.dtype == (torch.int64 if isinstance(on.entry.support, int) else torch.float64)
    assert types.seen <= {torch.float64}


def test_a_planted_float32_is_caught(case, data, monkeypatch, variables):
    on = case("made_gaussian", "pyro")
    monkeypatch.setattr(type(on.entry.conditional), "encode", lambda self, x: x.float()[..., None].double())
    with pytest.raises(AssertionError):
        test_float64_all_the_way("made_gaussian", lambda name, backend: on, data, "pyro", variables)


# descriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_distribution_is_a_value(name):
    """It is equal to one with the same settings, hashes alike, cannot be changed, and its repr tells its settings."""
    one, same = DISTRIBUTIONS[name](), DISTRIBUTIONS[name]()
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == repr(same)
    assert type(one).__name__ in repr(one)
    assert copy.deepcopy(one) == one
    field = next(iter(type(one).__dataclass_fields__))
    with pytest.raises(AttributeError):
        setattr(one, field, getattr(one, field))
    for other in ALL:
        if other != name:
            assert (DISTRIBUTIONS[other]() == one) == (repr(DISTRIBUTIONS[other]()) == repr(one))
