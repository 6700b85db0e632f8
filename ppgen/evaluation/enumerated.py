"""Exact sums over every configuration of discrete latent sites, and exact draws from their posterior."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.evaluation.kept import once
from ppgen.evaluation.weights import ROWS, SCALARS, breadth, device, even
from ppgen.inference.exact.enumeration import configurations, possible
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem


class Table:
    r"""Log p(x, z) of every configuration of the latent sites, for every row.

    Rows are independent given the global sites, so configurations with one value of these form a group:

    .. math:: \log p(x) = \log \sum_w p(w) \prod_i \sum_{z_i} p(x_i, z_i | w)

    Args:
        problem: a problem whose latent sites are discrete and few (or there are none).
        parameters: unconstrained parameters by name.
        arrays: prepared data on the host.
        batch_size: rows computed at once, at most.

    Attributes:
        values: configurations by site, [configurations, ...], for one row.
        group: which value of the global sites each configuration has, [configurations].
        local: log p of the local sites [configurations, rows].
        shared: log p of the global sites of each group [groups].
    """

    def __init__(
        self, problem: Problem, parameters: Mapping[str, Any], arrays: Mapping[str, np.ndarray],
        batch_size: int | None = None,
    ) -> None:  # fmt: skip
        model, backend = problem.model, problem.backend
        rows = rows_of(arrays)
        z = self._configurations(problem, Batch.of_data(device(problem, arrays, slice(0, 1), 1)))
        self.values = {name: backend.numpy(value) for name, value in z.items()}
        self.group = np.zeros(z.particles, int)
        shared_sites = [site.name for site in model.latent(problem.data) if not model.is_local(site)]
        if shared_sites:
            flat = np.concatenate([self.values[n].reshape(z.particles, -1) for n in shared_sites], 1)
            self.group = np.unique(flat, axis=0, return_inverse=True)[1].ravel()

        def weigh(parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Any:
            with ops.activate(backend):
                batch = Batch.of_data(batch)
                z = self._configurations(problem, batch)
                local, shared = problem.joints(parameters, key)["model"].trace(batch | z).parts
                return possible(local, batch, z), shared

        width = even(rows, batch_size or max(1, min(ROWS, SCALARS // (z.particles * breadth(problem)))))
        weigh = once(problem, "enumerate", weigh)
        parts = []
        for start in range(0, rows, width):
            some = slice(start, min(start + width, rows))
            local, shared = weigh(parameters, device(problem, arrays, some, width), backend.key(0))
            parts.append(backend.numpy(local)[:, : some.stop - start].astype(np.float64))
        self.local = np.concatenate(parts, 1)
        first = np.unique(self.group, return_index=True)[1]
        self.shared = backend.numpy(shared).astype(np.float64)[first]

    @staticmethod
    def _configurations(problem: Problem, batch: Batch) -> Batch:
        p = problem.joints({}, problem.backend.key(0))["model"]
        return configurations(p, batch, problem.model.latent(batch.observed))

    @property
    def given_global(self) -> np.ndarray:
        """Log p(x_i | w) for each value of the global sites, [groups, rows]."""
        groups = range(len(self.shared))
        return np.stack([np.logaddexp.reduce(self.local[self.group == g], 0) for g in groups])

    def draw(self, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Exact posterior draws, as configuration numbers: for global sites [draws], for local ones [draws, rows]."""
        given = self.given_global
        group = inverse_cdf((self.shared + given.sum(1))[:, None], rng.uniform(size=(draws, 1)))[:, 0]
        uniform, local = rng.uniform(size=(draws, self.local.shape[1])), np.zeros((draws, self.local.shape[1]), int)
        for g in np.unique(group):
            members, mine = np.flatnonzero(self.group == g), group == g
            local[mine] = members[inverse_cdf(self.local[members], uniform[mine])]
        return np.unique(self.group, return_index=True)[1][group], local


def inverse_cdf(log_weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draws from normalised weights: [configurations, rows] and uniform numbers [draws, rows] to [draws, rows]."""
    weights = np.exp(log_weights - log_weights.max(0))
    cdf = np.cumsum(weights, 0)
    found = [np.searchsorted(cdf[:, i], uniform[:, i] * cdf[-1, i], side="right") for i in range(cdf.shape[1])]
    return np.minimum(np.stack(found, 1), len(cdf) - 1)
