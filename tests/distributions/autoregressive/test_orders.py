"""Ensembles over orders: exactly the mixture of the densities that have those orders and the same parameters."""

import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest

import ppgen
from ppgen import ops
from ppgen.distributions import FVSBN, MADE, NADE, DeepNADE, MarkovChain, OrderEnsemble, Recurrent
from ppgen.distributions.autoregressive import conditionals
from ppgen.distributions.autoregressive.orders import reordered

BASES = {
    "made": MADE(4, hidden=(9, 9), residual=True, direct=True),
    "made_random": MADE(4, hidden=(8, 7), conditional=conditionals.Categorical(3), context=2, seed=3),
    "fvsbn": FVSBN(4, conditional=conditionals.Gaussian(), context=2),
    "nade": NADE(4, 6, conditionals.Categorical(3), context=2),
    "deep_nade": DeepNADE(4, (6, 5), conditionals.Categorical(3), context=2),
}
ORDERS = ((2, 0, 3, 1), (0, 1, 2, 3), (3, 1, 2, 0))
SMALL = MADE(3, hidden=(8,))
BITS = np.array(list(itertools.product((0, 1), repeat=3)), np.float64)


def numbers(learnable, seed=0):
    """Parameters away from their start, and a context [5, context], in double precision."""
    rng = np.random.default_rng(seed)
    params = {path: value + 0.5 * rng.normal(size=value.shape) for path, value in learnable.init(seed).items()}
    return params, rng.normal(size=(5, learnable.context)) if learnable.context else None


def values(base, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, *base.event_shape))
    return x if base.support == "real" else rng.integers(2, size=x.shape).astype(float)


@pytest.fixture
def call(backend):
    """`call(fn, *trees)`: a function of NumPy arrays run on the backend in double precision."""
    on = ppgen.backends.get(backend)

    def call(fn, *trees):
        with jax.enable_x64(True), ppgen.using(backend):
            return jax.tree.map(on.numpy, on.without_gradients(fn)(*jax.tree.map(on.array, trees)))

    return call


def in_order(base, order, params, x, context=None):
    return replace(base, order=order).log_prob(params, x, context)


@pytest.mark.parametrize("name", BASES)
def test_moved_parameters_give_the_other_order(name, call):
    """The network of the columns with moved parameters computes what the network of the order computes."""
    base = BASES[name]
    (params, context), x = numbers(base), values(base)
    order = ORDERS[0]
    moved = call(lambda p, o: reordered(base.net, p, o), params, np.array(order))
    found = call(base.conditionals, moved, x[:, list(order)], context)
    expected = call(replace(base, order=order).conditionals, params, x, context)
    np.testing.assert_allclose(found, expected[:, list(order)], atol=1e-12)


@pytest.mark.parametrize("name", BASES)
def test_the_mixture(name, call):
    """Log p(x) = logsumexp_o log p_o(x) - log M, over separate densities."""
    base, (params, context), x = BASES[name], numbers(BASES[name]), values(BASES[name])
    each = [call(lambda *a, o=o: in_order(base, o, *a), params, x, context) for o in ORDERS]
    found = call(OrderEnsemble(base, ORDERS).log_prob, params, x, context)
    np.testing.assert_allclose(found, np.logaddexp.reduce(each, 0) - np.log(len(ORDERS)), atol=1e-12)


@pytest.mark.parametrize("name", BASES)
def test_the_context_picks_the_order(name, call):
    """With `pick` the density is that of the order whose number begins the context; rows may have orders of their own."""
    base, (params, context), x = BASES[name], numbers(BASES[name]), values(BASES[name])
    ensemble = OrderEnsemble(base, ORDERS, pick=True)
    each = np.stack([call(lambda *a, o=o: in_order(base, o, *a), params, x, context) for o in ORDERS])
    picks = np.array([2, 0, 1, 1, 2])
    rest = np.zeros((5, 0)) if context is None else context
    found = call(ensemble.log_prob, params, x, np.concatenate([picks[:, None], rest], 1))
    np.testing.assert_allclose(found, each[picks, np.arange(5)], atol=1e-12)
    one = call(ensemble.log_prob, params, x, np.concatenate([[2.0], rest[0]]))
    alone = None if context is None else context[0]
    np.testing.assert_allclose(one, call(lambda *a: in_order(base, ORDERS[2], *a), params, x, alone), atol=1e-12)
    beyond = call(ensemble.log_prob, params, x, np.concatenate([[7.0], rest[0]]))
    np.testing.assert_array_equal(beyond, one)


