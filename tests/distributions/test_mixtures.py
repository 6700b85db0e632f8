"""Mixtures against SciPy and torch, draws against densities, and what an infinite one refuses."""

import copy
import pickle

import jax
import numpy as np
import pytest
import scipy.stats
import torch

import ppgen
from ppgen import ELBO, IWAE, dist, module, nn, ops, plate, sample
from ppgen.distributions import (
    MADE,
    Empirical,
    GaussianMixture,
    HiddenMarkov,
    InfiniteMixture,
    MarkovChain,
    Mixture,
    StandardNormal,
    StandardUniform,
)
from ppgen.distributions.autoregressive import conditionals
from ppgen.errors import NoLikelihoodError

RNG = np.random.default_rng(0)


def started(learnable, backend):
    """Parameters away from their start, on the host and on the backend."""
    rng = np.random.default_rng(0)
    host = {name: a + 0.5 * rng.normal(size=a.shape).astype(np.float32) for name, a in learnable.init(0).items()}
    return host, {name: ppgen.backends.get(backend).array(a) for name, a in host.items()}


def array(x, backend):
    return ppgen.backends.get(backend).array(np.asarray(x, np.float32))


def drawn(p, backend, *shape):
    if backend == "numpyro":
        return np.asarray(p.sample(jax.random.key(1), shape))
    torch.manual_seed(1)
    return p.sample(shape).numpy()


# Gaussian mixtures ----------------------------------------------------------------------------------------------


def by_scipy(mixture, params, x, c=None):
    """Weights, means and covariances in float64, and the log density of one x."""
    value = {
        name: (params[name] + (0 if c is None else (c @ params[f"{name}.context"]).reshape(params[name].shape)))
        for name in params
        if not name.endswith(".context")
    }
    value = {name: v.astype(np.float64) for name, v in value.items()}
    weights = np.exp(value["logits"]) / np.exp(value["logits"]).sum()
    factors = np.stack([np.diag(np.exp(row)) for row in value["log_scale"]])
    if "below" in value:
        for factor, row in zip(factors, value["below"], strict=True):
            factor[np.tril_indices(mixture.dim, -1)] = row
    covariances = [scipy.stats.Covariance.from_cholesky(factor) for factor in factors]
    terms = [
        np.log(w) + scipy.stats.multivariate_normal(m, s).logpdf(x)
        for w, m, s in zip(weights, value["loc"], covariances, strict=True)
    ]
    return np.logaddexp.reduce(terms), weights, value["loc"], factors @ factors.transpose(0, 2, 1)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("dim", [1, 3])
def test_gaussians_are_scipys(dim, covariance, context, backend):
    rng = np.random.default_rng(1)
    mixture = GaussianMixture(dim, 4, covariance, context)
    host, params = started(mixture, backend)
    x, c = rng.normal(size=(5, 3, dim)), rng.normal(size=(3, context))
    p = mixture.apply(params, array(c, backend) if context else None)
    found = np.asarray(p.log_prob(array(x, backend)))
    wanted = [[by_scipy(mixture, host, x[i, j], c[j] if context else None)[0] for j in range(3)] for i in range(5)]
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)
    _, weights, means, _ = by_scipy(mixture, host, x[0, 0], c[0] if context else None)
    mean = np.asarray(p.mean)
    np.testing.assert_allclose(mean[0] if context else mean, weights @ means, rtol=1e-4, atol=1e-5)


