"""A batch: named arrays over rows, some of them drawn by a program."""

from collections.abc import Iterable, Mapping
from typing import Any

from ppgen.backends.protocol import SEEN, bare
from ppgen.errors import DataError


def rows_of(arrays: Mapping[str, Any]) -> int:
    """How many rows data have: those of their entries; without entries there is one, all that the program does."""
    return next((len(array) for array in arrays.values() if array.ndim), 1)


class Batch(dict[str, Any]):
    """Named arrays over rows.

    Entries named in `drawn` were sampled by a program and carry a leading particle axis; the others are data,
    [rows, ...]. `batch | trace.values` keeps track of which is which. A site that is observed in some rows only has its
    values under its name and, under `seen:<name>`, the rows [rows] in which they count; in the others it is latent. One
    of which single numbers are missing has `kept:<name>`, shaped like its values: the others count nowhere.

    Args:
        entries: arrays by name.
        rows: number of rows; by default, as many as the data have.
        drawn: names of the entries with a particle axis.
        particles: length of that axis.
    """

    def __init__(
        self,
        entries: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        *,
        rows: int | None = None,
        drawn: Iterable[str] = (),
        particles: int = 1,
    ) -> None:
        super().__init__(entries)
        self.drawn = frozenset(drawn)
        self.particles = particles
        self.rows = rows if rows is not None else self._count()

    def _count(self) -> int | None:
        lengths = {name: value.shape[0] for name, value in self.items() if name not in self.drawn and value.ndim}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"expected one number of rows in a batch; got {lengths}. Every entry's first axis counts the rows."
            )
        return next(iter(lengths.values()), None)

    @classmethod
    def of_data(cls, entries: Mapping[str, Any]) -> "Batch":
        """A batch of data, with the rows that these have."""
        return cls(entries, rows=None if entries else 1)

    @property
    def row_count(self) -> int:
        """The number of rows, where there must be one.

        Raises:
            DataError: a batch that has no entry over rows, and was not told how many there are.
        """
        if self.rows is None:
            raise DataError(
                f"expected a batch with a number of rows; got the entries {sorted(self)}. Write Batch(..., rows=n)."
            )
        return self.rows

    def __or__(self, other: Mapping[str, Any]) -> "Batch":
        drawn = self.drawn - set(other) | getattr(other, "drawn", frozenset())
        counts = {b.particles for b in (self, other) if isinstance(b, Batch) and b.drawn}
        if len(counts) > 1:
            raise DataError(f"expected values with one number of particles; got {sorted(counts)}. Draw them together.")
        return Batch({**self, **other}, rows=self.rows, drawn=drawn, particles=counts.pop() if counts else 1)

    @property
    def observed(self) -> frozenset[str]:
        """Names of the entries that are data, in every row."""
        return frozenset(n for n in self if n not in self.drawn and bare(n) == n and SEEN + n not in self)

    def seen(self, name: str) -> Any | None:
        """The rows [rows] in which an entry counts; None where all do."""
        return self.get(SEEN + name)

    def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Entries without and with a particle axis."""
        fixed = {name: value for name, value in self.items() if name not in self.drawn}
        return fixed, {name: self[name] for name in self.drawn}
