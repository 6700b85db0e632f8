"""The container that every loader returns."""

from dataclasses import dataclass

import numpy as np

Split = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dataset:
    """A named data set, cut into splits that go straight into `ppgen.fit` and `Fit.evaluate`.

    Attributes:
        name: what the data is called in tables.
        train: arrays by name, rows first: `{"x": [rows, dims], "y": [rows]}`.
        test: the same arrays for the rows that no fit may see.
        valid: the same for the rows that choose between fits; `None` where the data has no such split.
        shape: the shape of one row of `x` as a picture, e.g. `(28, 28)`.

    Example:
        >>> import numpy as np
        >>> from ppgen.data import Dataset
        >>> x = np.zeros((5, 4), np.float32)
        >>> Dataset(name="blank", train={"x": x[:3]}, test={"x": x[3:]}, shape=(2, 2))
        Dataset 'blank', one x has shape (2, 2)
          train  3 rows  x float32 [4]
          test   2 rows  x float32 [4]
    """

    name: str
    train: Split
    test: Split
    valid: Split | None = None
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        present = {name: split for name, split in splits.items() if split is not None}
        rows = {name: len(next(iter(split.values()))) for name, split in present.items()}
        width = max(len(str(count)) for count in rows.values())
        lines = [f"Dataset {self.name!r}, one x has shape {self.shape}"]
        for name, split in present.items():
            arrays = ", ".join(f"{key} {array.dtype} {list(array.shape[1:])}" for key, array in split.items())
            lines.append(f"  {name:5}  {rows[name]:{width}} rows  {arrays}")
        return "\n".join(lines)
