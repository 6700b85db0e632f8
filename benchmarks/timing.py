"""Time several candidates in turn, so that a slow minute of the machine hits all of them alike.

    timings = alternate({"a": run_a, "b": run_b}, rounds=7)
    timings["a"].seconds.median, timings["a"].seconds.spread
    ratios(timings["a"], timings["b"]).median

A candidate is a callable that takes the number of the round and returns when its work is done (under
JAX: after `block_until_ready`). Round 0 is the warm-up, and it is kept apart from the others.
"""

import multiprocessing
import os
import random
import statistics
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A quantity measured once a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    def scaled(self, factor: float) -> "Sample":
        return Sample(tuple(factor * value for value in self.values))

    def summary(self) -> dict[str, Any]:
        """The sample as plain values for JSON."""
        low, high = self.spread
        return {"median": self.median, "min": low, "max": high, "values": list(self.values)}


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate: its warm-up (compilation included), then every round."""

    warm_up: float
    seconds: Sample
    last: Any  # what the candidate returned in the last round


def alternate(candidates: Mapping[str, Callable[[int], Any]], rounds: int) -> dict[str, Timing]:
    """Run every candidate once a round, strictly one after another, each round in another order."""
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    last = {}
    for number in range(rounds + 1):
        for name in random.Random(number).sample(names, len(names)):
            start = time.perf_counter()
            last[name] = candidates[name](number)
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(seconds[name][0], Sample(tuple(seconds[name][1:])), last[name]) for name in names}


def ratios(above: Timing, below: Timing) -> Sample:
    """`above / below` within each round, where both met the same state of the machine."""
    return Sample(tuple(a / b for a, b in zip(above.seconds.values, below.seconds.values, strict=True)))


class Worker:
    """A candidate in a process of its own, which sleeps until it is asked.

    `make(*args)` builds the candidate there: `make` must be importable, arguments and results picklable.
    With `settled`, `settle_allocator` is called first.
    """

    def __init__(self, make: Callable[..., Callable[[int], Any]], *args: Any, settled: bool = False):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, args, settled), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __call__(self, number: int) -> Any:
        self._pipe.send(number)
        return self._answer()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()

    def _answer(self) -> Any:
        try:
            failure, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the worker ended with exit code {self._process.exitcode}") from None
        if failure:
            raise RuntimeError(f"the worker failed:\n{failure}")
        return answer


def describe_machine(packages: Sequence[str]) -> dict[str, object]:
    """Cores, load, versions, and the settings that change the number of threads, where there are any."""
    settings = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS", "JAX_PLATFORMS")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        **{name: version(name) for name in packages},
        **{name: os.environ[name] for name in settings if name in os.environ},
    }


def settle_allocator() -> None:
    """Free one large block, after which glibc keeps freed memory instead of giving it back at every step.

    By default a process pays page faults for every large array that it frees and takes again: up to a third of a
    step where each step is a call of its own. What a framework freed before decides whether it does.
    """
    bytearray(31 * 2**20)


def _serve(pipe: Any, make: Callable[..., Callable[[int], Any]], args: tuple, settled: bool) -> None:
    """Answer `(traceback or None, result)` to each round asked for, until the pipe closes."""
    try:
        if settled:
            settle_allocator()
        candidate = make(*args)
        pipe.send((None, None))
        while True:
            pipe.send((None, candidate(pipe.recv())))
    except EOFError:
        pass
    except Exception:
        pipe.send((traceback.format_exc(), None))
