"""DeepNADE against its definition, and the estimate that trains it against all orders and splits."""

import itertools
from dataclasses import replace

import jax
import numpy as np
import numpyro.distributions as nd
import pytest
import torch

import ppgen
from ppgen import dist, module, ops, plate, sample
from ppgen.distributions import MADE, AnyOrder, DeepNADE, Flow, Mixture, OrderEnsemble, flows
from ppgen.distributions.autoregressive import conditionals
from ppgen.errors import IllegalPairing, NoLikelihoodError

NETS = {
    "bits": DeepNADE(3, (6, 5)),
    "categorical": DeepNADE(3, (6,), conditionals.Categorical(3), context=2, activation="tanh"),
    "gaussian": DeepNADE(3, (6, 5, 4), conditionals.Gaussian(), context=2),
}
ROWS = 4
PERMUTATIONS = list(itertools.permutations(range(3)))
# numbers whose ranks are those of uniform ones: each permutation of 3 dimensions and the split has the same chance
UNIFORM = np.array(list(itertools.permutations((0.2, 0.4, 0.6, 0.8))))


def numbers(net, seed=0):
    """Parameters away from their start, rows, and their context, in double precision."""
    rng = np.random.default_rng(seed)
    params = {path: value + 0.5 * rng.normal(size=value.shape) for path, value in net.init(seed).items()}
    x = rng.normal(size=(ROWS, 3)) if net.support == "real" else rng.integers(2, size=(ROWS, 3)).astype(float)
    return params, x, rng.normal(size=(ROWS, net.context)) if net.context else np.zeros((ROWS, 0))


def with_gradients(backend, fn, params):
    """`fn(params)` [...] and the gradient of its sum to the parameters, in double precision."""
    on = ppgen.backends.get(backend)
    with jax.enable_x64(True), ppgen.using(backend):
        arrays = jax.tree.map(on.array, params)
        if backend == "numpyro":

            def loss(arrays):
                found = fn(arrays)
                return found.sum(), found

            (_, found), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(arrays)
        else:
            arrays = {path: value.requires_grad_() for path, value in arrays.items()}
            found = fn(arrays)
            grads = dict(zip(arrays, torch.autograd.grad(found.sum(), arrays.values()), strict=True))
        return on.numpy(found), {path: on.numpy(grad) for path, grad in grads.items()}


@pytest.mark.parametrize("name", NETS)
def test_the_chain_rule(name, backend):
    """The first layer that grows by a dimension a step is that of the values known so far and their marks."""
    net = replace(NETS[name], order=(2, 0, 1))
    params, x, context = numbers(net)

    def by_steps(params):
        return net.conditionals(params, ops.asarray(x), ops.asarray(context) if net.context else None)

    def by_masks(params):
        rows = []
        for i in range(3):
            before = np.isin(np.arange(3), net.net.permutation[: list(net.net.permutation).index(i)])
            known = ops.asarray(np.tile(before.astype(float), (ROWS, 1)))
            code = net.conditional.encode(ops.asarray(x))
            rows.append(net.net.predictions(params, code, known, ops.asarray(context) if net.context else None)[:, i])
        return ops.stack(rows, 1)

    (found, grads), (expected, expected_grads) = (with_gradients(backend, fn, params) for fn in (by_steps, by_masks))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for path, grad in expected_grads.items():
        np.testing.assert_allclose(grads[path], grad, atol=1e-11, err_msg=path)


def mean_estimate(estimator, x, context):
    """The expectation of an estimate over uniform numbers, [rows], by enumerating their ranks."""

    def mean(params):
        u = np.broadcast_to(UNIFORM[:, None], (len(UNIFORM), *x.shape[:1], 4))
        both = np.concatenate([u, np.broadcast_to(context, (len(UNIFORM), *context.shape))], -1)
        return ops.mean(estimator.log_prob(params, ops.asarray(x), ops.asarray(both)), 0)

    return mean


