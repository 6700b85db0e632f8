"""Sequential Monte Carlo from the prior to the posterior."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppgen import ops
from ppgen.errors import NonFiniteError, tell
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import option, positive
from ppgen.inference.procedure import Info, Procedure, Result, SamplingWarning
from ppgen.inference.smc.moves import MOVES, Population, population
from ppgen.inference.smc.temperatures import ess, rise
from ppgen.inference.target import target_of
from ppgen.problem.problem import Problem
from ppgen.problem.resampling import systematic

GROUPS = 10  # that do not meet, so that their estimates of the evidence are independent
STAGES = 1000  # temperatures, at most


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Stage:
    """Where a run is.

    Attributes:
        parameters: the model's.
        particles: group after group.
        temperature: from 0, the prior, to 1, the posterior.
        log_evidence: what each group has found so far, [groups].
        step: step size of moves.
    """

    parameters: Any
    particles: Population
    temperature: Any
    log_evidence: Any
    step: Any


@dataclass(frozen=True)
class SMC(Procedure):
    r"""Particles go from the prior to the posterior by way of tempered likelihoods (Del Moral et al., 2006).

    .. math::
        \pi_t(z) \propto p(z) \, p(x | z)^t, \qquad
        \log p(x) = \sum_i \log E_{\pi_{t_i}} \big[ p(x | z)^{t_{i+1} - t_i} \big]

    Each step raises the temperature t as far as the effective sample size allows, resamples (systematically), and moves the
    particles by steps that leave :math:`\pi_t` as it is, tuned from the population. All rows of the data are seen at once, and
    `fit.evidence` is the log-probability of all of them together, where latent sites of single rows are integrated out
    along with those that rows share. Its standard error comes from groups of particles that never meet, whose estimates are
    independent: it counts what slow moves cost, too. It does not know of a mode that no particle has found.

    Continuous latent sites are sampled, discrete ones are summed out where they are few, and the model's parameters stay at
    their values.

    Args:
        particles: number of particles, a multiple of 10.
        moves: moves at each temperature; by default 5 with "hmc", and 5 a dimension with "random_walk".
        kernel: "hmc", or "random_walk", which needs no gradient.
        target_ess: the share of the effective sample size that a rise of the temperature leaves.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     loc = sample("loc", dist.Normal(0.0, 1.0))
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> fit = ppgen.fit(model, data={"x": np.array([1.0], np.float32)}, algorithm=ppgen.SMC(particles=500))
        >>> exact = -0.5 * np.log(4 * np.pi) - 0.25  # x ~ N(0, 2)
        >>> bool(abs(fit.evidence.total - exact) < 4 * fit.evidence.stderr)
        True
    """

    needs = (needs.densities, needs.weights, needs.a_latent_to_sample, needs.sampled_or_summed_out)

    particles: int = 1000
    moves: int | None = None
    kernel: str = "hmc"
    target_ess: float = 0.5

    def __post_init__(self) -> None:
        positive("particles", self.particles, "SMC")
        option("kernel", self.kernel, tuple(MOVES), "SMC")
        if self.moves is not None:
            positive("moves", self.moves, "SMC")
        if self.particles % GROUPS or self.particles < 2 * GROUPS:
            raise ValueError(
                f"SMC: expected particles to be a multiple of {GROUPS}, {2 * GROUPS} at least; got {self.particles}. They form "
                f"{GROUPS} groups, whose spread gives the error of the evidence."
            )
        if not 0 < self.target_ess < 1:
            raise ValueError(f"SMC: expected target_ess between 0 and 1; got {self.target_ess!r}.")

    @property
    def length(self) -> int:
        """Temperatures, at most."""
        return STAGES

    @property
    def reports(self) -> tuple[str, ...]:
        """How the temperature rises, and at what price."""
        return ("temperature", "ess", "acceptance_rate", "step_size", "log_evidence")

    def init(self, problem: Problem, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Stage:
        """Draws from the prior."""
        backend = problem.backend

        def begin(parameters: Any, batch: Any, key: Any) -> Stage:
            with ops.activate(backend):
                target = target_of(problem, parameters, batch, key)
                particles = population(target, target.draw(self.particles))
                cold = ops.zeros((), particles.u)
                step = cold + MOVES[self.kernel].first(target.width)
                return Stage(parameters, particles, cold, ops.zeros((GROUPS,), particles.u), step)

        stage = backend.compile(begin)(parameters, batch, key)
        if not np.isfinite(backend.numpy(stage.particles.log_likelihood)).any():
            raise NonFiniteError(
                f"the data have no finite likelihood under any of {self.particles} draws from the prior; expected some. "
                "Rescale the data, choose a prior that covers them, or raise particles."
            )
        return stage

    def step(self, problem: Problem, state: Stage, batch: Mapping[str, Any], key: Any) -> tuple[Stage, Info]:
        """Raise the temperature, resample, move."""
        backend, move = problem.backend, MOVES[self.kernel]
        target = target_of(problem, state.parameters, batch, key)
        temperature, log_weights = self.raised(state)
        particles = self.resampled(state.particles, log_weights, backend.uniform(backend.fold_in(key, 0), (GROUPS,)))
        scale = ops.sqrt(ops.mean(ops.square(particles.u - ops.mean(particles.u, 0)), 0))

        def turn(carry: Any, i: Any) -> Any:
            particles, step = carry
            particles, rate, step = move(target, particles, temperature, scale, step, backend.fold_in(key, i))
            return (particles, step), rate

        turns = self.moves or move.turns(target.width)
        (particles, step), rates = ops.scan(turn, (particles, state.step), 1 + ops.arange(turns))
        log_evidence = state.log_evidence + ops.logmeanexp(log_weights.reshape(GROUPS, -1), 1)
        return Stage(state.parameters, particles, temperature, log_evidence, step), {
            "temperature": temperature,
            "ess": ess(log_weights),
            "acceptance_rate": ops.mean(rates),
            "step_size": step,
            "log_evidence": ops.logmeanexp(log_evidence, 0),
        }

    def raised(self, state: Stage) -> tuple[ops.Array, ops.Array]:
        """The next temperature, and the log weights [n] that it gives the particles."""
        log_likelihood, room = state.particles.log_likelihood, 1 - state.temperature
        rose = rise(log_likelihood, room, self.target_ess)
        temperature = ops.where(rose < room, state.temperature + rose, 1 + 0 * room)
        return temperature, rose * log_likelihood

    @staticmethod
    def resampled(particles: Population, log_weights: ops.Array, uniform: ops.Array) -> Population:
        """Particles of equal weight, each from one of its own group."""
        n = len(log_weights)
        parents = systematic(ops.softmax(log_weights.reshape(GROUPS, -1), 1), uniform)
        parents = (parents + (n // GROUPS) * ops.arange(GROUPS, parents)[:, None]).reshape(n)
        return jax.tree.map(lambda x: x[parents], particles)

    def finished(self, state: Stage) -> Any:
        """At the posterior."""
        return state.temperature >= 1

    def result(self, problem: Problem, state: Stage, infos: Info) -> Result:
        """Draws from the posterior, a particle each, [1, particles, ...]; and the evidence."""
        backend = problem.backend
        if not bool(self.finished(state)):
            tell(
                f"{self!r} came to temperature {float(state.temperature):.3g} only, so there are no draws from the posterior. "
                "Write the model so that its prior is closer to the posterior, or lower target_ess.",
                SamplingWarning,
            )
            return Result()
        groups = backend.numpy(state.log_evidence).astype(np.float64)
        share = np.exp(groups - np.logaddexp.reduce(groups))
        total, error = np.logaddexp.reduce(groups) - math.log(GROUPS), GROUPS * share.std(ddof=1) / math.sqrt(GROUPS)

        weights = np.repeat(share, self.particles // GROUPS)
        teeth = (np.arange(self.particles) + 0.5) / self.particles
        chosen = np.searchsorted(np.cumsum(weights) / weights.sum(), teeth)

        def values(parameters: Any, batch: Any, u: Any) -> dict[str, Any]:
            with ops.activate(backend):
                return target_of(problem, parameters, batch, backend.key(0)).values(u)

        batch = problem.device(problem.example)
        found = backend.without_gradients(values)(state.parameters, batch, state.particles.u)
        draws = {name: backend.numpy(value)[chosen][None] for name, value in found.items()}
        return Result(draws=draws, log_evidence=(float(total), float(error)))
