"""Losses on held-out data, with the same noise each time."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ppgen.problem.batch import rows_of
from ppgen.training.trainer import State, Trainer

_ROWS = 1000  # rows at a time, where rows have weights of their own


class Validation:
    """The validation data of a run, checked, on the device.

    Args:
        trainer: what takes their losses.
        data: arrays by name.
        seed: seed of the noise.
    """

    def __init__(self, trainer: Trainer, data: Mapping[str, Any], seed: int) -> None:
        device = trainer.device(data, "the validation data")
        rows, problem = rows_of(device), trainer.problem
        most = rows if problem.model.has_global(problem.data) else _ROWS
        self.trainer, self.rows, self.key = trainer, rows, trainer.backend.key(seed + 1)
        self.chunks = [
            (min(most, rows - start), {name: value[start : start + most] for name, value in device.items()})
            for start in range(0, rows, most)
        ]

    def losses(self, state: State) -> dict[str, float]:
        """The loss of each role in nats per row, as `valid/<role>`."""
        sums: dict[str, float] = defaultdict(float)
        for count, batch in self.chunks:
            for role, loss in self.trainer.losses(state, batch, self.key).items():
                sums[f"valid/{role}"] += count * float(loss)
        return {name: total / self.rows for name, total in sums.items()}