def mean_log_prob(net, x, context):
    """E_o log p_o(x) over all orders, [rows], by the densities themselves."""

    def mean(params):
        given = ops.asarray(context) if net.context else None
        each = [replace(net, order=order).log_prob(params, ops.asarray(x), given) for order in PERMUTATIONS]
        return sum(each) / len(each)

    return mean


@pytest.mark.parametrize("name", NETS)
def test_the_estimate_is_unbiased(name, backend):
    """Over all orders and splits the mean of the estimate, and its gradient, are those of E_o log p_o(x)."""
    net = NETS[name]
    params, x, context = numbers(net)
    found, grads = with_gradients(backend, mean_estimate(AnyOrder(net), x, context), params)
    expected, expected_grads = with_gradients("pyro", mean_log_prob(net, x, context), params)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for path, grad in expected_grads.items():
        np.testing.assert_allclose(grads[path], grad, atol=1e-11, err_msg=path)


class Unweighted(AnyOrder):
    """The mistake to avoid: the sum over the hidden dimensions as it is."""

    def log_prob(self, params, x, context=None):
        hidden = ops.sum(ops.as_type_of(context[..., :3] >= context[..., 3:4], x), -1)
        return super().log_prob(params, x, context) * hidden / 4


def test_a_planted_lost_weight_is_caught(backend):
    net = NETS["bits"]
    params, x, context = numbers(net)
    found, _ = with_gradients(backend, mean_estimate(Unweighted(net), x, context), params)
    expected, _ = with_gradients("pyro", mean_log_prob(net, x, context), params)
    assert np.abs(found - expected).max() > 0.1


def test_it_bounds_the_ensemble():
    """E_o log p_o(x) is at most the log-likelihood of the ensemble of all orders."""
    net = NETS["bits"]
    params, x, context = numbers(net)
    bound, _ = with_gradients("pyro", mean_log_prob(net, x, context), params)
    ensemble, _ = with_gradients(
        "numpyro", lambda p: OrderEnsemble(net, PERMUTATIONS).log_prob(p, ops.asarray(x)), params
    )
    assert (bound <= ensemble).all()
    assert (bound < ensemble - 1e-3).any()


def programs(net):
    """Model and guide that train `net` in any order, given labels where it has a context."""

    def uniform():
        return sample("u", dist.Uniform(0.0, 1.0).expand([net.dim + 1]).to_event(1))

    def model(rows):
        with plate("data", rows):
            sample("x", module("nade", AnyOrder(net))(uniform()))

    def guide(x):
        with plate("data", len(x)):
            uniform()

    return model, guide


X = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]], np.float32)


def test_the_elbo_trains_all_orders(backend):
    """After training each order gives the rows nearly their own frequencies, and draws are of them."""
    net = DeepNADE(3, hidden=(16,))
    fit = ppgen.fit(
        *programs(net), data={"x": X}, algorithm=ppgen.ELBO(), steps=500, optimizer=ppgen.Adam(2e-2), backend=backend,
        seed=0, progress=False,
    )  # fmt: skip
    params = {name.removeprefix("nade."): value for name, value in fit.params.items()}
    entropy = -(2 * 0.25 * np.log(0.25) + 0.5 * np.log(0.5))
    on = ppgen.backends.get("pyro")
    arrays = jax.tree.map(on.array, params)
    for order in PERMUTATIONS:
        nats = float(replace(net, order=order).apply(arrays).log_prob(on.array(X)).mean())
        assert -entropy - 0.25 < nats <= -entropy + 1e-4
    draws = fit.sample(rows=200, seed=1)["x"]
    assert np.isin(draws @ [4, 2, 1], X @ [4, 2, 1]).mean() > 0.9


@pytest.mark.parametrize(
    "algorithm", [ppgen.IWAE(2), ppgen.Renyi(), ppgen.ReweightedWakeSleep(2), ppgen.MaximumLikelihood()], ids=repr
)
def test_weights_of_an_estimate_are_refused(algorithm, backend):
    """The exponential of an unbiased estimate is no density."""
    problem = ppgen.Problem(*programs(NETS["bits"]), data={"x": X}, backend=backend)
    with pytest.raises(IllegalPairing, match=r"site 'x' of the model has an unbiased estimate.*Legal here: ELBO\("):
        ppgen.Trainer(problem, algorithm)


