"""Adversarial training: losses and gradients by formula, whose turn it is, and what a sample carries back."""

import numpy as np
import pytest

import ppgen
from ppgen import GAN, dist, nn, param, plate, sample
from ppgen.inference.algorithm import Played

REAL = {"x": np.array([0.5, -1.2, 2.0, 0.1, 1.4], np.float32)}
FAKE = np.array([[-0.3, 0.8, -2.1, 1.7, 0.2]])
LOC, SCALE, U, V = 0.6, 1.5, 0.9, -0.4


def model(rows):
    loc, scale = param("loc", LOC), param("scale", SCALE)
    with plate("data", rows):
        sample("x", dist.Normal(loc, scale))


def critic(x):
    """A line: c(x) = u x + v."""
    return param("u", U) * x + param("v", V)


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def started(algorithm, backend, data=REAL, model=model, **options):
    trainer = ppgen.Trainer(ppgen.Problem(model, data=data, backend=backend), algorithm, **options)
    return trainer, trainer.init()


# losses ------------------------------------------------------------------------------------------------------


def wanted(loss, fake):
    """Losses by role, and the critic's gradients."""
    real_score, fake_score = U * REAL["x"].astype(float) + V, U * fake + V
    to_real, to_fake = -sigmoid(-real_score), sigmoid(fake_score)
    return (
        {
            "critic": softplus(-real_score).mean() + softplus(fake_score).mean(),
            "model": softplus(-fake_score).mean() if loss == "nonsaturating" else -softplus(fake_score).mean(),
        },
        {"u": (to_real * REAL["x"]).mean() + (to_fake * fake).mean(), "v": to_real.mean() + to_fake.mean()},
    )


@pytest.mark.parametrize("loss", ["nonsaturating", "saturating"])
def test_losses_and_the_critics_gradient(backend, loss, forced):
    play = forced.compiled(*started(GAN(critic, loss=loss), backend), REAL)
    losses, grads = play(dream={"x": FAKE})
    wanted_losses, wanted_grads = wanted(loss, FAKE)
    assert losses == pytest.approx(wanted_losses, abs=1e-6)
    assert {name: float(grads[name]) for name in wanted_grads} == pytest.approx(wanted_grads, abs=1e-6)


def test_real_and_fake_exchanged_is_caught(backend, forced):
    """Real rows in the place of fakes give other numbers."""
    play = forced.compiled(*started(GAN(critic), backend), REAL)
    losses, grads = play(dream={"x": REAL["x"][None]})
    wanted_losses, wanted_grads = wanted("nonsaturating", FAKE)
    assert abs(losses["critic"] - wanted_losses["critic"]) > 0.1
    assert abs(grads["u"] - wanted_grads["u"]) > 0.1


@pytest.mark.parametrize("score", [-3.0, 0.0, 2.0])
def test_the_two_losses_of_the_model_agree_in_sign(backend, score):
    """With one fake point and a linear critic, saturating is e^c(x) times nonsaturating: weak where the model loses."""

    def line(x):
        return param("u", U) * x + param("v", score - U * LOC)

    slopes = {}
    for loss in ("nonsaturating", "saturating"):
        trainer, state = started(GAN(line, loss=loss), backend)  # emit="mean": every fake row is at loc
        slopes[loss] = float(trainer.gradients(state, REAL)["loc"])
    assert slopes["nonsaturating"] == pytest.approx(-U * sigmoid(-score), rel=1e-4)
    assert slopes["saturating"] / slopes["nonsaturating"] == pytest.approx(np.exp(score), rel=1e-4)


# turns -------------------------------------------------------------------------------------------------------

RATE = 0.3


def played(critic_steps, steps=2):
    """Gradient descent by hand, in float64; with emit="mean" every fake row is at loc, and nothing is random."""
    x, loc, u, v = REAL["x"].astype(float), LOC, U, V
    for _ in range(steps):
        for _ in range(critic_steps):
            to_real, to_fake = -sigmoid(-(u * x + v)), sigmoid(u * loc + v)
            u, v = u - RATE * ((to_real * x).mean() + to_fake * loc), v - RATE * (to_real.mean() + to_fake)
        loc += RATE * u * sigmoid(-(u * loc + v))
    return {"loc": loc, "u": u, "v": v, "scale": SCALE}


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_the_critic_moves_first_and_more_often(backend, critic_steps):
    algorithm = GAN(critic, critic_steps=critic_steps)
    assert algorithm.schedule == (("critic",),) * critic_steps + (("model",),)
    trainer, state = started(algorithm, backend, optimizer=ppgen.SGD(learning_rate=RATE))
    for _ in range(2):
        state, metrics = trainer.step(state, REAL)
    assert metrics.keys() == {"loss/critic", "loss/model"}
    found = {name: float(value) for name, value in trainer.problem.export(state.parameters).items()}
    assert found == pytest.approx(played(critic_steps), abs=1e-5)
    for other in {1, 2, 3, 4} - {critic_steps}:  # another number of updates would be seen
        assert abs(played(other)["u"] - found["u"]) > 1e-2


# what a sample carries back ----------------------------------------------------------------------------------


