"""Predictive draws and checks, and scores of strange rows."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import ppgen
from ppgen import dist, param, plate, sample
from ppgen.errors import DataError, NoLikelihoodError
from ppgen.evaluation import anomalies, check, replicate

RNG = np.random.default_rng(0)


def posterior_of(regression, backend):
    return ppgen.fit(
        regression.model, regression.guide, data=regression.data, steps=1, backend=backend, optimizer=ppgen.SGD(1e-9)
    )


def test_replicates_have_the_predictive_distribution(backend, regression):
    """Of the prior: N(0, a a' + 1); of the posterior: N(a mean, a cov a' + 1)."""
    fit, a = posterior_of(regression, backend), regression.data["a"].astype(float)
    prior = replicate(fit, regression.data, draws=3000, prior=True)["y"]
    assert prior.shape == (3000, 20)
    z = prior / (1 + (a**2).sum(1)) ** 0.5
    assert min(stats.kstest(column, "norm").pvalue for column in z.T[:8]) > 1e-3
    later = replicate(fit, regression.data, draws=3000)
    spread = (1 + np.einsum("ni,ij,nj->n", a, regression.covariance, a)) ** 0.5
    z = (later["y"] - a @ regression.mean) / spread
    assert min(stats.kstest(column, "norm").pvalue for column in z.T[:8]) > 1e-3
    together = (later["y"] - later["w"] @ a.T).ravel()
    assert abs(together.std() - 1) < 0.02, "rows of a replicate share its weights"


def test_a_check_finds_what_the_model_lacks(backend, regression):
    """Heavy tails in the data; the mean is what the model fits."""
    y = regression.data["y"].copy()
    y[3] = 12.0
    data = regression.data | {"y": y}
    fit = posterior_of(regression, backend)
    statistics = {"largest": lambda y: np.abs(y).max(), "smallest": lambda y: np.abs(y).min()}
    found = check(fit, data, statistics, draws=400)
    assert found.p_values["largest"] == 0 and 0.02 < found.p_values["smallest"] < 0.98
    assert found.observed["largest"] == 12 and found.replicated["largest"].shape == (400,)
    assert "posterior predictive" in repr(found) and "0.000" in repr(found)
    assert json.loads(json.dumps(found.to_dict()))["p_values"] == found.p_values
    assert check(fit, data, statistics, draws=10, prior=True).prior


def test_equal_statistics_count_half(backend):
    """And p-values of a model without anything to learn are uniform."""

    def coins(rows):
        with plate("data", rows):
            sample("x", dist.Bernoulli(param("p", 0.5)))
            sample("y", dist.Normal(0.0, 1.0))

    data = {"x": np.zeros(4, np.float32), "y": np.zeros(4, np.float32)}
    algorithm = ppgen.MaximumLikelihood()
    fit = ppgen.fit(coins, data=data, steps=1, backend=backend, algorithm=algorithm, optimizer=ppgen.SGD(1e-9))
    found = check(fit, data, {"sum": lambda d: d["x"].sum(), "one": lambda d: d["y"].size}, draws=2000)
    assert found.p_values["one"] == 0.5
    assert found.p_values["sum"] == pytest.approx(1 - 2**-5, abs=4 * (2**-5 / 2000) ** 0.5)


def test_statistics_are_needed(regression):
    with pytest.raises(ValueError, match="expected statistics"):
        check(posterior_of(regression, "pyro"), regression.data, {})


def gaussian_of_many(rows):
    scale = param("scale", 1.0, "positive")
    with plate("data", rows):
        sample("x", dist.Normal(0.0, scale).expand([60]).to_event(1))


def test_the_mode_is_strange_and_likely(backend):
    """Rows too near the mode, and rows too far: likelihood finds only the second, typicality both."""
    rows = {"train": RNG.normal(size=(300, 60)), "plain": RNG.normal(size=(200, 60))}
    rows |= {"near": 0.6 * RNG.normal(size=(200, 60)), "far": 1.5 * RNG.normal(size=(200, 60))}
    seen = {
        name: ppgen.evaluate(gaussian_of_many, data={"x": x.astype(np.float32)}, backend=backend)
        for name, x in rows.items()
    }
    scores = {name: anomalies(found, seen["train"]) for name, found in seen.items()}

    def auc(kind, strange):
        both = np.concatenate([scores["plain"][kind], scores[strange][kind]])
        return roc_auc_score(np.repeat([0, 1], 200), both)

    assert auc("likelihood", "far") > 0.99 and auc("typicality", "far") > 0.99
    assert auc("likelihood", "near") < 0.01 and auc("typicality", "near") > 0.99


def test_scores_of_other_data_are_refused():
    x = np.zeros((3, 60), np.float32)
    rows = ppgen.evaluate(gaussian_of_many, data={"x": x}, backend="pyro")
    fewer = ppgen.Evaluation.of_rows(np.zeros(3), dimensions=59, kind="exact", estimator="by hand")
    with pytest.raises(DataError, match="dimensions per row"):
        anomalies(rows, fewer)
    whole = ppgen.Evaluation.of_total(-3.0, rows=3, dimensions=60, kind="exact", estimator="by hand")
    with pytest.raises(NoLikelihoodError, match="a number for each row"):
        anomalies(whole, rows)
