"""`ppgen.dist`: a name has one order of arguments, one density and draws alike on both backends. One table says it all."""

import importlib
import inspect

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

import ppgen
from ppgen import dist, ops, plate, sample
from ppgen.backends import catalogue
from ppgen.errors import ProgramError

stats = scipy.stats
DRAWS = 4000


def array(x):
    return ops.asarray(np.array(x, np.float32))


def transforms():
    """The module of the active backend's own transforms."""
    library = type(dist.Normal(0.0, 1.0)).__module__.split(".")[0]
    return importlib.import_module(
        {"numpyro": "numpyro.distributions.transforms"}.get(library, "torch.distributions.transforms")
    )


def inflated(gate, log_prob):
    """The log density with extra zeros."""

    def found(x):
        x = np.asarray(x)
        return np.log(np.where(x == 0, gate, 0.0) + (1 - gate) * np.exp(log_prob(x)))

    return found


def lkj(x):
    """Of 2 x 2 Cholesky factors, concentration 1.5: (1 - r^2)^0.5 dr, normalised on (-1, 1)."""
    return 0.5 * np.log1p(-(np.asarray(x)[:, 1, 0] ** 2)) - np.log(np.pi / 2)


def low_rank(x):
    return stats.multivariate_normal([0.0, 1.0], [[2.0, 0.5], [0.5, 2.25]]).logpdf(x)


def ordered(x):
    below = np.concatenate([[0.0], scipy.special.expit(np.array([-1.0, 1.5]) - 0.4), [1.0]])
    return np.log(np.diff(below))[np.asarray(x, int)]


def relaxed_bernoulli(x):
    """By its cumulative distribution: x < c where the noise is below t logit(c) - l."""
    x, t, logit = np.asarray(x), 0.5, np.log(0.3 / 0.7)
    return stats.logistic(logit / t, 1 / t).logpdf(scipy.special.logit(x)) - np.log(x) - np.log1p(-x)


def concrete(x):
    x, t, p = np.asarray(x), 0.7, np.array([0.2, 0.3, 0.5])
    terms = p * x ** (-t)
    return np.log(2 * t**2) + np.sum(np.log(terms / x / terms.sum(-1, keepdims=True)), -1)


def dirichlet_multinomial(x):
    return stats.dirichlet_multinomial([1.0, 2.0, 3.0], 4).logpmf(np.asarray(x, int))


SIGMA, ROOT = [[2.0, 0.3], [0.3, 1.0]], np.linalg.cholesky([[2.0, 0.3], [0.3, 1.0]])
MATRICES = [[[2.0, 0.3], [0.3, 1.0]], [[4.0, -1.0], [-1.0, 3.0]]]
P, TWO = [0.2, 0.3, 0.5], [0.5, -1.5]