def test_gaussians_are_torchs():
    mixture = GaussianMixture(2, 3)
    _, params = started(mixture, "pyro")
    td = torch.distributions
    twin = td.MixtureSameFamily(
        td.Categorical(logits=params["logits"]),
        td.Independent(td.Normal(params["loc"], params["log_scale"].exp()), 1),
    )
    x = torch.randn(7, 2)
    torch.testing.assert_close(mixture.apply(params).log_prob(x), twin.log_prob(x))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_draws_of_gaussians(covariance, backend):
    """Mean and covariance of many draws, within five standard errors of the exact ones."""
    mixture = GaussianMixture(2, 3, covariance)
    host, params = started(mixture, backend)
    x = drawn(mixture.apply(params), backend, 20_000)
    _, weights, means, covariances = by_scipy(mixture, host, x[0])
    mean = weights @ means
    spread = np.einsum("k,ki,kj->ij", weights, means - mean, means - mean)
    covariance = np.einsum("k,kij->ij", weights, covariances) + spread
    error = np.sqrt(np.diag(covariance) / len(x))
    assert (np.abs(x.mean(0) - mean) < 5 * error).all()
    centred = x - mean
    products = centred[:, :, None] * centred[:, None]
    assert (np.abs(products.mean(0) - covariance) < 5 * products.std(0) / np.sqrt(len(x))).all()


