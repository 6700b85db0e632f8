"""Draws of the latent sites, laid out as ArviZ expects them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.errors import DataError, NoLikelihoodError
from ppgen.evaluation import schema
from ppgen.evaluation.diagnostics import agreement
from ppgen.evaluation.enumerated import Table
from ppgen.evaluation.followed import follow
from ppgen.evaluation.inputs import guide_of, is_enumerated, needs_densities, prepare
from ppgen.evaluation.schema import rows_first
from ppgen.evaluation.weights import Chunks
from ppgen.inference.algorithm import positive
from ppgen.problem.problem import Problem
from ppgen.problem.program import Program


def posterior(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, Any],
    draws: int = 500,
    seed: int = 0,
    chains: int = 1,
    about: Mapping[str, Any] | None = None,
) -> Any:
    """Draws of the latent sites given data: from the guide, or exactly where the latent sites can be summed out.

    Groups, in ArviZ's schema:

    - `posterior`: each latent and deterministic site, dimensions (chain, draw, rows, inner plates, `<site>_dim_0`, ...); global
      sites have no rows. The rows' dimension is called like their plate ("data").
    - `sample_stats`: `log_weight` = log p(x, z) - log q(z | x), for (chain, draw, rows), or (chain, draw) where some
      latent site is global and all rows share a weight. Exact draws have the constant weight log p(x).
    - `log_likelihood`: the log density of each observed site given the draw, for (chain, draw, rows).
    - `posterior_predictive`: the observed sites drawn anew given the draw.
    - `observed_data`: the observed sites; `constant_data`: other arrays, such as covariates.

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name, as in its state.
        arrays: data by name.
        draws: draws per chain; they are independent.
        seed: seed of the draws.
        chains: number of chains, which ArviZ compares.
        about: what to note in the attributes of the tree.

    Returns:
        What the installed ArviZ takes as it comes: an `xarray.DataTree`, or with ArviZ 0.x its `InferenceData`. Slashes in
        names of sites become dots.

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: nothing is latent, or nothing is known about what is.

    Example:
        >>> import arviz as az, numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         z = sample("z", dist.Bernoulli(0.5))
        ...         sample("x", dist.Normal(ppgen.param("loc", 3.0) * z, 1.0))
        >>> data = {"x": np.array([0.0, 3.0], np.float32)}
        >>> problem = ppgen.Problem(model, data=data)
        >>> tree = posterior(problem, problem.start, data, draws=1000)
        >>> tree["posterior"]["z"].sizes
        Frozen({'chain': 1, 'draw': 1000, 'data': 2})
    """
    positive("draws", draws, "posterior")
    positive("chains", chains, "posterior")
    problem, arrays = prepare(problem, arrays)
    values, log_weight = latent_draws(problem, parameters, arrays, chains * draws, seed)
    after = follow(problem, parameters, arrays, values, seed=seed)
    groups = {
        "posterior": values | after.computed,
        "sample_stats": {"log_weight": log_weight},
        "log_likelihood": after.log_likelihood,
        "posterior_predictive": after.predictive,
    }
    split = {group: {n: _split(x, chains) for n, x in found.items()} for group, found in groups.items()}
    return schema.tree(problem, arrays, split, {**(about or {}), "seed": seed})


def sampled(
    problem: Problem,
    parameters: Mapping[str, Any],
    draws: Mapping[str, np.ndarray],
    statistics: Mapping[str, np.ndarray],
    arrays: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Any:
    """The draws of a sampler, laid out as those of `posterior`; `sample_stats` holds its statistics.

    The attributes say how well the chains agree: the largest R-hat, the smallest effective sample size, and how many draws
    diverged.

    Args:
        problem: the model and the data that it was given, see `ppgen.Problem`.
        parameters: unconstrained parameters by name.
        draws: values of latent sites, by site [chains, draws, ...].
        statistics: numbers of each draw, by name [chains, draws].
        arrays: the data; those of the problem by default, and no others.
        about: what to note in the attributes of the tree.

    Raises:
        DataError: other data than those the draws are given.
    """
    given = problem.host(problem.example, "the data")
    if arrays is not None:
        others = problem.host(arrays, "the data")
        same = others.keys() == given.keys() and all(np.array_equal(others[n], given[n]) for n in given)
        if not same:
            raise DataError(
                "the draws are from the posterior given the data of the run; expected those data, or none; got others. Fit "
                "again to draw given these."
            )
    problem, chains = problem.observing(given), len(next(iter(draws.values())))
    groups = {"posterior": dict(draws), "sample_stats": dict(statistics)}
    if all(site.name in draws for site in problem.model.latent(problem.data)):  # none was summed out
        flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in draws.items()}
        after = follow(problem, parameters, given, flat, seed=problem.seed)
        groups["posterior"] |= {n: _split(x, chains) for n, x in after.computed.items()}
        groups["log_likelihood"] = {n: _split(x, chains) for n, x in after.log_likelihood.items()}
        groups["posterior_predictive"] = {n: _split(x, chains) for n, x in after.predictive.items()}
    tree = schema.tree(problem, given, groups, about or {})
    if statistics:  # of chains
        tree.attrs.update(agreement(tree, statistics))
    return tree


def latent_draws(
    problem: Problem, parameters: Mapping[str, Any], arrays: Mapping[str, np.ndarray], draws: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws of the latent sites given prepared data, [draws, ...], and their log weights, [draws, rows] or [draws].

    Raises:
        NoLikelihoodError: nothing is latent, or nothing is known about what is.
    """
    if not problem.model.latent(problem.data):
        raise NoLikelihoodError(
            f"the model has no latent sites given {sorted(arrays)}, so there is no posterior. fit.sample draws from "
            "the model, and fit.params holds its parameters."
        )
    needs_densities(problem)
    if is_enumerated(problem):
        return _exact(problem, parameters, arrays, draws, seed)
    return _guided(problem, guide_of(problem), parameters, arrays, draws, seed)


def _guided(
    problem: Problem, guide: Program, parameters: Any, arrays: Any, draws: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws from the guide and their log weights."""
    latent = problem.model.latent(problem.data)
    parts: list[dict[str, np.ndarray]] = []
    weights: list[np.ndarray] = []
    for local, shared, drawn in Chunks(problem, parameters, arrays, draws, None, seed).draws(0, values=True):
        parts.append({s.name: drawn[s.name] for s in latent})
        weights.append(local.sum(1) + shared if guide.has_global(problem.data) else local)
    return {s.name: np.concatenate([part[s.name] for part in parts]) for s in latent}, np.concatenate(weights)


def _exact(
    problem: Problem, parameters: Any, arrays: Any, draws: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws from the enumerated posterior, whose weights are all p(x)."""
    model = problem.model
    table = Table(problem, parameters, arrays)
    shared, local = table.draw(draws, np.random.default_rng(seed))
    values = {}
    for site in model.latent(problem.data):
        value = rows_first(table.values[site.name], model, site, 1)
        if model.is_local(site):
            values[site.name] = np.moveaxis(value[:, 0][local], 1, 1 + model.row_axis(site))
        else:
            values[site.name] = value[shared]
    if model.has_global(problem.data):
        total = np.logaddexp.reduce(table.shared + table.given_global.sum(1))
        return values, np.full(draws, total)
    return values, np.tile(table.given_global, (draws, 1))


def _split(value: np.ndarray, chains: int) -> np.ndarray:
    return value.reshape(chains, -1, *value.shape[1:])
