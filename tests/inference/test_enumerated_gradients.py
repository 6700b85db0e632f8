"""Estimators on discrete latents: their mean over every draw is the exact gradient, with no Monte Carlo error."""

import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest

import ppgen
from ppgen import dist, ops, param, plate, sample

ROWS = 2
STATES = 2  # z is one bit per row


def model(rows):
    prior, tilt = param("prior", 0.3), param("tilt", np.array([-0.7, 0.9]))
    with plate("data", rows):
        z = sample("z", dist.Bernoulli(logits=prior))
        sample("x", dist.Bernoulli(logits=tilt[0] + (tilt[1] - tilt[0]) * z))


def guide(x):
    weight = param("weight", np.array([0.4, -1.1]))
    with plate("data", len(x)):
        sample("z", dist.Bernoulli(logits=weight[0] + weight[1] * x))


DATA = {"x": np.array([1.0, 0.0], np.float32)}


def log_joint_and_guide(parameters):
    """log p(x, z) and log q(z | x) for z in {0, 1}: [2, rows] each, in float64."""

    def bernoulli(x, logit):
        return x * logit - np.logaddexp(0, logit)

    x, z = DATA["x"].astype(float)[None], np.array([[0.0], [1.0]])
    tilt, weight = parameters["tilt"], parameters["weight"]
    log_p = bernoulli(z, parameters["prior"]) + bernoulli(x, tilt[0] + (tilt[1] - tilt[0]) * z)
    return log_p, bernoulli(z, weight[0] + weight[1] * x)


def exact(objective, parameters):
    """Central differences, in float64, of an objective of log p and log q."""
    flat = {name: np.asarray(value, float) for name, value in parameters.items()}
    gradient = {name: np.zeros_like(value) for name, value in flat.items()}
    for name, value in flat.items():
        for i in np.ndindex(value.shape or (1,)):
            ends = []
            for step in (1e-5, -1e-5):
                moved = {k: v.copy() for k, v in flat.items()}
                moved[name] = moved[name] + step if not value.shape else moved[name]
                if value.shape:
                    moved[name][i] += step
                ends.append(objective(*log_joint_and_guide(moved)))
            slope = (ends[0] - ends[1]) / 2e-5
            if value.shape:
                gradient[name][i] = slope
            else:
                gradient[name] = np.asarray(slope)
    return gradient


def elbo(log_p, log_q):
    return (np.exp(log_q) * (log_p - log_q)).sum(0).mean()


def iwae(k):
    def objective(log_p, log_q):
        """E over all K-tuples of log mean w."""
        total = 0.0
        log_w = log_p - log_q
        for states in itertools.product(range(STATES), repeat=k):
            states = list(states)
            chance = np.exp(log_q[states].sum(0))
            total = total + chance * (np.logaddexp.reduce(log_w[states], 0) - np.log(k))
        return total.mean()

    return objective


def expected_gradient(backend, algorithm, forced):
    """The mean of the estimator over every value of its draws, weighted by their probability."""
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=DATA, backend=backend), algorithm)
    state = trainer.init()
    state = replace(state, carry=jax.tree.map(lambda value: value + 0.7, state.carry))  # as after some steps
    play = forced.compiled(trainer, state, DATA)
    parameters = trainer.problem.export(state.parameters)
    _, log_q = log_joint_and_guide({k: v.astype(float) for k, v in parameters.items()})
    total = None
    k = algorithm.particles
    for values in itertools.product(range(STATES), repeat=k * ROWS):
        z = np.array(values, np.float32).reshape(k, ROWS)
        chance = np.exp(sum(log_q[int(z[i, r]), r] for i in range(k) for r in range(ROWS)))
        grads = {name: -chance * g for name, g in play(guide={"z": z})[1].items()}
        total = grads if total is None else {name: total[name] + g for name, g in grads.items()}
    return total, parameters


CASES = [
    (ppgen.ELBO(2, gradient="score"), elbo, ("prior", "tilt", "weight")),
    (ppgen.ELBO(1, gradient="score", baseline="average"), elbo, ("prior", "tilt", "weight")),
    (ppgen.IWAE(2, gradient="vimco"), iwae(2), ("prior", "tilt", "weight")),
    (ppgen.ReweightedWakeSleep(2), iwae(2), ("prior", "tilt")),  # its guide follows another objective
]


@pytest.mark.parametrize(
    ("algorithm", "objective", "names"), CASES, ids=lambda c: repr(c) if hasattr(c, "roles") else ""
)
def test_the_mean_of_an_estimator_is_the_gradient(backend, algorithm, objective, names, forced):
    found, parameters = expected_gradient(backend, algorithm, forced)
    wanted = exact(objective, parameters)
    for name in names:
        np.testing.assert_allclose(found[name], wanted[name], atol=2e-4, err_msg=name)


def test_reweighted_wake_sleep_guide_follows_the_weighted_posterior(backend, forced):
    """E over K-tuples of sum_k w_k / sum w * grad log q(z_k)."""
    algorithm = ppgen.ReweightedWakeSleep(2)
    found, parameters = expected_gradient(backend, algorithm, forced)

    def objective_at(held_p, held_q):
        def objective(_, log_q):
            log_w, total = held_p - held_q, 0.0
            for states in itertools.product(range(STATES), repeat=2):
                states = list(states)
                weights = np.exp(log_w[states] - np.logaddexp.reduce(log_w[states], 0))
                total = total + np.exp(held_q[states].sum(0)) * (weights * log_q[states]).sum(0)
            return total.mean()

        return objective

    held = log_joint_and_guide({k: v.astype(float) for k, v in parameters.items()})
    wanted = exact(objective_at(*held), parameters)
    np.testing.assert_allclose(found["weight"], wanted["weight"], atol=2e-4)


def test_a_flipped_baseline_is_caught(backend, forced, monkeypatch):
    """A baseline that depends on its own draw biases the score function, and the enumeration shows it."""
    monkeypatch.setattr("ppgen.inference.variational.elbo.others_mean", lambda log_w: ops.sum(log_w, 0, keepdims=True))
    found, parameters = expected_gradient(backend, ppgen.ELBO(2, gradient="score"), forced)
    wanted = exact(elbo, parameters)
    assert np.abs(found["weight"] - wanted["weight"]).max() > 1e-2


def test_the_average_baseline_is_that_of_earlier_steps(backend):
    """A moving average of log-weights, 0.95 of it kept a step; a step subtracts what it was before."""
    algorithm = ppgen.ELBO(3, gradient="score", baseline="average")
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=DATA, backend=backend), algorithm)
    state, total, weight = trainer.init(), 0.0, 0.0
    for _ in range(3):
        state, metrics = trainer.step(state, DATA)
        total, weight = 0.95 * total - 0.05 * float(metrics["loss/model"]), 0.95 * weight + 0.05
        np.testing.assert_allclose([float(value) for value in state.carry], [total, weight], rtol=1e-5)


def test_an_average_that_knows_the_draw_is_caught(backend, forced, monkeypatch):
    """A moving average that takes the present step in before it is subtracted biases the score function."""
    monkeypatch.setattr(
        "ppgen.inference.variational.elbo.scored",
        lambda log_w, score, baseline: log_w + ops.stop_gradient(log_w - (0.95 * baseline + 0.05 * log_w)) * score,
    )
    algorithm = ppgen.ELBO(1, gradient="score", baseline="average")
    found, parameters = expected_gradient(backend, algorithm, forced)
    assert np.abs(found["weight"] - exact(elbo, parameters)["weight"]).max() > 5e-3
