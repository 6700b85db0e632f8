"""NumPyro's `scan` and `cond` as they stand: sites inside have values, densities, gradients and dreams like any other."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import cond, scan
from scipy.stats import multivariate_normal, norm

import ppgen
from ppgen import ops

ROWS, T, STEP, NOISE = 3, 4, 0.7, 0.5
Y = np.random.default_rng(0).normal(size=(ROWS, T)).cumsum(1).astype(np.float32)
PRIOR = STEP**2 * np.minimum.outer(np.arange(1, T + 1), np.arange(1, T + 1))
EVIDENCE = multivariate_normal(np.zeros(T), PRIOR + NOISE**2 * np.eye(T)).logpdf(Y)
POSTERIOR = np.linalg.inv(np.linalg.inv(PRIOR) + np.eye(T) / NOISE**2)
MEAN = Y @ POSTERIOR / NOISE**2


def walk(y):
    """A random walk, seen through noise."""

    def step(z, seen):
        with numpyro.plate("data", seen.shape[0]):
            z = numpyro.sample("z", dist.Normal(z, STEP))
            numpyro.sample("obs", dist.Normal(z, NOISE), obs=seen)
        return z, None

    scan(step, jnp.zeros(len(y)), y.T)


def smoother(y):
    """The posterior of the walk, one time after the other; `bias` is 0 where it is right."""
    bias = numpyro.param("bias", jnp.zeros(()))
    mean = y @ jnp.asarray(POSTERIOR / NOISE**2)
    lower = jnp.linalg.cholesky(jnp.asarray(POSTERIOR))

    def step(noise, t):
        with numpyro.plate("data", len(y)):
            loc = mean[:, t] + noise @ lower[t]
            z = numpyro.sample("z", dist.Normal(loc + bias, lower[t, t]))
        return noise.at[:, t].set((z - loc) / lower[t, t]), None

    scan(step, jnp.zeros((len(y), T)), jnp.arange(T))


@pytest.fixture(scope="module")
def problem():
    return ppgen.Problem(walk, smoother, data={"y": Y})


def test_under_the_posterior_every_weight_is_the_evidence(problem):
    found = ppgen.evaluation.likelihood(problem, problem.start, {"y": Y}, particles=3)
    np.testing.assert_allclose(found.per_row, EVIDENCE, rtol=1e-5)
    assert found.dimensions == T


@pytest.mark.parametrize("pathwise", [True, False])
def test_gradients_of_draws(pathwise, problem):
    """Held draws carry no gradient, inside the loop too; pathwise ones move with the bias, so that their density stays."""
    batch, key = ppgen.Batch(problem.device({"y": Y})), problem.backend.key(1)

    def log_prob(parameters, given=None):
        with ops.activate(problem.backend):
            q = problem.joints(parameters, key)["guide"]
            run = q.draw(batch, 2, pathwise=pathwise) if given is None else q.trace(batch | given)
            return ops.sum(run.log_prob)

    with ops.activate(problem.backend):
        values = problem.joints(key=key)["guide"].draw(batch, 2, pathwise=pathwise).values
    found = jax.grad(log_prob)(problem.start)["bias"]
    score = jax.grad(log_prob)(problem.start, values)["bias"]
    assert abs(score) > 0.1
    np.testing.assert_allclose(found, 0.0 if pathwise else score, atol=1e-4)


def test_a_sampler_finds_the_posterior():
    fit = ppgen.fit(walk, data={"y": Y}, algorithm=ppgen.HMC(draws=150, warmup=150, chains=2))
    mean = fit.draws["z"].mean((0, 1)).T
    error = np.sqrt(np.diag(POSTERIOR) / 50)  # of some fifty independent draws
    assert (np.abs(mean - MEAN) < 5 * error).all()


def test_a_dream_is_drawn_inside_too(problem):
    joint, batch = problem.joints()["model"], ppgen.Batch(problem.device({"y": Y}))
    dream = joint.dream(batch, 400)
    z, seen = (np.asarray(dream.values[name]) for name in ("z", "obs"))
    assert z.shape == seen.shape == (400, T, ROWS)
    assert np.allclose((seen - z).std((0, 2)), NOISE, rtol=0.1)
    assert np.allclose(np.diff(z, axis=1).std((0, 2)), STEP, rtol=0.1)


def test_a_branch_is_taken():
    def branches(x, wide):
        def draw(sd):
            with numpyro.plate("data", len(x)):
                return numpyro.sample("z", dist.Normal(0.0, sd))

        z = cond(wide, lambda sd: draw(2 * sd), draw, 1.0)
        with numpyro.plate("data", len(x)):
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(x, wide):
        variance = 1 / (1 + 1 / (4.0 if wide else 1.0))
        with numpyro.plate("data", len(x)):
            numpyro.sample("z", dist.Normal(variance * x, variance**0.5))

    for wide in (True, False):
        found = ppgen.evaluate(branches, guide, data={"x": Y[:, 0]}, constants={"wide": wide}, particles=2)
        np.testing.assert_allclose(found.per_row, norm(0, (1 + (4 if wide else 1)) ** 0.5).logpdf(Y[:, 0]), rtol=1e-5)