def test_a_context_moves_each_row_and_carries_its_gradient(backend):
    mixture = GaussianMixture(2, 3, "full", context=2)
    _, params = started(mixture, backend)
    c = array(np.eye(2), backend)
    assert drawn(mixture.apply(params, c), backend, 4).shape == (4, 2, 2)
    if backend == "numpyro":
        gradient = jax.grad(lambda c: mixture.apply(params, c).log_prob(np.ones(2, np.float32)).sum())(c)
    else:
        c.requires_grad_(True)
        (gradient,) = torch.autograd.grad(mixture.apply(params, c).log_prob(torch.ones(2)).sum(), c)
    gradient = np.asarray(gradient)
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient) > 1e-4).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "expected dim to be a positive integer; got 0"),
        ((2, "3"), "expected components to be a positive integer; got '3'"),
        ((2, 3, "tied"), "expected covariance to be 'diagonal' or 'full'; got 'tied'"),
    ],
)
def test_wrong_gaussians(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(*arguments)


# mixtures of anything -------------------------------------------------------------------------------------------


def bits(n):
    return np.array(np.meshgrid(*[[0.0, 1.0]] * n, indexing="ij")).reshape(n, -1).T


@pytest.mark.parametrize("context", [0, 2])
def test_a_mixture_of_made_and_rows_sums_to_one(context, backend):
    """Components with and without a density everywhere, with and without the context."""
    rows = Empirical([[0, 1, 1], [1, 1, 0]], support="boolean")
    mixture = Mixture((MADE(3, hidden=(8,), context=context), rows, MADE(3, hidden=(4,))), context=context)
    host, params = started(mixture, backend)
    c = np.random.default_rng(2).normal(size=context) if context else None
    p = mixture.apply(params, None if c is None else array(c, backend))
    mass = np.exp(np.asarray(p.log_prob(array(bits(3), backend))))
    np.testing.assert_allclose(mass.sum(), 1, rtol=1e-5)

    logits = host["logits"] + (c @ host["logits.context"] if context else 0)
    weights = np.exp(logits) / np.exp(logits).sum()
    parts = []
    for k, component in enumerate(mixture.components):
        own = {name.removeprefix(f"{k}."): v for name, v in params.items() if name.startswith(f"{k}.")}
        seen = array(c, backend) if component.context else None
        parts.append(np.exp(np.asarray(component.log_prob(own, array(bits(3), backend), seen))))
    np.testing.assert_allclose(mass, weights @ np.stack(parts), rtol=1e-4)

    x = drawn(p, backend, 20_000)
    counts = np.bincount((x @ [4, 2, 1]).astype(int), minlength=8) / len(x)
    assert (np.abs(counts - mass) < 5 * np.sqrt(mass * (1 - mass) / len(x)) + 1e-9).all()


def test_the_mean_of_a_mixture(backend):
    mixture = Mixture((GaussianMixture(2, 2), GaussianMixture(2, 3, "full")))
    _, params = started(mixture, backend)
    p = mixture.apply(params)
    x = drawn(p, backend, 20_000)
    assert (np.abs(x.mean(0) - np.asarray(p.mean)) < 5 * x.std(0) / np.sqrt(len(x))).all()


def test_a_mixture_without_a_mean(backend):
    mixture = Mixture((MADE(2, hidden=(4,)), Empirical([[0, 1]], support="boolean")))
    with pytest.raises(NotImplementedError, match="the mean of MADE has no closed form"):
        _ = mixture.apply(started(mixture, backend)[1]).mean


def test_a_mixture_learns(backend):
    """Data from two places; the components go there."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(-3, 0.5, (64, 1)), rng.normal(2, 1, (64, 1))]).astype(np.float32)
    mixture = GaussianMixture(1, 2)

    def model(rows):
        with plate("data", rows):
            sample("x", module("p", mixture)())

    fit = ppgen.fit(
        model, data={"x": x}, algorithm=ppgen.MaximumLikelihood(), backend=backend, steps=300,
        optimizer=ppgen.Adam(0.1), seed=2,
    )  # fmt: skip
    np.testing.assert_allclose(np.sort(fit.params["p.loc"].ravel()), [-3, 2], atol=0.4)


def test_the_tree_of_a_mixture():
    mixture = Mixture((Mixture((StandardNormal(2), StandardNormal(2))), GaussianMixture(2, 3)), context=4)
    assert repr(mixture) == (
        "Mixture(\n  Mixture(\n    StandardNormal(2),\n    StandardNormal(2),\n  ),\n"
        "  GaussianMixture(dim=2, components=3, covariance='diagonal', context=0),\n  context=4,\n)"
    )
    assert hash(mixture) == hash(Mixture(mixture.components, context=4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture(()), r"expected a tuple of components, at least one; got \(\)"),
        (lambda: Mixture((StandardNormal(2), StandardNormal(3))), r"one event shape; got \[\(2,\), \(3,\)\]"),
        (
            lambda: Mixture((Empirical([[1.0, 2.0]]), StandardNormal(2))),
            r"all probabilities.*got Empirical\(.*\) \(probability\), StandardNormal\(2\) \(density\).*Take a density",
        ),
        (lambda: Mixture((StandardNormal(2), StandardUniform(2))), r"one support; got \['real', 'unit_interval'\]"),
        (
            lambda: Mixture((MADE(2, context=3), MADE(2))),
            r"a context of the mixture's size, 0; got \[3\]. Build the mixture with context=",
        ),
    ],
)
def test_wrong_mixtures(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_rows_mixed_with_rows_are_still_rows():
    rows = Mixture((Empirical([[1.0, 2.0]]), Empirical([[0.0, 2.0]])))
    assert rows.counting
    with pytest.raises(ValueError, match="all probabilities"):
        Mixture((StandardNormal(2), rows))
    assert not Mixture((MADE(2, hidden=(4,)), Empirical([[0, 1]], support="boolean"))).counting  # all of them are


def gradient(fn, params, backend):
    """The gradients of `fn(params)`, a number; zeros where nothing depends on a parameter."""
    if backend == "numpyro":
        return {name: np.asarray(g) for name, g in jax.jit(jax.grad(fn))(params).items()}
    leaves = {name: p.requires_grad_() for name, p in params.items()}
    grads = torch.autograd.grad(fn(leaves), leaves.values(), allow_unused=True, materialize_grads=True)
    return {name: g.numpy() for name, g in zip(leaves, grads, strict=True)}


@pytest.mark.parametrize(
    "entry",
    [
        Mixture((GaussianMixture(2, 2), StandardNormal(2))),
        Mixture((MADE(2, hidden=(4,), conditional=conditionals.Gaussian()), StandardNormal(2))),
        GaussianMixture(2, 3),
        GaussianMixture(2, 3, "full"),
        HiddenMarkov(3, states=2),
    ],
    ids=str,
)
def test_draws_carry_no_gradient_in_part(entry, replay, backend):
    """What is not reparameterised gives none at all, outside of programs too."""
    _, params = started(entry, backend)
    weights = array(np.random.default_rng(0).normal(size=(4, *entry.event_shape)), backend)

    def weighed(params):
        x = entry.draw(params, replay(ppgen.backends.get(backend)), (4,))
        return ops.sum(x * weights) + sum(0 * ops.sum(value) for value in params.values())

    for name, g in gradient(weighed, params, backend).items():
        np.testing.assert_array_equal(g, 0, err_msg=name)


def test_a_row_outside_of_all_supports(backend):
    """Its log density is minus infinity; masked, it leaves the gradients of the other rows alone."""
    mixture = Mixture((StandardUniform(1), StandardUniform(1)), context=2)
    _, params = started(mixture, backend)
    x, c = array([[0.5], [1.5]], backend), array([[1.0, 0.0], [0.0, 1.0]], backend)
    assert np.asarray(mixture.log_prob(params, x, c)).tolist() == [pytest.approx(0, abs=1e-6), -np.inf]

    def masked(params):
        log_prob = mixture.log_prob(params, x, c)
        return ops.sum(ops.where(log_prob > -np.inf, log_prob, 0.0))

    for g in gradient(masked, params, backend).values():
        np.testing.assert_allclose(g, 0, atol=1e-6)


# rows at hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "support", "message"),
    [
        ([[5.0]], "boolean", r"rows in the support 'boolean'; got \[5\.0\] in row 0, and 1 such rows of 1"),
        ([[0.5, 1.0], [0.5, 1.5]], "unit_interval", r"got \[0\.5, 1\.5\] in row 1, and 1 such rows of 2"),
        ([[1.0], [0.0], [-1.0]], "positive", r"got \[0\.0\] in row 1, and 2 such rows of 3"),
        ([[0], [3]], 3, r"rows in the support 3; got \[3\] in row 1"),
        ([[0.5]], 3, r"rows in the support 3; got \[0\.5\] in row 0"),
        ([[2.0], [5.0]], (-1.0, 3.0), r"rows in the support \(-1\.0, 3\.0\); got \[5\.0\] in row 1"),
        ([0.0, np.nan], "real", r"rows in the support 'real'; got nan in row 1"),
        (
            [0.0],
            "complex",
            "a finite interval .*; got 'complex'. Where values are discrete, it is 'boolean' or a number of classes",
        ),
        ([0.0], (1.0, 1.0), r"with low < high.*got \(1\.0, 1\.0\)"),
    ],
)
def test_rows_outside_their_support(rows, support, message):
    with pytest.raises(ValueError, match=message):
        Empirical(rows, support=support)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_of_rows_cannot_be_written_to(copied):
    rows = Empirical([[0, 1], [2, 1]], support=np.int64(3))
    again = copied(rows)
    assert again == rows
    assert type(again.support) is int
    with pytest.raises(ValueError, match="read-only"):
        again.atoms[0] = 2


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_rows_are_counted(shape, backend):
    """Against NumPy, with rows that differ in one number only."""
    rng = np.random.default_rng(0)
    rows, x = (rng.integers(0, 2, (n, *shape)).astype(np.float32) for n in (30, 8))
    same = (x[:, None] == rows).reshape(8, 30, -1).all(-1)
    found = np.asarray(Empirical(rows).log_prob({}, array(x, backend)))
    np.testing.assert_allclose(np.exp(found), same.mean(-1), rtol=1e-6)


def test_the_memory_of_counting(backend):
    """No array is as large as all rows for each of all values."""
    rows, x = np.zeros((50, 40), np.float32), array(np.zeros((30, 40)), backend)
    p = Empirical(rows)
    sizes = []
    if backend == "numpyro":
        jaxpr = jax.make_jaxpr(lambda x: p.log_prob({}, x))(x).jaxpr
        inner = [e.params["jaxpr"].jaxpr for e in jaxpr.eqns if e.primitive.name == "scan"]
        sizes = [v.aval.size for found in (jaxpr, *inner) for e in found.eqns for v in e.outvars]
    else:

        class Sizes(torch.overrides.TorchFunctionMode):
            def __torch_function__(self, fn, types, args=(), kwargs=None):
                result = fn(*args, **(kwargs or {}))
                if isinstance(result, torch.Tensor):
                    sizes.append(result.numel())
                return result

        with Sizes():
            p.log_prob({}, x)
    assert max(sizes) <= 50 * 40


# infinite mixtures ----------------------------------------------------------------------------------------------

INFINITE = InfiniteMixture(GaussianMixture(2, 3), MADE(3, hidden=(8,), conditional=conditionals.Gaussian(), context=2))


def in_two_sites(rows):
    with plate("data", rows):
        z = sample("z", module("p.prior", INFINITE.prior)())
        sample("x", module("p.likelihood", INFINITE.likelihood)(z))


def guide(x):
    with plate("data", len(x)):
        loc, log_scale = module("encoder", nn.MLP(3, 8, (2, 2)))(x)
        sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))


ROWS = {"x": RNG.normal(size=(16, 3)).astype(np.float32)}


def test_an_infinite_mixture_draws_from_its_two_parts(backend):
    """Mean over many draws against the mean by quadrature over z, here by a great many z."""
    _, params = started(INFINITE, backend)
    p = INFINITE.apply(params)
    x = drawn(p, backend, 5000)
    assert x.shape == (5000, 3)
    own = {k.removeprefix("prior."): v for k, v in params.items() if k.startswith("prior.")}
    z = drawn(INFINITE.prior.apply(own), backend, 5000)
    net = {k.removeprefix("likelihood."): v for k, v in params.items() if k.startswith("likelihood.")}
    first = np.asarray(INFINITE.likelihood.conditionals(net, array(np.zeros((5000, 3)), backend), array(z, backend)))
    error = np.hypot(x[:, 0].std(), first[:, 0, 0].std()) / np.sqrt(5000)
    assert abs(x[:, 0].mean() - first[:, 0, 0].mean()) < 5 * error


def test_an_infinite_mixture_says_that_it_has_no_density(backend):
    p = INFINITE.apply(started(INFINITE, backend)[1])
    with pytest.raises(NoLikelihoodError, match=r"two sites, z and x, of a program.*IWAE or ppgen\.ELBO"):
        p.log_prob(array(ROWS["x"], backend))


@pytest.mark.parametrize("algorithm", [IWAE(3), ELBO(particles=2)], ids=repr)
def test_an_infinite_mixture_is_learned_as_two_sites(algorithm, backend):
    """What was learned so fits into the mixture as it stands."""
    fit = ppgen.fit(in_two_sites, guide, data=ROWS, algorithm=algorithm, backend=backend, steps=3)
    names = {f"p.{name}" for name in INFINITE.specs()}
    assert names <= fit.params.keys()
    params = {name: array(fit.params[f"p.{name}"], backend) for name in INFINITE.specs()}
    assert np.isfinite(drawn(INFINITE.apply(params), backend, 10)).all()


def test_a_prior_of_classes(backend):
    """Its integers are numbers to the network of the likelihood."""
    mixture = InfiniteMixture(MarkovChain(3, 2), MADE(2, hidden=(4,), context=3))
    assert drawn(mixture.apply(started(mixture, backend)[1]), backend, 4).shape == (4, 2)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((1, 2), r"prior to be a Learnable, such as StandardNormal\(2\); got 1"),
        ((StandardNormal(2), 2), "likelihood to be a Learnable, such as.*got 2"),
    ],
)
def test_parts_that_are_no_distributions(parts, message):
    with pytest.raises(ValueError, match=message):
        InfiniteMixture(*parts)


def test_wrong_infinite_mixture():
    with pytest.raises(ValueError, match=r"one draw of the prior, of shape \(3,\); got a context of size 2"):
        InfiniteMixture(StandardNormal(3), MADE(2, context=2))
