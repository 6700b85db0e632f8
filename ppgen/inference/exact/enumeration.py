"""Sums over every configuration of discrete latent sites."""

import itertools
import math

import numpy as np

from ppgen import ops
from ppgen.backends.sites import Site
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


def log_evidence(p: Joint, batch: Batch) -> ops.Array:
    r"""Log p(x), exactly: [rows], or [1] for all rows together where a latent site w is global.

    .. math:: \log p(x) = \log \sum_w p(w) \prod_i \sum_{z_i} p(x_i, z_i | w)
    """
    z = configurations(p, batch)
    if not p.program.has_global(batch.observed):
        return ops.logsumexp(possible(p.log_prob(batch | z), batch, z), 0)
    local, shared = p.trace(batch | z).parts
    local = possible(local, batch, z)
    groups = math.prod(sizes(p, [site for site in p.program.latent(batch.observed) if not p.program.is_local(site)]))
    local = local.reshape(groups, -1, local.shape[-1])  # values of w, configurations of the local sites, rows
    shared = shared.reshape(groups, -1)[:, 0]
    return ops.logsumexp(shared + ops.sum(ops.logsumexp(local, 1), 1), 0)[None]


def possible(log_prob: ops.Array, batch: Batch, z: Batch) -> ops.Array:
    """Log p [configurations, rows], minus infinity where a row has another value of a site that only some rows give."""
    for name in z.keys() & batch.keys():
        differs = z[name] != batch[name]
        differs = ops.sum(ops.as_float(differs).reshape(*log_prob.shape, -1), -1) > 0
        log_prob = ops.where(batch.seen(name) & differs, -math.inf * ops.ones(log_prob.shape), log_prob)
    return log_prob


def sizes(p: Joint, sites: list[Site]) -> list[int]:
    """How many values each site can take, per row where it is local."""
    return [(site.support.count or 0) ** p.program.atoms(site) for site in sites]


def configurations(p: Joint, batch: Batch) -> Batch:
    """All values of the latent sites, along the particle axis and repeated over the rows; local sites vary fastest."""
    program = p.program
    sites = sorted(program.latent(batch.observed), key=program.is_local)
    counts = [program.atoms(site) for site in sites]
    ranges = [
        range(int(site.support.low), int(site.support.high) + 1)
        for site, size in zip(sites, counts, strict=True)
        for _ in range(size)
    ]
    table = np.array(list(itertools.product(*ranges)), np.float32).reshape(math.prod(map(len, ranges)), -1)

    values, start = {}, 0
    for site, size in zip(sites, counts, strict=True):
        batch_shape = list(site.batch_shape)
        if program.is_local(site):
            batch_shape[site.plates[program.rows_plate][0]] = 1
        column = table[:, start : start + size].reshape(len(table), *batch_shape, *site.event_shape)
        if program.is_local(site):
            axis = 1 + len(batch_shape) + site.plates[program.rows_plate][0]
            column = np.repeat(column, batch.rows, axis)
        boolean = site.support.name == "Boolean"  # torch wants floats there, and integers for class numbers
        values[site.name] = p.backend.array(column if boolean else column.astype(np.int32))
        start += size
    if not sites:
        return Batch(rows=batch.rows)
    return Batch(values, rows=batch.rows, drawn=values, particles=len(table))