# name: cases of (arguments, values, the reference's log density); arrays and distributions are made inside a backend
CASES = {
    "AsymmetricLaplace": [
        ({"loc": 0.5, "scale": 2.0, "asymmetry": 1.5}, TWO, stats.laplace_asymmetric(1.5, 0.5, 2.0).logpdf)
    ],
    "Bernoulli": [
        ({"probs": 0.3}, [0.0, 1.0], stats.bernoulli(0.3).logpmf),
        ({"logits": 0.3}, [0.0, 1.0], stats.bernoulli(scipy.special.expit(0.3)).logpmf),
    ],
    "Beta": [({"concentration1": 2.0, "concentration0": 3.0}, [0.1, 0.9], stats.beta(2, 3).logpdf)],
    "BetaBinomial": [
        ({"concentration1": 2.0, "concentration0": 3.0, "total_count": 5}, [0.0, 2.0, 5.0], stats.betabinom(5, 2, 3).logpmf)
    ],
    "Binomial": [
        ({"total_count": 5, "probs": 0.3}, [0.0, 2.0, 5.0], stats.binom(5, 0.3).logpmf),
        ({"total_count": [5, 2], "logits": 0.0}, [5.0, 0.0], stats.binom([5, 2], 0.5).logpmf),
    ],
    "Categorical": [
        ({"probs": P}, [0, 1, 2], lambda x: np.log(P)[x]),
        ({"logits": P}, [0, 1, 2], lambda x: scipy.special.log_softmax(P)[x]),
    ],
    "Cauchy": [({"loc": 0.5, "scale": 2.0}, TWO, stats.cauchy(0.5, 2).logpdf), ({}, TWO, stats.cauchy.logpdf)],
    "Chi2": [({"df": 3.0}, [0.5, 3.0], stats.chi2(3).logpdf)],
    "Delta": [
        ({"v": 1.0}, [1.0, 3.0], lambda x: np.where(np.asarray(x) == 1.0, 0.0, -np.inf)),
        ({"v": [1.0, 2.0], "log_density": -0.5, "event_dim": 1}, [[1.0, 3.0], [1.0, 2.0]], lambda x: np.array([-np.inf, -0.5])),
    ],
    "Dirichlet": [
        ({"concentration": [1.0, 2.0, 3.0]}, [P, [0.1, 0.8, 0.1]], lambda x: stats.dirichlet([1, 2, 3]).logpdf(np.transpose(x)))
    ],
    "DirichletMultinomial": [
        ({"concentration": [1.0, 2.0, 3.0], "total_count": 4}, [[1.0, 0.0, 3.0], [0.0, 4.0, 0.0]], dirichlet_multinomial),
        (
            {"concentration": [1.0, 2.0, 3.0], "total_count": [4, 1]}, [[1.0, 0.0, 3.0], [0.0, 1.0, 0.0]],
            lambda x: stats.dirichlet_multinomial([1.0, 2.0, 3.0], [4, 1]).logpmf(np.asarray(x, int)),
        ),
    ],
    "Exponential": [({"rate": 1.5}, [0.2, 3.0], stats.expon(scale=1 / 1.5).logpdf)],
    "Gamma": [({"concentration": 2.0, "rate": 3.0}, [0.2, 3.0], stats.gamma(2, scale=1 / 3).logpdf)],
    "GammaPoisson": [({"concentration": 2.0, "rate": 3.0}, [0.0, 4.0], stats.nbinom(2, 3 / 4).logpmf)],
    "Geometric": [
        ({"probs": 0.3}, [0.0, 4.0], stats.geom(0.3, loc=-1).logpmf),
        ({"logits": 0.3}, [0.0, 4.0], stats.geom(scipy.special.expit(0.3), loc=-1).logpmf),
    ],
    "Gumbel": [({"loc": 0.5, "scale": 2.0}, TWO, stats.gumbel_r(0.5, 2).logpdf)],
    "HalfCauchy": [({"scale": 1.5}, [0.2, 3.0], stats.halfcauchy(scale=1.5).logpdf)],
    "HalfNormal": [({"scale": 1.5}, [0.2, 3.0], stats.halfnorm(scale=1.5).logpdf)],
    "Independent": [
        (
            {"base_distribution": lambda: dist.Normal(array([0.5, 0.0]), 2.0), "reinterpreted_batch_ndims": 1}, [TWO],
            lambda x: stats.norm([0.5, 0.0], 2.0).logpdf(x).sum(-1),
        )
    ],
    "InverseGamma": [({"concentration": 2.0, "rate": 3.0}, [0.2, 3.0], stats.invgamma(2, scale=3).logpdf)],
    "Kumaraswamy": [
        (
            {"concentration1": 2.0, "concentration0": 3.0}, [0.1, 0.9],
            lambda x: np.log(6 * np.asarray(x) * (1 - np.square(x)) ** 2),
        )
    ],
    "LKJCholesky": [({"dim": 2, "concentration": 1.5}, [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.0, 1.0]]], lkj)],
    "Laplace": [({"loc": 0.5, "scale": 2.0}, TWO, stats.laplace(0.5, 2).logpdf)],
    "LogNormal": [({"loc": 0.5, "scale": 2.0}, [0.2, 3.0], stats.lognorm(2, scale=np.exp(0.5)).logpdf)],
    "Logistic": [({"loc": 0.5, "scale": 2.0}, TWO, stats.logistic(0.5, 2).logpdf)],
    "LowRankMultivariateNormal": [
        ({"loc": [0.0, 1.0], "cov_factor": [[1.0], [0.5]], "cov_diag": [1.0, 2.0]}, [[0.3, 0.4]], low_rank)
    ],
    "MixtureSameFamily": [
        (
            {
                "mixture_distribution": lambda: dist.Categorical(array([0.3, 0.7])),
                "component_distribution": lambda: dist.Normal(array([-1.0, 2.0]), array([0.5, 1.5])),
            },
            TWO, lambda x: np.log(0.3 * stats.norm(-1, 0.5).pdf(x) + 0.7 * stats.norm(2, 1.5).pdf(x)),
        )
    ],
    "Multinomial": [
        ({"total_count": 3, "probs": P}, [[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]], stats.multinomial(3, P).logpmf),
        (
            {"total_count": [3, 1], "logits": P}, [[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]],
            lambda x: stats.multinomial([3, 1], scipy.special.softmax(P)).logpmf(x),
        ),
    ],
    "MultivariateNormal": [
        ({"loc": [0.0, 1.0], "covariance_matrix": SIGMA}, [TWO], stats.multivariate_normal([0, 1], SIGMA).logpdf),
        ({"loc": [0.0, 1.0], "scale_tril": ROOT}, [TWO], stats.multivariate_normal([0, 1], SIGMA).logpdf),
        (
            {"loc": [0.0, 1.0], "precision_matrix": SIGMA}, [TWO],
            stats.multivariate_normal([0, 1], np.linalg.inv(SIGMA)).logpdf,
        ),
    ],
    "MultivariateStudentT": [
        ({"df": 3.0, "loc": [0.0, 1.0], "scale_tril": ROOT}, [TWO], stats.multivariate_t([0, 1], SIGMA, 3).logpdf)
    ],
    "NegativeBinomial": [
        ({"total_count": 4, "probs": 0.3}, [0.0, 2.0, 9.0], stats.nbinom(4, 0.7).logpmf),  # scipy counts failures
        ({"total_count": 2.5, "logits": 0.3}, [0.0, 2.0], stats.nbinom(2.5, scipy.special.expit(-0.3)).logpmf),
    ],
    "NegativeBinomial2": [({"mean": 3.0, "concentration": 2.0}, [0.0, 2.0, 9.0], stats.nbinom(2, 2 / 5).logpmf)],
    "Normal": [
        ({"loc": 0.5, "scale": 2.0}, TWO, stats.norm(0.5, 2).logpdf),
        ({"loc": 0, "scale": 1}, TWO, stats.norm.logpdf),
        ({"loc": [0.0, 1.0], "scale": 2}, TWO, stats.norm([0, 1], 2).logpdf),
        ({}, TWO, stats.norm.logpdf),
    ],
    "OrderedLogistic": [({"predictor": 0.4, "cutpoints": [-1.0, 1.5]}, [0, 1, 2], ordered)],
    "Pareto": [({"scale": 0.5, "alpha": 2.0}, [0.7, 3.0], stats.pareto(2, scale=0.5).logpdf)],
    "Poisson": [({"rate": 3.0}, [0.0, 7.0], stats.poisson(3).logpmf)],
    "RelaxedBernoulli": [({"temperature": 0.5, "probs": 0.3}, [0.2, 0.9], relaxed_bernoulli)],
    "RelaxedOneHotCategorical": [
        ({"temperature": 0.7, "probs": P}, [P, [0.1, 0.8, 0.1]], concrete),
        ({"temperature": [0.7, 0.7], "logits": np.log(P) + 1.0}, [P, [0.1, 0.8, 0.1]], concrete),
    ],
    "SoftLaplace": [({"loc": 0.5, "scale": 2.0}, TWO, lambda x: stats.hypsecant(0.5, 2.0).logpdf(x))],
    "StudentT": [
        ({"df": 3.0}, TWO, stats.t(3).logpdf),
        ({"df": 3.0, "loc": 0.5, "scale": 2.0}, TWO, stats.t(3, 0.5, 2).logpdf),
    ],
    "TransformedDistribution": [
        (
            {"base_distribution": lambda: dist.Normal(0.5, 2.0), "transforms": lambda: [transforms().ExpTransform()]},
            [0.2, 3.0], stats.lognorm(2, scale=np.exp(0.5)).logpdf,
        )
    ],
    "Uniform": [({"low": -1.0, "high": 2.0}, [0.0, 1.0], stats.uniform(-1, 3).logpdf)],
    "VonMises": [({"loc": 0.5, "concentration": 2.0}, TWO, stats.vonmises(2, 0.5).logpdf)],
    "Weibull": [({"scale": 1.5, "concentration": 2.0}, [0.2, 3.0], stats.weibull_min(2, scale=1.5).logpdf)],
    "Wishart": [
        ({"df": 4.0, "covariance_matrix": SIGMA}, MATRICES, lambda x: stats.wishart(4, SIGMA).logpdf(np.transpose(x))),
        ({"df": 4.0, "scale_tril": ROOT}, MATRICES, lambda x: stats.wishart(4, SIGMA).logpdf(np.transpose(x))),
        (
            {"df": 4.0, "precision_matrix": SIGMA}, MATRICES,
            lambda x: stats.wishart(4, np.linalg.inv(SIGMA)).logpdf(np.transpose(x)),
        ),
    ],
    "ZeroInflatedDistribution": [
        (
            {"base_dist": lambda: dist.Binomial(5, array(0.3)), "gate": 0.4}, [0.0, 2.0],
            inflated(0.4, stats.binom(5, 0.3).logpmf),
        ),
        (
            {"base_dist": lambda: dist.Poisson(2.0), "gate_logits": [0.3, 0.3]}, [0.0, 2.0],
            inflated(scipy.special.expit(0.3), stats.poisson(2).logpmf),
        ),
    ],
    "ZeroInflatedNegativeBinomial": [
        ({"total_count": 4, "probs": 0.3, "gate": 0.4}, [0.0, 2.0], inflated(0.4, stats.nbinom(4, 0.7).logpmf)),
    ],
    "ZeroInflatedNegativeBinomial2": [
        ({"mean": 3.0, "concentration": 2.0, "gate": 0.4}, [0.0, 2.0], inflated(0.4, stats.nbinom(2, 2 / 5).logpmf)),
    ],
    "ZeroInflatedPoisson": [
        ({"rate": 2.0, "gate": 0.3}, [0.0, 3.0], inflated(0.3, stats.poisson(2).logpmf)),
        ({"rate": 2.0, "gate_logits": 0.3}, [0.0, 3.0], inflated(scipy.special.expit(0.3), stats.poisson(2).logpmf)),
    ],
}  # fmt: skip
EACH = [pytest.param(name, *case, id=f"{name}-{i}") for name, cases in CASES.items() for i, case in enumerate(cases)]
INTEGERS = {"Categorical", "OrderedLogistic"}


