"""The coupling: some dimensions say what is done to the others."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.bijections import Affine, Bijection
from ppgen.distributions.flows.transform import Map, Transform
from ppgen.distributions.learnable import Parameters


@dataclass(frozen=True)
class Coupling(Transform):
    r"""y_A = x_A, y_B = f(x_B; theta(x_A, context)) from the base to the data (Dinh et al., 2017); it starts at the identity.

    Both directions are one pass of the network, a `ppgen.nn.ResidualMLP`, and one bijection per dimension of B.

    Args:
        dim: number of dimensions D, at least 2.
        bijection: what is done to each dimension of B.
        hidden: inner size of each residual block.
        context: size of the context; 0 for none.
        mask: one truth value per dimension, True for those of A; by default A is every other dimension, from the first on
            (Dinh et al., 2015): neighbours, which are often alike, inform each other.
        swap: exchange A and B.
        activation: see `ppgen.nn.MLP`.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import Flow, StandardNormal, flows
        >>> flow = Flow(StandardNormal(3), (flows.Coupling(3), flows.Coupling(3, swap=True)))
        >>> flow.apply(flow.init(seed=0)).log_prob(np.zeros((5, 3))).shape
        (5,)
    """

    dim: int
    bijection: Bijection = Affine()
    hidden: tuple[int, ...] = (64, 64)
    context: int = 0
    mask: tuple[bool, ...] | None = None
    swap: bool = False
    activation: str = "relu"
    support = "real"

    def __post_init__(self) -> None:
        arguments.assign(self, dim=arguments.size("Coupling", "dim", self.dim))
        if self.dim == 1:
            raise ValueError(
                "Coupling: expected at least two dimensions, as some say what is done to the others; got dim=1. "
                "Use AutoregressiveTransform(1), or a flow made of it: MAF(1), NSF(1)."
            )
        if self.mask is not None:
            arguments.assign(self, mask=tuple(map(bool, self.mask)))
            if len(self.mask) != self.dim or len(set(self.mask)) < 2:
                raise ValueError(f"expected a mask of {self.dim} values, not all of them equal; got {self.mask}.")
        arguments.assign(self, context=arguments.size("Coupling", "context", self.context, least=0))
        arguments.kind("Coupling", "bijection", self.bijection, Bijection, "flows.Affine()")
        arguments.assign(self, hidden=arguments.sizes("Coupling", "hidden", self.hidden))
        _ = self.net  # checks the rest

    @cached_property
    def net(self) -> nn.ResidualMLP:
        """The network that computes theta."""
        kept, changed = map(len, self._parts)
        return nn.ResidualMLP(kept, self.hidden, changed * self.bijection.outputs, self.context, self.activation)

    def specs(self) -> dict[str, nn.Spec]:
        return self.net.specs()

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return self._apply(self.bijection.forward, params, x, context)

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return self._apply(self.bijection.inverse, params, y, context)

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The dimensions of A, and those of B."""
        mask = np.arange(self.dim) % 2 == 0 if self.mask is None else np.array(self.mask)
        mask = mask ^ self.swap
        return np.flatnonzero(mask), np.flatnonzero(~mask)

    def _apply(self, map_: Map, params: Parameters, x: ops.Array, context: ops.Array | None) -> tuple:
        kept, changed = (ops.take(x, part) for part in self._parts)
        theta = self.net.apply(params, kept, context)
        theta = theta.reshape(*theta.shape[:-1], changed.shape[-1], self.bijection.outputs)
        changed, log_slope = map_(theta, changed)
        kept = ops.broadcast_to(kept, (*changed.shape[:-1], kept.shape[-1]))  # a context may have more rows than x
        together = ops.concatenate([kept, changed])
        return ops.take(together, np.argsort(np.concatenate(self._parts))), ops.sum(log_slope, -1)
