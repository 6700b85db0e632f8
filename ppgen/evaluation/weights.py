"""Importance weights of draws from the guide, computed in chunks of particles and of rows."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.evaluation.kept import once
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem

SCALARS = 1 << 24  # how many numbers one layer of a program may hold at once
ROWS = 1024  # rows a chunk


class Chunks:
    """Weights of K draws from the guide for each row, a bounded number at a time.

    Chunks are equally large, so that a program is compiled once: the last chunk of rows is filled up by repeating its
    last row, and surplus rows and particles are dropped on the host.

    Args:
        problem: the programs.
        parameters: unconstrained parameters by name.
        arrays: prepared data on the host.
        particles: number of draws K.
        rows: rows a chunk, at most; None for all rows at once.
        seed: seed of the draws.
    """

    def __init__(
        self, problem: Problem, parameters: Mapping[str, Any], arrays: Mapping[str, np.ndarray], particles: int,
        rows: int | None, seed: int,
    ) -> None:  # fmt: skip
        self.problem, self.parameters, self.arrays = problem, parameters, arrays
        self.particles, self.rows = particles, rows_of(arrays)
        self.width = even(self.rows, self.rows if rows is None else rows)
        self.depth = even(particles, max(1, SCALARS // (self.width * breadth(problem))))
        self.key = problem.backend.key(seed)

    def __len__(self) -> int:
        """Number of chunks of rows."""
        return math.ceil(self.rows / self.width)

    def slice(self, chunk: int) -> slice:
        """The rows of a chunk."""
        return slice(chunk * self.width, min((chunk + 1) * self.width, self.rows))

    def draws(
        self, chunk: int, *, values: bool = False
    ) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
        """Draws from the guide for a chunk of rows, some particles at a time.

        Args:
            chunk: which rows.
            values: bring the drawn values to the host.

        Yields:
            log p - log q of the local sites [particles, rows] and of the global ones [particles], in float64, and
            the drawn values by site.
        """
        backend, rows = self.problem.backend, self.slice(chunk)
        weigh = compiled(self.problem, self.depth, values)
        batch = device(self.problem, self.arrays, rows, self.width)
        key = backend.fold_in(self.key, chunk)
        for turn, start in enumerate(range(0, self.particles, self.depth)):
            kept = min(self.depth, self.particles - start)
            local, shared, drawn = weigh(self.parameters, batch, backend.fold_in(key, turn))
            yield (
                backend.numpy(local)[:kept, : rows.stop - rows.start].astype(np.float64),
                backend.numpy(shared)[:kept].astype(np.float64),
                {name: backend.numpy(value)[:kept] for name, value in drawn.items()},
            )


class Running:
    """The log of a mean of weights, and their effective sample size, over chunks of particles."""

    def __init__(self) -> None:
        self.count, self.first, self.second = 0, np.array(-np.inf), np.array(-np.inf)

    def add(self, log_weights: np.ndarray) -> None:
        """Take in weights [particles, ...]."""
        self.count += len(log_weights)
        self.first = np.logaddexp(self.first, np.logaddexp.reduce(log_weights, 0))
        self.second = np.logaddexp(self.second, np.logaddexp.reduce(2 * log_weights, 0))

    @property
    def log_mean(self) -> np.ndarray:
        """Log of the mean weight."""
        return self.first - math.log(self.count)

    @property
    def ess(self) -> np.ndarray:
        """(sum w)^2 / sum w^2; 0 where every weight is 0."""
        with np.errstate(invalid="ignore"):
            return np.where(np.isneginf(self.first), 0.0, np.exp(2 * self.first - self.second))


def compiled(problem: Problem, particles: int, values: bool) -> Callable[..., Any]:
    """The function that draws and weighs, compiled; kept with the problem, so that a later call is fast."""

    def weigh(parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Any:
        with ops.activate(problem.backend):
            joints, batch = problem.joints(parameters, key), Batch.of_data(batch)
            p, q = joints["model"], joints["guide"]
            z = q.draw(batch, particles)
            local, shared = (a - b for a, b in zip(p.trace(batch | z.values).parts, z.latent.parts, strict=True))
            return local, shared, dict(z.values) if values else {}

    return once(problem, ("weigh", particles, values), weigh)


def device(problem: Problem, arrays: Mapping[str, np.ndarray], rows: slice, width: int) -> dict[str, Any]:
    """Rows of host arrays as the backend's arrays, filled up to `width` rows with the last one."""
    index = np.minimum(np.arange(rows.start, rows.start + width), rows.stop - 1)
    return {name: problem.backend.array(array[index]) for name, array in arrays.items()}


def breadth(problem: Problem) -> int:
    """Scalar variables one row of the model has; a guess, from below, of how wide its layers are."""
    model = problem.model
    return max(512, sum(model.atoms(site) for site in model.sites.values()))


def even(total: int, most: int) -> int:
    """Size of equal parts of at most `most` that cover `total`."""
    return math.ceil(total / math.ceil(total / most))
