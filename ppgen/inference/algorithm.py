"""What an algorithm is: roles, each with a scalar loss, and what the algorithm needs of the programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ppgen import ops
from ppgen.backends.program import Program
from ppgen.errors import IllegalPairing
from ppgen.joint import Batch


@dataclass(frozen=True)
class Pairing:
    """The programs and data an algorithm is asked to work on: what a requirement looks at.

    Attributes:
        model: the inspected model.
        guide: the inspected guide, if there is one.
        data: names of the entries of a batch.
        full_batch: whether each step sees all the data.
    """

    model: Program
    guide: Program | None
    data: frozenset[str] = frozenset()
    full_batch: bool = False


Requirement = Callable[[Pairing], str | None]
"""Gives the reason why a pairing is illegal, naming the site, or None."""


@dataclass(frozen=True)
class Algorithm:
    """A game between roles.

    A subclass is a frozen dataclass of its settings with one method, `losses`. The trainer differentiates the loss of
    a role with respect to that role's own parameters only; roles that return the same object share a backward pass.

    Attributes:
        roles: who plays. `losses(p, q, batch)` receives the joints of the model and, where it is a role, the guide;
            a role that the algorithm brings itself arrives by its name, `losses(p, batch, critic)`.
        needs: requirements, checked before the first step.
    """

    roles: ClassVar[tuple[str, ...]] = ("model", "guide")
    needs: ClassVar[tuple[Requirement, ...]] = ()

    def losses(self, *joints_and_batch: Any, **brought: Any) -> Mapping[str, ops.Array]:
        """One scalar loss per role, in nats per row."""
        raise TypeError(f"{type(self).__name__} defines no losses")

    @property
    def schedule(self) -> tuple[tuple[str, ...], ...]:
        """Updates of one training step: the roles that move in each; all at once by default."""
        return (self.roles,)

    def programs(self, pairing: Pairing) -> dict[str, Callable[..., Any]]:
        """Programs that the algorithm brings itself (a critic, a baseline), by role."""
        return {}

    def requirements(self) -> tuple[Requirement, ...]:
        """What must hold of the programs, given the settings."""
        return self.needs

    def objections(self, pairing: Pairing) -> list[str]:
        """Reasons why this algorithm cannot learn this pairing; empty when it can."""
        return [reason for needs in self.requirements() if (reason := needs(pairing))]

    def check(self, pairing: Pairing, others: tuple["Algorithm", ...] = ()) -> None:
        """Raise `IllegalPairing` with the reason and the algorithms among `others` that would be legal."""
        reasons = self.objections(pairing)
        if not reasons:
            return
        legal = [repr(other) for other in others if not other.objections(pairing)]
        raise IllegalPairing(
            f"{self!r} cannot learn this program: {'; '.join(reasons)}. "
            + (f"Legal here: {', '.join(legal)}." if legal else "No algorithm of ppgen can.")
        )


def per_row(values: ops.Array, batch: Batch) -> ops.Array:
    """Average over particles, then over the rows of the batch: [particles, rows or 1] to a scalar.

    Weights that were pooled over the data, [particles, 1], count as the sum of their rows.
    """
    return ops.sum(values) / (values.shape[0] * batch.rows)


def valued(value: ops.Array, surrogate: ops.Array) -> ops.Array:
    """A number that reads `value` and has the gradient of `surrogate`, so that histories show bounds."""
    return ops.stop_gradient(value) + surrogate - ops.stop_gradient(surrogate)


def option(name: str, value: Any, legal: tuple[Any, ...], owner: str) -> None:
    """Raise ValueError unless `value` is one of `legal`."""
    if value not in legal:
        raise ValueError(f"{owner}: expected {name} to be one of {legal}; got {value!r}.")


def positive(name: str, value: Any, owner: str) -> None:
    """Raise ValueError unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{owner}: expected {name} to be a positive integer; got {value!r}.")


__all__ = ["Algorithm", "Pairing", "Requirement", "option", "per_row", "positive", "valued"]
