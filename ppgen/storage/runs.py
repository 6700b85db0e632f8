"""A run directory: the last checkpoints of a run and the best one, each a folder that `write` made."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppgen.errors import CheckpointError, RunWarning, tell
from ppgen.storage import folder
from ppgen.storage.lock import locked

KEPT = 3  # checkpoints that are kept beside the best one
_STEP = re.compile(r"step-(\d+)")

Saved = tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]
"""A manifest and arrays by file, as `folder.read` gives them."""


@dataclass(frozen=True)
class RunFolder:
    """A directory with `step-<n>` for each of the last checkpoints, and `best`; other files in it are left alone.

    Attributes:
        path: the directory.
    """

    path: Path

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints, the last one first; one that a killed writer had just put away is among them."""
        every = {*self.path.glob("step-*"), *map(_owner, self.path.glob(".step-*"))} if self.path.is_dir() else set()
        steps = {int(match[1]): path for path in every if (match := _STEP.fullmatch(path.name))}
        return [steps[step] for step in sorted(steps, reverse=True) if folder.found(steps[step]).exists()]

    @property
    def best(self) -> Path:
        """Where the checkpoint with the least validation loss lies."""
        return self.path / "best"

    @property
    def begun(self) -> bool:
        """Whether there is anything of a run, be it damaged."""
        return bool(self.checkpoints) or folder.found(self.best).exists()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, this process alone writes here; what a killed one left behind is swept.

        Raises:
            CheckpointError: another process does, the folder cannot be written, or it holds a fit that `save` wrote.
        """
        if (self.path / folder.MANIFEST).exists():
            raise CheckpointError(
                f"expected {self.path} to be new, empty, or the folder of a run; it holds a saved fit. Choose another folder, "
                "or go on from that fit by resume=ppgen.load(...)."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"expected to write to {self.path}; got {error}. Choose another folder.") from None
        with locked(self.path / ".lock", self.path):
            for kept in {self.best, *map(_owner, self.path.glob(".step-*"))}:
                folder.sweep(kept)
                folder.beside(kept, "lock").unlink(missing_ok=True)  # whoever held it was killed
            yield

    def newest(self) -> Saved | None:
        """What the last checkpoint that is whole holds; None where there is none at all.

        A `RunWarning` names the damaged ones it had to pass by.

        Raises:
            CheckpointError: there are checkpoints, and all of them are damaged.
        """
        damaged: list[str] = []
        for path in (*self.checkpoints, self.best):
            if not folder.found(path).exists():
                continue
            try:
                saved = folder.read(path)
            except CheckpointError as error:
                damaged.append(str(error).removesuffix(" Save the fit again."))
                continue
            if damaged:
                tell(
                    f"{' '.join(damaged)} Took the checkpoint before it, {path}, of step {saved[0].get('step')}.",
                    RunWarning,
                )
            return saved
        if damaged:
            raise CheckpointError(f"no checkpoint of {self.path} is whole: {' '.join(damaged)} Begin anew elsewhere.")
        return None

    def write(self, step: int, arrays: Mapping[str, Mapping[str, np.ndarray]], about: Mapping[str, Any]) -> None:
        """Write the checkpoint of a step, and remove those before the last few."""
        path = self.path / f"step-{step:09d}"
        _aside(path)
        folder.write(path, arrays, about)
        for old in self.checkpoints[KEPT:]:
            folder.discard(old)

    def write_best(self, arrays: Mapping[str, Mapping[str, np.ndarray]], about: Mapping[str, Any]) -> None:
        """Write the best checkpoint so far in the place of the one before."""
        _aside(self.best)
        folder.write(self.best, arrays, about)


def read_last(path: Path) -> Saved:
    """What a folder of `folder.write` holds; of a run directory, its last checkpoint that is whole."""
    run = RunFolder(path)
    if not (path / folder.MANIFEST).exists() and (saved := run.newest()) is not None:
        return saved
    return folder.read(path)


def _owner(left: Path) -> Path:
    """The checkpoint that a folder left by a killed writer was to become."""
    return left.with_name(left.name.removeprefix(".").split(".")[0])


def _aside(path: Path) -> None:
    """Move what `folder.write` would not replace out of its way: nothing is deleted that may still be of use."""
    try:
        folder.free(path)
    except CheckpointError:
        taken = len(list(path.parent.glob(f"aside-*-{path.name}")))
        path.rename(path.with_name(f"aside-{taken + 1}-{path.name}"))
