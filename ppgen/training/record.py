"""The history of a run: a line for each pass, made of the losses of its steps."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ppgen.training.standing import Standing


def _columns() -> dict[str, list[float]]:
    return defaultdict(list)


@dataclass
class Record:
    """Lines of the history, and the losses since the last one.

    A run that ends inside a pass has a line of the part that it saw. One that goes on from there drops that line and makes
    it anew of the whole pass, so that its history is that of a run which was never cut short.

    Attributes:
        lines: the history by column.
        whole: how many of its lines are of whole passes.
        pending: losses of the steps since the last whole line, and their rows.
    """

    lines: dict[str, list[float]] = field(default_factory=_columns)
    whole: int = 0
    pending: dict[str, list[float]] = field(default_factory=_columns)

    @classmethod
    def resumed(cls, history: Mapping[str, np.ndarray], standing: Standing) -> "Record":
        """The record of a run that goes on."""
        record = cls(whole=standing.lines)
        for name, values in history.items():
            record.lines[name] = list(values[: standing.lines])
        for name, values in standing.pending.items():
            record.pending[name] = list(values)
        return record

    @property
    def seconds(self) -> float:
        """What the last line says."""
        return self.lines["seconds"][-1] if self.lines["seconds"] else 0.0

    @property
    def step(self) -> int:
        """The step of the last line; 0 where there is none."""
        return int(self.lines["step"][-1]) if self.lines["step"] else 0

    def keep(self, losses: Mapping[str, float], rows: int) -> None:
        """Keep the losses of a step on a batch of `rows` rows for the next line."""
        for name, value in {**losses, "rows": rows}.items():
            self.pending[name].append(value)

    def line(self, about: Mapping[str, float], whole: bool) -> None:
        """Add a line: the pending losses, averaged over rows, and what else there is to say."""
        rows = self.pending["rows"]
        losses = {
            name: float(np.average(values, weights=rows)) for name, values in self.pending.items() if name != "rows"
        }
        for name, value in {**about, **losses}.items():
            self.lines[name].append(value)
        if whole:
            self.pending.clear()
            self.whole = len(self.lines["step"])

    def history(self) -> dict[str, np.ndarray]:
        """All lines, by column."""
        return {name: np.asarray(values) for name, values in self.lines.items()}

    def standing(self, settings: Mapping[str, str], epoch: float) -> Standing:
        """What a run needs that goes on from here."""
        return Standing(
            settings, epoch, self.whole, {name: np.asarray(values) for name, values in self.pending.items()}
        )
