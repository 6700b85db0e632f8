"""Constants: arguments of programs that are no rows of data, and those that follow the step."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, ops, param, plate, sample
from ppgen.errors import CheckpointError, DataError, ProgramError

DATA = {"x": np.zeros(4, np.float32)}
CALLS = []


def model(rows, sd, shift=None, kind="plain"):
    CALLS.append(kind)
    loc = param("loc", 0.0)
    with plate("data", rows):
        sample("x", dist.Normal(loc + (0.0 if shift is None else shift[1]), sd))


def nats(sd, loc=0.0):
    return -0.5 * (loc / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def test_a_constant_is_an_argument(backend):
    constants = {"sd": 2.0, "shift": np.array([0.0, 3.0], np.float32), "kind": "shifted"}
    found = ppgen.evaluate(model, data=DATA, constants=constants, backend=backend)
    assert found.nats == pytest.approx(nats(2.0, 3.0), abs=1e-5)
    assert CALLS[-1] == "shifted"


def test_a_schedule_follows_the_step_and_compiles_nothing_again(backend):
    cooling = ppgen.schedule(lambda step: 1.0 + 1.0 / (1.0 + step), settled=1.0)
    problem = ppgen.Problem(model, data=DATA, constants={"sd": cooling}, backend=backend)
    trainer = ppgen.Trainer(problem, ppgen.MaximumLikelihood(), ppgen.SGD(1e-12))
    state, losses, before = trainer.init(), [], None
    for _ in range(4):
        state, metrics = trainer.step(state, DATA)
        losses.append(float(metrics["loss/model"]))
        if before is None:
            before = len(CALLS)
    np.testing.assert_allclose(losses, [-nats(1 + 1 / (1 + step)) for step in range(4)], rtol=1e-5)
    if problem.backend.compiles:
        assert len(CALLS) == before
    found = ppgen.evaluation.likelihood(problem, state.parameters, DATA)
    assert found.nats == pytest.approx(nats(1.0), abs=1e-5)


def test_the_weight_of_a_prior_may_follow_the_step(backend):
    def annealed(rows, weight):
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0))
            ppgen.factor("weigh", (weight - 1.0) * dist.Normal(0.0, 1.0).log_prob(z))
            sample("x", dist.Normal(z, 1.0))

    def guide(rows, x):
        loc = param("loc", 1.0)
        with plate("data", rows):
            sample("z", dist.Normal(loc + 0.0 * x, 1.0))

    constants = {"weight": ppgen.schedule(lambda step: ops.minimum(step / 2, 1.0), settled=1.0)}
    problem = ppgen.Problem(annealed, guide, data=DATA, constants=constants, backend=backend)
    trainer = ppgen.Trainer(problem, ppgen.ELBO(analytic_kl=False), ppgen.SGD(1e-12))
    state, grads = trainer.init(), []
    for _ in range(3):
        grads.append(float(trainer.gradients(state, DATA)["loc"]))
        state, _ = trainer.step(state, DATA)
    assert grads[0] != pytest.approx(grads[2], abs=0.1)


def test_constants_are_kept_with_the_fit(backend, tmp_path):
    constants = {
        "sd": ppgen.schedule(lambda step: 1.0 + step, settled=2.0),
        "shift": np.ones(2, np.float32),
        "kind": "kept",
    }
    fit = ppgen.fit(
        model, data=DATA, constants=constants, steps=1, algorithm=ppgen.MaximumLikelihood(), backend=backend
    )
    loaded = ppgen.load(fit.save(tmp_path / "fit"), model)
    assert loaded.evaluate(DATA).nats == pytest.approx(fit.evaluate(DATA).nats)
    assert CALLS[-1] == "kept"


def test_other_constants_must_be_given_again(tmp_path):
    def scaled(rows, sd):
        with plate("data", rows):
            sample("x", dist.Normal(param("loc", 0.0), sd()))

    fit = ppgen.fit(scaled, data=DATA, constants={"sd": lambda: 2.0}, steps=1, algorithm=ppgen.MaximumLikelihood())
    path = fit.save(tmp_path / "fit")
    with pytest.raises(CheckpointError, match=r"constants \['sd'\] that are no numbers"):
        ppgen.load(path, scaled)
    assert ppgen.load(path, scaled, constants={"sd": lambda: 2.0}).evaluate(DATA).nats == fit.evaluate(DATA).nats


@pytest.mark.parametrize(
    ("constants", "error", "said"),
    [
        (
            {"sd": 1.0, "hiden": 3},
            ProgramError,
            r"no program takes the constant 'hiden'; expected an argument, one of \['kind'",
        ),
        ({"sd": 1.0, "x": 3}, DataError, "'x' is given twice"),
        ([1.0], DataError, "expected constants to be a dict .* got list"),
        (None, DataError, r"argument 'sd' that the batch does not have.*constants=\{'sd'"),
    ],
)
def test_mistakes(constants, error, said):
    with pytest.raises(error, match=said):
        ppgen.Problem(model, data=DATA, constants=constants)