def test_draws_carry_gradients_to_loc_and_scale(backend, forced):
    trainer, state = started(GAN(critic, emit="draw"), backend)
    _, grads = forced.compiled(trainer, state, REAL)()
    batch = ppgen.Batch(trainer.device(REAL))
    dream = trainer.joints(state.parameters, state.key)["model"].dream(batch)  # the same key: the same draws
    fake = trainer.backend.numpy(dream.values["x"])[0].astype(float)
    pull = -U * sigmoid(-(U * fake + V))
    assert fake.std() > 0.1
    assert grads["loc"] == pytest.approx(pull.mean(), abs=1e-6)
    assert grads["scale"] == pytest.approx((pull * (fake - LOC) / SCALE).mean(), abs=1e-6)
    assert abs(grads["scale"]) > 1e-3


def test_means_carry_none_to_the_scale(backend, forced):
    _, grads = forced.compiled(*started(GAN(critic, emit="mean"), backend), REAL)()
    assert grads["loc"] == pytest.approx(-U * sigmoid(-(U * LOC + V)), abs=1e-6)
    assert grads["scale"] == 0


# learning ----------------------------------------------------------------------------------------------------


def learned(algorithm, backend, mean, seed):
    """Where `loc` arrives from 0 after a few hundred small steps on data with a given mean."""

    def gaussian(rows):
        with plate("data", rows):
            sample("x", dist.Normal(param("loc", 0.0), 1.0))

    x = np.random.default_rng(seed).normal(mean, 1, size=32).astype(np.float32)
    problem = ppgen.Problem(gaussian, data={"x": x}, backend=backend, seed=seed)
    trainer = ppgen.Trainer(problem, algorithm, ppgen.Adam(0.01))
    state, _, steps = trainer.run(trainer.init(), {"x": x}, np.tile(np.arange(len(x)), (200, 1)))
    assert steps == 200
    return float(trainer.problem.export(state.parameters)["loc"])


class Flipped(GAN):
    """A model that helps the critic."""

    def play(self, p, q, batch, turn):
        losses = super().play(p, q, batch, turn).losses
        return Played({**losses, "model": -losses["model"]})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mean_moves_towards_the_data(backend, seed):
    mean = 3.0 * (-1) ** seed
    loc = learned(GAN(nn.MLP(1, 8, 1), emit="draw"), backend, mean, seed)
    assert abs(loc - mean) < abs(mean) - 0.1


def test_a_flipped_sign_is_caught(backend):
    loc = learned(Flipped(nn.MLP(1, 8, 1), emit="draw"), backend, 3.0, 0)
    assert abs(loc - 3.0) > 3.1


# covariates --------------------------------------------------------------------------------------------------

PAIRS = {**REAL, "c": np.array([1.0, -0.5, 2.0, 0.3, -1.1], np.float32)}
GAIN = 0.7


def conditional_model(c):
    gain = param("gain", GAIN)
    with plate("data", len(c)):
        sample("x", dist.Normal(gain * c, 1.0))


def conditional_critic(x, c):
    return param("u", U) * x * c + param("v", V)


def test_a_critic_sees_the_covariates(backend, forced):
    """Real pairs (x, c), and fakes with the c they were made from."""
    trainer, state = started(GAN(conditional_critic), backend, PAIRS, conditional_model)
    losses, grads = forced.compiled(trainer, state, PAIRS)()
    x, c = (PAIRS[name].astype(float) for name in "xc")

    def by_hand(c_of_critic):
        real, fake = U * x * c_of_critic + V, U * GAIN * c * c_of_critic + V
        model = softplus(-fake).mean()
        slope = -(sigmoid(-fake) * U * c * c_of_critic).mean()
        return softplus(-real).mean() + softplus(fake).mean(), model, slope

    found = losses["critic"], losses["model"], float(grads["gain"])
    assert found == pytest.approx(by_hand(c), abs=1e-6)
    for value, wrong in zip(found, by_hand(c[::-1]), strict=True):  # the covariates of other rows would be seen
        assert abs(value - wrong) > 1e-2


# named sites -------------------------------------------------------------------------------------------------


def pair(rows, c):
    with plate("data", rows):
        sample("x", dist.Normal(param("loc", LOC), 1.0))
        sample("y", dist.Normal(param("shift", 0.3), 1.0))


def test_a_critic_of_named_sites_sees_no_others(backend):
    """Entries of the data, such as a covariate, may be among them."""
    data = {**PAIRS, "y": PAIRS["c"]}
    for sites, blind in ((("x",), {"shift"}), (("c", "y"), {"loc"}), (None, set())):
        net = nn.MLP(2 if sites is None else len(sites), 4, 1, activation="tanh")
        trainer, state = started(GAN(ppgen.Critic(sites, net), emit="draw"), backend, data, pair)
        grads = trainer.gradients(state, data)
        assert {name for name in ("loc", "shift") if float(grads[name]) == 0} == blind


@pytest.mark.parametrize("sites", ["x", ("x", 1)], ids=repr)
def test_the_sites_of_a_critic_are_names(sites):
    with pytest.raises(ValueError, match=r"Critic: expected a tuple of site names; got .* Write Critic\(\('x',\)\)"):
        ppgen.Critic(sites)
