"""A perceptron whose i-th outputs see only the inputs before the i-th: the network of MADE, MAF and IAF."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.nn.mlp import ACTIVATIONS, RECTIFIERS
from ppgen.nn.spec import Spec

BLOCK = 14  # dimensions; from 8 to 28 the time to draw is the same within a tenth


@dataclass(frozen=True)
class MaskedMLP:
    r"""Masked layers (Germain et al., 2015): output :math:`\theta_i` depends on :math:`x_j` only where j comes before i.

    A hidden unit of degree d sees the first d inputs of the order: it can be computed as soon as those are known. To go
    dimension by dimension, `enter` sums up what the units of the next `block` dimensions get from all before them, and
    `step` passes through those few units alone: all steps together cost little more than one pass.

    Args:
        dim: number of dimensions D.
        hidden: sizes of the hidden layers.
        outputs: numbers per dimension.
        inputs: numbers that each dimension enters with (classes of a one-hot code, else 1).
        context: size of the context; 0 for none.
        order: a permutation of 0..D-1, the first dimension first; that of the columns by default.
        activation: of the hidden layers, see `ppgen.nn.MLP`.
        residual: add each hidden layer to the one before (hidden layers of one size).
        direct: connect inputs to outputs too.
        seed: draw the units' degrees at random; by default they are spread evenly.
    """

    dim: int
    hidden: tuple[int, ...]
    outputs: int = 1
    inputs: int = 1
    context: int = 0
    order: tuple[int, ...] | None = None
    activation: str = "relu"
    residual: bool = False
    direct: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        check_order(self.order, self.dim)
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"expected an activation, one of {sorted(ACTIVATIONS)}; got {self.activation!r}.")
        if not all(isinstance(n, int) and n > 0 for n in self.hidden):
            raise ValueError(f"expected hidden layers of positive integer sizes; got {self.hidden!r}.")
        if self.residual and len(set(self.hidden)) > 1:
            raise ValueError(f"expected hidden layers of one size for residual connections; got {self.hidden!r}.")

    @property
    def ranks(self) -> np.ndarray:
        """The place of each dimension in the order."""
        return np.argsort(self.permutation)

    @property
    def permutation(self) -> np.ndarray:
        """The dimensions, in the order in which they are generated."""
        return np.arange(self.dim) if self.order is None else np.array(self.order)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        gain = 6.0 if self.activation in RECTIFIERS else 3.0  # a uniform in [-b, b] has variance b^2 / 3
        columns, results = self.dim * self.inputs, self.dim * self.outputs
        widths = (columns, *self.hidden)
        specs = {}
        for i, (m, n) in enumerate(zip(widths, self.hidden, strict=False)):
            specs[f"{i}.weight"] = Spec((m, n), math.sqrt(gain / m))
            specs[f"{i}.bias"] = Spec((n,))
        specs["out.weight"] = Spec((widths[-1], results), math.sqrt(3.0 / widths[-1]))
        specs["out.bias"] = Spec((results,))
        if self.context and self.hidden:
            specs["context.weight"] = Spec((self.context, self.hidden[0]), math.sqrt(gain / self.context))
        if self.context:
            specs["context.direct"] = Spec((self.context, results), math.sqrt(3.0 / self.context))
        if self.direct and self.hidden:
            specs["direct.weight"] = Spec((columns, results))
        return specs

    def parameters(self, params: dict[str, ops.Array], x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """All outputs in one pass: [..., D, outputs] for inputs `x` [..., D, inputs]."""
        w = self._masked(params)
        x = x.reshape(*x.shape[:-2], self.dim * self.inputs)
        hidden, result = self._from_context(params, context)
        h = x
        for i in range(len(self.hidden)):
            new = self._activate(ops.linear(h, w[f"{i}"], params[f"{i}.bias"]) + (hidden if i == 0 else 0.0))
            h = h + new if self.residual and i else new
        out = ops.linear(h, w["out"], params["out.bias"]) + result
        if "direct" in w:
            out = out + x @ w["direct"]
        return out.reshape(*out.shape[:-1], self.dim, self.outputs)

    @property
    def block(self) -> int:
        """How many steps `enter` prepares."""
        return min(self.dim, BLOCK)

    def init_cache(
        self, params: dict[str, ops.Array], shape: tuple[int, ...], context: ops.Array | None = None
    ) -> dict[str, Any]:
        """What is known: no unit yet. A row is a unit, block after block; a column is an entry of `shape`."""
        hidden, result = self._from_context(params, context)
        extra = {"out": result, **({"0": hidden} if self.hidden else {})}
        known = [ops.zeros((units.size, math.prod(shape)), params["out.bias"]) for units in self._blocks[:-1]]
        weights = {name: self._rows(weight, *self._ends[name]) for name, weight in self._masked(params).items()}
        biases = {
            name: self._columns(params[f"{name}.bias"] + extra.get(name, 0.0), shape, self._ends[name][1])
            for name in weights
            if name != "direct"
        }
        return {"known": known, "weights": weights, "biases": biases}

    def enter(self, params: dict[str, ops.Array], cache: dict[str, Any], i: Any) -> dict[str, Any]:
        """What the steps i to i + block - 1 need: their units, the weights between those, and what comes from before."""
        number = i // self.block
        inner, before = {}, {}
        for name, weights in cache["weights"].items():
            source, _ = self._ends[name]
            size = self._blocks[source].shape[1]
            weight = ops.window(weights, number, 1, 0)[0]
            inner[name] = ops.window(weight, number * size, size, 1)
            before[name] = weight @ cache["known"][source]
        for name, biases in cache["biases"].items():
            before[name] = before[name] + ops.window(biases, number, 1, 0)[0]
        units = [known[: units.shape[1]] * 0 for known, units in zip(cache["known"], self._blocks, strict=False)]
        return {"units": units, "inner": inner, "before": before}

    def step(
        self, params: dict[str, ops.Array], block: dict[str, Any], x: ops.Array, i: Any
    ) -> tuple[dict[str, Any], ops.Array]:
        """The outputs [..., outputs] of the i-th dimension of the order, given the one before it, `x` [..., inputs].

        Units of the block that see more than is known come out wrong, and are computed again at a later step.
        """
        place = i % self.block
        inner, before = block["inner"], block["before"]
        new = ops.moveaxis(x.reshape(math.prod(x.shape[:-1]), self.inputs), 0, 1)
        units = [ops.put_window(block["units"][0], new, place * self.inputs, 0)]
        for layer in range(len(self.hidden)):
            h = self._activate(before[f"{layer}"] + inner[f"{layer}"] @ units[-1])
            units.append(h + units[-1] if self.residual and layer else h)

        def out(name: str, h: ops.Array) -> ops.Array:
            weight, rest = (ops.window(a[name], place * self.outputs, self.outputs, 0) for a in (inner, before))
            return rest + weight @ h

        theta = out("out", units[-1])
        if "direct" in inner:
            theta = theta + out("direct", units[0])
        return {**block, "units": units}, ops.moveaxis(theta, 0, 1).reshape(*x.shape[:-1], self.outputs)

    def leave(
        self, params: dict[str, ops.Array], cache: dict[str, Any], block: dict[str, Any], i: Any
    ) -> dict[str, Any]:
        """The cache after the last step of the block that began at i: its units are known."""
        number = i // self.block
        known = [
            ops.put_window(known, units, number * units.shape[0], 0)
            for known, units in zip(cache["known"], block["units"], strict=True)
        ]
        return {**cache, "known": known}

    # ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _degrees(self) -> list[np.ndarray]:
        """Sorted degrees of the units of each hidden layer; units of degree 0 see the context only."""
        low = 0 if self.context else 1
        high = max(self.dim - 1, low)
        if self.seed is None:
            return [low + np.arange(n) * (high - low + 1) // n for n in self.hidden]
        rng = np.random.default_rng(self.seed)
        drawn = [np.sort(rng.integers(low, high + 1, n)) for n in self.hidden]
        return drawn[:1] * len(drawn) if self.residual else drawn

    @cached_property
    def _times(self) -> list[np.ndarray]:
        """The step at which each input, each unit of a hidden layer, and each output is computed."""
        inputs, outputs = np.repeat(self.ranks + 1, self.inputs), np.repeat(self.ranks, self.outputs)
        return [inputs, *self._degrees, outputs]

    @cached_property
    def _ends(self) -> dict[str, tuple[int, int]]:
        """The layers that each weight matrix connects: 0 is the inputs, -1 the outputs."""
        depth = len(self.hidden)
        ends = {**{f"{i}": (i, i + 1) for i in range(depth)}, "out": (depth, -1)}
        return {**ends, "direct": (0, -1)} if self.direct and self.hidden else ends

    @cached_property
    def _masks(self) -> dict[str, np.ndarray]:
        """Which entries of each weight matrix are there, [inputs, outputs]: none leads back in time."""
        return {
            name: (self._times[source][:, None] <= self._times[target]).astype(np.float32)
            for name, (source, target) in self._ends.items()
        }

    @cached_property
    def _blocks(self) -> list[np.ndarray]:
        """Which units of each layer are computed in each block of steps, [blocks, units]; -1 where there are fewer."""
        count = -(-self.dim // self.block)
        blocks = []
        for layer, times in enumerate(self._times):
            order = np.argsort(times, kind="stable")
            rows = [order[times[order] // self.block == number] for number in range(count)]
            if layer == 0:
                rows[0] = np.concatenate([np.full(self.inputs, -1), rows[0]])  # before the first step: no input
            size = max(1, *map(len, rows))
            blocks.append(np.array([np.pad(row, (0, size - len(row)), constant_values=-1) for row in rows]))
        return blocks

    def _rows(self, weight: ops.Array, source: int, target: int) -> ops.Array:
        """A masked weight matrix as [blocks, units of the target, all units of the source]."""
        above, below = self._blocks[source].ravel(), self._blocks[target]
        weight = ops.take(weight, np.maximum(above, 0), 0) * ops.as_type_of(above >= 0, weight)[:, None]
        return ops.moveaxis(ops.take(weight, np.maximum(below.ravel(), 0), 1), 0, 1).reshape(*below.shape, above.size)

    def _columns(self, bias: ops.Array, shape: tuple[int, ...], target: int) -> ops.Array:
        """A bias [n], or one [..., n] that depends on the context, as [blocks, units, 1 or entries of `shape`]."""
        units = self._blocks[target]
        if bias.ndim == 1:
            bias = bias[None]
        else:
            bias = ops.broadcast_to(bias, (*shape, bias.shape[-1])).reshape(math.prod(shape), bias.shape[-1])
        return ops.moveaxis(ops.take(bias, np.maximum(units.ravel(), 0)), 0, 1).reshape(*units.shape, bias.shape[0])

    def _masked(self, params: dict[str, ops.Array]) -> dict[str, ops.Array]:
        return {
            name: params[f"{name}.weight"] * ops.as_type_of(mask, params[f"{name}.weight"])
            for name, mask in self._masks.items()
        }

    def _from_context(self, params: dict[str, ops.Array], context: ops.Array | None) -> tuple[Any, Any]:
        """What the context adds to the first hidden layer and to the outputs."""
        if not self.context:
            return 0.0, 0.0
        return (context @ params["context.weight"] if self.hidden else 0.0), context @ params["context.direct"]

    def _activate(self, x: ops.Array) -> ops.Array:
        return ACTIVATIONS[self.activation](x)


def check_order(order: tuple[int, ...] | None, dim: int) -> None:
    """Raise where an order is no permutation of the dimensions."""
    if order is not None and sorted(order) != list(range(dim)):
        raise ValueError(f"expected an order that is a permutation of 0..{dim - 1}; got {order!r}.")
