"""What is no game of losses: samplers, expectation maximisation. A state, and steps that change it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ppgen.inference.algorithm import Algorithm
from ppgen.problem.problem import Problem


class SamplingWarning(UserWarning):
    """Draws that should be looked at before they are trusted."""


Info = Mapping[str, Any]
"""What one step tells: trees of arrays by name, of the same shapes at each step."""


@dataclass(frozen=True)
class Result:
    """What a procedure leaves behind.

    Attributes:
        parameters: the model's parameters, unconstrained; None where they stayed as they were.
        draws: values of latent sites, by site [chains, draws, ...].
        statistics: numbers of each draw, by name [chains, draws], as ArviZ calls them.
        log_evidence: the log-probability of all rows together and its standard error, in nats.
    """

    parameters: Mapping[str, Any] | None = None
    draws: Mapping[str, np.ndarray] = field(default_factory=dict)
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    log_evidence: tuple[float, float] | None = None


@dataclass(frozen=True)
class Procedure(Algorithm):
    """An algorithm that writes its own steps, in the manner of blackjax.

    ::

        state = procedure.init(problem, parameters, batch, key)
        state, info = procedure.step(problem, state, batch, key)     # again and again
        result = procedure.result(problem, state, infos)

    States and infos are trees of arrays, whose structure, shapes and types a step keeps; `step` is pure (on Pyro a state may
    hold an object of the library that a step changes), so NumPyro runs many steps inside one compiled loop. `batch` has all
    rows of the data. `ppgen.fit` makes one loop around any procedure and gives the same `Fit` as for a game: a procedure may
    change the model's parameters, collect draws of latent sites, or both.

    What of an info goes to the history of the fit, an entry a step, is named in `reports`; these are scalars, and a run stops
    where one is not finite.
    """

    roles: ClassVar[tuple[str, ...]] = ("model",)

    @property
    def length(self) -> int | None:
        """How many steps a run takes, at most; None where `ppgen.fit(..., steps=)` says it."""
        return None

    @property
    def tuning(self) -> int:
        """How many steps there are at the start whose infos do not go to `result`."""
        return 0

    def init(self, problem: Problem, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Any:
        """The state to begin with.

        It is called once, outside of compiled code, and may compile what takes long.

        Args:
            problem: the model and the data it met.
            parameters: its parameters, unconstrained, by name.
            batch: all rows, as the backend's arrays.
            key: randomness.
        """
        raise TypeError(f"{type(self).__name__} defines no init")

    def step(self, problem: Problem, state: Any, batch: Mapping[str, Any], key: Any) -> tuple[Any, Info]:
        """The next state, and what there is to tell of the step.

        Args:
            problem: the model and the data it met.
            state: the state before.
            batch: all rows, as the backend's arrays.
            key: randomness of this step.
        """
        raise TypeError(f"{type(self).__name__} defines no step")

    def finished(self, state: Any) -> Any:
        """Whether nothing is left to do, so that the run ends before its last step: a bool, or an array of one."""
        return False

    def result(self, problem: Problem, state: Any, infos: Info) -> Result:
        """What the run has found.

        Args:
            problem: the model and the data it met.
            state: the last state.
            infos: those of all steps after `tuning`, on the host: like an info, with an axis of steps in front.
        """
        raise TypeError(f"{type(self).__name__} defines no result")
