"""Sums over every configuration of discrete latent sites."""

import itertools
import math
from collections.abc import Iterable

import numpy as np

from ppgen import ops
from ppgen.backends.sites import Site
from ppgen.errors import ProgramError
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


def log_evidence(p: Joint, batch: Batch) -> ops.Array:
    r"""Log p(x), exactly: [rows], or [1] for all rows together where a latent site w is global.

    .. math:: \log p(x) = \log \sum_w p(w) \prod_i \sum_{z_i} p(x_i, z_i | w)
    """
    sites = p.program.latent(batch.observed)
    z = configurations(p, batch, sites)
    if not p.program.has_global(batch.observed):
        return ops.logsumexp(possible(p.log_prob(batch | z), batch, z), 0)
    local, shared = p.trace(batch | z).parts
    return summed_out(possible(local, batch, z)[None], shared[None], groups(p, sites))


def summed_out(local: ops.Array, shared: ops.Array, groups: int) -> ops.Array:
    """Log densities of all rows together, [n], of those of every configuration of the discrete sites.

    Args:
        local: of the sites in the plate of rows, [n, configurations, rows].
        shared: of the sites outside it, [n, configurations].
        groups: how many values the global sites have; those of the local ones vary fastest.
    """
    n, _, rows = local.shape
    by_row = ops.logsumexp(local.reshape(n, groups, -1, rows), 2)
    return ops.logsumexp(shared.reshape(n, groups, -1)[:, :, 0] + ops.sum(by_row, 2), 1)


def possible(log_prob: ops.Array, batch: Batch, z: Batch) -> ops.Array:
    """Log p [configurations, rows], minus infinity where a row has another value of a site that only some rows give."""
    for name in z.keys() & batch.keys():
        differs = z[name] != batch[name]
        differs = ops.sum(ops.as_float(differs).reshape(*log_prob.shape, -1), -1) > 0
        log_prob = ops.where(batch.seen(name) & differs, -math.inf * ops.ones(log_prob.shape), log_prob)
    return log_prob


def crossed(values: Batch, table: Batch) -> Batch:
    """Each of n drawn values with each configuration of a table, n times as many; the values vary slowest."""
    n, count = values.particles, table.particles
    joined = {name: ops.broadcast_to(x[:, None], (n, count, *x.shape[1:])) for name, x in values.items()}
    joined |= {name: ops.broadcast_to(x[None], (n, *x.shape)) for name, x in table.items()}
    joined = {name: x.reshape(n * count, *x.shape[2:]) for name, x in joined.items()}
    return Batch(joined, rows=values.rows, drawn=joined, particles=n * count)


def groups(p: Joint, sites: Iterable[Site]) -> int:
    """How many values the global ones of some discrete sites have together."""
    shared = [site for site in sites if not p.program.is_local(site)]
    return math.prod((site.support.count or 0) ** p.program.atoms(site) for site in shared)


def configurations(p: Joint, batch: Batch, sites: Iterable[Site]) -> Batch:
    """All values of discrete sites, along the particle axis and repeated over the rows; local sites vary fastest."""
    program = p.program
    sites = sorted(sites, key=program.is_local)
    counts = [program.atoms(site) for site in sites]
    ranges = [values for site, size in zip(sites, counts, strict=True) for values in [_values(site)] * size]
    table = np.array(list(itertools.product(*ranges)), np.float32).reshape(math.prod(map(len, ranges)), -1)

    values, start = {}, 0
    for site, size in zip(sites, counts, strict=True):
        batch_shape = list(site.batch_shape)
        if program.is_local(site):
            batch_shape[program.row_axis(site)] = 1
        column = table[:, start : start + size].reshape(len(table), *batch_shape, *site.event_shape)
        if program.is_local(site):
            column = np.repeat(column, batch.row_count, 1 + program.row_axis(site))
        boolean = site.support.name == "Boolean"  # torch wants floats there, and integers for class numbers
        values[site.name] = p.backend.array(column if boolean else column.astype(np.int32))
        start += size
    if not sites:
        return Batch(rows=batch.rows)
    return Batch(values, rows=batch.rows, drawn=values, particles=len(table))


def _values(site: Site) -> range:
    if site.support.values is None:
        raise ProgramError(
            f"expected finitely many values of the site {site.name!r}, to sum it out; got {site.support}. Give it a "
            "distribution with finitely many, or draw it in a guide."
        )
    return site.support.values
