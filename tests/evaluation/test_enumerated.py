import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from ppgen import dist, ops, param, plate, sample
from ppgen.evaluation import evidence, likelihood, posterior, weights

WEIGHTS, LOC = np.array([0.2, 0.5, 0.3]), np.array([-2.0, 0.0, 3.0])
X = np.array([-2.5, -0.1, 0.4, 1.5, 3.3, 9.0, 0.0], np.float32)


def mixture(rows):
    loc = param("loc", LOC)
    with plate("data", rows):
        k = sample("k", dist.Categorical(ops.asarray(WEIGHTS.astype(np.float32))))
        sample("x", dist.Normal(loc[k], 1.0))


JOINT = np.log(WEIGHTS)[:, None] + stats.norm(LOC[:, None], 1.0).logpdf(X)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_mixture(ready, batch_size):
    arguments = ready(mixture, None, {"x": X})
    found = likelihood(*arguments, batch_size=batch_size)
    assert np.allclose(found.per_row, logsumexp(JOINT, 0), atol=1e-4)
    assert (found.kind, found.estimator, found.khat) == ("exact", "enumeration of the latent sites", None)
    assert evidence(*arguments).total == pytest.approx(logsumexp(JOINT, 0).sum(), abs=1e-3)


def test_mixture_in_small_chunks(ready, monkeypatch):
    monkeypatch.setattr(weights, "SCALARS", 1)
    monkeypatch.setattr("ppgen.evaluation.enumerated.SCALARS", 1)
    found = likelihood(*ready(mixture, None, {"x": X}))
    assert np.allclose(found.per_row, logsumexp(JOINT, 0), atol=1e-4)


def test_a_guide_is_judged_by_its_draws(ready):
    def guide(x):
        logits = param("logits", np.zeros(3))
        with plate("data", len(x)):
            sample("k", dist.Categorical(logits=ops.broadcast_to(logits, (len(x), 3))))

    found = likelihood(*ready(mixture, guide, {"x": X}), particles=2000)
    assert found.kind == "lower bound"
    assert np.allclose(found.per_row, logsumexp(JOINT, 0), atol=0.2)


def test_exact_posterior_draws(ready):
    tree = posterior(*ready(mixture, None, {"x": X}), draws=4000, seed=1)
    k = tree["posterior"]["k"].values[0]
    frequencies = np.stack([(k == c).mean(0) for c in range(3)])
    assert np.allclose(frequencies, np.exp(JOINT - logsumexp(JOINT, 0)), atol=0.04)
    assert np.allclose(tree["sample_stats"]["log_weight"], logsumexp(JOINT, 0), atol=1e-4)


def switched(rows):
    """One global switch s; rows have their own k."""
    base = param("base", 0.3)
    s = sample("s", dist.Bernoulli(base))
    with plate("data", rows):
        k = sample("k", dist.Bernoulli(0.25 + 0.5 * s))
        sample("x", dist.Normal(2 * k - s, 1.0))


def switched_log_joint():
    """Log p(x, s), by every assignment of k to the rows."""
    totals = []
    for s, prior in ((0.0, 0.7), (1.0, 0.3)):
        p = 0.25 + 0.5 * s
        terms = [
            sum(
                np.log(p if k else 1 - p) + stats.norm(2 * k - s, 1.0).logpdf(x) for k, x in zip(ks, X[:4], strict=True)
            )
            for ks in itertools.product([0, 1], repeat=4)
        ]
        totals.append(np.log(prior) + logsumexp(terms))
    return np.array(totals)


def test_global_and_local_sites(ready):
    found = likelihood(*ready(switched, None, {"x": X[:4]}), batch_size=3)
    assert found.total == pytest.approx(logsumexp(switched_log_joint()), abs=1e-3)
    assert (found.kind, found.per_row) == ("exact", None)
    assert "all rows together" in found.note


def test_posterior_of_global_and_local_sites(ready):
    tree = posterior(*ready(switched, None, {"x": X[:4]}), draws=4000)["posterior"]
    s, k = tree["s"].values[0], tree["k"].values[0]
    joint = switched_log_joint()
    assert s.mean() == pytest.approx(np.exp(joint[1] - logsumexp(joint)), abs=0.04)
    for value in (0.0, 1.0):
        p = 0.25 + 0.5 * value
        one = p * stats.norm(2 - value, 1).pdf(X[:4])
        zero = (1 - p) * stats.norm(-value, 1).pdf(X[:4])
        assert np.allclose(k[s == value].mean(0), one / (one + zero), atol=0.06)


# rows that have a value ------------------------------------------------------------------------------------------------

SEEN = np.array([True, False, True, True, False, False, True])
K = np.ma.array([0, 9, 1, 2, 9, 9, 0], mask=~SEEN)  # what is under the mask does not matter
GIVEN = np.where(SEEN, JOINT[K.filled(0), np.arange(len(X))], logsumexp(JOINT, 0))


def test_rows_that_have_their_component(ready):
    data = {"x": X, "k": K}
    found = likelihood(*ready(mixture, None, data))
    assert np.allclose(found.per_row, GIVEN, atol=1e-4)
    assert found.kind == "exact"
    assert found.dimensions == pytest.approx(1 + SEEN.mean())
    tree = posterior(*ready(mixture, None, data), draws=50)
    assert (tree["posterior"]["k"].values[0][:, SEEN] == K.filled(0)[SEEN]).all()
    assert np.array_equal(np.isnan(tree["observed_data"]["k"]), ~SEEN)
    assert "constant_data" not in tree


def test_rows_that_have_their_component_are_weighed_with_a_guide(ready):
    """The exact posterior as guide: in rows without k every weight is p(x), in the others p(x, k)."""

    def guide(x):
        logits = ops.asarray(np.log(WEIGHTS).astype(np.float32)) - 0.5 * (x[:, None] - param("loc", LOC)) ** 2
        with plate("data", len(x)):
            sample("k", dist.Categorical(logits=logits))

    found = likelihood(*ready(mixture, guide, {"x": X, "k": K}), particles=3)
    assert found.kind == "lower bound"
    assert np.allclose(found.per_row, GIVEN, atol=1e-4)
