"""Pareto-smoothed importance sampling: how heavy the tail of weights is, and weights whose tail is smoothed."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np

from ppgen.evaluation.schema import arviz

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

    from ppgen.evaluation.schema import arviz
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
            found[fit] = np.nan_to_num(_arviz()(log_weights[fit])[1], nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return found


def smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Importance weights whose largest are replaced by quantiles of the Pareto distribution fitted to them.

    Args:
        log_weights: log importance weights, normalised or not, [particles, rows].

    Returns:
        Log weights that sum to one over particles [particles, rows], and k-hat of each row [rows].
    """
    log_weights = np.array(log_weights, np.float64)
    shares, _ = _arviz()((log_weights - log_weights.max(0)).T)
    return (shares - np.logaddexp.reduce(shares, 1)[:, None]).T, khat(log_weights)


def _arviz() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """ArviZ's smoothed weights and k-hat, from log weights [rows, particles].

    `psislw` of ArviZ 0.x takes log weights; that of 1.x takes log likelihoods, which are minus the log weights of leaving out.
    """
    if version("arviz").startswith("0."):
        psislw, sign = arviz().psislw, 1
    else:
        from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports]  # comes with ArviZ 1.x alone

        psislw, sign = partial(array_stats.psislw, axis=-1), -1

    def smooth(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shares, tail = psislw(sign * log_weights)[:2]
        return np.asarray(shares), np.asarray(tail)

    return smooth
