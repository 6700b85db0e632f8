"""Wake-sleep: two losses, each for its own program; in expectation they are what the equations say."""

import itertools

import numpy as np
import pytest

import ppgen
from ppgen import Joint, ReweightedWakeSleep, WakeSleep, dist, param, plate, sample

ROWS = 2
BITS = {"x": np.array([1.0, 0.0], np.float32)}


def model(rows):
    prior, tilt = param("prior", 0.3), param("tilt", [-0.7, 0.9])
    with plate("data", rows):
        z = sample("z", dist.Bernoulli(logits=prior))
        sample("x", dist.Bernoulli(logits=tilt[0] + (tilt[1] - tilt[0]) * z))


def guide(x):
    weight = param("weight", [0.4, -1.1])
    with plate("data", len(x)):
        sample("z", dist.Bernoulli(logits=weight[0] + weight[1] * x))


PARAMETERS = {"prior": np.array([0.3]), "tilt": np.array([-0.7, 0.9]), "weight": np.array([0.4, -1.1])}


def bernoulli(x, logit):
    return x * logit - np.logaddexp(0, logit)


def log_p(x, z, prior, tilt, **_):
    return bernoulli(z, prior[0]) + bernoulli(x, tilt[0] + (tilt[1] - tilt[0]) * z)


def log_q(x, z, weight, **_):
    return bernoulli(z, weight[0] + weight[1] * x)


def slope(objective, name):
    """Central differences, in float64, of an objective of the parameters."""
    gradient = np.zeros_like(PARAMETERS[name])
    for i in range(len(gradient)):
        step = np.zeros_like(gradient)
        step[i] = 1e-5
        ends = [objective(**{**PARAMETERS, name: PARAMETERS[name] + sign * step}) for sign in (1, -1)]
        gradient[i] = (ends[0] - ends[1]) / 2e-5
    return gradient


def started(algorithm, backend, data=BITS, programs=(model, guide), **options):
    trainer = ppgen.Trainer(ppgen.Problem(*programs, data=data, backend=backend), algorithm, **options)
    return trainer, trainer.init()


def constant(value, particles=1):
    return np.full((particles, ROWS), value, np.float32)


# expectations ------------------------------------------------------------------------------------------------


def expected_sleep(backend, forced, dreamt=("x", "z")):
    """The guide's gradient, averaged over every dream (x, z) with its probability under the model."""
    play = forced.compiled(*started(WakeSleep(), backend), BITS)
    total = 0.0
    for x, z in itertools.product((0.0, 1.0), repeat=2):
        dream = {name: constant(value) for name, value in {"x": x, "z": z}.items() if name in dreamt}
        _, grads = play(guide={"z": constant(0)}, dream=dream)
        total = total + np.exp(log_p(x, z, **PARAMETERS)) * grads["weight"]
    return total


def wanted_sleep():
    def objective(**parameters):
        """-E_p log q(z | x)."""
        pairs = itertools.product((0.0, 1.0), repeat=2)
        return -sum(np.exp(log_p(x, z, **PARAMETERS)) * log_q(x, z, **parameters) for x, z in pairs)

    return slope(objective, "weight")


def test_the_sleep_gradient(backend, forced):
    np.testing.assert_allclose(expected_sleep(backend, forced), wanted_sleep(), atol=1e-5)


def test_a_sleep_that_looks_at_the_data_is_caught(backend, forced):
    """Dreamt z with the x of the data: the guide would learn p(z), not p(z | x)."""
    assert np.abs(expected_sleep(backend, forced, dreamt=("z",)) - wanted_sleep()).max() > 1e-2


def test_the_wake_gradient(backend, forced):
    """Averaged over z from the guide, row by row."""
    play = forced.compiled(*started(WakeSleep(), backend), BITS)
    total = {"prior": 0.0, "tilt": 0.0}
    for z in itertools.product((0.0, 1.0), repeat=ROWS):
        _, grads = play(guide={"z": np.array([z])}, dream={"x": constant(0), "z": constant(0)})
        chance = np.exp(sum(log_q(x, bit, **PARAMETERS) for x, bit in zip(BITS["x"], z, strict=True)))
        total = {name: total[name] + chance * grads[name] for name in total}

    def objective(**parameters):
        """-E_q log p(x, z), per row."""
        return -sum(
            np.exp(log_q(x, z, **PARAMETERS)) * log_p(x, z, **parameters) / ROWS for x in BITS["x"] for z in (0, 1)
        )

    for name, gradient in total.items():
        np.testing.assert_allclose(gradient, slope(objective, name), atol=1e-5, err_msg=name)


def test_dreams_come_from_the_model(backend):
    """Frequencies of (x, z) in 4000 dreams, within five standard errors; the data, all ones, do not matter."""
    rows = 4000
    trainer, state = started(WakeSleep(), backend, {"x": np.ones(rows, np.float32)})
    batch = ppgen.Batch(trainer.device({"x": np.ones(rows, np.float32)}))
    values = trainer.joints(state.parameters, state.key)["model"].dream(batch).values
    x, z = (trainer.backend.numpy(values[name])[0] for name in ("x", "z"))
    assert x.shape == z.shape == (rows,)

    def deviation(prior):
        """The largest, over the four pairs, in standard errors."""
        chances = {
            pair: np.exp(log_p(*pair, **{**PARAMETERS, "prior": prior})) for pair in [(0, 0), (0, 1), (1, 0), (1, 1)]
        }
        return max(
            abs(np.mean((x == pair[0]) & (z == pair[1])) - chance) / np.sqrt(chance * (1 - chance) / rows)
            for pair, chance in chances.items()
        )

    assert deviation(PARAMETERS["prior"]) < 5
    assert deviation(-PARAMETERS["prior"]) > 5, "a flipped prior would be seen"


