"""Moves of a population of particles that leave a tempered density as it is, and learn their size from the population."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from ppgen import ops
from ppgen.inference.target import Target

LEAPFROGS = 5  # steps of one trajectory
JITTER = 0.5  # share by which step sizes differ within a move, so that no trajectory is a period of all particles


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Population:
    """Particles, and what the target says of them; of a `RowTarget`, [n, rows] stands for [n].

    Attributes:
        u: where they are, on the reals, [n, width].
        log_prior: [n].
        log_likelihood: [n]; minus infinity where the target says nothing finite.
    """

    u: ops.Array
    log_prior: ops.Array
    log_likelihood: ops.Array

    def at(self, temperature: ops.Array) -> ops.Array:
        """The tempered log density, log prior + temperature * log likelihood."""
        return self.log_prior + temperature * self.log_likelihood


def population(target: Target, u: ops.Array) -> Population:
    """Particles at u."""
    log_prior, log_likelihood = target.log_prior_and_likelihood(u)
    known = log_prior + log_likelihood + ops.sum(u, -1)
    impossible = ops.zeros((), log_likelihood) - float("inf")
    return Population(u, log_prior, ops.where(known == ops.finite(known), log_likelihood, impossible))


@dataclass(frozen=True)
class Move:
    """A proposal, and how its size is chosen: one step size, or of a `RowTarget` one a row.

    Attributes:
        propose: from (target, particles, temperature, scale, step, key) to other particles and the log ratio by which they
            are accepted, [n].
        goal: acceptance rate that the step size aims at.
        first: the first step size, from the number of dimensions, in units of the population's scales.
        turns: how many moves at each temperature forget the last one, from the number of dimensions.
    """

    propose: Callable[..., tuple[Population, ops.Array]]
    goal: float
    first: Callable[[int], float]
    turns: Callable[[int], int]

    def __call__(
        self, target: Target, here: Population, temperature: Any, scale: Any, step: Any, key: Any
    ) -> tuple[Population, Any, Any]:
        """The particles after a move by Metropolis' rule, the acceptance rate, and the next step size."""
        backend = target.p.backend
        there, log_ratio = self.propose(target, here, temperature, scale, step, backend.fold_in(key, 0))
        accepted = ops.log(backend.uniform(backend.fold_in(key, 1), tuple(log_ratio.shape))) < log_ratio
        rate = ops.mean(ops.finite(ops.exp(ops.clip(log_ratio, high=0.0))), 0)  # one that is nan is not accepted
        after = Population(
            ops.where(accepted[..., None], there.u, here.u),
            ops.where(accepted, there.log_prior, here.log_prior),
            ops.where(accepted, there.log_likelihood, here.log_likelihood),
        )
        return after, rate, step * ops.exp(rate - self.goal)


def walk(target: Target, here: Population, temperature: Any, scale: Any, step: Any, key: Any) -> tuple[Population, Any]:
    """A Gaussian step of the population's scales."""
    noise = target.p.backend.normal(key, tuple(here.u.shape))
    there = population(target, here.u + ops.asarray(step)[..., None] * scale * noise)
    return there, there.at(temperature) - here.at(temperature)


def leap(target: Target, here: Population, temperature: Any, scale: Any, step: Any, key: Any) -> tuple[Population, Any]:
    """A Hamiltonian trajectory, in coordinates in which the population's scales are 1."""
    backend = target.p.backend

    def log_density(u: ops.Array) -> ops.Array:
        log_prior, log_likelihood = target.log_prior_and_likelihood(u)
        return ops.sum(log_prior + temperature * log_likelihood)

    slope = ops.grad(log_density)
    start = backend.normal(backend.fold_in(key, 0), tuple(here.u.shape))
    jitter = 2 * backend.uniform(backend.fold_in(key, 1), tuple(here.u.shape[:-1])) - 1
    step = (step * (1 + JITTER * jitter))[..., None]

    def leapfrog(carry: Any, _: Any) -> Any:
        u, momentum, force = carry
        momentum = momentum + step * force / 2
        u = u + step * scale * momentum
        force = scale * slope(u)
        return (u, momentum + step * force / 2, force), None

    (u, momentum, _), _ = ops.scan(leapfrog, (here.u, start, scale * slope(here.u)), ops.arange(LEAPFROGS, here.u))
    there = population(target, u)
    kinetic = (ops.sum(ops.square(start), -1) - ops.sum(ops.square(momentum), -1)) / 2
    return there, there.at(temperature) - here.at(temperature) + kinetic


MOVES = {
    "hmc": Move(leap, 0.8, lambda width: width**-0.25, lambda width: 5),
    "random_walk": Move(walk, 0.25, lambda width: 2.4 * width**-0.5, lambda width: 5 * width),
}
"""By name. A random walk needs as many steps as there are dimensions to go as far as one of its scales in each."""