def arguments(given):
    """Arguments for the active backend: arrays as its own, distributions made."""
    made = {n: array(v) if isinstance(v, np.ndarray) else v() if callable(v) else v for n, v in given.items()}
    return {n: array(v) if isinstance(v, list) and isinstance(v[0], list) else v for n, v in made.items()}


def by_position(name, given):
    """The same arguments without their names, as far as the signature lets them."""
    args, kwargs = [], dict(given)
    for parameter in inspect.signature(getattr(dist, name)).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.name not in kwargs:
            break
        args.append(kwargs.pop(parameter.name))
    return args, kwargs


def values_of(name, values):
    return ops.asarray(np.array(values, np.int32 if name in INTEGERS else np.float32))


def test_the_table_has_every_distribution():
    assert CASES.keys() == set(dist.SHARED)


@pytest.mark.parametrize(("name", "given", "values", "reference"), EACH)
def test_the_density_is_the_references(name, given, values, reference, backend):
    """By keyword and by position."""
    with ppgen.using(backend):
        made = arguments(given)
        args, kwargs = by_position(name, made)
        for fn in (getattr(dist, name)(**made), getattr(dist, name)(*args, **kwargs)):
            found = np.asarray(fn.log_prob(values_of(name, values)))
            np.testing.assert_allclose(found, reference(values), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("name", "given", "values", "reference"), EACH)
