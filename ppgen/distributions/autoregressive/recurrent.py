"""Sequences by a recurrent network."""

from dataclasses import dataclass
from functools import cached_property

from ppgen import arguments
from ppgen.distributions.autoregressive.conditionals import Bernoulli, Conditional
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.nn import RecurrentNetwork


@dataclass(frozen=True)
class Recurrent(Autoregressive):
    r"""A sequence whose past is summarised in the state of a cell (Graves, 2013).

    .. math:: p(x) = \prod_i p(x_i \mid \theta(h_i)), \qquad h_i = \mathrm{cell}(h_{i-1}, x_{i-1})

    Density and draws both take `length` steps of the cell. Each place has the same weights, so there are as many for a
    long sequence as for a short one.

    Args:
        length: length of the sequence.
        hidden: size of the state.
        cell: "gru" or "lstm".
        conditional: what each place is.
        context: size of the context, which enters the gates at each step; 0 for none.
        method: how to draw, "incremental", "jacobi" or "naive".

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import Recurrent
        >>> sequence = Recurrent(3, hidden=8, cell="lstm")
        >>> p = sequence.apply(sequence.init(seed=0))
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    length: int
    hidden: int = 64
    cell: str = "gru"
    conditional: Conditional = Bernoulli()
    context: int = 0
    method: str = "incremental"

    def __post_init__(self) -> None:
        arguments.assign(self, hidden=arguments.size("Recurrent", "hidden", self.hidden))
        super().__post_init__()

    @cached_property
    def net(self) -> RecurrentNetwork:
        """The network."""
        return RecurrentNetwork(
            self.length, self.hidden, self.conditional.outputs, self.conditional.inputs, self.cell, self.context
        )
