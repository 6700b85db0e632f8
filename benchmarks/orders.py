"""MADE with many masks (Germain et al., 2015): one set of weights, another order of the dimensions at each step.

An order is a global latent site of the program. A step draws one and fits the density of the whole minibatch in it, so
what is maximised is the mean of log p_o(x) over orders o, a lower bound of the ensemble's log mean_o p_o(x).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ppgen import Algorithm, dist, module, nn, ops, plate, sample
from ppgen.distributions import MADE, Learnable
from ppgen.nn.mlp import ACTIVATIONS


@dataclass(frozen=True)
class AnyOrder(Learnable):
    """A MADE of bits whose order comes as its context: the place of each dimension, [D]."""

    made: MADE

    support = "boolean"
    reparameterised = False

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.made.event_shape

    @property
    def context(self) -> int:
        return self.made.dim

    def specs(self) -> dict[str, nn.Spec]:
        return self.made.specs()

    def log_prob(self, params: Any, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        h = x = ops.as_float(x)
        below = context + 1  # the first degree that may see each input, or unit
        for i, n in enumerate(self.made.hidden):
            degrees = ops.asarray(1 + np.arange(n) * (self.made.dim - 1) // n)
            weight = params[f"{i}.weight"] * ops.as_type_of(below[:, None] <= degrees, x)
            h = ACTIVATIONS[self.made.activation](ops.linear(h, weight, params[f"{i}.bias"]))
            below = degrees
        weight = params["out.weight"] * ops.as_type_of(below[:, None] <= context, x)
        logits = ops.linear(h, weight, params["out.bias"])
        return ops.sum(x * logits - ops.softplus(logits), -1)

    def draw(self, params: Any, noise: Any, shape: tuple[int, ...], context: ops.Array | None = None) -> ops.Array:
        return ops.as_float(noise.uniform((*shape, *self.event_shape)) < 0.5)  # for the first look at shapes only


def any_order(made: MADE, orders: np.ndarray) -> Callable[..., None]:
    """The program that chooses one of `orders` [M, D] for all rows."""
    places = np.argsort(orders, axis=1).astype(np.float32)

    def model(rows: int) -> None:
        net = module("p", AnyOrder(made))
        order = sample("order", dist.Categorical(logits=ops.asarray(np.zeros(len(places), np.float32))))
        with plate("data", rows):
            sample("x", net(ops.asarray(places)[order]))

    return model


@dataclass(frozen=True)
class OneOrderAStep(Algorithm):
    """Maximum likelihood of the rows under one draw of the global latent sites from their prior."""

    roles: ClassVar[tuple[str, ...]] = ("model",)

    def losses(self, p: Any, batch: Any) -> dict[str, ops.Array]:
        rows, _ = p.terms(batch | p.draw(batch).values)
        return {"model": -ops.mean(rows)}
