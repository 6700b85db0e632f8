"""One run: its state so far, and what is done between two steps: history, callbacks, checkpoints, its end."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppgen.errors import DataError, NonFiniteError, RunWarning, tell
from ppgen.guides import MeanField
from ppgen.inference.algorithm import Algorithm
from ppgen.problem.automatic import Automatic
from ppgen.problem.problem import Problem
from ppgen.storage.runs import Saved
from ppgen.training import keeping
from ppgen.training.checkpoints import Checkpoints
from ppgen.training.diagnose import diagnose
from ppgen.training.interrupts import Interrupts
from ppgen.training.optimizers import Adam
from ppgen.training.progress import Report, bar
from ppgen.training.record import Record
from ppgen.training.result import Fit
from ppgen.training.standing import settings_of
from ppgen.training.trainer import State, Trainer
from ppgen.training.validation import Validation

IN_A_ROW = 10  # batches that `on_nonfinite="rollback"` passes by before it gives up


@dataclass
class Loop:
    """One run: what it learns, its state so far and its history. The arguments are those of `ppgen.fit`.

    Attributes:
        resume: what is kept of the run to go on with.
        state: of the last good step; None before the first look at the data.
        done: steps taken, those of the run before included.
        epoch: passes so far.
        failures: batches in a row that were passed by.
        ended: whether a callback wants to end.
        inside: whether a step is being taken, so that on Pyro, which works in place, the state may be between two.
    """

    model: Callable[..., Any]
    guide: Callable[..., Any] | None
    algorithm: Algorithm
    optimizer: Any
    backend: str
    size: int | None
    rows: str | None
    train: tuple[str, ...] | None
    seed: int
    callbacks: tuple[Callable[[Fit], Any], ...]
    show: bool | None
    params: Mapping[str, np.ndarray] | Fit | None
    resume: Saved | None
    checkpoints: Checkpoints | None = None
    on_nonfinite: str = "raise"
    constants: Mapping[str, Any] | None = None
    missing: str | None = None
    state: State | None = None
    done: int = 0
    epoch: float = 0.0
    record: Record = field(default_factory=Record)
    validation: Validation | None = None
    interrupts: Interrupts = field(default_factory=Interrupts)
    failures: int = 0
    ended: bool = False
    inside: bool = False

    def start(self, example: Mapping[str, np.ndarray], size: int | None, full_batch: bool, batches: str) -> None:
        """The problem and its trainer, from a first look at an example; the state to begin with."""
        problem = self._problem(self.guide, example, size, full_batch)
        if "guide" in self.algorithm.roles and problem.guide is None and _can_be_guided(problem):
            problem = self._problem(MeanField(), example, size, full_batch)
            names = [site.name for site in problem.model.latent(problem.data)]
            tell(
                f"no guide was given for the latent sites {names}; learning ppgen.guides.MeanField(), a Gaussian for each "
                "variable. Pass it, or a better one, to be silent."
            )
        self.trainer = trainer = Trainer(problem, self.algorithm, self.optimizer, train=self.train)
        self.settings = settings_of(
            algorithm=self.algorithm, optimizer=Adam() if self.optimizer is None else self.optimizer, seed=self.seed,
            train=trainer.train, backend=trainer.backend.name, size=self.size, batches=batches,
            constants=dict(self.constants or {}),
        )  # fmt: skip
        if self.resume is None:
            self.state = trainer.init(parameters=self.params)
        else:
            self.state, standing = keeping.adopt(self.resume, trainer, self.settings)
            self.record, self.epoch = Record.resumed(self.resume[1]["history"], standing), standing.epoch
        self.done = int(self.state.step)
        self.clock = time.perf_counter() - self.record.seconds

    def start_stream(self, host: Mapping[str, np.ndarray]) -> None:
        """The first look, at the first batch of a stream."""
        self.start(host, None, full_batch=False, batches="a stream")
        model = self.trainer.problem.model
        shared = [site.name for site in model.sites.values() if not model.is_local(site)]
        if shared and self.size is None:
            raise DataError(
                f"sites {shared} of the model are shared by all rows, and a stream does not tell how many there are; "
                "expected their number, to weigh a batch against these sites. Write ppgen.fit(..., size=N)."
            )

    def _problem(self, guide: Any, example: Mapping[str, np.ndarray], size: int | None, full_batch: bool) -> Problem:
        return Problem(
            self.model, guide, data=example, backend=self.backend, rows=self.rows, full_batch=full_batch, seed=self.seed,
            size=size if self.size is None else self.size, constants=self.constants, missing=self.missing,
        )  # fmt: skip

    # between two steps ---------------------------------------------------------------------------------------

    @contextmanager
    def running(self, total: int | None) -> Iterator[Report]:
        """Inside, signals are wishes to end, and what is raised has the fit so far."""
        with self.interrupts, bar(type(self.algorithm).__name__, total, self.show) as report:
            try:
                yield report
            except BaseException as error:
                if self.state is not None and (isinstance(error, Exception) or not self.inside):
                    self.hand_over(error)
                raise

    def stepping(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Take steps, and know of it when they raise."""
        self.inside = True
        found = step(*arguments)
        self.inside = False
        return found

    @property
    def over(self) -> bool:
        """Whether somebody wants the run to end."""
        return self.ended or bool(self.interrupts.received)

    def took(self, losses: Mapping[str, float] | None, rows: int, report: Report) -> None:
        """Count a step on so many rows; without losses, it was passed by."""
        self.done += 1
        if losses is not None:
            self.failures = 0
            self.record.keep(losses, rows)
            report(self.done, losses)

    def line(self, whole: bool = True, call_back: bool = True) -> None:
        """A line of the history, of the steps since the last one if there are any; validation, and callbacks."""
        if not self.record.pending or self.record.step == self.done:
            return
        assert self.state is not None
        valid = {} if self.validation is None else self.validation.losses(self.state)
        seconds = time.perf_counter() - self.clock
        self.record.line({"step": self.done, "epoch": self.epoch, "seconds": seconds, **valid}, whole)
        if valid and self.checkpoints:
            self.checkpoints.consider(self.result())
        if call_back:
            self.ended |= any([bool(callback(self.result())) for callback in self.callbacks])

    @property
    def unlooked(self) -> int:
        """How many steps may be taken before a checkpoint is due."""
        return sys.maxsize if self.checkpoints is None else self.checkpoints.ahead(self.done)

    def check_point(self) -> None:
        """Write a checkpoint if it is time."""
        if self.checkpoints and self.checkpoints.due(self.done):
            self.checkpoints.write(self.result())

    def failed(self, batch: Mapping[str, Any], rows: np.ndarray | None) -> None:
        """Raise `NonFiniteError`; or pass the batch by, with the state before it."""
        assert self.state is not None
        fine = self.trainer.backend.all_finite(self.state.parameters)  # Pyro updates them in place
        reason, advice = diagnose(self.trainer, self.state, batch, rows)
        what = f"the loss or its gradient stopped being finite at step {self.done}: {reason}."
        if self.on_nonfinite == "raise" or self.failures == IN_A_ROW or not fine:
            passed = f" {self.failures} batches in a row were passed by before it." if self.failures else ""
            raise NonFiniteError(
                f"{what}{passed} The parameters of step {self.done} are kept in the error's `fit`. {advice}",
                self.done,
            )
        self.failures += 1
        tell(f"{what} The batch was passed by; the run goes on from the parameters before it.", RunWarning)
        self.state = replace(self.state, step=self.state.step + 1)

    # the end -------------------------------------------------------------------------------------------------

    def finish(self, whole: bool, data: Mapping[str, Any] | None = None) -> Fit:
        """The fit at the end of a run: its last line, what its guide does with all rows, and its last checkpoint."""
        self.line(whole, call_back=not self.interrupts.received)
        if isinstance(self.guide, Automatic) and data is not None:
            assert self.state is not None
            learned = self.guide.finish(self.trainer.problem, self.state.parameters, data)
            leaves = {name: self.trainer.backend.leaf(value) for name, value in learned.items()}
            self.state = replace(self.state, parameters=leaves)
        fit = self.result()
        if self.checkpoints:
            self.checkpoints.write(fit)
        if self.interrupts.received:
            tell(
                f"interrupted by {self.interrupts.received} after step {self.done}; this is the fit so far. To go on with it, "
                + ("pass resume=True." if self.checkpoints else "pass resume=fit."),
                RunWarning,
            )
        return fit

    def hand_over(self, error: BaseException) -> None:
        """Give an exception the fit so far, as its `fit`, and write that to the run's directory."""
        with suppress(Exception):  # the losses on validation data may be what failed
            self.line(whole=False, call_back=False)
        try:
            fit = self.result()
            if getattr(error, "fit", None) is None:
                error.fit = fit  # pyright: ignore[reportAttributeAccessIssue]
                error.add_note("The fit so far is kept in this exception's `fit`.")
            if self.checkpoints and not self.inside and self.done:
                self.checkpoints.write(fit)
        except Exception as second:
            error.add_note(f"The fit so far could not be kept: {second}")

    def result(self) -> Fit:
        """The fit so far."""
        trainer = self.trainer
        return Fit(
            trainer.problem, trainer.algorithm, trainer.backend.snapshot(self.state), self.record.history(), trainer.train,
            standing=self.record.standing(self.settings, self.epoch),
        )  # fmt: skip


def _can_be_guided(problem: Problem) -> bool:
    """Whether there are latent sites, all of them continuous: then a guide can be made of the model."""
    latent = problem.model.latent(problem.data)
    return bool(latent) and all(site.reparameterised for site in latent)
