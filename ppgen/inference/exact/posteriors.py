"""Exact posteriors of local latent sites, as weighted points: a sum over them is an expectation."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.backends.protocol import Term
from ppgen.errors import ProgramError
from ppgen.inference.exact.enumeration import configurations, possible
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.trace import Trace


@dataclass(frozen=True)
class Posterior:
    """p(z | x) as points with weights, for which expectations of log p(x, z) are exact.

    Attributes:
        points: values of the latent sites, [points, rows, ...].
        weights: of each point, [points, rows]; constants.
        log_likelihood: log p(x), [rows].
        before: the run at the points, with the parameters of which this is the posterior.
    """

    points: Batch
    weights: ops.Array
    log_likelihood: ops.Array
    before: Trace

    def expect(self, p: Joint, batch: Batch) -> ops.Array:
        """E log p(x, z, h) under this posterior, [rows], where h is what learnable distributions hide."""
        log_p = possible(complete(self.before, p.trace(batch | self.points)), batch, self.points)
        return ops.sum(ops.where(self.weights > 0, self.weights * log_p, ops.zeros((), log_p)), 0)


def posterior(p: Joint, batch: Batch) -> Posterior:
    """The posterior of the latent sites given the data and the joint's parameters."""
    latent = p.program.latent(batch.observed)
    return gaussian(p, batch) if any(not site.support.discrete for site in latent) else enumerated(p, batch)


def enumerated(p: Joint, batch: Batch) -> Posterior:
    """That of discrete sites: all their values, and their probabilities; of none, one point."""
    z = configurations(p, batch, p.program.latent(batch.observed))
    trace = p.trace(batch | z)
    log_p = possible(trace.log_prob, batch, z)
    return Posterior(z, ops.stop_gradient(ops.softmax(log_p, 0)), ops.logsumexp(log_p, 0), trace)


def gaussian(p: Joint, batch: Batch) -> Posterior:
    r"""That of continuous sites in which log p(x, z) is quadratic: a Gaussian for each row.

    The gradient of a quadratic is linear, so its differences are the columns of the Hessian, and one step of Newton's method
    ends at the mean. Averages over the 2 d points :math:`m \pm \sqrt d L e_j`, with :math:`L L^T` the covariance, are
    those over the Gaussian, for polynomials up to the third degree.
    """
    flat = Flat(p, batch)
    rows, d = flat.rows, flat.size
    at_origin = flat.slope(ops.zeros((1, rows, d)))
    hessian = ops.moveaxis(
        flat.slope(ops.eye(d)[:, None, :] + ops.zeros((1, rows, d))) - at_origin, 0, -1
    )  # [rows, d, d]
    covariance = ops.inverse(-(hessian + ops.moveaxis(hessian, -1, -2)) / 2)
    mean, root = ops.einsum("rij,rj->ri", covariance, at_origin[0]), ops.cholesky(covariance)
    spread = math.sqrt(d) * ops.moveaxis(root, -1, 0)  # [d, rows, d]
    z = flat.points(ops.stop_gradient(ops.concatenate([mean + spread, mean - spread], 0)))
    log_volume = ops.sum(ops.log(ops.einsum("rii->ri", root)), -1) + d / 2 * math.log(2 * math.pi)
    evidence = flat.log_joint(mean[None])[0] + log_volume
    return Posterior(z, ops.ones((2 * d, rows)) / (2 * d), evidence, p.trace(batch | z))


def check_gaussian(p: Joint, batch: Batch) -> None:
    """Raise where log p(x, z) is not quadratic in continuous latent sites: its gradient is then not linear."""
    sites = p.program.latent(batch.observed)
    if not sites or all(site.support.discrete for site in sites):
        return
    flat = Flat(p, batch)
    u = ops.asarray(np.random.default_rng(0).normal(size=(1, flat.rows, flat.size)).astype(np.float32))
    slopes = [p.backend.numpy(flat.slope(k * u)) for k in range(4)]
    steps = [after - before for before, after in itertools.pairwise(slopes)]
    size = max(np.abs(step).max() for step in steps)
    if any(np.abs(step - steps[0]).max() > 1e-2 * size for step in steps):
        raise ProgramError(
            f"EM needs the exact posterior of the latent sites {[site.name for site in sites]}, which is a Gaussian where the "
            "log joint density is quadratic in them; here it is not. Use ppgen.ELBO() or ppgen.NUTS(), or make the model "
            "linear and Gaussian in these sites."
        )


class Flat:
    """The latent sites of each row as one vector.

    Args:
        p: the model.
        batch: the data.

    Attributes:
        rows: number of rows.
        size: length d of the vector.
    """

    def __init__(self, p: Joint, batch: Batch) -> None:
        self.p, self.batch, self.rows = p, batch, batch.row_count
        self.sites = p.program.latent(batch.observed)
        self.sizes = [p.program.atoms(site) for site in self.sites]
        self.size = sum(self.sizes)
        self.slope = ops.grad(lambda flat: ops.sum(self.log_joint(flat)))  # rows are independent: their own gradients

    def points(self, flat: ops.Array) -> Batch:
        """Values of the sites from numbers [points, rows, d]."""
        values = {}
        for site, part in zip(self.sites, ops.split(flat, self.sizes), strict=True):
            axis = len(site.batch_shape) + (site.row_dim(self.p.program.rows_plate) or 0)
            inner = [n for i, n in enumerate(site.batch_shape) if i != axis]
            value = part.reshape((flat.shape[0], self.rows, *inner, *site.event_shape))
            values[site.name] = ops.moveaxis(value, 1, 1 + axis)
        return Batch(values, rows=self.rows, drawn=values, particles=flat.shape[0])

    def log_joint(self, flat: ops.Array) -> ops.Array:
        """Log p(x, z), [points, rows]."""
        return self.p.log_prob(self.batch | self.points(flat))


def complete(before: Trace, now: Trace) -> ops.Array:
    """Log p [points, rows] of a run, where distributions that hide something count what they expect of it, as it was before."""
    for name in now:
        learnable = getattr(now[name].distribution, "learnable", None) or getattr(_alone(now[name]), "learnable", None)
        if not getattr(learnable, "hides", False):
            continue
        if now.particles > 1:
            raise ProgramError(
                f"site {name!r} hides variables of its own, beside latent sites of the program; EM sums out one or the other. "
                "Write the hidden variables as sites, or the sites into one distribution."
            )
        old, new = before.first(name), now.first(name)
        log_prob = new.learnable.complete(old.params, new.params, now.batch[name], new.context)
        now = now.replaced(name, log_prob[None])
    return now.log_prob


def _alone(term: Term) -> Any:
    """The distribution of a term that a backend keeps in a list, one for each particle."""
    return term.distribution[0] if isinstance(term.distribution, list) else None
