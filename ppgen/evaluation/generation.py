"""New rows from the model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.errors import DataError, tell
from ppgen.evaluation.weights import once
from ppgen.problem.arrays import to_host
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem


def generate(
    problem: Problem,
    parameters: Mapping[str, Any],
    rows: int | None = None,
    *,
    seed: int = 0,
    data: Mapping[str, Any] | None = None,
    emit: str = "draw",
    shared: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Generate rows from the model.

    Global sites (outside the plate of rows) come from `shared`, or from the guide where it has them: the posterior
    predictive.

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name.
        rows: number of rows; that of `data` by default.
        seed: seed of the draws.
        data: covariates that the model takes as arguments.
        emit: observed sites as a "draw" or as their "mean".
        shared: values of global sites, by name.

    Returns:
        Values by site, deterministic ones too, [rows, ...] (global sites without the row axis).
    """
    if emit not in ("draw", "mean"):
        raise ValueError(f"expected emit to be 'draw' or 'mean'; got {emit!r}.")
    model, backend = problem.model, problem.backend
    if factors := [site.name for site in model.sites.values() if site.kind == "factor"]:
        tell(
            f"draws follow the sample sites alone; the model's factors {factors} weigh them no further. "
            "fit.posterior has draws of the latent sites that follow them."
        )
    host, count = _covariates(problem, rows, data)
    observed = [site.name for site in model.observed(problem.data)]
    key = backend.fold_in(backend.key(seed), 1)

    given = {name: backend.array(np.asarray(value)[None]) for name, value in (shared or {}).items()}

    def draw(parameters: Any, batch: Any, given: Any, key: Any) -> dict[str, Any]:
        batch = Batch(batch, rows=count) | Batch(given, rows=count, drawn=given)
        joints = problem.joints(parameters, key)
        p, q = joints["model"], joints.get("guide")
        if q is not None and model.has_global(problem.data) and set(q.program.required) <= {*batch, "rows"}:
            drawn = q.draw(batch).values
            names = [s.name for s in q.program.latent() if not q.program.is_local(s) and s.name in p.program.sites]
            batch = batch | Batch({n: drawn[n] for n in names}, rows=count, drawn=names)
        dream = p.dream(batch, emit=observed if emit == "mean" else ())
        return {**{n: value for n, value in dream.values.items() if n in model.sites}, **dream.computed}

    values = once(problem, ("generate", count, emit), draw)(parameters, problem.device(host), given, key)
    return {name: backend.numpy(value)[0] for name, value in values.items()}


def _covariates(problem: Problem, rows: int | None, data: Mapping[str, Any] | None) -> tuple[dict[str, Any], int]:
    """The arguments of the model, and the number of rows."""
    if rows is not None and (not isinstance(rows, int | np.integer) or rows < 1):
        raise ValueError(f"expected rows to be a positive integer; got {rows!r}.")
    model = problem.model
    host: dict[str, Any] = {} if data is None else to_host(data, double=problem.backend.double())
    for name in host:
        if name in model.sites or name not in model.arguments:
            raise DataError(
                f"sample() generates {list(model.sites)}; expected data to hold covariates only, of "
                f"{[a for a in model.arguments if a != 'rows' and a not in model.sites]}; got {name!r}. Leave it out."
            )
    if rows is None and not host:
        raise DataError("expected rows, or data with covariates; got neither. Write fit.sample(rows=16).")
    count = rows_of(host) if host else int(rows or 0)
    if rows is not None and count != rows:
        raise DataError(f"expected as many rows as the covariates have, {count}; got rows={rows}. Leave rows out.")
    if model.observes:  # a native program takes the shapes of its data from its arguments
        host = {n: np.resize(value, (count, *value.shape[1:])) for n, value in problem.example.items()} | host
    return host, count
