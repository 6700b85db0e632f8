"""Supports: the two libraries' constraints come out alike, and say which values are inside."""

import math

import jax
import numpy as np
import pytest

import ppgen
from ppgen import dist, ops
from ppgen.backends.support import Support, describe, support_of

REALS, BITS, COUNTS, SIMPLEX = Support("real"), Support("integer", 0, 1), Support("integer", 0), Support("simplex")
POSITIVE, UNIT = Support("real", 0), Support("real", 0, 1)
UNKNOWN = Support("real", math.nan, math.nan)

SUPPORTS = {
    "Normal": (lambda: dist.Normal(0.0, 1.0), "real", None, None),
    "Normal to_event": (lambda: dist.Normal(0.0, 1.0).expand([2, 3]).to_event(1), "real", None, None),
    "MultivariateNormal": (lambda: dist.MultivariateNormal(ops.zeros((2,)), ops.eye(2)), "real", None, None),
    "LogNormal": (lambda: dist.LogNormal(0.0, 1.0), "real", 0, None),
    "Gamma": (lambda: dist.Gamma(2.0, 3.0), "real", 0, None),
    "Pareto": (lambda: dist.Pareto(2.0, 3.0), "real", 2, None),
    "Beta": (lambda: dist.Beta(2.0, 3.0), "real", 0, 1),
    "Uniform": (lambda: dist.Uniform(-1.0, 2.0), "real", -1, 2),
    "Bernoulli": (lambda: dist.Bernoulli(logits=ops.zeros((3,))).to_event(1), "integer", 0, 1),
    "Binomial": (lambda: dist.Binomial(4, 0.5), "integer", 0, 4),
    "Categorical": (lambda: dist.Categorical(ops.ones((3,)) / 3), "integer", 0, 2),
    "Poisson": (lambda: dist.Poisson(3.0), "integer", 0, None),
    "Geometric": (lambda: dist.Geometric(0.3), "integer", 0, None),
    "Dirichlet": (lambda: dist.Dirichlet(ops.ones((3,))), "simplex", None, None),
    "Delta": (lambda: dist.Delta(ops.asarray(1.0)), "point", None, None),
    "Delta to_event": (lambda: dist.Delta(ops.zeros((3,))).to_event(1), "point", None, None),
    "LKJCholesky": (lambda: dist.LKJCholesky(2, 1.0), "other", None, None),
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_distributions_have_one_support_on_both_backends(name, backend):
    build, *expected = SUPPORTS[name]
    with ppgen.using(backend):
        found = support_of(build())
    assert [found.kind, found.low, found.high] == expected


@pytest.mark.parametrize("low", [[-3.0, -5.0], [0.0, 1.0]])
def test_a_bound_that_is_not_one_number_is_not_known(low, backend):
    with ppgen.using(backend):
        low = ops.asarray(np.array(low, np.float32))
        found = support_of(dist.Uniform(low, low + 1))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.outside(np.array([-4.0, 100.0])).any()
    assert str(found) == "reals in [?, ?]"


def test_an_unknown_lower_bound_is_not_taken_for_zero():
    from numpyro.distributions import constraints

    assert math.isnan(describe(constraints.greater_than(np.array([-3.0, -5.0]))).low)
    assert describe(constraints.greater_than(-2.0)).low == -2


def test_a_traced_bound_is_not_known():
    seen = []
    with ppgen.using("numpyro"):
        jax.eval_shape(lambda: seen.append(support_of(dist.Uniform(ops.zeros((2,)), ops.ones((2,))))))
    assert seen[0].same(UNIT)
    assert not seen[0].same(REALS)


def test_a_bound_with_a_gradient_is_not_known():
    torch = pytest.importorskip("torch")
    constraint = torch.distributions.constraints.greater_than(torch.tensor(1.0, requires_grad=True))
    assert math.isnan(describe(constraint).low)


@pytest.mark.parametrize(
    ("support", "values", "outside"),
    [
        (REALS, [-1e9, 0, 1e9], [False] * 3),
        (POSITIVE, [-0.1, 0.0, 5.0], [True, False, False]),
        (UNIT, [-0.1, 0.0, 1.0, 1.1], [True, False, False, True]),
        (BITS, [0, 1, 2, -1, 0.5], [False, False, True, True, True]),
        (BITS, np.array([True, False]), [False, False]),
        (COUNTS, [0.0, 7.0, 7.5, -1.0], [False, False, True, True]),
        (COUNTS, np.array([3, -3]), [False, True]),
        (SIMPLEX, [[0.2, 0.8], [0.2, 0.7], [-0.2, 1.2]], [False, True, True]),
        (UNKNOWN, [-9.0, 9.0], [False, False]),
        (Support("point"), [3.0, -3.0], [False, False]),
        (Support("other", name="LKJ"), [3.0, -3.0], [False, False]),
    ],
)
def test_outside(support, values, outside):
    np.testing.assert_array_equal(support.outside(np.asarray(values)), outside)


@pytest.mark.parametrize(
    ("support", "count"),
    [
        (BITS, 2),
        (Support("integer", 1, 4), 4),
        (COUNTS, None),
        (REALS, None),
        (SIMPLEX, None),
        (Support("integer", 0, math.nan), None),
    ],
)
def test_count(support, count):
    assert support.count == count


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (REALS, REALS, True),
        (REALS, POSITIVE, False),
        (POSITIVE, UNIT, False),
        (BITS, Support("integer", 0.0, 1.0, "IntegerInterval"), True),
        (BITS, UNIT, False),
        (REALS, Support("point"), True),
        (UNKNOWN, UNIT, True),
        (UNKNOWN, REALS, False),
        (UNKNOWN, POSITIVE, False),
        (Support("other", name="a"), Support("other", name="a"), True),
        (Support("other", name="a"), Support("other", name="b"), False),
        (Support("other", name="a"), REALS, False),
    ],
)
def test_same(a, b, same):
    assert a.same(b) == same
    assert b.same(a) == same


@pytest.mark.parametrize(
    ("support", "text"),
    [
        (REALS, "the reals"),
        (Support("integer"), "the integers"),
        (BITS, "{0, 1}"),
        (COUNTS, "integers in [0, inf]"),
        (UNIT, "reals in [0, 1]"),
        (Support("real", None, 2.5), "reals in [-inf, 2.5]"),
        (SIMPLEX, "simplex"),
        (Support("other", name="LKJ"), "LKJ"),
    ],
)
def test_in_words(support, text):
    assert str(support) == text


def test_a_guide_may_match_bounds_that_are_arrays(backend):
    """NumPyro looks at programs on shapes alone, where `ops.zeros` has no value to compare."""

    def model(rows):
        scale = ppgen.param("scale", 1.0, "positive")
        with ppgen.plate("data", rows):
            z = ppgen.sample("z", dist.Uniform(ops.zeros((3,)), ops.ones((3,))).to_event(1))
            ppgen.sample("x", dist.Normal(z.sum(-1), scale))

    def guide(x):
        a = ppgen.param("a", np.ones(3), "positive")
        with ppgen.plate("data", len(x)):
            ppgen.sample("z", dist.Beta(a, a).expand([len(x), 3]).to_event(1))

    batch = {"x": np.ones(5, np.float32)}
    assert set(ppgen.Problem(model, guide, data=batch, backend=backend).start) == {"scale", "a"}
