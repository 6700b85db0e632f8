r"""Samplers made of samplers: nested importance sampling as a few combinators (Stites et al., 2021).

A sampler draws values with log-weights that are *proper* for an unnormalised density :math:`\gamma`:

.. math:: E[w f(z)] = c \int \gamma(z) f(z) dz \quad \text{for every } f

A joint is a sampler of its own density, with weights of one. `propose` corrects the draws of one sampler towards a target,
`compose` lets a kernel draw more, `extend` makes a target of a target and a kernel, so that both sides of a `propose` have the
same variables, and `resample` turns weights into copies. Each gives a sampler again, so they nest. The log of a mean weight
estimates the log of the ratio of normalisers, without bias before the log is taken:

    sampler = propose(p, q)                                          # importance sampling: p(x, z) / q(z | x)
    sampler = propose(extend(p, backward), compose(resample(sampler), forward))    # and a step further
    log_evidence = sampler.draw(batch, 100).log_mean_weight
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from ppgen import ops
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


@dataclass(frozen=True)
class Weighted:
    """Draws and their weights.

    Attributes:
        values: by site, [particles, rows, ...].
        log_prob: log density of the values under the sampler's own density, up to its normaliser, [particles, rows].
        log_weight: [particles, rows].
    """

    values: Batch
    log_prob: ops.Array
    log_weight: ops.Array

    @property
    def log_mean_weight(self) -> ops.Array:
        """The log of the mean weight of each row, [rows]."""
        return ops.logmeanexp(self.log_weight, 0)

    @property
    def share(self) -> ops.Array:
        """The weights, normalised over particles, as constants: [particles, rows]."""
        return ops.stop_gradient(ops.softmax(self.log_weight, 0))


class Target(Protocol):
    """What has a density: a joint, or one that was extended."""

    def log_prob(self, values: Batch) -> ops.Array:
        """Log density of `values`, [particles, rows]."""
        ...


class Sampler(Protocol):
    """What draws with weights."""

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        """Draws and their weights, given data."""
        ...


def weighted(sampler: "Sampler | Joint", batch: Batch, particles: int) -> Weighted:
    """Draws of a sampler; those of a joint have weights of one."""
    if not isinstance(sampler, Joint):
        return sampler.weighted(batch, particles)
    trace = sampler.draw(batch, particles)
    log_prob = trace.latent.log_prob
    return Weighted(trace.values, log_prob, ops.stop_gradient(log_prob) * 0)


@dataclass(frozen=True)
class propose:
    """Draws of a sampler, weighed for a target: w' = w target / density of the sampler."""

    target: Target
    sampler: Sampler | Joint

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        z = weighted(self.sampler, batch, particles)
        log_prob = self.target.log_prob(batch | z.values)
        return Weighted(z.values, log_prob, z.log_weight + log_prob - z.log_prob)


@dataclass(frozen=True)
class compose:
    """Draws of a sampler, and what a kernel draws given them."""

    sampler: Sampler | Joint
    kernel: Joint

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        z = weighted(self.sampler, batch, particles)
        more = self.kernel.draw(batch | z.values, particles).drawn
        return replace(z, values=z.values | more.values, log_prob=z.log_prob + more.log_prob)


@dataclass(frozen=True)
class extend:
    """A target times a kernel, a density of the target's variables and the kernel's; its normaliser is the target's."""

    target: Target
    kernel: Joint

    def log_prob(self, values: Batch) -> ops.Array:
        return self.target.log_prob(values) + self.kernel.log_prob(values)


@dataclass(frozen=True)
class resample:
    """Draws of a sampler, copied in proportion to their weights, row by row; each copy has the mean weight (systematic)."""

    sampler: Sampler | Joint
    key: Any = 0

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        z = weighted(self.sampler, batch, particles)
        index = systematic(z.share, self._uniform(batch, z))
        values = {name: _pick(value, index) for name, value in z.values.items()}
        mean = ops.broadcast_to(z.log_mean_weight[None], z.log_weight.shape)
        values = Batch(values, rows=z.values.rows, drawn=values, particles=particles)
        return Weighted(values, _pick(z.log_prob, index), mean)
