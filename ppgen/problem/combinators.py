r"""Samplers made of samplers: nested importance sampling as a few combinators (Stites et al., 2021).

A sampler draws values with log-weights that are *proper* for an unnormalised density :math:`\gamma`:

.. math:: E[w f(z)] = c \int \gamma(z) f(z) dz \quad \text{for every } f

A joint is a sampler of its own density, with weights of one. `propose` corrects the draws of one sampler towards a target,
`compose` lets a kernel draw more, `extend` makes a target of a target and a kernel, so that both sides of a `propose` have the
same variables, and `resample` turns weights into copies. Each gives a sampler again, so they nest. The log of a mean weight
estimates the log of the ratio of normalisers, without bias before the log is taken:

    sampler = propose(p, q)                                          # importance sampling: p(x, z) / q(z | x)
    sampler = propose(extend(p, backward), compose(resample(sampler, p), forward))    # and a step further
    log_evidence = sampler.weighted(batch, 100).log_mean_weight
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from ppgen import ops
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.resampling import systematic


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

    def weighted(self, batch: Batch, particles: int) -> "Weighted":
        """Itself: draws that are there may stand where a sampler does."""
        return self

    @property
    def held(self) -> "Weighted":
        """The same draws as constants: no gradient passes through them, nor through their weights."""
        values = {name: ops.stop_gradient(value) for name, value in self.values.items()}
        return Weighted(self._like(values), ops.stop_gradient(self.log_prob), ops.stop_gradient(self.log_weight))

    def without(self, *names: str) -> "Weighted":
        """The draws without some of their sites."""
        return replace(self, values=self._like({n: value for n, value in self.values.items() if n not in names}))

    def renamed(self, **names: str) -> "Weighted":
        """The draws under other names: `z.renamed(new="z")` calls `z` what was called `new`."""
        return replace(self, values=self._like({names.get(n, n): value for n, value in self.values.items()}))

    def _like(self, values: Mapping[str, ops.Array]) -> Batch:
        return Batch(values, rows=self.values.rows, drawn=values, particles=self.values.particles)

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
    """Draws of a sampler, weighed for a target: w' = w target / density of the sampler.

    Of a target that was extended, the kernel's sites have done their work, and are dropped.
    """

    target: Target
    sampler: Sampler | Joint

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        z = weighted(self.sampler, batch, particles)
        log_prob = self.target.log_prob(batch | z.values)
        moved = Weighted(z.values, log_prob, z.log_weight + log_prob - z.log_prob)
        return self.target.without_kernel(batch, moved) if isinstance(self.target, extend) else moved


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

    def without_kernel(self, batch: Batch, z: Weighted) -> Weighted:
        """Draws for the target alone; their weights are proper for it too, as the kernel integrates to one."""
        kept = z.without(*(site.name for site in self.kernel.program.latent(batch.observed)))
        return replace(kept, log_prob=self.target.log_prob(batch | kept.values))


@dataclass(frozen=True)
class resample:
    """Draws of a sampler, copied in proportion to their weights, row by row; each copy has the mean weight.

    The copies are systematic: one uniform number a row places all of them. They carry no gradient to the weights.
    """

    sampler: Sampler | Joint
    joint: Joint

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        z = weighted(self.sampler, batch, particles)
        uniform = self.joint.uniform((batch.row_count,))
        index = ops.moveaxis(systematic(ops.moveaxis(z.share, 0, 1), uniform), 1, 0)
        values = z._like({name: chosen(value, index) for name, value in z.values.items()})
        mean = ops.broadcast_to(z.log_mean_weight[None], z.log_weight.shape)
        return Weighted(values, chosen(z.log_prob, index), mean)


@dataclass(frozen=True)
class block:
    """Draws of a sampler of a target, with some sites drawn anew by a kernel given the others: a step of Gibbs sampling.

    The weights are corrected by target(z') k(z_b | rest) / (target(z) k(z_b' | rest)), so that any kernel will do; it is one
    where the kernel is the target's own conditional.
    """

    target: Target
    sampler: Sampler | Joint
    kernel: Joint

    def weighted(self, batch: Batch, particles: int) -> Weighted:
        z = weighted(self.sampler, batch, particles)
        mine = [site.name for site in self.kernel.program.latent(batch.observed)]
        new = self.kernel.draw(batch | z.without(*mine).values, particles).drawn
        values = z.values | new.values
        log_prob = self.target.log_prob(batch | values)
        backward = self.kernel.trace(batch | z.values).only(*mine).log_prob
        return Weighted(values, log_prob, z.log_weight + log_prob + backward - z.log_prob - new.log_prob)


def chosen(value: ops.Array, index: ops.Array) -> ops.Array:
    """The particles of each row with the numbers `index` [particles, rows], of a value [particles, rows, ...]."""
    shape = (*index.shape, *(1,) * (value.ndim - 2))
    return ops.take_along(value, ops.broadcast_to(index.reshape(shape), value.shape), 0)
