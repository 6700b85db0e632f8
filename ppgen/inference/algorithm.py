"""What an algorithm is: roles, each with a scalar loss, and what the algorithm needs of the programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ppgen import ops
from ppgen.errors import IllegalPairing, ProgramError
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem

Requirement = Callable[[Problem], str | None]
"""Gives the reason why a problem is illegal, naming the site, or None."""

Losses = Mapping[str, ops.Array]
"""A scalar loss per role, in nats per row."""


@dataclass(frozen=True)
class Turn:
    """What a game knows beside the programs and the batch.

    Attributes:
        step: the number of the training step, from 0.
        joints: those of the roles that the algorithm brings itself, by role.
        carry: what the algorithm's last `play` left, or `start` at the first step.
    """

    step: Any = 0
    joints: Mapping[str, Joint] = field(default_factory=dict)
    carry: Any = None


@dataclass(frozen=True)
class Played:
    """What a turn of a game gives.

    Attributes:
        losses: a scalar per role, in nats per row.
        carry: what the next turn gets as `turn.carry`: arrays of the same shapes each time.
        report: scalars for the history beside the losses, those named in `Algorithm.reports`.
    """

    losses: Losses
    carry: Any = None
    report: Mapping[str, ops.Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Algorithm:
    """What learns: a frozen dataclass of its settings.

    Most algorithms are games: they write `losses`, and are trained step by step. Those that are no game of losses (MCMC,
    SMC, EM) are a `ppgen.inference.procedure.Procedure`.

    Attributes:
        roles: who plays; "model" and "guide" are the user's programs, others are what `brings` gives.
        needs: requirements, checked before the first step.
    """

    roles: ClassVar[tuple[str, ...]] = ("model", "guide")
    needs: ClassVar[tuple[Requirement, ...]] = ()

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """One scalar loss per role, in nats per row.

        The trainer differentiates the loss of a role with respect to that role's own parameters only, so no player needs to
        be held fixed by hand; roles that return the same object share a backward pass.

        Args:
            p: the model.
            q: the guide; where it is no role of this algorithm, there is none.
            batch: data, and the arguments of the programs.
        """
        raise TypeError(f"{type(self).__name__} defines no losses")

    def play(self, p: Joint, q: Joint, batch: Batch, turn: Turn) -> Played:
        """The losses, and more: a game with critics, a state of its own, or a report writes this in place of `losses`."""
        return Played(self.losses(p, q, batch), turn.carry)

    def start(self, problem: Problem) -> Any:
        """What the first turn finds in `turn.carry`: a tree of NumPy arrays."""
        return None

    @property
    def reports(self) -> tuple[str, ...]:
        """Names of what `play` reports to the history beside the losses."""
        return ()

    @property
    def schedule(self) -> tuple[tuple[str, ...], ...]:
        """Updates of one training step: the roles that move in each; all at once by default."""
        return (self.roles,)

    def brings(self, problem: Problem) -> dict[str, Callable[..., Any]]:
        """Programs that the algorithm brings itself, by role: critics, baselines, or kernels with sites of their own."""
        return {}

    def requirements(self) -> tuple[Requirement, ...]:
        """What must hold of the programs, given the settings."""
        return self.needs

    def objections(self, problem: Problem) -> list[str]:
        """Reasons why this algorithm cannot learn this problem; empty when it can."""
        return [reason for needs in self.requirements() if (reason := needs(problem))]

    def check(self, problem: Problem, others: tuple["Algorithm", ...] = ()) -> None:
        """Raise `IllegalPairing` with the reason and the algorithms among `others` that would be legal."""
        reasons = self.objections(problem)
        if not reasons:
            return
        legal = [repr(other) for other in others if not other.objections(problem)]
        raise IllegalPairing(
            f"{self!r} cannot learn this program: {'; '.join(reasons)}. "
            + (f"Legal here: {', '.join(legal)}." if legal else _way_out(problem))
        )

    def cast(self, problem: Problem) -> Problem:
        """The problem with the roles of this algorithm, and no others."""
        return problem.playing(self.roles, self.brings(problem))

    def played(self, joints: Mapping[str, Joint], batch: Batch, turn: Turn) -> Played:
        """`play` with the joints by role, and a look at what it gives."""
        q = joints.get("guide")
        found = self.play(joints["model"], q, batch, turn)  # pyright: ignore[reportArgumentType]  # None where the guide is no role
        if missing := set(self.roles) - set(found.losses):
            raise ProgramError(
                f"{self!r}: expected losses() to give one for each role; missing {sorted(missing)}. Return a dict of all."
            )
        if set(found.report) != set(self.reports):
            raise ProgramError(
                f"{self!r}: expected a report of {sorted(self.reports)}, as `reports` says; got {sorted(found.report)}."
            )
        return found


def _way_out(problem: Problem) -> str:
    """What to change where no algorithm is legal."""
    latent = [site.name for site in problem.model.latent(problem.data)]
    if problem.guide is None and latent:
        return f"Write a guide, a function that samples {latent}: ppgen.fit(model, guide, ...)."
    return "No algorithm of ppgen can; change the programs."


def option(name: str, value: Any, legal: tuple[Any, ...], owner: str) -> None:
    """Raise ValueError unless `value` is one of `legal`."""
    if value not in legal:
        raise ValueError(f"{owner}: expected {name} to be one of {legal}; got {value!r}.")


def positive(name: str, value: Any, owner: str) -> None:
    """Raise ValueError unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{owner}: expected {name} to be a positive integer; got {value!r}.")
