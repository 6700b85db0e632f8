"""The autoregressive transform: MAF one way, IAF the other."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.blocks import BlockwiseMLP
from ppgen.distributions.autoregressive.sampling import METHODS, generate
from ppgen.distributions.flows.bijections import Affine, Bijection
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Parameters

LAST = ("out.", "context.direct", "direct.")  # what adds to the outputs of the network


@dataclass(frozen=True)
class AutoregressiveTransform(Transform):
    r"""y_i = f(x_i; theta_i(y_<i)) from the base to the data (Papamakarios et al., 2017); it starts at the identity.

    `inverse`, and so the density, is one pass; `forward`, and so drawing, goes dimension by dimension, or iterates (see
    `ppgen.distributions.autoregressive.sampling`). `Inverse(AutoregressiveTransform(...))` swaps the two: that is the
    inverse autoregressive flow (Kingma et al., 2016), whose draws are one pass.

    Args:
        dim: number of dimensions D.
        bijection: what is done to each dimension.
        hidden: sizes of the hidden layers of the masked network.
        context: size of the context; 0 for none.
        order: a permutation of 0..D-1; that of the columns by default.
        residual: add what enters each hidden layer to what enters the next, see `ppgen.nn.MaskedMLP`.
        activation: see `ppgen.nn.MLP`.
        method: of `forward`, "incremental", "jacobi" or "naive".
    """

    dim: int
    bijection: Bijection = Affine()
    hidden: tuple[int, ...] = (64, 64)
    context: int = 0
    order: tuple[int, ...] | None = None
    residual: bool = True
    activation: str = "relu"
    method: str = "incremental"
    support = "real"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"expected a method, one of {tuple(METHODS)}; got {self.method!r}.")
        owner = type(self).__name__
        dim, context = arguments.size(owner, "dim", self.dim), arguments.size(owner, "context", self.context, least=0)
        arguments.kind(owner, "bijection", self.bijection, Bijection, "flows.Affine()")
        hidden = arguments.sizes(owner, "hidden", self.hidden, empty=True)
        arguments.assign(self, dim=dim, context=context, hidden=hidden, order=arguments.order(owner, self.order))
        _ = self.net  # checks the rest

    @cached_property
    def net(self) -> BlockwiseMLP:
        """The masked network."""
        return BlockwiseMLP(
            self.dim, self.hidden, self.bijection.outputs, context=self.context, order=self.order,
            residual=self.residual, activation=self.activation,
        )  # fmt: skip

    def specs(self) -> dict[str, nn.Spec]:
        specs = self.net.specs()
        zero = {path: replace(spec, bound=0.0) for path, spec in specs.items() if path.startswith(LAST)}
        return specs | zero

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        theta = self.net.conditionals(params, y[..., None], context)
        x, log_slope = self.bijection.inverse(theta, y)
        return x, ops.sum(log_slope, -1)

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        shape = x.shape if context is None else (*np.broadcast_shapes(x.shape[:-1], context.shape[:-1]), self.dim)
        x = ops.broadcast_to(x, shape)
        y = generate(
            self.method, self.net, params, lambda y: y[..., None],
            lambda theta, x: self.bijection.forward(theta, x[..., 0])[0], x[..., None], context,
        )  # fmt: skip
        theta = self.net.conditionals(params, y[..., None], context)
        return y, -ops.sum(self.bijection.inverse(theta, y)[1], -1)
