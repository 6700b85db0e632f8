"""What posterior draws predict: the density of rows, and the sites that all rows share."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation.inputs import described, needs_densities, prepare
from ppgen.evaluation.result import Evaluation
from ppgen.evaluation.weights import ROWS, SCALARS, Running, breadth, device, even, once
from ppgen.inference.algorithm import positive
from ppgen.inference.exact.enumeration import configurations, crossed, possible
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem


def predictive(
    problem: Problem,
    parameters: Mapping[str, Any],
    draws: Mapping[str, np.ndarray],
    arrays: Mapping[str, Any],
    *,
    particles: int = 1000,
    batch_size: int | None = None,
    seed: int = 0,
    quantization: int | None = None,
) -> Evaluation:
    r"""The log pointwise predictive density of rows under posterior draws (Gelman et al., 2014).

    .. math:: \log p(x_i | \text{data}) \approx \log \frac1S \sum_s p(x_i | w_s), \qquad w_s \sim p(w | \text{data})

    It is an estimate of what the fit predicts for a new row; rows that the draws have seen are predicted too well. Latent
    sites of the row itself are summed out where they are discrete, and drawn from their prior given :math:`w_s` where not.

    Args:
        problem: the model, see `ppgen.Problem`.
        parameters: unconstrained parameters by name.
        draws: posterior draws, by site [chains, draws, ...]; those of sites that all rows share are used.
        arrays: data by name.
        particles: draws S that are used, at most, evenly spaced.
        batch_size: rows computed at once, at most.
        seed: seed of the draws of a row's own sites.
        quantization: levels of dequantised data, see `likelihood`.

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: a discrete site that all rows share, of which there are no draws.
    """
    positive("particles", particles, "evaluate")
    problem, arrays = prepare(problem, arrays)
    needs_densities(problem)
    about = described(problem, arrays, quantization)
    shared = thinned(shared_draws(problem, draws), particles)
    count = len(next(iter(shared.values()))) if shared else particles
    rows = rows_of(arrays)
    width = even(rows, min(rows, batch_size or ROWS))
    depth = even(count, max(1, SCALARS // (width * breadth(problem) * own_configurations(problem))))
    weigh, backend = _compiled(problem, depth), problem.backend
    per_row, ess = np.empty(rows), np.empty(rows)
    for start in range(0, rows, width):
        some, running = slice(start, min(start + width, rows)), Running()
        batch, key = device(problem, arrays, some, width), backend.fold_in(backend.key(seed), start)
        for first in range(0, count, depth):
            chosen = np.minimum(np.arange(first, first + depth), count - 1)
            values = {name: backend.array(value[chosen]) for name, value in shared.items()}
            log_prob = backend.numpy(weigh(parameters, batch, values, backend.fold_in(key, first)))
            running.add(log_prob[: count - first, : some.stop - some.start].astype(np.float64))
        per_row[some], ess[some] = running.log_mean, running.ess
    estimator = "log pointwise predictive density of posterior draws"
    if not _own_are_discrete(problem):
        estimator += ", a row's own sites drawn from their prior"
    return Evaluation.of_rows(
        per_row, kind="estimate", estimator=estimator, particles=count, ess=float(ess.mean()), **about
    )


def shared_draws(problem: Problem, draws: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draws of the latent sites that all rows share, chains one after another: by site [draws, ...].

    Raises:
        NoLikelihoodError: a discrete site that all rows share: it was summed out, and there are no draws of it.
    """
    model = problem.model
    sites = [site for site in model.latent(problem.data) if not model.is_local(site)]
    if missing := [site.name for site in sites if site.name not in draws]:
        raise NoLikelihoodError(
            f"no rows can be predicted: the sites {missing}, which all rows share, were summed out while the others were "
            "sampled, so there are no draws of them. Give them in the data, or put them in the plate of rows."
        )
    return {site.name: draws[site.name].reshape(-1, *draws[site.name].shape[2:]) for site in sites}


def thinned(draws: Mapping[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """At most so many draws [draws, ...], evenly spaced."""
    return {name: x[np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(int)] for name, x in draws.items()}


def own_configurations(problem: Problem) -> int:
    """How many values the discrete latent sites of a row have together."""
    model = problem.model
    own = [site for site in model.latent(problem.data) if model.is_local(site)]
    return math.prod((site.support.count or 1) ** model.atoms(site) for site in own)


def _own_are_discrete(problem: Problem) -> bool:
    model = problem.model
    return all(site.support.count is not None for site in model.latent(problem.data) if model.is_local(site))


def _compiled(problem: Problem, draws: int) -> Any:
    """Log densities of rows under some draws of what they share, [draws, rows]."""
    exact = _own_are_discrete(problem)

    def weigh(parameters: Mapping[str, Any], batch: Any, shared: Mapping[str, Any], key: Any) -> ops.Array:
        with ops.activate(problem.backend):
            p, batch = problem.joints(parameters, key)["model"], Batch.of_data(batch)
            w = Batch(shared, rows=batch.rows, drawn=shared, particles=draws)
            if not exact:
                return p.draw(batch | w, draws, pathwise=False, density=False).observed.local.parts[0]
            table = configurations(p, batch, filter(p.program.is_local, p.program.latent(batch.observed)))
            both = crossed(w, table) if table else w
            local = possible(p.trace(batch | both).parts[0], batch, both)
            return ops.logsumexp(local.reshape(draws, -1, local.shape[-1]), 1)

    return once(problem, ("predict", draws), weigh)
