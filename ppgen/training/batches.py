"""Where batches come from: arrays in shuffled minibatches, or a stream of batches."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Epochs:
    """Row numbers of the minibatches of each epoch; every row comes once an epoch, in a new order.

    The order depends on the seed and the number of the epoch only, so a resumed run sees what an uninterrupted one saw.

    Attributes:
        rows: number of rows N.
        batch_size: rows a step; the last batch of an epoch may have fewer.
        seed: seed of the order.
    """

    rows: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-self.rows // self.batch_size)

    def index(self, epoch: int) -> list[np.ndarray]:
        """The minibatches of an epoch, as arrays [steps, batch size] of full batches and, perhaps, one smaller batch."""
        if self.batch_size == self.rows:
            order = np.arange(self.rows)
        else:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        full = self.rows // self.batch_size * self.batch_size
        parts = [order[:full].reshape(-1, self.batch_size), order[full:].reshape(1, -1)]
        return [part.astype(np.int32) for part in parts if part.size]


def batches_of(stream: Iterable[Mapping[str, Any]], epochs: int | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The batches of a stream with the number of the pass they belong to; a list or loader is read again each epoch."""
    epoch = 0
    while epochs is None or epoch < epochs:
        empty = True
        for batch in stream:
            empty = False
            yield epoch, batch
        epoch += 1
        if empty:  # a generator that is used up
            return
