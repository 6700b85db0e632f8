"""Procedures: algorithms that make their own steps, run by `fit` on all rows."""

import contextlib
import signal
from dataclasses import dataclass, fields

import jax
import numpy as np
import pytest

import ppgen
from ppgen import dist, ops, param, plate, sample
from ppgen.errors import DataError, IllegalPairing, NonFiniteError, ProgramError, RunWarning
from ppgen.inference import PROCEDURES, Procedure
from ppgen.inference.procedure import Result
from ppgen.models.registry import MODELS
from ppgen.training.procedures import Course

ROWS = np.array([1.0, 2.0, 6.0], np.float32)


def model(rows):
    loc = param("loc", 0.0)
    with plate("data", rows):
        sample("x", dist.Normal(loc, 1.0))


@dataclass(frozen=True)
class Halfway(Procedure):
    """Each step brings the mean halfway to that of the data, and draws it with noise of the step's own key."""

    stops_within: float = -1.0
    fails_at: int = -1

    @property
    def reports(self):
        return ("distance",)

    def init(self, problem, parameters, batch, key):
        return {"loc": parameters["loc"], "distance": ops.mean(batch["x"]) - parameters["loc"], "turn": ops.asarray(0)}

    def step(self, problem, state, batch, key):
        p = problem.joints({"loc": state["loc"]}, key)["model"]
        loc = (state["loc"] + ops.mean(batch["x"])) / 2
        distance = ops.mean(batch["x"]) - loc
        noise = p.draw(rows=3).values["x"][0]
        info = {"distance": ops.where(state["turn"] == self.fails_at, np.nan * distance, distance), "noise": noise}
        return {"loc": loc, "distance": distance, "turn": state["turn"] + 1}, info

    def finished(self, state):
        return state["distance"] <= self.stops_within

    def result(self, problem, state, infos):
        draws = {"noise": infos["noise"][None]} if infos else {}
        return Result({"loc": state["loc"]}, draws)


@dataclass(frozen=True)
class Counted(Halfway):
    @property
    def length(self):
        return 5

    @property
    def tuning(self):
        return 2


def run(backend, procedure, **options):
    return ppgen.fit(model, data={"x": ROWS}, algorithm=procedure, backend=backend, **options)


@pytest.mark.parametrize("steps", [7, 45])
def test_steps_change_parameters_and_tell_the_history(backend, steps):
    """45 steps come in chunks of 3, 7 one by one; the keys of the steps do not depend on that."""
    fit = run(backend, Halfway(), steps=steps)
    assert fit.params["loc"] == pytest.approx(3 * (1 - 0.5**steps), rel=1e-6)
    np.testing.assert_allclose(fit.history["distance"][:7], 3 * 0.5 ** np.arange(1, 8), rtol=1e-5)
    assert fit.history["step"].tolist() == list(range(1, steps + 1)) and int(fit.state.step) == steps
    noise = fit.draws["noise"][0]
    assert noise.shape == (steps, 3) and len(np.unique(noise)) == 3 * steps, "each step has noise of its own"
    np.testing.assert_array_equal(noise[:7], run(backend, Halfway(), steps=7).draws["noise"][0])


def test_a_run_ends_where_nothing_is_left_to_do(backend):
    fit = run(backend, Halfway(stops_within=0.1), steps=100)
    assert fit.history["step"].tolist() == [1, 2, 3, 4, 5]


def test_a_procedure_that_knows_its_steps(backend):
    fit = run(backend, Counted())
    assert int(fit.state.step) == 5 and fit.draws["noise"].shape == (1, 3, 3), "two were for tuning"


@pytest.mark.parametrize("fails_at", [0, 4, 44])
def test_a_report_that_is_not_finite_stops_the_run(backend, fails_at):
    with pytest.raises(NonFiniteError, match=rf"distance, stopped being finite at step {fails_at}") as caught:
        run(backend, Halfway(fails_at=fails_at), steps=60)
    fit = caught.value.fit
    assert fit.params["loc"] == pytest.approx(3 * (1 - 0.5**fails_at), abs=1e-6)
    assert len(fit.history.get("distance", ())) == fails_at


