"""The trainer on its own: what `init` leaves alone, and what an algorithm may carry from step to step and report."""

from dataclasses import dataclass

import numpy as np
import pytest

import ppgen
from ppgen import ops
from ppgen.errors import ProgramError
from ppgen.inference.algorithm import Played


def numbers(problem, parameters):
    return {name: value.copy() for name, value in problem.export(parameters).items()}


def differ(one, other):
    return any(not np.array_equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def trainer(programs, bits, backend):
    problem = ppgen.Problem(*programs, data={"x": bits[:3]}, backend=backend, size=19)
    return ppgen.Trainer(problem, optimizer=ppgen.SGD(0.1))


def test_init_changes_neither_the_trainer_nor_the_problem(trainer, bits):
    """Nor does training, which on Pyro works in place."""
    problem, start = trainer.problem, numbers(trainer.problem, trainer.problem.start)
    before = dict(vars(trainer))
    first = trainer.init()
    other = trainer.init(seed=5, parameters={"decoder.0.weight": np.ones((2, 6), np.float32)})
    first, _ = trainer.step(first, {"x": bits[:5]})  # another number of rows than at first
    assert differ(start, numbers(problem, first.parameters)) and differ(start, numbers(problem, other.parameters))
    assert vars(trainer) == before
    assert problem is trainer.problem and problem.size == 19 and not problem.full_batch
    assert not differ(start, numbers(problem, problem.start))
    assert not differ(start, numbers(problem, trainer.init().parameters)), "a second run begins where the first one did"


def test_the_seed_of_init_decides_parameters_and_noise(trainer, bits):
    one, same, other = (trainer.init(seed) for seed in (1, 1, 2))
    batch = {"x": bits[:5]}
    losses = [float(trainer.losses(state, batch)["model"]) for state in (one, same, other)]
    assert losses[0] == losses[1] != losses[2]
    noise = trainer.losses(trainer.init(1), batch, trainer.init(2).key)["model"]
    assert float(noise) != losses[0]


# what an algorithm carries ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remembering(ppgen.ELBO):
    """Half of the last average and half of the present loss; and how many steps there were before."""

    @property
    def reports(self):
        return ("average", "before")

    def start(self, problem):
        return {"average": np.float32(7.0)}

    def play(self, p, q, batch, turn):
        losses = self.losses(p, q, batch)
        average = 0.5 * turn.carry["average"] + 0.5 * ops.stop_gradient(losses["model"])
        return Played(losses, {"average": average}, {"average": average, "before": turn.step * ops.ones(())})


def test_an_algorithm_carries_a_state_and_reports_it(quick):
    """One line of the history a step: the average follows the losses, and is no loss itself."""
    fit = quick(algorithm=Remembering(), batch_size=None, epochs=6)
    average, expected = 7.0, []
    for loss in fit.history["loss/model"]:
        average = 0.5 * average + 0.5 * loss
        expected.append(average)
    np.testing.assert_allclose(fit.history["average"], expected, rtol=1e-5)
    np.testing.assert_array_equal(fit.history["before"], np.arange(6))
    plain = quick(algorithm=ppgen.ELBO(), batch_size=None, epochs=6)
    for name, value in plain.params.items():
        np.testing.assert_array_equal(fit.params[name], value)


def test_what_is_carried_is_kept(quick, programs, tmp_path):
    """A run that is saved, loaded and gone on with is the uninterrupted one."""
    whole = quick(algorithm=Remembering(), epochs=4)
    quick(algorithm=Remembering(), epochs=2).save(tmp_path / "half")
    half = ppgen.load(tmp_path / "half", *programs, algorithm=Remembering())
    resumed = quick(algorithm=Remembering(), epochs=4, resume=half)
    np.testing.assert_array_equal(resumed.history["average"], whole.history["average"])


@dataclass(frozen=True)
class Silent(Remembering):
    """Promises a report and gives none."""

    def play(self, p, q, batch, turn):
        return Played(self.losses(p, q, batch), turn.carry)


@dataclass(frozen=True)
class Taken(ppgen.ELBO):
    """Reports under a name that each line of the history has."""

    @property
    def reports(self):
        return ("seconds",)


@dataclass(frozen=True)
class Half(ppgen.ELBO):
    """Forgets the guide."""

    def losses(self, p, q, batch):
        return {"model": super().losses(p, q, batch)["model"]}


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (Silent(), r"expected a report of \['average', 'before'\], as `reports` says; got \[\]"),
        (Taken(), r"expected reports under names of their own; the history has \['seconds'\]\. Rename"),
        (Half(), r"expected losses\(\) to give one for each role; missing \['guide'\]"),
        (ppgen.Algorithm(), r"Algorithm defines no losses"),
    ],
    ids=["report", "name", "role", "nothing"],
)
def test_algorithms_that_give_less_than_they_say(quick, algorithm, message):
    with pytest.raises((ProgramError, TypeError), match=message):
        quick(algorithm=algorithm)
