"""Tables of measurements from the UCI collection, for densities of a few real columns and for regression."""

import io

import numpy as np

from ppgen.data.dataset import Dataset
from ppgen.data.fetch import File, fetch

# SHA-256 of the text of each table.
UCI_SHA256 = {
    "energy": "7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
    "kin8nm": "a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810",
    "naval-propulsion-plant": "de0ea69da1efaab8b9655ffed828547d10dd68c1fb8c6e0163e6a988def393a6",
    "power-plant": "daebd20c408dfc5c4979604f240e891be162c3a5d00d662380aa669044a1fb31",
    "protein-tertiary-structure": "d35f332707e8a73f21e021039250a1e7b26e14f7dd826a0337ffa8e8e48b9727",
    "wine-quality-red": "3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1",
}


def uci(name: str, seed: int = 0) -> Dataset:
    """Load one of the UCI regression tables, standardised.

    A shuffle by `seed` cuts the rows into 80% train, 10% valid and 10% test. Every column has the mean of its training
    rows taken off and is divided by their standard deviation: log densities are in nats of these units. A column that
    never changes is left out. The last column is the one that regressions predict; `x[:, :-1]` and `x[:, -1]` part them.

    The tables are read from below `PPGEN_DATA` only: their public homes keep them in other forms.

    Args:
        name: "energy" (768 rows, 9 columns), "kin8nm" (8192, 9), "naval-propulsion-plant" (11934, 16), "power-plant"
            (9568, 5), "protein-tertiary-structure" (45730, 10) or "wine-quality-red" (1599, 12).
        seed: settles which rows are for training.

    Returns:
        Three splits, `x` float32 [n, columns].

    Raises:
        ValueError: there is no table of that name.
        DataFileError: the file is missing or damaged.

    Example:
        >>> from ppgen.data import uci
        >>> uci("power-plant")  # doctest: +SKIP
        Dataset 'power-plant', one x has shape (5,)
          train  7654 rows  x float32 [5]
          valid   957 rows  x float32 [5]
          test    957 rows  x float32 [5]
    """
    if name not in UCI_SHA256:
        raise ValueError(f"expected a table, one of {sorted(UCI_SHA256)}; got {name!r}; choose one of these")
    rows = np.loadtxt(io.BytesIO(fetch(UCI_SHA256[name], File(f"uci/{name}.txt"))))
    rows = rows[:, np.ptp(rows, axis=0) > 0]
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    held = round(0.1 * len(rows))
    train, valid, test = np.split(rows, [len(rows) - 2 * held, len(rows) - held])
    mean, scale = train.mean(0), train.std(0)

    def split(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"x": ((rows - mean) / scale).astype(np.float32)}

    return Dataset(name=name, train=split(train), valid=split(valid), test=split(test), shape=rows.shape[1:])
