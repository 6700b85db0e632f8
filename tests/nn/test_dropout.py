"""Dropout: noise while a step trains, and nowhere else."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, param, plate, sample

X = np.ones((4, 50), np.float32)


def model(rows, x):
    scale = param("scale", 1.0, "positive")
    with plate("data", rows):
        loc = ops.mean(module("drop", nn.Dropout(0.4))(x), -1)
        sample("y", dist.Normal(loc, scale))


@pytest.fixture
def trainer(backend):
    problem = ppgen.Problem(model, data={"x": X, "y": np.ones(4, np.float32)}, backend=backend)
    return ppgen.Trainer(problem, ppgen.MaximumLikelihood())


def test_a_step_is_noisy_and_an_evaluation_is_not(trainer):
    batch, state = {"x": X, "y": np.ones(4, np.float32)}, trainer.init()
    exact = 0.5 * np.log(2 * np.pi)
    noisy = [float(trainer.step(trainer.init(seed), batch)[1]["loss/model"]) for seed in range(3)]
    assert len(set(noisy)) == 3 and min(noisy) > exact
    assert float(trainer.losses(state, batch)["model"]) == pytest.approx(exact)
    found = ppgen.evaluation.likelihood(trainer.problem, trainer.init().parameters, batch)
    assert found.nats == pytest.approx(-exact)


def test_entries_are_dropped_at_the_rate_and_the_mean_stays(trainer):
    x = np.ones((4, 20_000), np.float32)
    seen = {}

    def net(rows, x):
        seen["x"] = module("drop", nn.Dropout(0.25))(x)
        with plate("data", rows):
            sample("y", dist.Normal(0.0, 1.0))

    problem = ppgen.Problem(net, data={"x": x, "y": np.ones(4, np.float32)}, backend=trainer.backend.name)
    p = problem.joints(training=True)["model"]
    with ppgen.using(trainer.backend.name):
        p.log_prob(ppgen.Batch(problem.device(problem.example)))
    found = trainer.backend.numpy(seen["x"])
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.75)}
    assert found.mean() == pytest.approx(1.0, abs=0.01) and (found == 0).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("rate", [-0.1, 1.0, True, "half"])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="expected a rate of at least 0 and less than 1"):
        nn.Dropout(rate)
