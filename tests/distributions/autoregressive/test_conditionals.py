"""Conditionals at the edges of what they are given: values outside of the support, probabilities of 0, many dimensions."""

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import dist, module, ops, plate, sample
from ppgen.distributions import (
    FVSBN,
    MADE,
    NADE,
    RNADE,
    DeepNADE,
    HiddenMarkov,
    MarkovChain,
    OrderEnsemble,
    Recurrent,
)
from ppgen.distributions.autoregressive import conditionals
from ppgen.distributions.autoregressive.conditionals import choose, within

LEVELS = conditionals.DiscretisedLogistics(2, 4)
CLASSES = conditionals.Categorical(3)


def computed(backend, fn, *arrays):
    """`fn` of NumPy arrays in float32, compiled."""
    on = ppgen.backends.get(backend)
    with ppgen.using(backend):
        return on.numpy(on.without_gradients(fn)(*(on.array(np.asarray(a, np.float32)) for a in arrays)))


# outside of the support --------------------------------------------------------------------------------------------

OUTSIDE = (-9.0, -1.0, 0.5, 1e-3, 7.0, 99.0, 3e38, np.inf, -np.inf)
DENSITIES = {
    "bits": MADE(3, hidden=(8,)),
    "classes": MADE(3, hidden=(8,), conditional=CLASSES),
    "levels": MADE(3, hidden=(8,), conditional=LEVELS),
    "chain": MarkovChain(3, classes=3, order=2),
    "hidden states": HiddenMarkov(3, states=2, emission=CLASSES),
}


@pytest.mark.parametrize("family", [CLASSES, LEVELS], ids=["classes", "levels"])
def test_a_value_that_is_none_has_probability_0(family, backend):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(len(OUTSIDE), family.outputs))
    assert (computed(backend, family.log_prob, theta, OUTSIDE) == -np.inf).all()
    inside = np.arange(family.support)
    theta = np.tile(theta[:1], (len(inside), 1))
    assert np.exp(computed(backend, family.log_prob, theta, inside)).sum() == pytest.approx(1, abs=1e-5)
    assert np.isnan(computed(backend, family.log_prob, theta[:1], [np.nan])).all()


def rows_with_gradient(density, backend, x):
    """Log densities of rows, and of the first one the gradient to the parameters."""
    on = ppgen.backends.get(backend)
    params = {path: on.array(value) for path, value in density.init().items()}
    with ppgen.using(backend):
        if backend == "numpyro":

            def first(params):
                found = density.log_prob(params, on.array(x))
                return found[0], found

            grads, found = jax.jit(jax.grad(first, has_aux=True))(params)
            return np.asarray(found), jax.tree.map(np.asarray, grads)
        params = {path: value.requires_grad_() for path, value in params.items()}
        found = density.log_prob(params, on.array(x))
        found[0].backward()
        return found.detach().numpy(), {path: value.grad.numpy() for path, value in params.items()}


@pytest.mark.parametrize("name", DENSITIES)
def test_rows_with_a_value_that_is_none(name, backend):
    """They have probability 0, and the gradient of a row beside them is as if it were alone."""
    outside = [value for value in OUTSIDE if abs(value) < 100]
    x = np.ones((1 + len(outside), 3), np.float32)
    x[1:, 1] = outside
    found, grads = rows_with_gradient(DENSITIES[name], backend, x)
    assert np.isfinite(found[0])
    assert (found[1:] == -np.inf).all()
    for path, grad in rows_with_gradient(DENSITIES[name], "pyro", x[:1])[1].items():
        np.testing.assert_allclose(grads[path], grad, atol=1e-6)


