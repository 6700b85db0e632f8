"""What follows from draws of the latent sites: deterministic sites, densities of the data, new data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.evaluation.weights import SCALARS, breadth, even, once
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem


@dataclass(frozen=True)
class Followed:
    """What a model says at draws of all its latent sites.

    Attributes:
        computed: `deterministic` sites, [draws, ...].
        log_likelihood: log density of each observed site in each row, [draws, rows].
        predictive: observed sites drawn anew, or their means, [draws, ...].
    """

    computed: dict[str, np.ndarray] = field(default_factory=dict)
    log_likelihood: dict[str, np.ndarray] = field(default_factory=dict)
    predictive: dict[str, np.ndarray] = field(default_factory=dict)


def follow(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    draws: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    emit: str = "draw",
) -> Followed:
    """Run the model at draws of its latent sites, some at a time.

    Args:
        problem: the programs.
        parameters: unconstrained parameters by name.
        arrays: prepared data on the host.
        draws: a value of every latent site, [draws, ...].
        seed: seed of the new data.
        emit: new data as a "draw" or as their "mean".
    """
    model, backend = problem.model, problem.backend
    observed = [site.name for site in model.observed(problem.data)]
    count, rows = len(next(iter(draws.values()))), rows_of(arrays)
    depth = even(count, max(1, SCALARS // (rows * breadth(problem))))

    def run(parameters: Any, batch: Any, z: Any, key: Any) -> tuple[Any, Any, Any]:
        with ops.activate(backend):
            p = problem.joints(parameters, key)["model"].one_by_one
            latent = Batch.of_data(batch) | Batch(z, rows=rows, drawn=z, particles=depth)
            seen = p.trace(latent)
            anew = p.dream(latent, depth, observed if emit == "mean" else ()) if observed else None
            return (
                dict(seen.computed),
                {name: seen.density(name) for name in observed},
                {name: anew[name].value for name in observed} if anew else {},
            )

    follow_some = once(problem, ("follow", depth, rows, emit), run)
    batch = {name: backend.array(array) for name, array in arrays.items()}
    key, parts = backend.fold_in(backend.key(seed), 2), []
    for turn, start in enumerate(range(0, count, depth)):
        chosen = np.minimum(np.arange(start, start + depth), count - 1)
        z = {name: backend.array(value[chosen]) for name, value in draws.items()}
        parts.append(follow_some(parameters, batch, z, backend.fold_in(key, turn)))
    groups = (
        {name: np.concatenate([backend.numpy(part[g][name]) for part in parts])[:count] for name in parts[0][g]}
        for g in range(3)
    )
    return Followed(*groups)
