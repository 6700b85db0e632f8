"""Optimisers by name: each is optax's on NumPyro and torch's on Pyro, with the same update."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optax


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
        if not callable(self.learning_rate) and not self.learning_rate > 0:
            raise ValueError(f"Adam: expected a positive learning_rate; got {self.learning_rate!r}.")

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

    def optax(self) -> optax.GradientTransformation:
        """The optax optimiser."""
        sgd = optax.sgd(self.learning_rate, momentum=self.momentum or None)
        return sgd if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), sgd)

    def torch(self, parameters: list[Any]) -> Any:
        """The torch optimiser of these parameters."""
        from ppgen.backends import torch_optimizers

        return torch_optimizers.sgd(self, parameters)