def test_draws_and_shapes_agree(name, given, values, reference):
    """Each number of a draw has one distribution (Kolmogorov and Smirnov), whatever draws it."""
    found = []
    for backend in ("numpyro", "pyro"):
        with ppgen.using(backend):
            fn = getattr(dist, name)(**arguments(given))
            torch.manual_seed(0)
            draws = fn.sample(jax.random.key(0), (DRAWS,)) if backend == "numpyro" else fn.sample((DRAWS,))
        assert tuple(draws.shape) == (DRAWS, *fn.batch_shape, *fn.event_shape)
        found.append((tuple(fn.batch_shape), tuple(fn.event_shape), np.asarray(draws, float).reshape(DRAWS, -1)))
    (*shapes, in_jax), (*torch_shapes, in_torch) = found
    assert shapes == torch_shapes
    for one, other in zip(in_jax.T, in_torch.T, strict=True):
        assert stats.ks_2samp(one, other, method="asymp").pvalue > 1e-3


def test_a_draw_with_another_scale_would_be_seen():
    one, other = np.random.default_rng(0).gamma(2.0, (1.0, 1.1), (DRAWS, 2)).T
    assert stats.ks_2samp(one, other, method="asymp").pvalue < 1e-3


def model_of(names):
    """A model with a site of each of these distributions, in the plate of rows, beside an observed one."""

    def model(rows):
        with plate("data", rows):
            sample("x", dist.Normal(0.0, 1.0))
            for name in sorted(names):
                given = CASES[name][0][0]
                sample(name, getattr(dist, name)(**arguments(given)))

    return model


