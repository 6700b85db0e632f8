"""Averages of log-weights, and surrogates whose gradients are the estimators that algorithms choose from."""

import math

from ppgen import ops
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.trace import Trace


def per_row(values: ops.Array, batch: Batch) -> ops.Array:
    """Average over particles, then over the rows of the batch: [particles, rows or 1] to a scalar.

    Weights that were pooled over the data, [particles, 1], count as the sum of their rows.
    """
    return ops.sum(values) / (values.shape[0] * batch.rows)


def valued(value: ops.Array, surrogate: ops.Array) -> ops.Array:
    """A number that reads `value` and has the gradient of `surrogate`, so that histories show bounds."""
    return ops.stop_gradient(value) + surrogate - ops.stop_gradient(surrogate)


# log-weights [particles, rows] ---------------------------------------------------------------------------------------


def sticking_the_landing(p: Joint, q: Joint, batch: Batch, z: Trace) -> ops.Array:
    """Log p - log q whose gradient reaches the guide through its draws alone (Roeder et al., 2017).

    What it leaves out, the score of q, is zero on average, and vanishes where q is the exact posterior.
    """
    values = batch | z.values
    return p.log_prob(values) - q.frozen.trace(values).latent.log_prob


def analytic_kl(p: Joint, batch: Batch, z: Trace) -> ops.Array:
    """Log p(x | z) - KL(q(z | x) || p(z)), site by site: log p - log q in place of a KL without a closed form."""
    seen = p.trace(batch | z.values)
    for name, drawn in z.latent.items():
        kl = p.backend.divergence(p.program, seen.site(name), drawn.distribution, seen[name].distribution, z.particles)
        difference = seen.density(name) - z.density(name) if kl is None else -kl
        if (rows := z.batch.seen(name)) is not None:  # these have the site's value
            difference = ops.where(rows, seen.density(name), difference)
        seen = seen.replaced(name, difference)
    return seen.log_prob


# score functions -----------------------------------------------------------------------------------------------------


def scored(log_w: ops.Array, score: ops.Array, baseline: ops.Array) -> ops.Array:
    """A surrogate whose gradient is that of E[log w]: pathwise terms plus (log w - baseline) d score."""
    return log_w + ops.stop_gradient(log_w - baseline) * score


def others_mean(log_w: ops.Array) -> ops.Array:
    """For each particle the mean of the others, [particles, rows]: a baseline that does not depend on the particle."""
    k = log_w.shape[0]
    return (ops.sum(log_w, 0, keepdims=True) - log_w) / (k - 1)


def vimco(log_w: ops.Array, score: ops.Array, batch: Batch) -> ops.Array:
    """The loss of the importance-weighted bound with the score function's gradient (Mnih & Rezende, 2016).

    Each particle's signal is the bound less the bound without it: its weight is replaced by the geometric mean of the others.
    """
    k, bound = log_w.shape[0], ops.logmeanexp(log_w, 0)
    itself = ops.eye(k)[:, :, None] > 0
    without_it = ops.logsumexp(ops.where(itself, others_mean(log_w)[:, None], log_w[None]), 1) - math.log(k)
    signal = ops.stop_gradient(bound - without_it)
    loss = -per_row(bound[None], batch)
    return valued(loss, loss - ops.sum(signal * score) / batch.rows)


def doubly_reparameterised(log_w: ops.Array, batch: Batch) -> ops.Array:
    """The guide's loss under the importance-weighted bound, for weights that stick the landing (Tucker et al., 2019)."""
    weight = ops.stop_gradient(ops.softmax(log_w, 0))
    loss = -per_row(ops.logmeanexp(log_w, 0)[None], batch)
    return valued(loss, -ops.sum(ops.square(weight) * log_w) / batch.rows)
