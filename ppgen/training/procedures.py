"""The loop of a procedure: many steps on all rows at once, in chunks, and the `Fit` of what they found."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from ppgen import ops
from ppgen.errors import DataError, NonFiniteError, ProgramError, RunWarning, tell
from ppgen.evaluation.inputs import caveat, dimensions
from ppgen.evaluation.result import Evaluation
from ppgen.inference import EVERYTHING
from ppgen.inference.procedure import Procedure, SamplingWarning
from ppgen.problem.problem import Problem
from ppgen.training.interrupts import Interrupts
from ppgen.training.progress import bar
from ppgen.training.result import Fit
from ppgen.training.trainer import State

_CHUNKS = 20  # looks at a run while it goes on


def proceed(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None,
    data: Any,
    procedure: Procedure,
    *,
    backend: str,
    steps: int | None,
    seed: int,
    rows: str | None,
    constants: Mapping[str, Any] | None,
    params: Any,
    progress: bool | None,
    missing: str | None = None,
    **others: Any,
) -> Fit:
    """Run a procedure on all rows of the data.

    The arguments are those of `ppgen.fit`; `others` are those that are for games of losses, and should not be given.
    """
    name = type(procedure).__name__
    if given := [argument for argument, value in others.items() if value not in (None, ())]:
        raise ProgramError(
            f"{name} makes its own steps, each on all rows, and follows no losses; expected none of {sorted(others)}; got "
            f"{given}. Leave them out."
        )
    if steps is not None and procedure.length is not None:
        raise ProgramError(
            f"{procedure!r} says itself how many steps it takes; got steps={steps}. Leave steps and epochs out."
        )
    if steps is None and procedure.length is None:
        raise ProgramError(f"expected the number of steps that {name} is to take. Write ppgen.fit(..., steps=100).")
    if not isinstance(data, Mapping):
        raise DataError(
            f"{name} sees all rows at each step; expected a dict of arrays; got {type(data).__name__}. Join the batches."
        )
    problem = Problem(
        model, guide, data=data, backend=backend, rows=rows, full_batch=True, seed=seed, constants=constants,
        missing=missing,
    )  # fmt: skip
    procedure.check(problem, EVERYTHING)
    problem = procedure.cast(problem)
    start = {name: problem.backend.leaf(value) for name, value in problem.parameters(params).items()}
    fit = Course(procedure, problem, start).run(procedure.length or steps or 0, progress)
    if start and params is None and not fit.train:
        tell(
            f"{name} samples latent sites only: the model's parameters {list(start)} stayed at their first values. Pass "
            "values, params= (those of another fit, say), or make them latent sites.",
            SamplingWarning,
        )
    return fit


@dataclass
class Course:
    """One run of a procedure: what it works on, and what its steps have told so far.

    Attributes:
        procedure: what runs.
        problem: the model and all rows of the data.
        parameters: the model's parameters at the start, unconstrained.
        history: what the procedure reports, in parts.
        kept: the infos after the steps of tuning, in parts.
        done: steps taken.
    """

    procedure: Procedure
    problem: Problem
    parameters: Mapping[str, Any]
    history: list[dict[str, np.ndarray]] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    done: int = 0

    def run(self, steps: int, show: bool | None) -> Fit:
        """Take so many steps, or fewer where the procedure is finished before, or a signal wants the run to end."""
        procedure, problem, backend = self.procedure, self.problem, self.problem.backend
        clock, most = time.perf_counter(), max(1, -(-steps // _CHUNKS))
        batch, key = problem.device(problem.example, "the data"), backend.key(problem.seed)

        def step(state: Any, batch: Any, key: Any) -> Any:
            with ops.activate(backend):
                return procedure.step(problem, state, batch, key)

        repeat = backend.repeat(step, procedure.finished)
        with ops.activate(backend):
            state = procedure.init(problem, self.parameters, batch, backend.fold_in(key, 0))
        key = backend.fold_in(key, 1)
        with Interrupts() as interrupts, bar(type(procedure).__name__, steps, show) as progress:
            while self.done < steps and not bool(procedure.finished(state)) and not interrupts.received:
                before, turns = state, min(most, steps - self.done)
                state, taken, infos = repeat(before, batch, key, self.done, turns, most)
                good = self.good(infos, taken)
                if good < taken:  # go again from there, to the last state that was whole
                    state, _, infos = repeat(before, batch, key, self.done, good, most)
                self.keep(infos, good, time.perf_counter() - clock)
                if good < taken:
                    self.stop(state)
                progress(self.done, {name: self.history[-1][name][-1] for name in procedure.reports})
        if interrupts.received:
            tell(
                f"interrupted by {interrupts.received} after step {self.done} of {steps}; this is the fit so far.",
                RunWarning,
            )
        return self.fit(state)

    def good(self, infos: Any, taken: int) -> int:
        """How many steps came before the first whose report is not finite."""
        fine = np.ones(taken, bool)
        for name in self.procedure.reports:
            fine &= np.isfinite(infos[name])
        return taken if fine.all() else int(np.argmin(fine))

    def keep(self, infos: Any, taken: int, seconds: float) -> None:
        """Take in the infos of some steps."""
        if not taken:
            return
        line = {"step": np.arange(self.done, self.done + taken) + 1, "seconds": np.full(taken, seconds)}
        self.history.append(line | {name: infos[name] for name in self.procedure.reports})
        tuned = max(0, self.procedure.tuning - self.done)
        if tuned < taken:
            self.kept.append(jax.tree.map(lambda x: x[tuned:], infos))
        self.done += taken

    def stop(self, state: Any) -> None:
        """Raise `NonFiniteError`, with the fit so far."""
        error = NonFiniteError(
            f"what {self.procedure!r} reports, {', '.join(self.procedure.reports)}, stopped being finite at step "
            f"{self.done}. The state of that step is kept in the error's `fit`. Start elsewhere (params=, seed=), or bound "
            "scales away from 0.",
            self.done,
        )
        with warnings.catch_warnings(action="ignore", category=SamplingWarning):  # there is an error already
            error.fit = self.fit(state)
        raise error

    def fit(self, state: Any) -> Fit:
        """The fit so far."""
        infos = jax.tree.map(lambda *parts: np.concatenate(parts), *self.kept) if self.kept else {}
        names = self.history[0] if self.history else ()
        found = self.procedure.result(self.problem, state, infos)
        learned = self.parameters if found.parameters is None else found.parameters
        backend = self.problem.backend
        return Fit(
            self.problem,
            self.procedure,
            State(dict(learned), {}, backend.key(self.problem.seed), backend.counter() + self.done),
            {name: np.concatenate([part[name] for part in self.history]) for name in names},
            () if found.parameters is None else self.procedure.roles,
            draws=dict(found.draws),
            statistics=dict(found.statistics),
            evidence=None if found.log_evidence is None else self.evidence(*found.log_evidence),
        )

    def evidence(self, total: float, error: float) -> Evaluation:
        """The log-probability of all rows together."""
        problem = self.problem
        rows = problem.size
        found = Evaluation.of_total(
            total,
            rows=rows,
            dimensions=dimensions(problem.model, problem.example),
            kind="estimate",
            estimator=f"all rows together, by {type(self.procedure).__name__}",
            note=(note := caveat(problem)),
            normalised=not note,
        )
        return replace(found, stderr=error / rows)
