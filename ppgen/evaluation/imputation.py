"""Given rows as the model sees them: reconstructions, and values for what is missing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.backends.protocol import KEPT
from ppgen.evaluation.followed import follow
from ppgen.evaluation.inputs import prepare
from ppgen.evaluation.posterior import latent_draws
from ppgen.inference.algorithm import option, positive
from ppgen.problem.problem import Problem


def reconstruct(
    problem: Problem,
    parameters: Mapping[str, Any],
    data: Mapping[str, Any],
    draws: int = 1,
    *,
    seed: int = 0,
    emit: str = "mean",
) -> dict[str, np.ndarray]:
    r"""The observed sites of given rows, from draws of their latent sites.

    .. math:: z_s \sim q(z | x), \qquad E[x | z_s] \text{ or } x_s \sim p(x | z_s)

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name.
        data: arrays by name.
        draws: number of draws.
        seed: seed of the draws.
        emit: sites as their "mean" given the draw, or as a "draw".

    Returns:
        Values by observed site, [draws, rows, ...].

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: nothing is latent, or nothing is known about what is.
    """
    positive("draws", draws, "reconstruct")
    option("emit", emit, ("mean", "draw"), "reconstruct")
    problem, arrays = prepare(problem, data)
    z, _ = latent_draws(problem, parameters, arrays, draws, seed)
    return follow(problem, parameters, arrays, z, seed=seed, emit=emit).predictive


def impute(
    problem: Problem,
    parameters: Mapping[str, Any],
    data: Mapping[str, Any],
    draws: int = 1,
    *,
    seed: int = 0,
    emit: str = "draw",
) -> dict[str, np.ndarray]:
    """The data with their missing numbers filled in: what is known stays, the rest is that of `reconstruct`.

    Latent sites are drawn from the guide, which is not the posterior: take the mean of many draws with care, and look at the
    k-hat of `evaluate`. See docs/missing.md.

    Returns:
        Values by site with missing numbers, [draws, rows, ...].
    """
    problem, arrays = prepare(problem, data)
    made = reconstruct(problem, parameters, arrays, draws, seed=seed, emit=emit)
    entries = {name: problem.model.observes.get(name, name) for name in made}
    return {n: np.where(arrays[KEPT + e], arrays[e], made[n]) for n, e in entries.items() if KEPT + e in arrays}