def test_a_signal_ends_a_run(backend, monkeypatch):
    """Between two chunks of steps; what they told so far is there."""

    @contextlib.contextmanager
    def bar(*_):
        yield lambda done, metrics: signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("ppgen.training.procedures.bar", bar)
    with pytest.warns(RunWarning, match="interrupted by SIGINT after step 2 of 40; this is the fit so far"):
        fit = run(backend, Halfway(), steps=40)
    assert fit.params["loc"] == pytest.approx(3 * (1 - 0.5**2), abs=1e-6)
    assert fit.history["step"].tolist() == [1, 2]


def test_what_is_for_games_alone_is_refused():
    for options, message in (
        ({}, "expected the number of steps"),
        ({"steps": 3, "epochs": 3}, "one of them"),
        ({"steps": 3, "batch_size": 2}, "got .'batch_size'.*Leave them out"),
        ({"steps": 3, "optimizer": ppgen.Adam(), "train": ("model",)}, "'optimizer', 'train'"),
    ):
        with pytest.raises(ProgramError, match=message):
            run("numpyro", Halfway(), **options)
    with pytest.raises(ProgramError, match="says itself how many steps"):
        run("numpyro", Counted(), steps=3)
    with pytest.raises(DataError, match="Join the batches"):
        ppgen.fit(model, data=[{"x": ROWS}], algorithm=Halfway(), steps=1)
    with pytest.raises(ProgramError, match="makes its own steps. Run it by ppgen.fit"):
        ppgen.Trainer(ppgen.Problem(model, data={"x": ROWS}), Halfway())


def test_requirements_hold_for_procedures():
    @dataclass(frozen=True)
    class Picky(Halfway):
        needs = (lambda problem: "the model is plain",)

    with pytest.raises(IllegalPairing, match="the model is plain. Legal here: .*MaximumLikelihood"):
        run("numpyro", Picky(), steps=1)


def test_saved_and_loaded(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(ppgen.inference, "Halfway", Halfway, raising=False)
    fit = run(backend, Halfway(), steps=3)
    fit.save(tmp_path / "fit")
    again = ppgen.load(tmp_path / "fit", model)
    assert again.params["loc"] == fit.params["loc"] and int(again.state.step) == 3 and again.algorithm == fit.algorithm
    np.testing.assert_array_equal(again.draws["noise"], fit.draws["noise"])


def test_start_at_given_parameters(backend):
    first = run(backend, Halfway(), steps=1)
    assert run(backend, Halfway(), steps=1, params=first).params["loc"] == pytest.approx(2.25)
    assert run(backend, Halfway(), steps=1, params={"loc": 1.0}).params["loc"] == pytest.approx(2.0)


def legal(procedure):
    """A problem of the registry that the procedure can work on; one without parameters, where there is such a one."""
    problems = [
        ppgen.Problem(entry.build()[0], data=entry.data(0, 8), full_batch=True)
        for name, entry in MODELS.items()
        if name in ("linear_regression", "gaussian_mixture", "ppca")
    ]
    return next(procedure.cast(problem) for problem in problems if not procedure.objections(problem))


@pytest.mark.parametrize("procedure", PROCEDURES, ids=repr)
def test_a_step_keeps_the_state_and_is_traced_once(procedure):
    """What NumPyro needs of a procedure: the same tree of arrays after each step, and one trace for all of them."""
    traced = []

    class Watched(type(procedure)):
        def step(self, problem, state, batch, key):
            traced.append(jax.tree.map(lambda x: (x.shape, x.dtype), state))
            new, info = super().step(problem, state, batch, key)
            assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == traced[0]
            return new, info

    watched = Watched(**{f.name: getattr(procedure, f.name) for f in fields(procedure)})
    problem = legal(procedure)
    fit = Course(watched, problem, problem.start).run(procedure.length or 30, show=False)
    assert len(traced) == 1
    assert int(fit.state.step) == len(fit.history["step"]) > 1
    for name in procedure.reports:
        assert np.isfinite(fit.history[name]).all()
