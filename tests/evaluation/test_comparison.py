"""Fits side by side: paired differences with their errors, what numbers may be compared, and what training rows tell."""

import json
from itertools import product

import numpy as np
import pytest

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.errors import DataError
from ppgen.evaluation import Evaluation

RNG = np.random.default_rng(0)


def evaluation(per_row, kind="exact", **about):
    return Evaluation.of_rows(np.asarray(per_row), dimensions=1, kind=kind, estimator="by hand", **about)


def bits(rows):
    odds = param("odds", np.zeros(3))
    with plate("data", rows):
        sample("x", dist.Bernoulli(logits=odds).to_event(1))


def test_differences_are_paired():
    """Rows differ by 10 nats, two fits by 0.1: unpaired errors would hide it."""
    hard, noise = 10 * RNG.normal(size=400), 0.1 * RNG.normal(size=400)
    a, b = evaluation(hard), evaluation(hard - 0.1 + noise)
    found = ppgen.compare({"a": a, "b": b})
    assert found.reference == "a" and found["b"].relation == "="
    assert found["b"].difference == pytest.approx((noise - 0.1).mean())
    assert found["b"].stderr == pytest.approx(noise.std(ddof=1) / 20)
    assert found["b"].difference < -4 * found["b"].stderr and a.stderr > 0.3
    assert (found["a"].difference, found["a"].stderr) == (0, 0)
    assert ppgen.compare({"a": a, "b": b}, against="b")["a"].difference == pytest.approx(-found["b"].difference)
    assert ppgen.compare([b, a], against="first").reference == "evaluation 1"


def test_the_stated_error_is_right():
    z = []
    for _ in range(300):
        a, b = RNG.normal(size=(2, 50))
        line = ppgen.compare({"a": evaluation(a), "b": evaluation(b)}, against="a")["b"]
        z.append(line.difference / line.stderr)
    assert abs(np.mean(z)) < 4 / 300**0.5 and np.std(z) == pytest.approx(1, abs=0.2)


TRUTHS = {"exact": (0.0,), "lower bound": (0.0, 1.0), "upper bound": (-1.0, 0.0), "estimate": (-1.0, 1.0)}


@pytest.mark.parametrize(("one", "other"), list(product(TRUTHS, TRUTHS)))
def test_the_relation_says_where_the_true_difference_may_be(one, other):
    """Over all truths that a number of its kind may stand for."""
    line = ppgen.compare({"a": evaluation([0.0, 0.0], one), "b": evaluation([0.5, 0.5], other)}, against="b")["a"]
    off = {a - b for a, b in product(TRUTHS[one], TRUTHS[other])}  # the true difference less the one shown
    expected = "=" if off == {0} else "≥" if min(off) >= 0 else "≤" if max(off) <= 0 else "~"
    assert line.relation == expected


def test_different_kinds_are_marked():
    rows = RNG.normal(size=30)
    bound = evaluation(rows - 0.2, "lower bound", particles=10)
    printed = repr(ppgen.compare({"a flow": evaluation(rows), "a VAE": bound}))
    assert "≥ -0.200 ± 0.000" in printed and "different kinds" in printed and "lower bound, 10 particles" in printed
    assert "different kinds" not in repr(ppgen.compare({"a": evaluation(rows), "b": evaluation(rows)}))
    assert "how far each lies from the truth" in repr(ppgen.compare({"a": bound, "b": evaluation(rows, "lower bound")}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_row": [0.0]}, "numbers of rows"),
        ({"observed": "x (probability)"}, "sites.*no common unit"),
        ({"data": "other"}, "data.*same order"),
    ],
)
def test_other_numbers_are_refused(change, message):
    a = {"per_row": [0.0, 1.0], "observed": "x (density)", "data": "some"}
    with pytest.raises(DataError, match=message):
        ppgen.compare({"a": evaluation(**a), "b": evaluation(**(a | change))})


def test_evaluations_know_their_data(ready):
    """The same rows have one fingerprint on both backends, in other types; others have not."""
    x = RNG.integers(0, 2, size=(5, 3))

    def of(x):
        return ppgen.evaluation.likelihood(*ready(bits, None, {"x": x}))

    same, other = of(x.astype(np.float32)), of(x[::-1].copy())
    assert of(x).data == same.data == ppgen.evaluate(bits, data={"x": x}).data and same.observed == "x (probability)"
    with pytest.raises(DataError, match="expected evaluations of the same data"):
        ppgen.compare([same, other])


def test_fits_with_their_training_rows(backend):
    """The gap, and -log N, which only probabilities have; and a model that knows its rows by heart reaches it."""
    train, test = RNG.permutation(np.array(list(product([0.0, 1.0], repeat=3)), np.float32)).reshape(2, 4, 3)

    def learned(steps):
        return ppgen.fit(bits, data={"x": train}, algorithm=ppgen.MaximumLikelihood(), steps=steps, backend=backend)

    found = ppgen.compare([learned(1), learned(200)], {"x": test}, train={"x": train})
    first, second = found.lines
    assert (first.name, second.name) == ("MaximumLikelihood 1", "MaximumLikelihood 2")
    assert second.gap == pytest.approx(second.train.nats - second.evaluation.nats) and second.gap >= first.gap
    assert found.memorised == pytest.approx(-np.log(4))
    assert max(line.train.nats for line in found.lines) < found.memorised
    assert "-log N" in repr(found) and "train - test" in repr(found)
    assert json.loads(json.dumps(found.to_dict()))["lines"][1]["train"]["nats"] == second.train.nats

    def heart(rows):
        with plate("data", rows):
            sample("x", dist.MixtureSameFamily(dist.Categorical(logits=np.zeros(4, np.float32)), spikes()))

    def spikes():
        return dist.Bernoulli(probs=ppgen.ops.asarray(train)).to_event(1)

    by_heart = ppgen.evaluate(heart, data={"x": train}, backend=backend)
    assert by_heart.nats == pytest.approx(found.memorised, abs=1e-3)


def conditional(c):
    with plate("data", len(c)):
        sample("x", dist.Bernoulli(logits=param("slope", 1.0) * c))


def density(rows):
    with plate("data", rows):
        sample("x", dist.Normal(param("loc", 0.0), 1.0))


@pytest.mark.parametrize("program", [conditional, density])
def test_no_bound_where_there_is_none(program):
    data = {"x": np.array([0.0, 1.0], np.float32)} | ({"c": np.ones(2, np.float32)} if program is conditional else {})
    fit = ppgen.fit(program, data=data, algorithm=ppgen.MaximumLikelihood(), steps=1, backend="pyro")
    found = ppgen.compare({"a": fit, "b": fit}, data, train=data)
    assert np.isnan(found.memorised) and "-log N" not in repr(found) and found["a"].gap == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: ppgen.compare([e]), "at least two fits"),
        (lambda e: ppgen.compare([e, 3]), "fits or evaluations; got int"),
        (lambda e: ppgen.compare([e, e], against="c"), "against to be"),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call(evaluation([0.0, 1.0]))