def test_a_bound_that_subtracts_an_estimate_is_refused(backend):
    """In a guide it is too low on average, and what subtracts it too high: only a guide that learns from dreams may."""
    net = DeepNADE(2, (4,), conditionals.Gaussian(), context=2)

    def uniform():
        return sample("u", dist.Uniform(0.0, 1.0).expand([3]).to_event(1))

    def model(rows):
        with plate("data", rows):
            uniform()
            z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            sample("x", dist.Normal(z, 1.0).to_event(1))

    def guide(x):
        with plate("data", len(x)):
            sample("z", module("nade", AnyOrder(net))(ops.concatenate([uniform(), x])))

    data = {"x": np.zeros((4, 2), np.float32)}
    for algorithm in (ppgen.ELBO(), ppgen.IWAE(2), ppgen.ReweightedWakeSleep(2)):
        with pytest.raises(IllegalPairing, match=r"site 'z' of the guide has an estimate.*Legal here: WakeSleep\("):
            ppgen.Trainer(ppgen.Problem(model, guide, data=data, backend=backend), algorithm)
    fit = ppgen.fit(model, guide, data=data, algorithm=ppgen.WakeSleep(), backend=backend, steps=1, progress=False)
    for judge in (fit.evaluate, fit.posterior):
        with pytest.raises(NoLikelihoodError, match="site 'z' of the guide has an estimate"):
            judge(data)


def test_a_native_mixture_of_estimates_is_one():
    """Of NumPyro: Pyro's mixtures are of one family."""
    net = AnyOrder(DeepNADE(3, (4,)))

    def model(rows):
        with plate("data", rows):
            u = sample("u", dist.Uniform(0.0, 1.0).expand([4]).to_event(1))
            parts = [module(name, net)(u) for name in "ab"]
            sample("x", nd.MixtureGeneral(nd.Categorical(logits=ops.zeros((2,))), parts))

    _, guide = programs(NETS["bits"])
    with pytest.raises(IllegalPairing, match="site 'x' of the model has an unbiased estimate"):
        ppgen.Trainer(ppgen.Problem(model, guide, data={"x": X}), ppgen.IWAE(2))


def test_no_likelihood_of_an_estimate(backend):
    fit = ppgen.fit(
        *programs(NETS["bits"]), data={"x": X}, algorithm=ppgen.ELBO(), steps=1, backend=backend, progress=False
    )
    for judge in (fit.evaluate, fit.posterior):
        with pytest.raises(
            NoLikelihoodError, match="an unbiased estimate in place of its log density.* Judge what was"
        ):
            judge({"x": X})


def test_an_estimate_inside_another_distribution_stays_one():
    """A flow of it is an estimate too; a mixture, which takes exponentials, has no density."""
    estimator = AnyOrder(DeepNADE(3, (4,), conditionals.Gaussian()))
    assert Flow(estimator, (flows.Exp(),)).estimates
    assert not Mixture((estimator, estimator), context=4).has_density


def test_a_network_of_fixed_masks_is_refused():
    with pytest.raises(
        ValueError, match="expected a DeepNADE, whose network reads which dimensions are known; got MADE"
    ):
        AnyOrder(MADE(3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": ()}, r"DeepNADE: expected hidden to be a tuple.* got \(\)"),
        ({"hidden": (4, 0)}, "DeepNADE: expected each of hidden to be a positive integer; got 0"),
        ({"hidden": (0, 4)}, "DeepNADE: expected each of hidden to be a positive integer; got 0"),
        ({"order": (0, 0, 1)}, "expected an order that is a permutation"),
        ({"activation": "step"}, "expected an activation"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DeepNADE(3, **settings)