X = {"x": np.zeros(3, np.float32)}
OWN = {"LKJCholesky", "MixtureSameFamily", "MultivariateStudentT", "RelaxedOneHotCategorical", "VonMises", "Wishart"}
MANY = {
    "LKJCholesky",
    "MixtureSameFamily",
    "MultivariateStudentT",
    "Multinomial",
    "OrderedLogistic",
    "ZeroInflatedPoisson",
}


def test_each_is_a_site_of_many_particles(backend):
    """Draws of several particles keep their densities."""
    problem = ppgen.Problem(model_of(MANY), data=X, backend=backend)
    p, batch = problem.joints()["model"], ppgen.Batch(problem.device(X))
    drawn = p.draw(batch, 2)
    again, numpy = p.trace(batch | drawn.values), problem.backend.numpy
    assert set(drawn) == MANY | {"x"}
    for name, term in drawn.drawn.items():
        assert numpy(term.value).shape[:2] == (2, 3), name
        np.testing.assert_allclose(numpy(term.log_prob), numpy(again[name].log_prob), rtol=1e-4, atol=1e-4)
        assert np.isfinite(numpy(term.log_prob)).all(), name


def test_the_site_tables_agree():
    tables = [ppgen.Problem(model_of(CASES), data=X, backend=b).model.sites for b in ("numpyro", "pyro")]
    for name in CASES:
        one, other = (table[name] for table in tables)
        assert str(one.support) == str(other.support) and one.support.discrete == other.support.discrete, name
        assert (one.real_shape, one.event_shape) == (other.real_shape, other.event_shape), name