def test_rows_that_are_not_finite():
    """Not a number stays so; of bits, which are looked for by the row, too."""
    x = np.ones((4, 3), np.float32)
    x[1:, 1] = np.nan, np.inf, 3e38
    for name in ("bits", "classes", "levels"):
        density = DENSITIES[name]
        found = density.apply({path: torch.tensor(value) for path, value in density.init().items()})
        found = found.log_prob(torch.tensor(x)).detach().numpy()
        assert np.isfinite(found[0])
        assert np.isnan(found[1])
        assert not np.isfinite(found[2:]).any()


# probabilities of 0 ------------------------------------------------------------------------------------------------

LAST = np.nextafter(np.float32(1), np.float32(0))  # the largest number that a uniform draw gives


def certain(choose, backend):
    """The probabilities of classes chosen by hard numbers, from tables half of whose logits are minus infinity."""
    rng = np.random.default_rng(0)
    chosen = []
    for classes in (3, 300):
        logits = rng.normal(size=(200, classes)).astype(np.float32)
        logits[rng.random((200, classes)) < 0.5] = -np.inf
        logits[:, rng.integers(classes)] = 0  # one at least is possible
        logits[:100, -1] = -np.inf
        logits[:100, 0] = 0
        u = np.tile(np.array([0.0, 0.5, 1 - 2.0**-23, LAST], np.float32), 50)
        picks = computed(backend, choose, logits, u).astype(int)
        chosen.append(np.exp(np.take_along_axis(logits, picks[:, None], 1)))
    return np.concatenate(chosen)


def test_no_class_of_probability_0_is_chosen(backend):
    assert (certain(choose, backend) > 0).all()


def test_planted_ends_below_1_are_caught(backend):
    """Sums of probabilities may end below 1: a number above them chooses the last class, whatever it is."""

    def unscaled(logits, u):
        below = ops.cumsum(ops.softmax(logits))[..., :-1] <= u[..., None]
        return ops.sum(ops.as_type_of(below, u), -1)

    assert not (certain(unscaled, backend) > 0).all()


def test_classes_come_up_as_often_as_their_probabilities_say(backend):
    """Of numbers spread evenly, each class gets its share."""
    p = np.array([0.1, 0.0, 0.4, 0.3, 0.2, 0.0])
    u = (np.arange(1000) + 0.5) / 1000
    logits = np.log(p, out=np.full(6, -np.inf), where=p > 0)
    picks = computed(backend, choose, np.tile(logits, (1000, 1)), u)
    np.testing.assert_array_equal(np.bincount(picks.astype(int), minlength=6), np.round(1000 * p))


# many dimensions ---------------------------------------------------------------------------------------------------

GAUSSIANS, LOGISTICS = conditionals.MixtureOfGaussians(5), conditionals.MixtureOfLogistics(5)
TAME = {
    "made": MADE(64, (500,), LOGISTICS),
    "made of gaussians": MADE(64, (100, 100), GAUSSIANS),
    "made of one": MADE(64, (100,), conditionals.Gaussian()),
    "fvsbn": FVSBN(64, GAUSSIANS),
    "nade": NADE(64, 50, LOGISTICS),
    "rnade": RNADE(64, 50),
    "deep nade": DeepNADE(64, (50, 50), GAUSSIANS),
    "recurrent": Recurrent(64, 32, conditional=LOGISTICS),
    "wide": MADE(784, (500,), LOGISTICS),
}


def largest(density):
    """The largest number among 200 draws at the initial parameters; infinite if a density is not finite."""
    params = {path: torch.tensor(value) for path, value in density.init(seed=3).items()}
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        p = density.apply(params)
        x = p.sample((200,))
        return float(x.abs().max()) if p.log_prob(x).isfinite().all() else np.inf


@pytest.mark.parametrize("name", TAME)
def test_the_start_is_tame_in_many_dimensions(name):
    assert largest(TAME[name]) < 1e4


def test_planted_scales_without_a_bound_are_caught(monkeypatch):
    monkeypatch.setattr(conditionals, "bounded", lambda log_scale, bound: log_scale)
    assert largest(TAME["wide"]) == np.inf


