"""Densities on the plane that a glance can judge: drawn exactly, row by row, from a seed."""

import numpy as np


def moons(n: int, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """Draw two half circles that reach into each other.

    The upper one is (cos t, sin t) and the lower one (1 - cos t, 1/2 - sin t), with t uniform on [0, pi].

    Args:
        n: rows.
        noise: standard deviation of the Gaussian noise added to both coordinates.
        seed: the same seed gives the same rows.

    Returns:
        Points, float32 [n, 2].

    Raises:
        ValueError: `n` is below 1 or `noise` below 0.

    Example:
        >>> from ppgen.data import moons
        >>> moons(1000).shape
        (1000, 2)
    """
    _at_least("n", n, 1)
    _at_least("noise", noise, 0)
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.array([1, 0.5]) - upper
    points = np.where(rng.random((n, 1)) < 0.5, upper, lower)
    return rng.normal(points, noise).astype(np.float32)


def rings(n: int, rings: int = 4, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """Draw concentric circles of radius 1, 2, ..., all with the same share of the rows.

    Args:
        n: rows.
        rings: how many circles.
        noise: standard deviation of the Gaussian noise added to both coordinates.
        seed: the same seed gives the same rows.

    Returns:
        Points, float32 [n, 2].

    Raises:
        ValueError: `n` or `rings` is below 1 or `noise` below 0.

    Example:
        >>> from ppgen.data import rings
        >>> rings(1000, rings=2).shape
        (1000, 2)
    """
    _at_least("n", n, 1)
    _at_least("rings", rings, 1)
    _at_least("noise", noise, 0)
    rng = np.random.default_rng(seed)
    radius = rng.integers(1, rings, n, endpoint=True)
    angle = rng.uniform(0, 2 * np.pi, n)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return rng.normal(points, noise).astype(np.float32)


def gaussian_grid(n: int, side: int = 5, scale: float = 0.1, seed: int = 0) -> np.ndarray:
    """Draw from a mixture of `side` x `side` equal Gaussians, one unit apart and centred at the origin.

    Args:
        n: rows.
        side: Gaussians along each axis.
        scale: standard deviation of each Gaussian.
        seed: the same seed gives the same rows.

    Returns:
        Points, float32 [n, 2].

    Raises:
        ValueError: `n` or `side` is below 1 or `scale` below 0.

    Example:
        >>> from ppgen.data import gaussian_grid
        >>> gaussian_grid(1000, side=3).shape
        (1000, 2)
    """
    _at_least("n", n, 1)
    _at_least("side", side, 1)
    _at_least("scale", scale, 0)
    rng = np.random.default_rng(seed)
    loc = rng.integers(0, side, (n, 2)) - (side - 1) / 2
    return rng.normal(loc, scale).astype(np.float32)


def checkerboard(n: int, seed: int = 0) -> np.ndarray:
    """Draw uniformly from the eight dark unit squares of a 4x4 board on [-2, 2] x [-2, 2].

    A square is dark where the floors of its two coordinates have an even sum, so the density is 1/8 there.

    Args:
        n: rows.
        seed: the same seed gives the same rows.

    Returns:
        Points, float32 [n, 2].

    Raises:
        ValueError: `n` is below 1.

    Example:
        >>> from ppgen.data import checkerboard
        >>> checkerboard(1000).shape
        (1000, 2)
    """
    _at_least("n", n, 1)
    rng = np.random.default_rng(seed)
    column = rng.integers(0, 4, n)
    row = 2 * rng.integers(0, 2, n) + column % 2
    corner = np.stack([column, row], axis=1) - 2
    return (corner + rng.random((n, 2))).astype(np.float32)


def _at_least(name: str, value: float, least: int) -> None:
    if not value >= least:  # also refuses nan
        raise ValueError(f"expected {name} to be {least} or more; got {value}; pass a larger {name}")
