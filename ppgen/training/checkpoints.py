"""When a run is written to its directory: every so many steps, at its end, and where validation was best."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ppgen.errors import CheckpointError
from ppgen.storage import RunFolder
from ppgen.storage.folder import manifest_of
from ppgen.storage.runs import Saved
from ppgen.training import keeping

if TYPE_CHECKING:
    from ppgen.training.result import Fit

_SECONDS = 60.0  # between checkpoints, where no number of steps is given


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie.
        every: steps between them; by default one a minute.

    Attributes:
        found: what the last checkpoint of an earlier run holds; None where there is none.
    """

    def __init__(self, folder: RunFolder, every: int | None) -> None:
        self.folder, self.every = folder, every
        self.found: Saved | None = folder.newest()
        self.clock = time.monotonic()
        self.best: Fit | None = None  # not on disk yet
        try:
            self.least = manifest_of(folder.best)["valid"]
        except CheckpointError:
            self.least = math.inf

    @classmethod
    @contextmanager
    def opened(cls, run_dir: str | Path, every: int | None, resume: bool) -> Iterator["Checkpoints"]:
        """The checkpoints of a run directory, which this process alone writes to inside.

        Raises:
            CheckpointError: the directory cannot be written, another process writes there, or it holds a run that is not to
                be resumed.
        """
        folder = RunFolder(Path(run_dir))
        with folder.writing():
            if folder.begun and not resume:
                raise CheckpointError(
                    f"expected {run_dir} to be new or empty; it holds a run. Pass resume=True to go on with it, or choose "
                    "another folder."
                )
            yield cls(folder, every)

    def ahead(self, done: int) -> int:
        """How many steps may be taken before the next checkpoint is due."""
        return sys.maxsize if self.every is None else self.every - done % self.every

    def due(self, done: int) -> bool:
        """Whether a checkpoint is to be written after so many steps."""
        if self.every is None:
            return time.monotonic() - self.clock >= _SECONDS
        return done % self.every == 0

    def consider(self, fit: "Fit") -> None:
        """Remember a fit if its validation loss is the least; the next checkpoint is written with it."""
        if fit.valid is not None and fit.valid < self.least:
            self.best, self.least = fit, fit.valid

    def write(self, fit: "Fit") -> None:
        """Write a checkpoint; the best fit first, for a run that goes on from this one will not see it again."""
        if self.best is not None:
            about, arrays = keeping.kept(self.best)
            self.folder.write_best(arrays, about)
            self.best = None
        about, arrays = keeping.kept(fit)
        self.folder.write(about["step"], arrays, about)
        self.clock = time.monotonic()
