"""Recurrent cells, and the network that goes through a sequence with one."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.arguments import assign, size
from ppgen.nn.spec import Parameters, Spec, gather, part
from ppgen.nn.start import bound, linear


@dataclass(frozen=True)
class Cell:
    """A map (state, input) -> state.

    All gates of the input are one matrix product, `project`, which a sequence can do for all times at once; all gates
    of the state are another, in `step`.

    Attributes:
        inputs: size of an input.
        hidden: size of the output, which is the first array of the state.
    """

    inputs: int
    hidden: int

    gates = 0
    states = 1

    def __post_init__(self) -> None:
        assign(self, **{name: size(type(self).__name__, name, getattr(self, name)) for name in ("inputs", "hidden")})

    def specs(self) -> dict[str, Spec]:
        """The parameters by path; the gates' columns lie side by side."""
        width, entering = self.gates * self.hidden, self.inputs + self.hidden
        return linear("input", self.inputs, width, entering) | linear("state", self.hidden, width, entering)

    def start(self, params: Parameters, shape: tuple[int, ...]) -> tuple[ops.Array, ...]:
        """The state before the first input: arrays of zeros [*shape, hidden]."""
        return (ops.zeros((*shape, self.hidden), params["state.bias"]),) * self.states

    def project(self, params: Parameters, x: ops.Array) -> ops.Array:
        """What inputs `x` [..., inputs] add to the gates, [..., gates * hidden]."""
        return ops.linear(x, params["input.weight"], params["input.bias"])

    def step(self, params: Parameters, state: tuple[ops.Array, ...], projected: ops.Array) -> tuple[ops.Array, ...]:
        """The next state, given a projected input."""
        raise NotImplementedError(f"{type(self).__name__} has no step.")

    def apply(self, params: Parameters, state: tuple[ops.Array, ...], x: ops.Array) -> tuple[ops.Array, ...]:
        """The next state, given an input `x` [..., inputs]."""
        return self.step(params, state, self.project(params, x))

    def _gates(self, params: Parameters, h: ops.Array) -> ops.Array:
        return ops.linear(h, params["state.weight"], params["state.bias"])

    def _split(self, x: ops.Array) -> tuple[ops.Array, ...]:
        return ops.split(x, (self.hidden,) * self.gates)


@dataclass(frozen=True)
class GRU(Cell):
    r"""The gated recurrent unit (Cho et al., 2014), with gates in the order reset, update, new.

    .. math::
        r = \sigma(x W_r + h U_r), \quad z = \sigma(x W_z + h U_z), \quad n = \tanh(x W_n + r \cdot h U_n), \quad
        h' = (1 - z) n + z h
    """

    gates = 3

    def step(self, params: Parameters, state: tuple[ops.Array, ...], projected: ops.Array) -> tuple[ops.Array, ...]:
        (h,) = state
        (xr, xz, xn), (hr, hz, hn) = self._split(projected), self._split(self._gates(params, h))
        reset, update = ops.sigmoid(xr + hr), ops.sigmoid(xz + hz)
        new = ops.tanh(xn + reset * hn)
        return ((1 - update) * new + update * h,)


@dataclass(frozen=True)
class LSTM(Cell):
    r"""Long short-term memory (Hochreiter & Schmidhuber, 1997), with gates in the order input, forget, new, output.

    .. math:: c' = f c + i n, \quad h' = o \tanh(c'), \qquad i, f, o = \sigma(x W + h U), \quad n = \tanh(x W + h U)
    """

    gates = 4
    states = 2

    def step(self, params: Parameters, state: tuple[ops.Array, ...], projected: ops.Array) -> tuple[ops.Array, ...]:
        h, c = state
        i, f, n, o = self._split(projected + self._gates(params, h))
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(n)
        return ops.sigmoid(o) * ops.tanh(c), c


CELLS = {"gru": GRU, "lstm": LSTM}


@dataclass(frozen=True)
class RecurrentNetwork:
    r"""Numbers for each place of a sequence, from the places before it: theta_i = W h_i, h_i = cell(h_{i-1}, x_{i-1}).

    Args:
        length: length D of the sequence.
        hidden: size of the state.
        outputs: numbers per place.
        inputs: numbers that each place enters with.
        cell: "gru" or "lstm".
        context: size of the context, which enters the gates at each step; 0 for none.
    """

    length: int
    hidden: int = 64
    outputs: int = 1
    inputs: int = 1
    cell: str = "gru"
    context: int = 0

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"expected a cell, one of {tuple(CELLS)}; got {self.cell!r}.")
        for name, least in (("length", 1), ("hidden", 1), ("outputs", 1), ("inputs", 1), ("context", 0)):
            assign(self, **{name: size("RecurrentNetwork", name, getattr(self, name), least)})

    @property
    def permutation(self) -> np.ndarray:
        """The places, in the order in which they are generated."""
        return np.arange(self.length)

    @cached_property
    def _cell(self) -> Cell:
        return CELLS[self.cell](self.inputs, self.hidden)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        specs = gather(cell=self._cell) | linear("out", self.hidden, self.outputs)
        if self.context:
            entering = self.inputs + self.hidden + self.context
            specs["context.weight"] = Spec((self.context, self._cell.gates * self.hidden), bound(entering))
        return specs

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """All outputs [..., D, outputs] for inputs `x` [..., D, inputs], in one scan over the sequence."""
        cell, weights = self._cell, part(params, "cell")
        before = ops.concatenate([x[..., :1, :] * 0, x[..., :-1, :]], -2)
        gates = cell.project(weights, before)
        if self.context:
            gates = gates + (context @ params["context.weight"])[..., None, :]

        def step(state: Any, projected: ops.Array) -> Any:
            state = cell.step(weights, state, projected)
            return state, state[0]

        _, h = ops.scan(step, cell.start(weights, tuple(gates.shape[:-2])), ops.moveaxis(gates, -2, 0))
        return self._out(params, ops.moveaxis(h, 0, -2))

    def init_cache(
        self, params: Parameters, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> dict[str, Any]:
        """What `step` carries: the state, and what the context adds to the gates."""
        cache = {"state": self._cell.start(part(params, "cell"), shape)}
        if self.context:
            cache["context"] = context @ params["context.weight"]
        return cache

    def step(self, params: Parameters, cache: dict[str, Any], x: ops.Array, i: Any) -> tuple[dict[str, Any], ops.Array]:
        """The i-th outputs [..., outputs], given the input before them, `x` [..., inputs]."""
        cell, weights = self._cell, part(params, "cell")
        gates = cell.project(weights, x)
        if self.context:
            gates = gates + cache["context"]
        state = cell.step(weights, cache["state"], gates)
        return {**cache, "state": state}, self._out(params, state[0])

    def _out(self, params: Parameters, h: ops.Array) -> ops.Array:
        return ops.linear(h, params["out.weight"], params["out.bias"])