def averaged_logits(params, x):
    """The mistake to avoid: one density whose logits are the mean of those of the orders."""
    theta = sum(replace(SMALL, order=o).conditionals(params, x) for o in itertools.permutations(range(3))) / 6
    return ops.sum(SMALL.conditional.log_prob(theta, x), -1)


def test_averaged_logits_are_no_density(call):
    """Probabilities of the mixture sum to one; those of averaged logits do not."""
    params = {path: 2 * value for path, value in numbers(SMALL)[0].items()}  # orders that differ
    ensemble = OrderEnsemble(SMALL, tuple(itertools.permutations(range(3))))
    assert np.exp(call(ensemble.log_prob, params, BITS)).sum() == pytest.approx(1, abs=1e-12)
    assert abs(np.exp(call(averaged_logits, params, BITS)).sum() - 1) > 0.01


def z_scores(ensemble, params, replay, context=None, n=20000):
    """How far the counts of draws are from their probabilities, in standard errors."""
    on = ppgen.backends.get("pyro")
    with ppgen.using("pyro"):
        arrays = jax.tree.map(on.array, params)
        context = None if context is None else on.array(context)
        p = np.exp(ensemble.log_prob(arrays, on.array(BITS), context).numpy())
        drawn = ensemble.draw(arrays, replay(on, np.float64), (n,), context).numpy()
    counts = np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8)
    return np.abs(counts - n * p) / np.sqrt(n * p * (1 - p))


def test_draws_follow_the_density(replay):
    params, _ = numbers(SMALL)
    assert z_scores(OrderEnsemble(SMALL, ((2, 0, 1), (1, 2, 0))), params, replay).max() < 4.5
    picked = OrderEnsemble(SMALL, ((0, 1, 2), (1, 2, 0)), pick=True)
    assert z_scores(picked, params, replay, np.array([1.0])).max() < 4.5


def test_planted_draws_that_stay_in_the_order_are_caught(replay, monkeypatch):
    """Dimensions that are not put back into their columns show in the frequencies."""
    params, _ = numbers(SMALL)
    permute = ops.permute
    monkeypatch.setattr(ops, "permute", lambda x, order, axis=-1: x if len(x) == 20000 else permute(x, order, axis))
    assert z_scores(OrderEnsemble(SMALL, ((2, 0, 1), (1, 2, 0))), params, replay).max() > 4.5


def test_orders_drawn_by_the_seed():
    """A larger ensemble begins with the orders of a smaller one; orders may come as any sequence."""
    few, many = OrderEnsemble(SMALL, 2, seed=5), OrderEnsemble(SMALL, 6, seed=5)
    assert few._orders == many._orders[:2]
    assert OrderEnsemble(SMALL, np.array(many._orders)) == OrderEnsemble(SMALL, list(many._orders))


def test_one_dimension(call):
    """One dimension has one order."""
    base = MADE(1, hidden=(3,))
    params, _ = numbers(base)
    x = np.array([[0.0], [1.0]])
    found = call(OrderEnsemble(base, 2).log_prob, params, x)
    np.testing.assert_allclose(found, call(base.log_prob, params, x), atol=1e-12)


@pytest.mark.parametrize(
    ("base", "orders", "message"),
    [
        (SMALL, ((0, 1, 1),), r"expected an order that is a permutation of 0..2; got \(0, 1, 1\)"),
        (SMALL, ((0, 1),), r"expected an order that is a permutation of 0..2; got \(0, 1\)"),
        (SMALL, 0, "expected orders to be a positive integer; got 0"),
        (SMALL, (), r"expected how many orders, or one or more of them; got \(\)"),
        (SMALL, 2.0, "expected how many orders, or one or more of them; got 2.0"),
        (SMALL, ((0.0, 1.0, 2.0),), r"expected an order, the integers 0\.\.D-1.*got \(0\.0, 1\.0, 2\.0\)"),
        (replace(SMALL, order=(1, 0, 2)), 2, "can have another.* Leave out its order"),
        (Recurrent(3), 2, "expected a density in the order of its columns that can have another"),
        (MarkovChain(3, classes=2), 2, "expected a density in the order of its columns that can have another"),
        (ppgen.distributions.StandardNormal(3), 2, "expected a density in the order of its columns"),
    ],
)
def test_what_is_no_ensemble_says_so(base, orders, message):
    with pytest.raises(ValueError, match=message):
        OrderEnsemble(base, orders)


def test_a_value_of_another_length_says_so():
    ensemble = OrderEnsemble(SMALL, 2)
    with pytest.raises(ValueError, match=r"expected values whose last axes are \(3,\)"):
        ensemble.apply(ensemble.init()).log_prob(np.zeros((2, 4), np.float32))
