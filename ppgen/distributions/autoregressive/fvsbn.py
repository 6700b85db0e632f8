"""The fully visible sigmoid belief network."""

from dataclasses import dataclass
from functools import cached_property

from ppgen import arguments
from ppgen.distributions.autoregressive.blocks import BlockwiseMLP
from ppgen.distributions.autoregressive.conditionals import Bernoulli, Conditional
from ppgen.distributions.autoregressive.contract import Autoregressive


@dataclass(frozen=True)
class FVSBN(Autoregressive):
    r"""A logistic regression of each bit on the bits before it (Frey, 1998).

    .. math:: p(x) = \prod_i \mathrm{Bernoulli}(x_i \mid \sigma(b_i + \sum_{j<i} W_{ij} x_j))

    Args:
        dim: number of dimensions D.
        conditional: what each dimension is; its parameters are linear in the dimensions before it.
        context: size of the context; 0 for none.
        order: a permutation of 0..D-1; that of the columns by default.
        method: how to draw, "incremental", "jacobi" or "naive".

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import FVSBN
        >>> fvsbn = FVSBN(3)
        >>> p = fvsbn.apply(fvsbn.init(seed=0))
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    dim: int
    conditional: Conditional = Bernoulli()
    context: int = 0
    order: tuple[int, ...] | None = None
    method: str = "incremental"

    def __post_init__(self) -> None:
        arguments.assign(self, order=arguments.order("FVSBN", self.order))
        super().__post_init__()

    @cached_property
    def net(self) -> BlockwiseMLP:
        """A masked layer, the only one."""
        return BlockwiseMLP(self.dim, (), self.conditional.outputs, self.conditional.inputs, self.context, self.order)
