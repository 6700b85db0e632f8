"""PSIS k-hat: how heavy the tail of importance weights is."""

from collections.abc import Callable
from importlib.metadata import version

import numpy as np

FLAT = 1e-3
"""Nats within which the largest log weights count as equal; above the rounding of float32 log densities."""

FEWEST = 25
"""Particles below which the tail is too short to tell."""

NEGLIGIBLE = 700.0
"""Nats below the largest at which a weight is as good as zero."""


def khat(log_weights: np.ndarray) -> np.ndarray:
    r"""Shape of the generalised Pareto distribution fitted to the largest weights (Vehtari et al., 2024).

    An importance sampling estimate is good where it is below 0.5, usable below 0.7 and not to be trusted above: the
    mean of weights with tail index :math:`\hat k \ge 1` does not exist.

    Args:
        log_weights: log importance weights, normalised or not, [particles, rows].

    Returns:
        k-hat of each row, [rows]. It is -inf where the largest weights are all equal (an exact guide, or one whose
        best draw comes often), so that there is no tail at all; inf where it cannot be told (fewer than 25 particles,
        or hardly any of positive weight); nan where a log weight is nan.

    Example:
        >>> import numpy as np
        >>> khat(np.zeros((100, 2)))
        array([-inf, -inf])
    """
    log_weights = np.array(log_weights, np.float64).T
    particles = log_weights.shape[1]
    tail = max(1, int(min(particles / 5, 3 * particles**0.5)))
    largest = np.partition(log_weights, particles - tail, axis=1)[:, particles - tail :]
    best = largest.max(1)
    flat = (largest[:, 0] > best - FLAT) & (particles >= FEWEST)
    undefined = np.isnan(log_weights).any(1)
    found = np.where(undefined, np.nan, np.where(flat, -np.inf, np.inf))
    fit = np.isfinite(best) & (largest[:, 0] > best - NEGLIGIBLE) & ~flat & ~undefined
    if particles >= FEWEST and fit.any():
        with np.errstate(all="ignore"):  # weights that tie at the edge of the tail
            found[fit] = np.nan_to_num(_arviz()(log_weights[fit]), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return found


def _arviz() -> Callable[[np.ndarray], np.ndarray]:
    """ArviZ's fit, from log weights [rows, particles]: `psislw` of 0.x takes just these, 1.x takes log likelihoods."""
    if version("arviz").startswith("0."):
        import arviz

        return lambda log_weights: np.asarray(arviz.psislw(log_weights)[1])
    from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports]  # comes with ArviZ 1.x alone

    return lambda log_weights: np.asarray(array_stats.psislw(-log_weights, axis=-1)[1])
