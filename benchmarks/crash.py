"""Kill training at random moments, go on, and see whether anything was lost: `python -m benchmarks.crash --kills 100`.

Runs of a small VAE with a checkpoint every few steps train in processes of their own, which SIGKILL ends: at any moment of a
run on arrays, of one whose stream takes its time, and of one whose disk does, so that most kills fall into a write, also
between its two renames. After each kill the last checkpoint has to be whole, and of no earlier step than the last one that was
told to be on disk; the run then goes on from it. Each run that comes to its end is compared with one that was never
killed: parameters, optimisers, keys and history, to the bit. Nothing of it may be left behind.
"""

import argparse
import importlib
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # each process compiles anew

import numpy as np
from rich.console import Console
from rich.table import Table

import ppgen
from ppgen.storage import RunFolder, folder

EVERY = 4  # steps between checkpoints
EPOCHS, BATCH, ROWS = 12, 16, 72  # 5 steps a pass, the last one on fewer rows: 60 steps
WAYS = ("arrays", "stream", "writes")
SLOW = 0.005  # seconds that a batch of the stream, or a call to the disk, takes longer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--backends", nargs="+", default=["numpyro", "pyro"], choices=["numpyro", "pyro"])
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    options = parser.parse_args()
    console, moments, troubles = Console(), random.Random(options.seed), []
    table = Table("backend", "way", "kills", "in a write", "runs ended", "equal to the bit", "troubles")
    for backend in options.backends:  # imported once, for all processes that are forked from this one
        ppgen.backends.get(backend)
        importlib.import_module({"numpyro": "numpyro", "pyro": "torch._dynamo"}[backend])
    cases = [(backend, way) for backend in options.backends for way in WAYS]
    for place, (backend, way) in enumerate(cases):
        with tempfile.TemporaryDirectory() as path:
            trial = Trial(backend, way, Path(path), moments)
            trial.run(options.kills // len(cases) + (place < options.kills % len(cases)))
        counts = (trial.count[name] for name in ("kills", "writes", "ended", "equal"))
        table.add_row(backend, way, *map(str, counts), str(len(trial.troubles)))
        troubles += [f"{backend}, {way}: {trouble}" for trouble in trial.troubles]
        console.print(f"{backend}, {way}: {dict(trial.count)}", *trial.troubles, sep="\n", markup=False)
        sys.stdout.flush()
    console.print(table)
    return 1 if troubles else 0


@dataclass
class Trial:
    """Runs of one kind on one backend, killed again and again."""

    backend: str
    way: str
    path: Path
    moments: random.Random
    count: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)

    def run(self, kills: int) -> None:
        """Kill so many times, and let each run come to its end."""
        begun, _ = self.process(self.path / "reference", None)
        length, expected = time.monotonic() - begun, kept(self.path / "reference")
        while self.count["kills"] < kills and not self.troubles:
            path, on_disk, ended = self.path / f"run-{self.count['ended']}", 0, False
            while not ended and not self.troubles:
                before = self.count["kills"]
                patience = self.moments.uniform(0, 0.8 * length) if before < kills else None
                _, told = self.process(path, patience)
                ended = self.count["kills"] == before
                on_disk = max([on_disk, *(step for word, step in told if word == "kept")])
                self.look(path, on_disk)
            self.count["ended"] += 1
            found = kept(path)
            differing = [name for name in expected if not np.array_equal(found.get(name), expected[name])]
            hidden = [left.name for left in path.glob(".*")]
            self.count["equal"] += not differing
            self.troubles += [f"a run that was killed differs in {differing[:5]}"] if differing else []
            self.troubles += [f"a run that was killed leaves {hidden} behind"] if hidden else []

    def look(self, path: Path, on_disk: int) -> None:
        """What can be loaded is whole, and of no earlier step than what was on disk."""
        try:
            saved = RunFolder(path).newest()
        except ValueError as error:
            self.troubles.append(str(error))
            return
        step = 0 if saved is None else saved[0]["step"]
        if step < on_disk:
            self.troubles.append(f"step {on_disk} was on disk, and step {step} is what loads")

    def process(self, path: Path, patience: float | None) -> tuple[float, list[tuple[str, int]]]:
        """Train in a process, killed so long after its first word: the time of that word, and all of them."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            with os.fdopen(writer, "w", buffering=1) as pipe:
                status = train(self.backend, self.way, path, pipe)
            os._exit(status)
        os.close(writer)
        begun, heard, deadline = time.monotonic(), b"", None
        while True:
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([reader], [], [], wait)[0]:
                os.kill(child, signal.SIGKILL)
                deadline = None
                continue
            if not (more := os.read(reader, 1 << 16)):
                break
            if not heard:
                begun = time.monotonic()
                deadline = None if patience is None else begun + patience
            heard += more
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = [(word, int(step)) for word, step in (line.split() for line in heard.decode().splitlines())]
        if status == -signal.SIGKILL:
            self.count["kills"] += 1
            self.count["writes"] += told[-1][0] == "writing"
        elif status:
            self.troubles.append(f"a run that goes on fails; see the traceback above (exit status {status})")
        return begun, told


def train(backend: str, way: str, path: Path, pipe: Any) -> int:
    """One run to its end, or from where the last one was killed; it tells of each checkpoint."""
    for name in ("write", "write_best"):
        setattr(RunFolder, name, telling(getattr(RunFolder, name), pipe))
    if way == "writes":
        folder._sync, Path.rename = slowly(folder._sync), slowly(Path.rename)
    rng = np.random.default_rng(0)
    data = {"x": np.repeat(rng.random((ROWS, 4)) < 0.5, 3, axis=1).astype("float32")}
    model, guide = ppgen.models.vae(12, latents=(2,), hidden=(8,))
    try:
        ppgen.fit(
            model, guide, data=data if way != "stream" else Loader(data), backend=backend, epochs=EPOCHS, seed=0,
            batch_size=None if way == "stream" else BATCH, valid={"x": data["x"][:10]}, optimizer=ppgen.Adam(0.01),
            run_dir=path, checkpoint_every=EVERY, resume=True,
        )  # fmt: skip
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


class Loader:
    """The rows in batches, anew for each pass, each after a while."""

    def __init__(self, data: dict[str, np.ndarray]) -> None:
        self.data = data

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, ROWS, BATCH):
            time.sleep(SLOW)
            yield {name: value[start : start + BATCH] for name, value in self.data.items()}


def telling(write: Any, pipe: Any) -> Any:
    """A method that writes a checkpoint, and says so before and after."""

    def tells(self: RunFolder, *arguments: Any) -> None:
        step = arguments[-1]["step"]
        pipe.write(f"writing {step}\n")
        write(self, *arguments)
        pipe.write(f"{'kept' if write.__name__ == 'write' else 'best'} {step}\n")

    return tells


def slowly(call: Any) -> Any:
    """A call to the disk that takes longer."""

    def slow(*arguments: Any) -> Any:
        time.sleep(SLOW)
        return call(*arguments)

    return slow


def kept(path: Path) -> dict[str, np.ndarray]:
    """All numbers of the last checkpoint of a run but those of the clock."""
    saved = RunFolder(path).newest()
    assert saved is not None
    files = {name: saved[1][name] for name in ("params", "state", "history", "pending")}
    every = {f"{file} {name}": value for file, arrays in files.items() for name, value in arrays.items()}
    return {name: value for name, value in every.items() if name != "history seconds"}


if __name__ == "__main__":
    sys.exit(main())
