"""The masked autoencoder."""

from dataclasses import dataclass
from functools import cached_property

from ppgen import arguments
from ppgen.distributions.autoregressive.blocks import BlockwiseMLP
from ppgen.distributions.autoregressive.conditionals import Bernoulli, Conditional
from ppgen.distributions.autoregressive.contract import Autoregressive


@dataclass(frozen=True)
class MADE(Autoregressive):
    r"""A masked autoencoder (Germain et al., 2015): all conditionals from one masked perceptron.

    .. math:: p(x) = \prod_i p(x_i \mid \theta_i(x_{<i}))

    Args:
        dim: number of dimensions D.
        hidden: sizes of the hidden layers.
        conditional: what each dimension is.
        context: size of the context; 0 for none.
        order: a permutation of 0..D-1; that of the columns by default.
        activation: of the hidden layers, see `ppgen.nn.MLP`.
        residual: add what enters each hidden layer to what enters the next, see `ppgen.nn.MaskedMLP`.
        direct: connect inputs to outputs too.
        seed: draw the masks at random; by default units are spread evenly over degrees.
        method: how to draw, "incremental", "jacobi" or "naive".

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import MADE
        >>> made = MADE(3, hidden=(8,))
        >>> p = made.apply(made.init(seed=0))
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    dim: int
    hidden: tuple[int, ...] = (500,)
    conditional: Conditional = Bernoulli()
    context: int = 0
    order: tuple[int, ...] | None = None
    activation: str = "relu"
    residual: bool = False
    direct: bool = False
    seed: int | None = None
    method: str = "incremental"

    def __post_init__(self) -> None:
        hidden = arguments.sizes("MADE", "hidden", self.hidden, empty=True)
        arguments.assign(self, hidden=hidden, order=arguments.order("MADE", self.order))
        super().__post_init__()

    @cached_property
    def net(self) -> BlockwiseMLP:
        """The masked network."""
        return BlockwiseMLP(
            self.dim, self.hidden, self.conditional.outputs, self.conditional.inputs, self.context, self.order,
            self.activation, self.residual, self.direct, self.seed,
        )  # fmt: skip
