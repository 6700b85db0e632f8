"""Data simulated from the model, with the truth behind them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.evaluation.kept import once
from ppgen.evaluation.weights import SCALARS, breadth, even
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem


def simulate(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    draws: int,
    *,
    seed: int = 0,
    shared: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Draw every site from the model, the observed ones too, a number of times.

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name.
        arrays: covariates, on the host; values of observed sites in it give the number of rows, and nothing else.
        draws: number of draws S.
        seed: seed of the draws.
        shared: values of sites that all rows share, by site [S, ...]; drawn from the prior by default.

    Returns:
        Values by site: [S, rows, ...], of sites that all rows share [S, ...]. What a native program observes is also called
        like the argument that it observes; the unconstrained value of a continuous site `z` is called `real:z`.
    """
    backend, given = problem.backend, dict(shared or {})
    rows = rows_of(arrays)
    depth = even(draws, max(1, SCALARS // (rows * breadth(problem))))

    def dream(parameters: Mapping[str, Any], batch: Mapping[str, Any], shared: Mapping[str, Any], key: Any) -> Any:
        with ops.activate(backend):
            p, drawn = problem.joints(parameters, key)["model"], Batch(shared, rows=rows, drawn=shared, particles=depth)
            trace = p.dream(Batch(batch, rows=rows) | drawn, depth, reals=True)
            return {**trace.values, **trace.reals}

    dream = once(problem, ("simulate", depth), dream)
    batch, parts = problem.device(arrays), []
    for turn, start in enumerate(range(0, draws, depth)):
        chosen = np.minimum(np.arange(start, start + depth), draws - 1)
        some = {name: backend.array(value[chosen]) for name, value in given.items()}
        found = dream(parameters, batch, some, backend.fold_in(backend.key(seed), turn))
        parts.append({name: backend.numpy(value)[: draws - start] for name, value in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} | given


def resized(problem: Problem, rows: int | None) -> dict[str, np.ndarray]:
    """The first batch of a problem with another number of rows: shapes of observed sites, and covariates, which come again."""
    if rows is None:
        return dict(problem.example)
    return {name: np.resize(value, (rows, *value.shape[1:])) for name, value in problem.example.items()}


def as_data(problem: Problem, drawn: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], draw: int) -> dict:
    """One of several draws as data: the entries that observed sites have, and the covariates."""
    return {
        name: drawn[name][draw] if name in drawn else value for name, value in arrays.items() if name in problem.data
    }
