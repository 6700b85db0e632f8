"""One density to train: what all libraries have in common."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOWS = ("MAF", "NSF", "NSF, couplings", "RealNVP")  # the NSF without couplings is autoregressive
TRANSFORMS, HIDDEN, BINS, BOUND = 5, (64, 64), 8, 5.0
RNADE_UNITS = 50  # in ppgen alone, beside published figures
MADE_UNITS = 500
VAE_HIDDEN, LATENTS, SCALE = (200, 200), 20, 0.1  # the last is where the standard deviation of its columns starts
PARTICLES = 20  # by which the VAE is judged
BATCH, LEARNING_RATE, CLIP = 256, 1e-3, 5.0
LOOKS = 100  # at the validation rows, evenly over the steps


@dataclass(frozen=True)
class Task:
    """A model on a table, from a seed that settles initial parameters and batches."""

    model: str
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


@dataclass(frozen=True)
class Learner:
    """A model of a library in training.

    Attributes:
        advance: takes one Adam step on each batch `train[index[step]]` of an index [steps, batch].
        log_prob: the log density of each row in nats (of the VAE, an estimate of a lower bound).
        parameters: how many numbers are learned.
        outside: of the VAE, the share of the pixels' means outside of [0, 1] in draws from the prior.
    """

    advance: Callable[[np.ndarray], None]
    log_prob: Callable[[np.ndarray], np.ndarray]
    parameters: int
    outside: Callable[[], float] = lambda: math.nan


def run(start: Callable[[Task, np.ndarray], Learner], task: Task, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Train; the test log-likelihood, its lowest row too, where that of the validation rows was best."""
    begun = time.perf_counter()
    learner = start(task, data["train"])
    best, found = -np.inf, {"test": math.nan, "worst": math.nan, "outside": math.nan, "best": 0.0}
    for look, index in enumerate(task.index(len(data["train"]))):
        learner.advance(index)
        valid = float(np.mean(learner.log_prob(data["valid"])))
        if valid > best:
            best, rows = valid, learner.log_prob(data["test"])
            found = {
                "test": float(np.mean(rows)), "worst": float(np.min(rows)), "outside": learner.outside(),
                "best": (look + 1) / LOOKS,
            }  # fmt: skip
    return found | {"valid": best, "parameters": learner.parameters, "seconds": time.perf_counter() - begun}
