"""Programs that learn a density in many orders of its dimensions at once: MADE with many masks, order-agnostic NADE.

Both climb the mean of log p_o(x) over orders o, a lower bound of the ensemble's log mean_o p_o(x). What is random is a
latent site, a uniform one, which the guide draws like the model; so `ppgen.ELBO()` trains them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import dist, module, nn, ops, plate, sample
from ppgen.distributions import MADE, AnyOrder, DeepNADE, Learnable
from ppgen.nn.mlp import ACTIVATIONS

Programs = tuple[Callable[..., None], Callable[..., None]]


def one_order_a_step(made: MADE, orders: np.ndarray) -> Programs:
    """Model and guide that choose one of `orders` [M, D] for all rows of a step (Germain et al., 2015)."""
    places = np.argsort(orders, axis=1).astype(np.float32)

    def model(rows: int) -> None:
        net = module("p", OrderedMADE(made))
        u = sample("u", dist.Uniform(0.0, 1.0))
        order = ops.as_integer(ops.clip(u * len(places), 0, len(places) - 1))
        with plate("data", rows):
            sample("x", net(ops.asarray(places)[order]))

    def guide() -> None:
        sample("u", dist.Uniform(0.0, 1.0))

    return model, guide


def any_order(nade: DeepNADE) -> Programs:
    """Model and guide that split the dimensions of each row into known and hidden ones (Uria et al., 2014)."""

    def uniform() -> ops.Array:
        return sample("u", dist.Uniform(0.0, 1.0).expand([nade.dim + 1]).to_event(1))

    def model(rows: int) -> None:
        p = module("p", AnyOrder(nade))
        with plate("data", rows):
            sample("x", p(uniform()))

    def guide(x: ops.Array) -> None:
        with plate("data", len(x)):
            uniform()

    return model, guide


@dataclass(frozen=True)
class OrderedMADE(Learnable):
    """A MADE of bits whose order comes as its context: the place of each dimension, [D].

    What `OrderEnsemble(made, orders, pick=True)` computes, faster: it moves masks, which have no gradient, where the
    ensemble moves the weights of any network.
    """

    made: MADE

    support = "boolean"
    reparameterised = False

    def __post_init__(self) -> None:
        plain = MADE(self.made.dim, self.made.hidden, activation=self.made.activation, method=self.made.method)
        if self.made != plain:
            raise ValueError(
                f"expected a MADE of bits without context, order, residual or direct connections, or a seed, such as "
                f"{plain!r}; got {self.made!r}. Use OrderEnsemble(made, orders, pick=True), which takes any."
            )

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