@pytest.mark.parametrize("name", sorted(OWN | {"Dirichlet", "Kumaraswamy"}))
def test_the_ways_from_the_reals_agree(name):
    """One number on the reals is one value on both backends, and has one slope: fits are read by either."""
    found = []
    for backend in ("numpyro", "pyro"):
        with ppgen.using(backend):
            fn = getattr(dist, name)(**arguments(CASES[name][0][0]))
            onto = ppgen.backends.get(backend).bijection(fn)
            shape = onto.inverse_shape((*fn.batch_shape, *fn.event_shape))
            u = array(np.random.default_rng(0).normal(size=(5, *shape)))
            y = onto(u)
            found.append([np.asarray(x) for x in (y, onto.log_abs_det_jacobian(u, y), onto.inv(y))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_guides_are_made_of_supports_of_all_kinds(backend):
    """One step of MeanField; its draws have a density under the model."""
    fit = ppgen.fit(model_of(OWN), ppgen.guides.MeanField(), data=X, backend=backend, steps=1)
    log_weight = fit.posterior(X, draws=5)["sample_stats"]["log_weight"]
    assert np.isfinite(log_weight).all() and np.isfinite(fit.history["loss/model"]).all()


def test_a_count_a_row(backend):
    """Compiled, where totals are known to the running program only."""

    def model(totals):
        with plate("data", len(totals)):
            sample("x", dist.Multinomial(totals, array(P)))
            sample("y", dist.DirichletMultinomial(array([1.0, 2.0, 3.0]), totals))
            ppgen.param("loc", 0.0)

    totals = np.array([3.0, 0.0, 7.0], np.float32)
    data = {"x": [[1, 1, 1], [0, 0, 0], [2, 0, 5]], "y": [[3, 0, 0], [0, 0, 0], [2, 0, 5]], "totals": totals}
    found = ppgen.evaluate(model, data=data, backend=backend).per_row
    counts = totals.astype(int)
    expected = stats.multinomial(counts, P).logpmf(data["x"])
    expected += stats.dirichlet_multinomial([1.0, 2.0, 3.0], counts).logpmf(data["y"])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    problem = ppgen.Problem(model, data=data, backend=backend)
    drawn = ppgen.evaluation.generate(problem, problem.start, data={"totals": totals})
    for name in ("x", "y"):
        np.testing.assert_array_equal(drawn[name].sum(-1), totals)
    with pytest.raises(ppgen.errors.DataError, match="values outside the support of site 'x'"):
        ppgen.evaluate(model, data=data | {"x": [[1.5, 1, 0.5], [0, 0, 0], [2, 0, 5]]}, backend=backend)


# what is not there -------------------------------------------------------------------------------------------------


def test_names_are_there_outside_a_program():
    assert hasattr(dist, "Normal") and dist.Normal is dist.Normal
    assert repr(dist.LKJCholesky) == "ppgen.dist.LKJCholesky(dim, concentration=1.0, *, validate_args=None)"
    assert "Binomial(total_count, p)" in inspect.getdoc(dist.BetaBinomial)
    with pytest.raises(
        ProgramError, match=r"ppgen\.dist\.Normal was called outside .*: with ppgen\.using\('numpyro'\)"
    ):
        dist.Normal(0.0, 1.0)


def test_an_unknown_distribution(backend):
    message = (
        "ppgen.dist has no 'Gaussian'; expected one of AnyOrder, AsymmetricLaplace, .*can be imported from that backend"
    )
    with pytest.raises(AttributeError, match=message):
        dist.Gaussian  # noqa: B018
    with ppgen.using(backend), pytest.raises(AttributeError, match=message):
        dist.Gaussian  # noqa: B018
    assert not hasattr(dist, "__wrapped__")


def test_the_names_can_be_listed():
    assert dir(dist) == sorted([*dist.SHARED, *dist.learnable])
    assert list(catalogue.TABLE) == sorted(catalogue.TABLE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: dist.Normal(mean=0.0),
            r"expected ppgen\.dist\.Normal\(loc=0\.0, scale=1\.0.*unexpected keyword argument 'mean'",
        ),
        (lambda: dist.ZeroInflatedPoisson(0.3, 2.0), r"ZeroInflatedPoisson\(rate, \*, gate=None.*too many positional"),
        (lambda: dist.Bernoulli(), r"Bernoulli with one of probs, logits; got none"),
        (lambda: dist.Bernoulli(0.3, 0.2), r"Bernoulli with one of probs, logits; got probs and logits"),
        (lambda: dist.Gamma(), r"missing a required argument: 'concentration'"),
    ],
)
def test_arguments_that_it_does_not_have(make, message, backend):
    with ppgen.using(backend), pytest.raises(ProgramError, match=message):
        make()
