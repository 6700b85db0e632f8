"""How far draws of Markov chains are to be trusted: R-hat and effective sample sizes, by ArviZ."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ppgen.evaluation.schema import arviz, dataset

if TYPE_CHECKING:
    import pandas as pd

FEW = 4  # draws a chain, below which ArviZ computes nothing


def diagnose(tree: Any) -> "pd.DataFrame":
    """A line for each number that was sampled: mean, sd, interval, Monte Carlo errors, effective sample sizes, R-hat.

    R-hat compares the chains (Vehtari et al., 2021): above 1.01 they do not agree yet. The effective sample size `ess_bulk`
    says how many independent draws the mean is worth, `ess_tail` likewise for the ends of the interval; 100 a chain will do.

    Args:
        tree: draws in ArviZ's schema, as `ppgen.evaluation.posterior` and `Fit.posterior` give them.
    """
    with warnings.catch_warnings(action="ignore"):  # a number that never changes has no R-hat
        table = arviz().summary(dataset(tree, "posterior"), round_to="none")
    return cast("pd.DataFrame", table)  # a Dataset where one is asked for


def agreement(tree: Any, statistics: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The worst R-hat (of several chains) and effective sample size of all numbers, and how many draws diverged."""
    draws, found = dataset(tree, "posterior"), {}
    with warnings.catch_warnings(action="ignore"):
        if draws.sizes["draw"] >= FEW:
            found["ess_bulk_min"] = float(np.nanmin(_numbers(arviz().ess(draws))))
        if draws.sizes["draw"] >= FEW and draws.sizes["chain"] > 1:
            found["r_hat_max"] = float(np.nanmax(_numbers(arviz().rhat(draws))))
    return found | ({"divergences": int(statistics["diverging"].sum())} if "diverging" in statistics else {})


def _numbers(of_sites: Any) -> np.ndarray:
    """What ArviZ found for each number; one that never changes has nan."""
    return np.concatenate([np.ravel(values) for values in of_sites.data_vars.values()])
