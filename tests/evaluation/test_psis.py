import sys
from types import ModuleType, SimpleNamespace

import arviz as az
import numpy as np
import pytest

from ppgen.evaluation import khat, psis


def pareto(k, particles=3000, rows=40, seed=0):
    """Log weights whose tail index is k."""
    uniform = np.random.default_rng(seed).uniform(size=(particles, rows))
    return np.log(((1 - uniform) ** -k - 1) / k)


@pytest.mark.parametrize("k", [0.3, 0.7, 1.0])
def test_known_tails(k):
    found = khat(pareto(k))
    assert found.shape == (40,)
    assert found.mean() == pytest.approx(k, abs=4 * found.std() / 40**0.5 + 0.03)


def test_a_flipped_sign_would_be_noticed():
    assert khat(-pareto(0.3)).mean() > 0.8


def test_order_of_the_rows():
    both = np.concatenate([pareto(0.3, rows=20), pareto(1.0, rows=20)], 1)
    found = khat(both)
    assert found[:20].mean() < 0.5 < found[20:].mean()


def test_arguments_stay_as_they_are():
    log_weights = pareto(0.3)
    before = log_weights.copy()
    khat(log_weights)
    assert np.array_equal(before, log_weights)


def test_equal_weights_have_no_tail():
    rounding = 1e-5 * np.random.default_rng(0).normal(size=(1000, 2)) - 300
    assert np.all(khat(np.zeros((1000, 2))) == -np.inf)
    assert np.all(khat(rounding) == -np.inf)
    assert np.all(khat(np.zeros((24, 2))) == np.inf), "too few to tell"


def test_best_weight_that_comes_often():
    assert khat(np.random.default_rng(0).integers(0, 3, size=(1000, 1)).astype(float)) == -np.inf


def test_too_little_to_tell():
    rng = np.random.default_rng(0)
    few = np.where(rng.uniform(size=(1000, 1)) < 0.98, -np.inf, rng.normal(size=(1000, 1)))
    assert khat(rng.normal(size=(10, 1))) == np.inf
    assert khat(np.full((100, 1), -np.inf)) == np.inf
    assert khat(few) == np.inf


def test_nan_stays_nan():
    log_weights = pareto(0.3, rows=2)
    log_weights[7, 1] = np.nan
    found = khat(log_weights)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


def test_arviz_1_takes_log_likelihoods(monkeypatch):
    """`arviz_stats.base.array_stats.psislw` of arviz-stats 0.8, the engine of ArviZ 1, negates what it is given."""
    expected = khat(pareto(0.7))
    stand_in = ModuleType("arviz_stats.base")
    stand_in.array_stats = SimpleNamespace(psislw=lambda log_likelihood, axis: az.psislw(-log_likelihood))
    monkeypatch.setitem(sys.modules, "arviz_stats", ModuleType("arviz_stats"))
    monkeypatch.setitem(sys.modules, "arviz_stats.base", stand_in)
    monkeypatch.setattr(psis, "version", lambda name: "1.0.0")
    assert np.allclose(khat(pareto(0.7)), expected)
