"""The dimensions in another order."""

from dataclasses import dataclass

import numpy as np

from ppgen import arguments, ops
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Parameters


@dataclass(frozen=True)
class Permutation(Transform):
    """y_i = x_{order[i]}; the log-determinant is 0.

    `Reverse(dim)` and `Shuffle(dim, seed)` make those that are used most.

    Args:
        order: a permutation of 0..D-1.

    Example:
        >>> from ppgen import ops
        >>> from ppgen.distributions import flows
        >>> y, log_det = flows.Permutation((2, 0, 1)).forward({}, ops.asarray([10.0, 11.0, 12.0]))
        >>> y.tolist(), float(log_det)
        ([12.0, 10.0, 11.0], 0.0)
    """

    order: tuple[int, ...]

    def __post_init__(self) -> None:
        arguments.assign(self, order=arguments.order("Permutation", self.order))
        if not self.order or sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"expected an order with each of 0..{len(self.order) - 1} once; got {self.order}.")

    @property
    def dim(self) -> int:
        return len(self.order)

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return ops.take(x, np.array(self.order)), ops.zeros(x.shape[:-1], x)

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return ops.take(y, np.argsort(self.order)), ops.zeros(y.shape[:-1], y)


def Reverse(dim: int) -> Permutation:
    """The permutation that turns the order round."""
    return Permutation(tuple(reversed(range(dim))))


def Shuffle(dim: int, seed: int = 0) -> Permutation:
    """A random permutation, the same for the same seed."""
    return Permutation(tuple(np.random.default_rng(seed).permutation(dim)))
