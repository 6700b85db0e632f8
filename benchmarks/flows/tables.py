"""Small tables that show how networks start: bits, grey digits, and points on the plane whose density is known."""

from functools import cache

import numpy as np
from scipy.special import logsumexp

import ppgen

Splits = dict[str, np.ndarray]
"""Rows to learn from ("train"), to choose by ("valid") and to judge by ("test")."""

FEW, SOME, JUDGED = 1000, 2000, 500  # rows of pictures of 16 x 16
PLANE_ROWS = 5000, 2000, 10_000


def spirals() -> np.ndarray:
    """Points along two arms, [800, 2]."""
    angle = 3 * np.pi * np.sqrt(np.linspace(0.02, 1, 400))[:, None]
    arm = angle / 3 * np.concatenate([np.cos(angle), np.sin(angle)], 1)
    return np.concatenate([arm, -arm])


EIGHTH = np.arange(8)[:, None] * np.pi / 4
CENTRES = {  # of mixtures of equal Gaussians on the plane, each with one standard deviation
    "ring": (3 * np.concatenate([np.cos(EIGHTH), np.sin(EIGHTH)], 1), 0.2),
    "spirals": (spirals(), 0.1),
    "grid": (np.stack(np.meshgrid(*2 * [np.arange(5) - 2.0]), -1).reshape(-1, 2), 0.1),
}


def plane(name: str, seed: int) -> Splits:
    """Draws from one of the mixtures, others for each seed."""
    rng = np.random.default_rng([seed, 2])
    centres, scale = CENTRES[name]

    def draw(rows: int) -> np.ndarray:
        return rng.normal(centres[rng.integers(len(centres), size=rows)], scale).astype(np.float32)

    return dict(zip(("train", "valid", "test"), map(draw, PLANE_ROWS), strict=True))


def true_log_prob(name: str, x: np.ndarray) -> np.ndarray:
    """The log density of one of the mixtures, [rows]."""
    centres, scale = CENTRES[name]
    squares = np.square((x[:, None].astype(float) - centres) / scale).sum(-1)
    return logsumexp(-0.5 * squares, 1) - np.log(len(centres) * 2 * np.pi * scale**2)


@cache
def mushrooms() -> Splits:
    data = ppgen.data.mushrooms()
    return {name: getattr(data, name)["x"] for name in ("train", "valid", "test")}


@cache
def digits() -> Splits:
    """Bits of 8 x 8 digits."""
    data = ppgen.data.digits()
    return parted(data.train["x"], data.test["x"], 1200)


@cache
def few_digits() -> Splits:
    """Bits of 16 x 16 digits, few of them."""
    data = ppgen.data.usps()
    return parted(data.train["x"] > 0.5, data.test["x"] > 0.5, FEW)


@cache
def grey_digits() -> Splits:
    """Grey levels of 16 x 16 digits, spread over (0, 1)."""
    data = ppgen.data.usps()
    train, test = (
        ppgen.distributions.flows.dequantise((255 * split["x"]).round()) for split in (data.train, data.test)
    )
    return parted(train, test[:JUDGED], SOME)


def parted(train: np.ndarray, test: np.ndarray, rows: int) -> Splits:
    """So many rows to learn from, at most 400 others to choose by, and the test rows."""
    train, test = (np.asarray(x, np.float32) for x in (train, test))
    order = np.random.default_rng(0).permutation(len(train))
    return {"train": train[order[:rows]], "valid": train[order[rows : rows + 400]], "test": test}
