"""One flow to train: what all libraries have in common."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOWS = ("MAF", "NSF", "NSF, couplings", "RealNVP")  # the NSF without couplings is autoregressive
TRANSFORMS, HIDDEN, BINS, BOUND = 5, (64, 64), 8, 5.0
RNADE_UNITS = 50  # in ppgen alone, beside published figures
BATCH, LEARNING_RATE, CLIP = 256, 1e-3, 5.0
LOOKS = 100  # at the validation rows, evenly over the steps


@dataclass(frozen=True)
class Task:
    """A flow on a table, from a seed that settles initial parameters and batches."""

    flow: str
    table: str
    seed: int
    steps: int

    def index(self, rows: int) -> np.ndarray:
        """The rows of each batch, [looks, steps, batch]."""
        shape = LOOKS, math.ceil(self.steps / LOOKS), BATCH
        return np.random.default_rng([self.seed, 1]).integers(rows, size=shape, dtype=np.int32)

    def learning_rate(self, step: Any, cos: Any = math.cos) -> Any:
        """From LEARNING_RATE along a cosine to zero."""
        return LEARNING_RATE / 2 * (1 + cos(math.pi * step / (LOOKS * math.ceil(self.steps / LOOKS))))


def run(start: Any, task: Task, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Train; the test log-likelihood where that of the validation rows was best."""
    begun = time.perf_counter()
    advance, log_prob, parameters = start(task, data["train"])
    best, test, at = -np.inf, np.nan, 0
    for look, index in enumerate(task.index(len(data["train"]))):
        advance(index)
        valid = float(np.mean(log_prob(data["valid"])))
        if valid > best:
            best, test, at = valid, float(np.mean(log_prob(data["test"]))), look + 1
    return {
        "test": test,
        "valid": best,
        "best": at / LOOKS,
        "parameters": parameters,
        "seconds": time.perf_counter() - begun,
    }
