"""A recurrent layer over the rows of a sequence."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ppgen import ops
from ppgen.arguments import assign, size
from ppgen.nn.recurrent import CELLS, Cell
from ppgen.nn.spec import Parameters, Spec


@dataclass(frozen=True)
class RecurrentLayer:
    r"""The outputs of a recurrent cell along a sequence: :math:`h_t = \text{cell}(h_{t-1}, x_t)` with :math:`h_0 = 0`.

    Output t sees the inputs up to its own place; in `reverse`, those from its place on. Two layers side by side, one of
    them in reverse, see all of it. (`RecurrentNetwork` sees what comes before a place, to predict it.)

    Args:
        inputs: numbers at each place.
        hidden: size of the state.
        cell: "gru" or "lstm".
        reverse: go from the last place to the first; each output stays at the place of its input.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.RecurrentLayer(3, 8, cell="lstm", reverse=True)
        >>> rng = np.random.default_rng(0)
        >>> params = {path: spec.draw(rng) for path, spec in net.specs().items()}
        >>> net.apply(params, np.ones((5, 20, 3), np.float32)).shape
        (5, 20, 8)
    """

    inputs: int
    hidden: int
    cell: str = "gru"
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"RecurrentLayer: expected a cell, one of {tuple(CELLS)}; got {self.cell!r}.")
        assign(self, **{name: size("RecurrentLayer", name, getattr(self, name)) for name in ("inputs", "hidden")})

    @cached_property
    def _cell(self) -> Cell:
        return CELLS[self.cell](self.inputs, self.hidden)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path: those of the cell."""
        return self._cell.specs()

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array:
        """The outputs [..., T, hidden] for a sequence `x` [..., T, inputs]."""
        if x.ndim < 2 or x.shape[-1] != self.inputs:
            raise ValueError(f"expected a sequence [..., T, {self.inputs}] for {self!r}; got shape {tuple(x.shape)}.")
        gates = ops.moveaxis(self._cell.project(params, x), -2, 0)

        def step(state: Any, projected: ops.Array) -> Any:
            state = self._cell.step(params, state, projected)
            return state, state[0]

        _, h = ops.scan(step, self._cell.start(params, tuple(x.shape[:-2])), gates, reverse=self.reverse)
        return ops.moveaxis(h, 0, -2)
