"""Adversarially learned inference: a critic on data and latent variables."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, nn, ops, param, plate, sample
from ppgen.errors import IllegalPairing, ProgramError

RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=1500) + 1 + 0.5 * RNG.normal(size=1500)).astype(np.float32)


def model(rows):
    slope, shift = param("slope", 0.3), param("shift", 0.0)
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        sample("x", dist.Normal(slope * z + shift, 0.5))


def guide(x):
    with plate("data", len(x)):
        loc = param("q_slope", 0.1) * x + param("q_shift", 0.0)
        sample("z", dist.Normal(loc, ops.exp(param("q_log_scale", 0.0))))


def test_model_and_guide_come_to_the_truth():
    """x = 1.5 z + 1 + noise of 0.5; the posterior of z is N(0.6 (x - 1), 0.1)."""
    algorithm = ppgen.ALI(ppgen.Critic(net=nn.MLP(2, 32, 32, 1)), emit="draw")
    fit = ppgen.fit(
        model, guide, data={"x": X}, algorithm=algorithm, steps=3000, batch_size=256,
        optimizer=ppgen.Adam(2e-3, b1=0.5),
    )  # fmt: skip
    found = [abs(fit.params["slope"]), fit.params["shift"], abs(fit.params["q_slope"])]
    np.testing.assert_allclose(found, [1.5, 1.0, 0.6], atol=0.15)
    assert np.sign(fit.params["slope"]) == np.sign(fit.params["q_slope"])
    assert np.exp(fit.params["q_log_scale"]) == pytest.approx(0.1**0.5, abs=0.1)


def test_losses_are_those_of_the_game(backend):
    """The critic's loss is the cross-entropy of telling (x, q(z|x)) from the model's dreams; the others' its mirror image."""
    problem = ppgen.Problem(model, guide, data={"x": X[:6]}, backend=backend)

    def critic(x, z):
        return param("c", 0.7) * x + z

    trainer = ppgen.Trainer(problem, ppgen.ALI(critic, emit="draw"))
    state = trainer.init()
    losses = {role: float(loss) for role, loss in trainer.losses(state, {"x": X[:6]}).items()}
    joints = trainer.joints(state.parameters, state.key)
    with ppgen.using(backend):
        batch = ppgen.Batch(trainer.device({"x": X[:6]}))
        z, dream = joints["guide"].draw(batch).values, joints["model"].dream(batch).values
        numpy = problem.backend.numpy
        of_guide = numpy(0.7 * batch["x"] + z["z"])
        of_model = numpy(0.7 * dream["x"] + dream["z"])
    softplus = np.logaddexp
    assert losses["critic"] == pytest.approx(softplus(0, -of_guide).mean() + softplus(0, of_model).mean(), rel=1e-5)
    assert losses["model"] == losses["guide"]
    assert losses["guide"] == pytest.approx(softplus(0, of_guide).mean() + softplus(0, -of_model).mean(), rel=1e-5)


def test_critics_look_at_sites_that_are_there():
    with pytest.raises(ProgramError, match=r"a critic looks at 'y'; expected sites of the model, \['z', 'x'\]"):
        ppgen.fit(model, guide, data={"x": X}, algorithm=ppgen.ALI(ppgen.Critic(("x", "y"))), steps=1)
    with pytest.raises(ProgramError, match=r"GAN: the critic looks at \['z'\].*Use ppgen.ALI"):
        ppgen.fit(model, guide, data={"x": X}, algorithm=ppgen.GAN(ppgen.Critic(("x", "z")), emit="draw"), steps=1)


def test_global_sites_are_refused():
    def shared(rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        with plate("data", rows):
            sample("x", dist.Normal(z * param("slope", 1.0), 0.5))

    def q(x):
        sample("z", dist.Normal(param("loc", 0.0), 1.0))

    with pytest.raises(IllegalPairing, match=r"site 'z' is global .* a critic judges row by row"):
        ppgen.fit(shared, q, data={"x": X}, algorithm=ppgen.ALI(), steps=1)
