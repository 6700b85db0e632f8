"""The loop of a run: minibatches of arrays, or a stream of batches; history, validation, callbacks."""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppgen import backends
from ppgen.errors import DataError, NonFiniteError, Note
from ppgen.guides import MeanField
from ppgen.inference.algorithm import Algorithm
from ppgen.problem.arrays import to_host
from ppgen.problem.automatic import Automatic
from ppgen.problem.problem import Problem
from ppgen.training import keeping
from ppgen.training.batches import Epochs, batches_of
from ppgen.training.diagnose import diagnose
from ppgen.training.progress import bar
from ppgen.training.result import Fit
from ppgen.training.trainer import State, Trainer

_LOOK = 7  # rows of the first look at minibatched programs; a size that no shape is likely to have by accident
_CHUNK = 64  # steps between looks at the losses when epochs are short
_STREAM_RECORD = 100  # steps between records of a stream


@dataclass
class Loop:
    """One run: what it learns, its state so far and its history. The arguments are those of `ppgen.fit`."""

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
    resume: Fit | None
    history: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    kept: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # steps since the last record
    held: list[tuple[int, Any]] = field(default_factory=list)  # validation data in chunks

    def start(self, example: Mapping[str, np.ndarray], size: int | None, full_batch: bool) -> State:
        """The problem and its trainer, from a first look at an example; the state to begin with."""
        problem = self._problem(self.guide, example, size, full_batch)
        if "guide" in self.algorithm.roles and problem.guide is None and _can_be_guided(problem):
            problem = self._problem(MeanField(), example, size, full_batch)
            names = [site.name for site in problem.model.latent(problem.data)]
            warnings.warn(
                f"no guide was given for the latent sites {names}; learning ppgen.guides.MeanField(), a Gaussian for each "
                "variable. Pass it, or a better one, to be silent.",
                Note,
                stacklevel=4,
            )
        self.trainer = Trainer(problem, self.algorithm, self.optimizer, train=self.train)
        if self.resume is None:
            state = self.trainer.init(parameters=self.params)
        else:
            state = keeping.adopt(self.resume, self.trainer)
            for name, values in self.resume.history.items():
                self.history[name] = list(values)
        self.clock = time.perf_counter() - (self.history["seconds"][-1] if self.history["seconds"] else 0.0)
        return state

    def _problem(self, guide: Any, example: Mapping[str, np.ndarray], size: int | None, full_batch: bool) -> Problem:
        return Problem(
            self.model, guide, data=example, backend=self.backend, rows=self.rows, full_batch=full_batch, seed=self.seed,
            size=size if self.size is None else self.size,
        )  # fmt: skip

    def arrays(
        self,
        data: Mapping[Any, Any],
        valid: Mapping[str, Any] | None,
        epochs: int | None,
        steps: int | None,
        batch_size: int | None,
    ) -> Fit:
        """Train on arrays that fit in memory."""
        host = to_host(data, double=backends.get(self.backend).double())
        n = len(next(iter(host.values())))
        size = min(batch_size or n, n)
        few = n if size == n else min(n, _LOOK)
        state = self.start({name: value[:few] for name, value in host.items()}, n, full_batch=size == n)
        trainer, data = self.trainer, host
        device = trainer.device(data, "the data")
        self.held = self.held_out(valid)
        plan = Epochs(n, size, self.seed)
        total = (epochs or 0) * plan.steps if steps is None else steps
        done = int(state.step)
        short = plan.rows % plan.batch_size == 0 and not self.callbacks and valid is None
        together = max(1, _CHUNK // plan.steps) if short else 1  # epochs a chunk
        with bar(type(trainer.algorithm).__name__, total, self.show) as report:
            while done < total:
                epoch, skip = divmod(done, plan.steps)
                parts = [plan.index(e) for e in range(epoch, epoch + together)]
                for index in (np.concatenate(p) for p in zip(*parts, strict=True)):
                    index, skip = index[skip:], max(0, skip - len(index))
                    index = index[: total - done]
                    if not len(index):
                        continue
                    state, metrics = self.advance(state, device, index, data)
                    for step in metrics:
                        self.keep(step, index.shape[1])
                        done += 1
                        if done % plan.steps == 0 or done == total:
                            losses = self.record(state, done, done / plan.steps)
                report(done, losses)
                if self.call_back(state):
                    break
        if isinstance(self.guide, Automatic):
            learned = self.guide.finish(trainer.problem, state.parameters, device)
            state = replace(state, parameters={name: trainer.backend.leaf(value) for name, value in learned.items()})
        return self.result(state)

    def advance(
        self, state: State, device: Any, index: np.ndarray, host: Mapping[str, np.ndarray]
    ) -> tuple[State, list[dict[str, float]]]:
        """Run a chunk of steps; the losses of each. Stop with everything so far if it goes wrong."""
        after, metrics, good = self.trainer.run(state, device, index)
        if good < len(index):
            rows = index[good]
            batch = self.trainer.device({name: value[rows] for name, value in host.items()})
            self.stop(after, batch, rows)
        values = zip(*(self.trainer.backend.numpy(value).tolist() for value in metrics.values()), strict=True)
        return after, [dict(zip(metrics, step, strict=True)) for step in values]

    def stop(self, state: State, batch: Mapping[str, Any], rows: np.ndarray | None) -> None:
        """Raise `NonFiniteError`, with the fit so far."""
        step, (reason, advice) = int(state.step), diagnose(self.trainer, state, batch, rows)
        error = NonFiniteError(
            f"the loss or its gradient stopped being finite at step {step}: {reason}. The parameters of step {step} are kept "
            f"in the error's `fit`. {advice}",
            step,
        )
        error.fit = self.result(state)
        raise error

    def keep(self, losses: Mapping[str, float], rows: int) -> None:
        """Keep the losses of a step on a batch of `rows` rows for the next record."""
        for name, value in {**losses, "rows": rows}.items():
            self.kept[name].append(value)

    def record(self, state: State, step: int, epoch: float) -> dict[str, float]:
        """Add a line to the history: the losses kept since the last one, averaged over rows."""
        rows = self.kept.pop("rows")
        losses = {name: float(np.average(values, weights=rows)) for name, values in self.kept.items()}
        self.kept.clear()
        line = {"step": step, "epoch": epoch, "seconds": time.perf_counter() - self.clock, **losses}
        for name, value in line.items():
            self.history[name].append(value)
        self.validate(state)
        return losses

    def held_out(self, valid: Mapping[str, Any] | None) -> list[tuple[int, Any]]:
        """The validation data, checked, on the device; in chunks of 1000 rows where rows have weights of their own."""
        if valid is None:
            return []
        device = self.trainer.device(to_host(valid, double=self.trainer.backend.double()), "the validation data")
        n, problem = len(next(iter(device.values()))), self.trainer.problem
        most = n if problem.model.has_global(problem.data) else 1000
        return [
            (min(most, n - start), {name: value[start : start + most] for name, value in device.items()})
            for start in range(0, n, most)
        ]

    def validate(self, state: State) -> None:
        """Record the losses on the validation data, if there are any, with the same noise each time."""
        if not self.held:
            return
        key = self.trainer.backend.key(self.seed + 1)
        sums: dict[str, float] = defaultdict(float)
        for count, batch in self.held:
            for role, loss in self.trainer.losses(state, batch, key).items():
                sums[role] += count * float(loss)
        for role, total in sums.items():
            self.history[f"valid/{role}"].append(total / sum(count for count, _ in self.held))

    def stream(
        self, data: Iterable[Any], valid: Mapping[str, Any] | None, epochs: int | None, steps: int | None
    ) -> Fit:
        """Train on batches as they come."""
        epoch, done, double = 0, 0, backends.get(self.backend).double()
        state: State | None = None

        def close(state: State) -> bool:
            """Record the steps since the last line of the history; False when there are none."""
            return bool(self.kept and self.record(state, done, epoch + 1))

        with bar(type(self.algorithm).__name__, steps, self.show) as report:
            for now, batch in batches_of(data, epochs):
                if state is not None and now > epoch and close(state) and self.call_back(state):
                    break
                epoch = now
                try:
                    host = to_host(batch, double=double)
                    if state is None:
                        state = self.start_stream(host)
                        self.held = self.held_out(valid)
                        done = int(state.step)
                    device = self.trainer.device(host, f"batch {done}")
                except DataError as error:
                    if state is not None:
                        close(state)
                        error.fit = self.result(state)
                    raise
                after, metrics = self.trainer.step(state, device)
                losses = {name: float(value) for name, value in metrics.items()}
                finite = np.isfinite([losses[name] for name in self.trainer.loss_names]).all()
                if not finite or not self.trainer.backend.all_finite(after.parameters):
                    close(state)
                    self.stop(state, device, None)
                state, done = after, done + 1
                self.keep(losses, len(next(iter(host.values()))))
                report(done, losses)
                if done % _STREAM_RECORD == 0 and len(self.kept["rows"]) >= _STREAM_RECORD:
                    close(state)
                if steps is not None and done >= steps:
                    break
        if state is None:
            raise DataError("expected at least one batch; the stream was empty.")
        if close(state):
            self.call_back(state)
        return self.result(state)

    def start_stream(self, host: Mapping[str, np.ndarray]) -> State:
        """The first look, at the first batch of a stream."""
        state, model = self.start(host, None, full_batch=False), self.trainer.problem.model
        shared = [site.name for site in model.sites.values() if not model.is_local(site)]
        if shared and self.size is None:
            raise DataError(
                f"sites {shared} of the model are shared by all rows, and a stream does not tell how many there are; "
                "expected their number, to weigh a batch against these sites. Write ppgen.fit(..., size=N)."
            )
        return state

    def call_back(self, state: State) -> bool:
        """Run the callbacks; True when one wants to end."""
        return any([callback(self.result(state)) is True for callback in self.callbacks])

    def result(self, state: State) -> Fit:
        """The fit so far."""
        history = {name: np.asarray(values) for name, values in self.history.items()}
        trainer = self.trainer
        return Fit(trainer.problem, trainer.algorithm, trainer.backend.snapshot(state), history, trainer.train)


def _can_be_guided(problem: Problem) -> bool:
    """Whether there are latent sites, all of them continuous: then a guide can be made of the model."""
    latent = problem.model.latent(problem.data)
    return bool(latent) and all(site.reparameterised for site in latent)
