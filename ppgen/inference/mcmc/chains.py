"""Markov chains on the posterior of a model's latent sites: what all samplers of this kind share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.backends.protocol import Kernel
from ppgen.errors import NonFiniteError, tell
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import positive
from ppgen.inference.procedure import Info, Procedure, Result, SamplingWarning
from ppgen.inference.target import Target, target_of
from ppgen.problem.problem import Problem

RADIUS = 2.0  # chains start uniformly in (-RADIUS, RADIUS), on the reals, as Stan's do
TRIES = 100  # starts of a chain, until its log density and the gradient of that are finite


@dataclass(frozen=True)
class Chains(Procedure):
    """Chains of draws from the posterior of the model's continuous latent sites; discrete ones are summed out.

    All rows of the data are seen at each step. The model's parameters stay at their values.

    Args:
        draws: draws that each chain keeps.
        warmup: steps of each chain before these, in which its step size and mass matrix adapt.
        chains: number of chains.
        target_accept: acceptance rate that the step size aims at; a higher one takes smaller steps.
        dense_mass: let the mass matrix learn correlations, and not scales alone.
    """

    needs = (needs.densities, needs.weights, needs.a_latent_to_sample, needs.sampled_or_summed_out)

    draws: int = 1000
    warmup: int = 1000
    chains: int = 4
    target_accept: float = 0.8
    dense_mass: bool = False

    def __post_init__(self) -> None:
        for name in ("draws", "warmup", "chains"):
            positive(name, getattr(self, name), type(self).__name__)
        if not 0 < self.target_accept < 1:
            raise ValueError(
                f"{type(self).__name__}: expected target_accept between 0 and 1; got {self.target_accept!r}."
            )

    @property
    def length(self) -> int:
        """Warm-up, and the draws."""
        return self.warmup + self.draws

    @property
    def tuning(self) -> int:
        """The warm-up."""
        return self.warmup

    @property
    def kernel(self) -> Kernel:
        """Which of the libraries' kernels, with its settings."""
        raise NotImplementedError

    def init(self, problem: Problem, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Any:
        """Chains at points where the log density is finite."""
        backend = problem.backend

        def begin(parameters: Any, batch: Any, key: Any) -> Any:
            with ops.activate(backend):
                target = target_of(problem, parameters, batch, key)
                u, fine = starts(target, backend, self.chains, key)
                return backend.chains(self.kernel, potential_of(target), u, backend.fold_in(key, TRIES)), fine

        state, fine = backend.compile(begin)(parameters, batch, key)
        if not backend.numpy(fine).all():
            raise NonFiniteError(
                f"the log density of the model's latent sites, or its gradient, is not finite at {TRIES} points drawn "
                f"uniformly in (-{RADIUS:g}, {RADIUS:g}) on the reals; expected a finite one. Rescale the data, or use "
                "priors that the model can be evaluated under."
            )
        return {"parameters": parameters, "chains": state}

    def step(self, problem: Problem, state: Any, batch: Mapping[str, Any], key: Any) -> tuple[Any, Info]:
        """One step of every chain."""
        target = target_of(problem, state["parameters"], batch, key)
        chains, moved = problem.backend.move(self.kernel, potential_of(target), state["chains"], key)
        return state | {"chains": chains}, {"draws": target.values(moved.positions), "statistics": moved.statistics}

    def result(self, problem: Problem, state: Any, infos: Info) -> Result:
        """The draws, [chains, draws, ...]."""
        if not infos:
            return Result()
        by_chain = {kind: {name: np.swapaxes(values, 0, 1) for name, values in infos[kind].items()} for kind in infos}
        count = int(by_chain["statistics"]["diverging"].sum())
        if count:
            tell(
                f"{count} of {self.chains * self.draws} draws ended in a divergence: the chains do not reach all of the "
                "posterior. Raise target_accept, or write the model so that its scales do not depend on one another.",
                SamplingWarning,
            )
        return Result(draws=by_chain["draws"], statistics=by_chain["statistics"])


def potential_of(target: Target) -> Any:
    """Minus the log density, of one position."""
    return lambda u: -target.log_density(u[None])[0]


def starts(target: Target, backend: Any, chains: int, key: Any) -> tuple[ops.Array, ops.Array]:
    """Points for chains to start from [chains, width], and whether the log density there is finite [chains]."""
    slope = ops.grad(lambda u: ops.sum(target.log_density(u)))

    def look(turn: Any) -> tuple[ops.Array, ops.Array]:
        u = RADIUS * (2 * backend.uniform(backend.fold_in(key, turn), (chains, target.width)) - 1)
        numbers = target.log_density(u) + 0 * ops.sum(slope(u), 1)
        return u, numbers == ops.finite(numbers)

    def again(carry: Any) -> Any:
        turn, u, fine = carry
        other, other_fine = look(turn)
        return turn + 1, ops.where(fine[:, None], u, other), fine | other_fine

    def unfinished(carry: Any) -> Any:
        turn, _, fine = carry
        return (turn < TRIES) & ~ops.all(fine)

    _, u, fine = ops.while_loop(unfinished, again, (1, *look(0)))
    return u, fine
