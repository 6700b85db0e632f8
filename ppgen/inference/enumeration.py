"""Sums over every configuration of discrete latent sites."""

import itertools
import math

import numpy as np

from ppgen import ops
from ppgen.inference.requirements import atoms
from ppgen.joint import Batch, Joint


def log_evidence(p: Joint, batch: Batch) -> ops.Array:
    """Log p(x) = log sum_z p(x, z), exactly: [rows], or [1] for all rows together where a latent is global."""
    return ops.logsumexp(log_joint(p, batch)[1], 0)


def log_joint(p: Joint, batch: Batch) -> tuple[Batch, ops.Array]:
    """Every configuration of the latent sites, and log p(x, z) of each: [configurations, rows or 1]."""
    z = configurations(p, batch)
    return z, p.pool(p.log_prob(batch | z), batch)


def configurations(p: Joint, batch: Batch) -> Batch:
    """All values of the latent sites, laid out along the particle axis and repeated over the rows."""
    program = p.program
    sites = program.latent(batch)
    sizes = [atoms(site, program.rows_plate) for site in sites]
    ranges = [
        range(int(site.support.low), int(site.support.high) + 1)
        for site, size in zip(sites, sizes, strict=True)
        for _ in range(size)
    ]
    table = np.array(list(itertools.product(*ranges)), np.float32).reshape(math.prod(map(len, ranges)), -1)

    values, start = {}, 0
    for site, size in zip(sites, sizes, strict=True):
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
