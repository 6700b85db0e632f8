"""`ppgen.fit`: learn a model (and a guide) from data by an algorithm."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppgen.errors import DataError, NonFiniteError, ProgramError
from ppgen.inference import ELBO
from ppgen.inference.algorithm import Algorithm
from ppgen.training.arrays import check_names, to_host
from ppgen.training.batches import Epochs, batches_of
from ppgen.training.diagnose import diagnose
from ppgen.training.progress import bar
from ppgen.training.result import Fit
from ppgen.training.trainer import State, Trainer

_INSPECT = 7  # rows of the first look at minibatched programs; a size that no shape is likely to have by accident
_CHUNK = 64  # steps between looks at the losses when epochs are short
_STREAM_RECORD = 100  # steps between records of a stream


def fit(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    data: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    algorithm: Algorithm | None = None,
    backend: str = "numpyro",
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    valid: Mapping[str, Any] | None = None,
    optimizer: Any = None,
    seed: int = 0,
    callbacks: Iterable[Callable[[Fit], Any]] = (),
    rows: str | None = None,
    size: int | None = None,
    params: Mapping[str, np.ndarray] | Fit | None = None,
    train: tuple[str, ...] | None = None,
    resume: Fit | None = None,
    progress: bool | None = None,
) -> Fit:
    """Learn a model (and a guide) from data.

    Args:
        model: p(x, z), a function with `sample` statements; or a native Pyro or NumPyro program.
        guide: q(z | x), where the algorithm needs one.
        data: arrays by site or argument name, their first axis counting rows; or an iterable of such batches.
        algorithm: `ppgen.ELBO()` by default.
        backend: "numpyro" (JAX, compiled) or "pyro" (PyTorch).
        epochs: passes over the data. Give this or `steps`.
        steps: updates.
        batch_size: rows a step; all rows by default. The last batch of an epoch may have fewer.
        valid: held-out arrays; their losses are recorded after each epoch.
        optimizer: `ppgen.Adam(1e-3)` by default; a native one; or a dict of them by role.
        seed: seed of initial values, order of rows and all noise.
        callbacks: called with the `Fit` so far after each epoch; one that returns True ends the run.
        rows: name of the plate of rows in a native program, where it is in doubt.
        size: number of rows N behind a stream; weighs global sites.
        params: values to start from, by full name, as in `Fit.params`; or a `Fit`, whose parameters are taken where
            these programs have them too.
        train: roles that learn; the others are held fixed. All by default.
        resume: a fit (perhaps from `ppgen.load`) to go on from, up to `epochs` or `steps` in all.
        progress: show a bar; by default where stderr is a terminal.

    Returns:
        A `Fit`: parameters, history, and what can be asked of them.

    Raises:
        ProgramError: programs that do not fit each other, found before the first step.
        DataError: data that do not fit the programs.
        IllegalPairing: an algorithm that cannot learn these programs; the message lists those that can.
        NonFiniteError: a loss or gradient stopped being finite; its `fit` holds the parameters before that step.

    Example:
        >>> import numpy as np, ppgen
        >>> model, guide = ppgen.models.ppca(features=3, latents=1)
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        >>> fit = ppgen.fit(model, guide, data={"x": x}, algorithm=ppgen.ELBO(), epochs=2, batch_size=32)
        >>> fit.history["loss/model"].shape
        (2,)
    """
    if (epochs is None) == (steps is None):
        raise ProgramError(f"expected epochs or steps, one of them; got epochs={epochs}, steps={steps}.")
    for name, count in (("epochs", epochs), ("steps", steps), ("batch_size", batch_size)):
        if count is not None and (not isinstance(count, int | np.integer) or count < 1):
            raise ProgramError(f"expected {name} to be a positive integer; got {count!r}.")
    trainer = Trainer(
        model, guide, ELBO() if algorithm is None else algorithm,
        optimizer=optimizer, backend=backend, size=size, rows=rows, train=train,
    )  # fmt: skip
    run = _Run(trainer, seed, tuple(callbacks), progress, params, resume)
    if isinstance(data, Mapping):
        return run.arrays(data, valid, epochs, steps, batch_size)
    if batch_size is not None:
        raise DataError("expected batch_size only with arrays; a stream brings its own batches. Leave it out.")
    return run.stream(data, valid, epochs, steps)


@dataclass
class _Run:
    """One run: its trainer, its state so far and its history."""

    trainer: Trainer
    seed: int
    callbacks: tuple[Callable[[Fit], Any], ...]
    show: bool | None
    params: Mapping[str, np.ndarray] | Fit | None
    resume: Fit | None
    history: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    kept: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # steps since the last record
    held: list[tuple[int, Any]] = field(default_factory=list)  # validation data in chunks

    def start(self, example: Mapping[str, np.ndarray], full_batch: bool) -> State:
        """Preflight on an example; the state to begin with."""
        state = self.trainer.init(example, self.seed, self.params, full_batch=full_batch)
        self.example = {name: np.asarray(value)[:_INSPECT] for name, value in example.items()}
        if self.resume is not None:
            state = self.resume.state_for(self.trainer)
            for name, values in self.resume.history.items():
                self.history[name] = list(values)
        self.clock = time.perf_counter() - (self.history["seconds"][-1] if self.history["seconds"] else 0.0)
        return state

    def arrays(
        self,
        data: Mapping[str, Any],
        valid: Mapping[str, Any] | None,
        epochs: int | None,
        steps: int | None,
        batch_size: int | None,
    ) -> Fit:
        """Train on arrays that fit in memory."""
        trainer = self.trainer
        data = to_host(data, double=trainer.backend.double())
        n = len(next(iter(data.values())))
        trainer.size = trainer.size or n
        size = min(batch_size or n, n)
        few = n if size == n else min(n, _INSPECT)
        state = self.start({name: value[:few] for name, value in data.items()}, full_batch=size == n)
        device = trainer.device(data, "the data")
        self.held = self.held_out(valid)
        plan = Epochs(n, size, self.seed)
        total = steps if steps is not None else epochs * plan.steps
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
        step = int(state.step)
        error = NonFiniteError(
            f"the loss or its gradient stopped being finite at step {step}: "
            f"{diagnose(self.trainer, state, batch, rows)}. The parameters of step {step} are kept in the error's "
            "`fit`. Lower the learning rate, clip gradients (Adam(clip=1.0)), or bound scales away from 0.",
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
        host, where = to_host(valid, double=self.trainer.backend.double()), "the validation data"
        check_names(host, self.trainer.plan.rows, where)
        device, n = self.trainer.device(host, where), len(next(iter(host.values())))
        most = n if self.trainer.plan.model.has_global(host) else 1000
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
        trainer, state, epoch, done = self.trainer, None, 0, 0

        def close() -> bool:
            """Record the steps since the last line of the history; False when there are none."""
            return bool(self.kept and self.record(state, done, epoch + 1))

        with bar(type(trainer.algorithm).__name__, steps, self.show) as report:
            for now, batch in batches_of(data, epochs):
                if now > epoch and close() and self.call_back(state):
                    break
                epoch = now
                try:
                    host = to_host(batch, double=trainer.backend.double())
                    if state is None:
                        state = self.start_stream(host)
                        self.held = self.held_out(valid)
                        done = int(state.step)
                    check_names(host, trainer.plan.rows, f"batch {done}")
                    device = trainer.device(host, f"batch {done}")
                except DataError as error:
                    if state is not None:
                        close()
                        error.fit = self.result(state)
                    raise
                after, metrics = trainer.step(state, device)
                losses = {name: float(value) for name, value in metrics.items()}
                if not all(np.isfinite(list(losses.values()))) or not trainer.backend.all_finite(after.parameters):
                    close()
                    self.stop(state, device, None)
                state, done = after, done + 1
                self.keep(losses, len(next(iter(host.values()))))
                report(done, losses)
                if done % _STREAM_RECORD == 0 and len(self.kept["rows"]) >= _STREAM_RECORD:
                    close()
                if steps is not None and done >= steps:
                    break
        if state is None:
            raise DataError("expected at least one batch; the stream was empty.")
        if close():
            self.call_back(state)
        return self.result(state)

    def start_stream(self, host: Mapping[str, np.ndarray]) -> State:
        """Preflight on the first batch of a stream."""
        trainer, sized = self.trainer, self.trainer.size is not None
        state = self.start(host, full_batch=False)
        shared = [site.name for site in trainer.plan.model.sites.values() if not trainer.plan.model.is_local(site)]
        if shared and not sized:
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
        return Fit(self.trainer, self.trainer.backend.snapshot(state), history, self.seed, self.example)
