"""Markov chains of any order over finitely many symbols."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.conditionals import Categorical
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.learnable import Parameters
from ppgen.nn.start import bound


@dataclass(frozen=True)
class MarkovChain(Autoregressive):
    r"""A sequence of symbols, each given the k before it by one table for all times.

    .. math:: p(x) = \prod_t p(x_t \mid x_{t-k}, \dots, x_{t-1})

    The first k symbols have shorter histories, with rows of their own in the table of logits. A history
    :math:`x_{t-j}, \dots, x_{t-1}` of :math:`j \le k` symbols out of C has row :math:`\sum_{m=1}^{j} (x_{t-m} + 1) C^{m-1}`:
    row 0 is the start, rows 1 to C follow one symbol, the next :math:`C^2` rows two symbols, and so on.

    Args:
        length: length of the sequence.
        classes: number of symbols C.
        order: how many symbols k are remembered.
        context: size of the context, to which the whole table is linear; 0 for none.
        method: how to draw, "incremental", "jacobi" or "naive".

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import MarkovChain
        >>> chain = MarkovChain(length=3, classes=2)
        >>> stay = np.log([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9]])  # at the start, after a 0, after a 1
        >>> p = chain.apply({"logits": stay})
        >>> [round(float(np.exp(p.log_prob(np.array(x)))), 4) for x in ([0, 0, 0], [1, 1, 0])]
        [0.405, 0.045]
    """

    length: int
    classes: int
    order: int = 1
    context: int = 0
    method: str = "incremental"

    def __post_init__(self) -> None:
        classes = arguments.size("MarkovChain", "classes", self.classes, least=2)
        arguments.assign(self, classes=classes, order=arguments.size("MarkovChain", "order", self.order))
        super().__post_init__()

    @cached_property
    def conditional(self) -> Categorical:
        """A symbol."""
        return Categorical(self.classes)

    @cached_property
    def net(self) -> "TransitionTable":
        """The table."""
        return TransitionTable(self.length, self.classes, self.order, self.context)


@dataclass(frozen=True)
class TransitionTable:
    """Logits for each history of at most `order` symbols.

    Histories are written in base C with digits 1 to C, x + 1, and 0 before the start, the latest symbol last. Each row
    of the table belongs to one history.
    """

    dim: int
    classes: int
    order: int
    context: int = 0

    @property
    def permutation(self) -> np.ndarray:
        """The places, in the order in which they are generated."""
        return np.arange(self.dim)

    @property
    def rows(self) -> int:
        """How many histories there are: 1 + C + ... + C^k."""
        return sum(self.classes**j for j in range(self.order + 1))

    def specs(self) -> dict[str, nn.Spec]:
        """The parameters by path."""
        specs = {"logits": nn.Spec((self.rows, self.classes), 0.1)}
        if self.context:
            size = self.rows * self.classes
            specs["context.weight"] = nn.Spec((self.context, size), bound(self.context))
        return specs

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """All logits: [..., D, C] for one-hot `x` [..., D, C]."""
        digits = self._digit(x)
        start = digits[..., :1] * 0
        padded = ops.concatenate([start] * self.order + [digits])
        histories = ops.stack([padded[..., j : j + self.dim] for j in range(self.order)], -1)
        return self._look_up(self._table(params, context), histories)

    def init_cache(
        self, params: Parameters, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> dict[str, ops.Array]:
        """What `step` carries: the history [..., k], before the start, and the table."""
        return {
            "history": ops.zeros((*shape, self.order), params["logits"]),
            "table": self._table(params, context),
        }

    def step(
        self, params: Parameters, cache: dict[str, ops.Array], x: ops.Array, i: Any
    ) -> tuple[dict[str, ops.Array], ops.Array]:
        """The logits [..., C] at place i, given the one-hot symbol before it, zero at i = 0."""
        history = ops.concatenate([cache["history"][..., 1:], self._digit(x)[..., None]])
        return {**cache, "history": history}, self._look_up(cache["table"], history[..., None, :])[..., 0, :]

    def _digit(self, x: ops.Array) -> ops.Array:
        """From one-hot symbols [..., C] to 1..C; from zeros to 0."""
        return ops.sum(x * ops.as_type_of(np.arange(1, self.classes + 1), x), -1)

    def _table(self, params: Parameters, context: ops.Array | None) -> ops.Array:
        """Logits [..., rows, C]."""
        if not self.context:
            return ops.asarray(params["logits"])
        change = context @ params["context.weight"]
        return params["logits"] + change.reshape(*change.shape[:-1], self.rows, self.classes)

    def _look_up(self, table: ops.Array, histories: ops.Array) -> ops.Array:
        """Rows [..., n, C] of the table at digits [..., n, k]."""
        powers = self.classes ** np.arange(self.order)[::-1]
        row = ops.sum(ops.as_integer(histories) * ops.asarray(powers.copy(), like=table), -1)
        if not self.context:
            return table[row]
        shape = np.broadcast_shapes(tuple(table.shape[:-2]), tuple(row.shape[:-1]))
        row = ops.broadcast_to(row[..., None], (*shape, row.shape[-1], self.classes))
        return ops.take_along(ops.broadcast_to(table, (*shape, *table.shape[-2:])), row, -2)