# each loss moves its own program -----------------------------------------------------------------------------

START, RATE, WIDTH = {"a": 0.4, "c": 0.8, "b": 0.3}, 0.1, 0.7
NUMBERS = {"x": np.array([0.9, -1.7, 0.4, 2.2], np.float32)}
NOISE = np.random.default_rng(0).normal(size=(3, 1, 4)).astype(np.float32)


def linear_model(rows):
    a, c = param("a", START["a"]), param("c", START["c"])
    with plate("data", rows):
        z = sample("z", dist.Normal(a, 1.0))
        sample("x", dist.Normal(c * z, 1.0))


def linear_guide(x):
    with plate("data", len(x)):
        sample("z", dist.Normal(param("b", START["b"]) * x, WIDTH))


def live_draw(q, batch):
    """z ~ q as a function of the guide's parameters: a gradient could pass."""
    return {"z": q.parameters["b"] * batch["x"] + q.backend.array(NOISE[0])}


def live_dream(p, batch):
    z = p.parameters["a"] + p.backend.array(NOISE[1])
    return {"z": z, "x": p.parameters["c"] * z + p.backend.array(NOISE[2])}


def one_step(algorithm, backend, forced):
    trainer, state = started(
        algorithm, backend, NUMBERS, (linear_model, linear_guide), optimizer=ppgen.SGD(learning_rate=RATE)
    )
    forced(guide=live_draw, dream=live_dream)
    after, _ = trainer.step(state, NUMBERS)
    return {name: float(value) for name, value in trainer.problem.export(after.parameters).items()}


def step_by_hand():
    a, c, b = START["a"], START["c"], START["b"]
    x, noise = NUMBERS["x"].astype(float), NOISE[:, 0].astype(float)
    z = b * x + noise[0]  # awake: a number to the model
    dreamt_z = a + noise[1]  # asleep: numbers to the guide
    dreamt_x = c * dreamt_z + noise[2]
    return {
        "a": a + RATE * np.mean(z - a),
        "c": c + RATE * np.mean((x - c * z) * z),
        "b": b + RATE * np.mean((dreamt_z - b * dreamt_x) * dreamt_x) / WIDTH**2,
    }


def test_each_loss_moves_its_own_program(backend, forced):
    """Draws here carry gradients to the other program; none is followed."""
    assert one_step(WakeSleep(), backend, forced) == pytest.approx(step_by_hand(), abs=1e-5)


def test_losses_that_are_shared_are_caught(backend, forced):
    class OneLoss(WakeSleep):
        def losses(self, p, q, batch):
            total = sum(super().losses(p, q, batch).values())
            return {"model": total, "guide": total}

    found, wanted = one_step(OneLoss(), backend, forced), step_by_hand()
    assert all(abs(found[name] - value) > 1e-3 for name, value in wanted.items())


# reweighted wake-sleep ---------------------------------------------------------------------------------------


def phases(backend, forced, **settings):
    """The guide's loss and gradient at given draws and a given dream."""
    trainer, state = started(ReweightedWakeSleep(2, **settings), backend)
    play = forced.compiled(trainer, state, BITS)
    losses, grads = play(guide={"z": DRAWS}, dream={"x": np.array([[0.0, 0.0]]), "z": np.array([[1.0, 0.0]])})
    return losses["guide"], grads["weight"]


DRAWS = np.array([[1.0, 1.0], [0.0, 1.0]])


def test_both_phases_are_averaged(backend, forced):
    (wake, wake_grad), (sleep, sleep_grad), (both, both_grad) = (
        phases(backend, forced, wake_phase=w, sleep_phase=s) for w, s in ((True, False), (False, True), (True, True))
    )
    x, p, q = BITS["x"], log_p(BITS["x"], DRAWS, **PARAMETERS), log_q(BITS["x"], DRAWS, **PARAMETERS)
    weight = np.exp(p - q - np.logaddexp.reduce(p - q, 0))
    assert wake == pytest.approx(-(weight * q).sum() / len(x), abs=1e-6)
    assert sleep == pytest.approx(-(log_q(0, 1, **PARAMETERS) + log_q(0, 0, **PARAMETERS)) / 2, abs=1e-6)
    assert both == pytest.approx((wake + sleep) / 2, abs=1e-6)
    np.testing.assert_allclose(both_grad, (wake_grad + sleep_grad) / 2, atol=1e-6)
    assert abs(wake - sleep) > 1e-2, "one phase alone would be seen"


def test_the_sleep_phase_follows_the_dream(backend, forced, monkeypatch):
    """A dream that is lost on the way (the data in its place) changes the loss."""
    right, _ = phases(backend, forced, wake_phase=False, sleep_phase=True)
    dream = Joint.dream

    def lost(self, batch, *args, **options):
        return dream(self, batch, *args, **options).only("z")

    monkeypatch.setattr(Joint, "dream", lost)
    wrong, _ = phases(backend, forced, wake_phase=False, sleep_phase=True)
    assert abs(wrong - right) > 1e-2
