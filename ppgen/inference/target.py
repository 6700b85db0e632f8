"""The target of a sampler: the posterior of a model's continuous latent sites, as a density of flat unconstrained vectors."""

import math
from collections.abc import Mapping
from typing import Any

from ppgen import ops
from ppgen.backends.protocol import REAL, SEEN
from ppgen.backends.sites import Site
from ppgen.inference.exact.enumeration import configurations, crossed, groups, possible, summed_out
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem
from ppgen.problem.trace import Trace


class Target:
    r"""Log p(z, x) of all rows together, where z is the image of a vector u under bijections onto the sites' supports.

    .. math:: \log \pi(u) = \log p(z(u), x) + \log |\partial z / \partial u|

    Discrete latent sites are summed out; sites that all rows share count once. A latent site that some rows of the data give
    keeps a standard normal in its u for these rows, which nothing depends on.

    Args:
        p: the model.
        batch: all rows of the data.

    Attributes:
        sites: the continuous latent sites, in the order in which they lie in u, that of their names.
        width: how many numbers u has.
    """

    def __init__(self, p: Joint, batch: Batch) -> None:
        latent = p.program.latent(batch.observed)
        self.p, self.batch = p.frozen, batch
        self.sites = sorted(filter(is_continuous, latent), key=lambda site: site.name)
        self.discrete = [site for site in latent if not is_continuous(site)]
        self.table = configurations(p, batch, self.discrete)
        self.sizes = [math.prod(site.real_shape or ()) for site in self.sites]
        self.width = sum(self.sizes)

    def log_density(self, u: ops.Array) -> ops.Array:
        """Log p(z, x) + log |dz / du|, for u [n, width]: [n]."""
        return self._log_prior_of_the_idle(u) + self._total(self._trace(u))

    def log_prior_and_likelihood(self, u: ops.Array) -> tuple[ops.Array, ops.Array]:
        """The two parts of `log_density`, [n] each: log p(z) + log |dz / du|, and log p(x | z)."""
        trace = self._trace(u)
        prior = self._total(trace.latent)
        likelihood = self._total(trace) - prior if self.discrete else self._total(trace.observed)
        return self._log_prior_of_the_idle(u) + prior, likelihood

    def draw(self, n: int) -> ops.Array:
        """Draws from the prior, u [n, width]."""
        reals = self.p.draw(self.batch, n, pathwise=False, density=False, reals=True).reals
        return ops.concatenate([reals[REAL + site.name].reshape(n, -1) for site in self.sites], 1)

    def values(self, u: ops.Array) -> dict[str, ops.Array]:
        """The sites' values, by name [n, ...]."""
        values = self.p.draw(self.batch | self._reals(u), len(u), density=False).values
        return {site.name: values[site.name] for site in self.sites}

    # ---------------------------------------------------------------------------------------------------------

    def _reals(self, u: ops.Array) -> Batch:
        """The parts of u as unconstrained values of the sites."""
        parts = zip(self.sites, ops.split(u, self.sizes), strict=True)
        reals = {REAL + site.name: part.reshape(len(u), *(site.real_shape or ())) for site, part in parts}
        return Batch(reals, rows=self.batch.rows, drawn=reals, particles=len(u))

    def _trace(self, u: ops.Array) -> Trace:
        """The run at each u; with discrete sites, at each of their configurations: u varies slowest."""
        reals = self._reals(u)
        return self.p.trace(self.batch | (crossed(reals, self.table) if self.discrete else reals))

    def _total(self, trace: Trace) -> ops.Array:
        """Log densities of all rows together, [n]."""
        local, shared = trace.parts
        if not self.discrete:
            return ops.sum(local, 1) + shared
        shared = shared.reshape(-1, self.table.particles)
        return summed_out(self._by_configuration(trace, local), shared, groups(self.p, self.discrete))

    def _by_configuration(self, trace: Trace, local: ops.Array) -> ops.Array:
        """Log densities of rows at each u and each configuration of the discrete sites, [n, configurations, rows]."""
        table = Batch({name: trace.batch[name] for name in self.table}, drawn=self.table)
        return possible(local, self.batch, table).reshape(-1, self.table.particles, local.shape[-1])

    def _log_prior_of_the_idle(self, u: ops.Array) -> ops.Array | float:
        """A standard normal of those numbers that rows of the data make needless, of all rows together [n]."""
        found = self._idle(u)
        return found if isinstance(found, float) else ops.sum(found, 1)

    def _idle(self, u: ops.Array) -> ops.Array | float:
        """The same row by row, [n, rows]; 0 where there are none."""
        total: ops.Array | float = 0.0
        reals = self._reals(u)
        for site in self.sites:
            seen = self.batch.get(SEEN + site.name)
            if seen is None:
                continue
            by_row = ops.moveaxis(reals[REAL + site.name], 1 + self.p.program.row_axis(site), 1).reshape(
                len(u), len(seen), -1
            )
            total = total - ops.where(seen, 1.0, 0.0) * ops.sum(ops.square(by_row), 2) / 2
        return total


class RowTarget(Target):
    r"""The posterior of each row's own latent sites, where all latent sites are local: u is [n, rows, width].

    .. math:: \log \pi_i(u_i) = \log p(z(u_i), x_i) + \log |\partial z / \partial u_i|

    Log densities and their parts are [n, rows]. There may be other rows than those that the programs first met.
    """

    def __init__(self, p: Joint, batch: Batch) -> None:
        super().__init__(p, batch)
        self.sizes = [math.prod(self._row_shape(site)) for site in self.sites]
        self.width = sum(self.sizes)

    def draw(self, n: int) -> ops.Array:
        """Draws from the prior, u [n, rows, width]."""
        return self.flat(self.p.draw(self.batch, n, pathwise=False, density=False, reals=True).reals)

    def flat(self, reals: Batch) -> ops.Array:
        """Unconstrained values of the sites as u."""
        axis = self.p.program.row_axis
        parts = [ops.moveaxis(reals[REAL + site.name], 1 + axis(site), 1) for site in self.sites]
        return ops.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], 2)

    def _reals(self, u: ops.Array) -> Batch:
        n, rows = u.shape[:2]
        reals = {}
        for site, part in zip(self.sites, ops.split(u, self.sizes, -1), strict=True):
            part = part.reshape(n, rows, *self._row_shape(site))
            reals[REAL + site.name] = ops.moveaxis(part, 1, 1 + self.p.program.row_axis(site))
        return Batch(reals, rows=rows, drawn=reals, particles=n)

    def _row_shape(self, site: Site) -> tuple[int, ...]:
        """Shape of the unconstrained value of one row."""
        shape = list(site.real_shape or ())
        del shape[self.p.program.row_axis(site)]
        return tuple(shape)

    def _total(self, trace: Trace) -> ops.Array:
        local, _ = trace.parts
        return ops.logsumexp(self._by_configuration(trace, local), 1) if self.discrete else local

    def _log_prior_of_the_idle(self, u: ops.Array) -> ops.Array | float:
        return self._idle(u)


def target_of(problem: Problem, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Target:
    """The posterior of a problem's latent sites."""
    return Target(problem.joints(parameters, key)["model"], Batch.of_data(batch))


def is_continuous(site: Site) -> bool:
    """Whether a latent site is sampled, and not summed out."""
    return not site.support.discrete
