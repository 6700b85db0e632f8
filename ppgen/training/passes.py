"""Where the steps of a run come from: minibatches of arrays, or a stream of batches."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ppgen import backends
from ppgen.errors import DataError, RunWarning, tell
from ppgen.problem.arrays import to_host
from ppgen.problem.batch import rows_of
from ppgen.training.batches import Epochs, batches_of
from ppgen.training.loop import Loop
from ppgen.training.result import Fit
from ppgen.training.validation import Validation

_LOOK = 7  # rows of the first look at minibatched programs; a size that no shape is likely to have by accident
_CHUNK = 64  # steps between looks at the losses when epochs are short
_STREAM_RECORD = 100  # steps between records of a stream
_GLANCE = 0.25  # seconds of steps between two looks at signals and checkpoints


def arrays(
    run: Loop,
    data: Mapping[Any, Any],
    valid: Mapping[str, Any] | None,
    epochs: int | None,
    steps: int | None,
    batch_size: int | None,
) -> Fit:
    """Train on arrays that fit in memory."""
    host = to_host(data, double=backends.get(run.backend).double(), one_row=batch_size is None, missing=run.missing)
    n = rows_of(host)
    size = min(batch_size or n, n)
    example = host if size == n else {name: value[: min(n, _LOOK)] for name, value in host.items()}
    run.start(example, n, full_batch=size == n, batches=f"{n} rows, {size} a step")
    host = run.trainer.problem.host(host, "the data")
    device, n = run.trainer.device(run.trainer.problem.put(host)), rows_of(host)
    size = min(size, n)
    run.validation = None if valid is None else Validation(run.trainer, valid, run.seed)
    plan, pace = Epochs(n, size, run.seed), Pace()
    total = (epochs or 0) * plan.steps if steps is None else steps
    short = n % size == 0 and not run.callbacks and valid is None
    together = max(1, _CHUNK // plan.steps) if short else 1  # epochs a chunk
    run.epoch = run.done / plan.steps
    with run.running(total) as report:
        while run.done < total and not run.over:
            epoch, skip = divmod(run.done, plan.steps)
            parts = [plan.index(e) for e in range(epoch, epoch + together)]
            for index in (np.concatenate(p) for p in zip(*parts, strict=True)):
                first, skip = min(skip, len(index)), max(0, skip - len(index))
                last = min(len(index), first + total - run.done)
                while first < last and not run.over:
                    for losses in _advance(run, pace, device, host, index, first, last):
                        run.took(losses, index.shape[1], report)
                        first, run.epoch = first + 1, run.done / plan.steps
                        if run.done % plan.steps == 0:
                            run.line()
                    run.check_point()
        return run.finish(whole=False, data=device)


def stream(
    run: Loop, data: Iterable[Any], valid: Mapping[str, Any] | None, epochs: int | None, steps: int | None
) -> Fit:
    """Train on batches as they come; a run that goes on passes by those that it had."""
    epoch, read, used_up, double = 0, 0, False, backends.get(run.backend).double()
    with run.running(steps) as report:
        for now, batch in batches_of(data, epochs):
            if now > epoch and read >= run.done:
                run.line()
            epoch = now
            if run.state is None:
                run.start_stream(to_host(batch, double=double, missing=run.missing))
                run.validation = None if valid is None else Validation(run.trainer, valid, run.seed)
            if run.over or (steps is not None and run.done >= steps):
                break
            run.epoch = now + 1
            if read >= run.done:
                host = to_host(batch, double=double, missing=run.missing)
                losses = _step(run, run.trainer.device(host, f"batch {run.done}"))
                run.took(losses, rows_of(host), report)
                if run.done % _STREAM_RECORD == 0 and len(run.record.pending["rows"]) >= _STREAM_RECORD:
                    run.line()
                run.check_point()
            read += 1
            if run.over or run.done == steps:
                break
        else:
            used_up = True
        if run.state is None:
            raise DataError("expected at least one batch; the stream was empty.")
        if used_up and (read < run.done or (run.done < (steps or 0) if epochs is None else epoch + 1 < epochs)):
            tell(
                f"the stream ended after {read} batches, before the {steps or epochs} {'steps' if steps else 'passes'} that "
                "were asked for. Pass a list or a loader, which can be read again, or a longer generator.",
                RunWarning,
            )
        return run.finish(whole=used_up)


class Pace:
    """How many steps to take in one call: as many as take about a quarter of a second, growing from one."""

    steps = 1

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a call that took so many steps."""
        self.steps = max(1, int(steps * min(2.0, _GLANCE / seconds)))


def _advance(
    run: Loop, pace: Pace, device: Any, host: Mapping[str, np.ndarray], index: np.ndarray, first: int, last: int
) -> Iterator[dict[str, float] | None]:
    """Take as many of the steps from `first` to `last` as can be taken without a look; the losses of each.

    A step that was passed by has None.
    """
    last = min(last, first + pace.steps, first + run.unlooked)
    begun = time.perf_counter()
    run.state, metrics, good = run.stepping(run.trainer.run, run.state, device, index, first, last)
    pace.took(last - first, time.perf_counter() - begun)
    columns = [run.trainer.backend.numpy(values)[:good].tolist() for values in metrics.values()]
    for losses in zip(*columns, strict=True):
        yield dict(zip(metrics, losses, strict=True))
    if good < last - first:
        rows = index[first + good]
        run.failed(run.trainer.problem.put({name: value[rows] for name, value in host.items()}), rows)
        yield None


def _step(run: Loop, batch: Mapping[str, Any]) -> dict[str, float] | None:
    """One step on a batch; its losses, or None where it was passed by."""
    after, metrics = run.stepping(run.trainer.step, run.state, batch)
    losses = {name: float(value) for name, value in metrics.items()}
    finite = np.isfinite([losses[name] for name in run.trainer.loss_names]).all()
    if not finite or not run.trainer.backend.all_finite(after.parameters):
        run.failed(batch, None)
        return None
    run.state = after
    return losses
