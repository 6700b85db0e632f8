from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import dist, param, plate, sample


@pytest.fixture
def ready(backend):
    """Inspect programs on data: the arguments that every function of ppgen.evaluation starts with."""

    def make(model, guide, data):
        problem = ppgen.Problem(model, guide, data=data, backend=backend)
        return problem, problem.start, data

    return make


@pytest.fixture
def gaussian():
    """z ~ N(0, 1), x | z ~ N(loc + slope z, scale) in 2 dimensions; a guide that is exact where its width is 1."""
    slope, scale = np.array([1.0, -2.0], np.float32), 0.5
    variance = 1 / (1 + (slope @ slope) / scale**2)

    def model(rows):
        loc = param("loc", [0.5, 1.0])
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0))
            sample("x", dist.Normal(loc + z[..., None] * ppgen.ops.asarray(slope), scale).to_event(1))

    def guide(width=1.0):
        def q(x):
            loc, spread = param("loc", [0.5, 1.0]), param("width", width)
            with plate("data", len(x)):
                mean = ((x - loc) * ppgen.ops.asarray(slope)).sum(-1) * float(variance / scale**2)
                sample("z", dist.Normal(mean, float(variance**0.5) * spread))

        return q

    marginal = stats.multivariate_normal([0.5, 1.0], np.outer(slope, slope) + scale**2 * np.eye(2))
    x = marginal.rvs(11, random_state=0).astype(np.float32)
    mean = (x - [0.5, 1.0]) @ slope * variance / scale**2
    return SimpleNamespace(
        model=model, guide=guide, x=x, log_prob=marginal.logpdf(x), mean=mean, std=float(variance**0.5)
    )


@pytest.fixture
def regression():
    """y | w ~ N(a w, 1) for global weights w ~ N(0, I), with a guide that is the posterior given 20 rows."""
    rng = np.random.default_rng(1)
    a = rng.normal(size=(20, 2)).astype(np.float32)
    y = (a @ [1.0, -1.0] + rng.normal(size=20)).astype(np.float32)
    covariance = np.linalg.inv(np.eye(2) + a.T @ a)
    mean = covariance @ a.T @ y

    def model(a):
        w = sample("w", dist.Normal(ppgen.ops.zeros([2]), 1.0).to_event(1))
        with plate("data", len(a)):
            sample("y", dist.Normal((a * w).sum(-1), 1.0))

    def guide():
        loc = param("loc", mean.astype(np.float32))
        sample("w", dist.MultivariateNormal(loc, covariance_matrix=covariance.astype(np.float32)))

    def predictive(a, y):
        spread = 1 + np.einsum("ni,ij,nj->n", a, covariance, a)
        return stats.norm(a @ mean, spread**0.5).logpdf(y)

    new = rng.normal(size=(6, 2)).astype(np.float32)
    return SimpleNamespace(
        model=model, guide=guide, data={"a": a, "y": y}, mean=mean, covariance=covariance,
        evidence=stats.multivariate_normal(np.zeros(20), a @ a.T + np.eye(20)).logpdf(y),
        new={"a": new, "y": new.sum(1)}, predictive=predictive(new, new.sum(1)),
    )  # fmt: skip