def test_dreams_of_a_prior_of_mixtures():
    """Wake-sleep begins with them: none was finite in some rows."""

    def model(rows):
        with plate("data", rows):
            z = sample("z", module("prior", TAME["wide"])())
            sample("x", dist.Normal(z[..., :2], 1.0).to_event(1))

    def guide(x):
        with plate("data", len(x)):
            sample("z", dist.Normal(ops.zeros([784]), 10.0).to_event(1))

    data = {"x": np.zeros((100, 2), np.float32)}
    fit = ppgen.fit(model, guide, data=data, algorithm=ppgen.WakeSleep(), steps=2, backend="pyro", progress=False)
    assert np.isfinite(fit.params["prior.out.bias"]).all()


BOUNDED = {
    "gaussian": conditionals.Gaussian,
    "gaussians": lambda bound: conditionals.MixtureOfGaussians(2, bound),
    "logistics": lambda bound: conditionals.MixtureOfLogistics(2, bound),
}


@pytest.mark.parametrize("bound", [0, -1.0, np.inf, np.nan, "5", None, True])
@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_that_are_none(name, bound):
    with pytest.raises(ValueError, match="expected a positive bound of the log scale; got"):
        BOUNDED[name](bound=bound)


# sizes -------------------------------------------------------------------------------------------------------------

SIZED = {
    "made": lambda n: MADE(n(4), [n(5)], context=n(2)),
    "nade": lambda n: NADE(n(4), n(5), context=n(2)),
    "rnade": lambda n: RNADE(n(4), n(5)),
    "fvsbn": lambda n: FVSBN(n(4)),
    "deep nade": lambda n: DeepNADE(n(4), [n(4), n(3)]),
    "chain": lambda n: MarkovChain(n(4), n(3), n(2), n(2)),
    "recurrent": lambda n: Recurrent(n(4), n(5), context=n(2)),
    "categorical": lambda n: MADE(4, (5,), conditionals.Categorical(n(3))),
    "gaussians": lambda n: MADE(4, (5,), conditionals.MixtureOfGaussians(n(3))),
    "levels": lambda n: MADE(4, (5,), conditionals.DiscretisedLogistics(n(2), n(4))),
    "orders": lambda n: OrderEnsemble(MADE(4, (5,)), n(2)),
}


@pytest.mark.parametrize("name", SIZED)
def test_integers_of_numpy(name):
    """They are taken for Python's: products of shapes are such integers."""
    found, expected = SIZED[name](np.int64), SIZED[name](int)
    assert found == expected
    assert repr(found) == repr(expected)
    found.apply(found.init(), np.zeros((1, 2), np.float32) if found.context else None)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: conditionals.Categorical(1), "Categorical: expected classes.* got 1. Give a number of 2 or more"),
        (lambda: conditionals.Categorical(True), "Categorical: expected classes.* got True"),
        (
            lambda: conditionals.MixtureOfGaussians(0),
            "MixtureOfGaussians: expected components to be a positive integer",
        ),
        (lambda: conditionals.DiscretisedLogistics(2, 1.5), "DiscretisedLogistics: expected levels.* got 1.5"),
        (lambda: MarkovChain(3, 1), "MarkovChain: expected classes.* got 1. Give a number of 2 or more"),
        (lambda: MarkovChain(3, 2, 0), "MarkovChain: expected order to be a positive integer; got 0"),
        (lambda: DeepNADE(3, 8), r"DeepNADE: expected hidden to be a tuple.* got 8\. Write hidden=\(20,\)"),
    ],
)
def test_sizes_that_are_none(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_network_of_its_own_kind():
    """What a subclass of NADE scales is its own choice."""
    assert "scale" in RNADE(3, 4).specs()
    assert "scale" not in NADE(3, 4, GAUSSIANS).specs()


def test_within_has_no_gradient_to_values():
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    assert not within(x, 2, torch.zeros(2)).requires_grad
