"""Optimisers by name: each is optax's on NumPyro and torch's on Pyro, with the same update."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import optax

from ppgen.errors import ProgramError


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015), with optional decoupled weight decay and gradient clipping.

    Args:
        learning_rate: step size, or a function from the step number to it.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
        weight_decay: AdamW's decay (Loshchilov & Hutter, 2019).
        clip: largest norm of a role's whole gradient; longer ones are scaled to it.
    """

    learning_rate: float | Callable[[Any], Any] = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        _step_and_clip(self)
        for name in ("b1", "b2", "weight_decay"):
            _at_least_0(self, name)
        _positive("Adam", "eps", self.eps)

    def optax(self) -> optax.GradientTransformation:
        """The optax optimiser."""
        adam = optax.adamw(self.learning_rate, self.b1, self.b2, self.eps, weight_decay=self.weight_decay)
        if not self.weight_decay:
            adam = optax.adam(self.learning_rate, self.b1, self.b2, self.eps)
        return adam if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), adam)

    def torch(self, parameters: list[Any]) -> Any:
        """The torch optimiser of these parameters."""
        from ppgen.backends import torch_optimizers

        return torch_optimizers.adam(self, parameters)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with optional momentum.

    Args:
        learning_rate: step size, or a function from the step number to it.
        momentum: share of the last update that is kept.
        clip: largest norm of a role's whole gradient; longer ones are scaled to it.
    """

    learning_rate: float | Callable[[Any], Any] = 1e-2
    momentum: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        _step_and_clip(self)
        _at_least_0(self, "momentum")

    def optax(self) -> optax.GradientTransformation:
        """The optax optimiser."""
        sgd = optax.sgd(self.learning_rate, momentum=self.momentum or None)
        return sgd if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), sgd)

    def torch(self, parameters: list[Any]) -> Any:
        """The torch optimiser of these parameters."""
        from ppgen.backends import torch_optimizers

        return torch_optimizers.sgd(self, parameters)


def by_role(optimizer: Any, roles: Iterable[str]) -> dict[str, Any]:
    """One optimiser for all roles, or those of a dict, with `Adam()` where it has none.

    Raises:
        ProgramError: a role that the algorithm does not have.
    """
    given = dict(optimizer) if isinstance(optimizer, Mapping) else dict.fromkeys(roles, optimizer)
    if unknown := sorted(set(given) - set(roles)):
        raise ProgramError(
            f"expected optimizer to be a dict by role, of {tuple(roles)}; got {unknown}, which would move nothing. Correct the "
            "names, or pass one optimiser for all."
        )
    return {role: Adam() if given.get(role) is None else given[role] for role in roles}


def _step_and_clip(spec: Adam | SGD) -> None:
    owner = type(spec).__name__
    if not callable(spec.learning_rate):
        _positive(owner, "learning_rate", spec.learning_rate)
    if spec.clip is not None:
        _positive(owner, "clip", spec.clip)


def _positive(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < float("inf"):
        raise ValueError(f"{owner}: expected {name} to be a positive number; got {value!r}. Write {name}=1.0, say.")


def _at_least_0(spec: Adam | SGD, name: str) -> None:
    value = getattr(spec, name)
    below_1 = name != "weight_decay"
    if not isinstance(value, Real) or not 0 <= float(value) < (1 if below_1 else float("inf")):
        wanted = "in [0, 1)" if below_1 else "of 0 or more"
        raise ValueError(f"{type(spec).__name__}: expected {name} to be a number {wanted}; got {value!r}.")
