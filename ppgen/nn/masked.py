"""A perceptron whose i-th outputs see only the inputs before the i-th: the network of MADE, MAF and IAF."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.nn.arguments import settle, size, sizes
from ppgen.nn.mlp import ACTIVATIONS, check_activation
from ppgen.nn.spec import Parameters, Spec
from ppgen.nn.start import bound, linear


@dataclass(frozen=True)
class MaskedMLP:
    r"""Masked layers (Germain et al., 2015): output :math:`\theta_i` depends on :math:`x_j` only where j comes before i.

    A hidden unit of degree d sees the first d inputs of the order: it can be computed as soon as those are known. To go
    block by block, `enter` sums up what the units of the next `block` dimensions get from all before them, and `inside`
    passes through those few units alone: once through all blocks costs little more than one pass.

    Args:
        dim: number of dimensions D.
        hidden: sizes of the hidden layers.
        outputs: numbers per dimension.
        inputs: numbers that each dimension enters with (classes of a one-hot code, else 1).
        context: size of the context; 0 for none.
        order: a permutation of 0..D-1, the first dimension first; that of the columns by default.
        activation: of the hidden layers, see `ppgen.nn.MLP`.
        residual: add what enters each hidden layer to what enters the next, a_l = a_{l-1} + f(a_{l-1}) W_l + b_l with
            f the activation (He et al., 2016); for hidden layers of one size.
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
        settle(
            self,
            dim=size("MaskedMLP", "dim", self.dim),
            hidden=sizes("MaskedMLP", "hidden", self.hidden, empty=True),
            outputs=size("MaskedMLP", "outputs", self.outputs),
            inputs=size("MaskedMLP", "inputs", self.inputs),
            context=size("MaskedMLP", "context", self.context, 0),
        )
        check_order(self.order, self.dim)
        settle(self, order=None if self.order is None else tuple(map(int, self.order)))
        check_activation(self.activation)
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
        columns, results = self.dim * self.inputs, self.dim * self.outputs
        specs = {}
        for name, (m, n) in zip(self._ends, pairwise((columns, *self.hidden, results)), strict=False):
            specs |= linear(name, m, n, self._entering[name])
        if self.context and self.hidden:
            specs["context.weight"] = Spec((self.context, self.hidden[0]), bound(self._entering["0"]))
        if self.context:
            specs["context.direct"] = Spec((self.context, results), bound(self._entering["out"]))
        if self.direct and self.hidden:
            specs["direct.weight"] = Spec((columns, results), bound(self._entering["out"]))
        return specs

    def parameters(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """All outputs in one pass: [..., D, outputs] for inputs `x` [..., D, inputs]."""
        w = self._masked(params)
        x = x.reshape(*x.shape[:-2], self.dim * self.inputs)
        hidden, result = self._from_context(params, context)

        def layer(name: str, h: ops.Array) -> ops.Array:
            a = ops.linear(h, w[name], params[f"{name}.bias"])
            return a + hidden if self.context and name == "0" else a

        out = layer("out", self._units(x, layer)[-1])
        if self.context:
            out = out + result
        if "direct" in w:
            out = out + x @ w["direct"]
        return out.reshape(*out.shape[:-1], self.dim, self.outputs)

    @property
    def block(self) -> int:
        """How many dimensions `enter` prepares: fewer would be more blocks, more would be more work in each."""
        return min(self.dim, round(2 * math.sqrt(self.dim)))

    def init_cache(
        self, params: dict[str, ops.Array], shape: tuple[int, ...], context: ops.Array | None = None
    ) -> dict[str, Any]:
        """What is known: no unit yet. A row is an entry of `shape`; units stand in the order of their steps."""
        rows = math.prod(shape)
        hidden, result = self._from_context(params, context)
        extra = {"out": result, **({"0": hidden} if self.hidden else {})}
        weights, biases = {}, {}
        for name, weight in self._masked(params).items():
            source, target = self._ends[name]
            weights[name] = self._laid_out(self._laid_out(weight, source, 0), target, 1)
            if name != "direct":
                bias = params[f"{name}.bias"] + extra.get(name, 0.0)
                if bias.ndim > 1:
                    bias = ops.broadcast_to(bias, (*shape, bias.shape[-1])).reshape(rows, bias.shape[-1])
                biases[name] = self._laid_out(bias, target, -1)
        widths = (self._blocks * self.block * self.inputs, *self.hidden)
        return {
            "known": [ops.zeros((rows, width), params["out.bias"]) for width in widths],
            "weights": weights,
            "biases": biases,
        }

    def enter(self, params: dict[str, ops.Array], cache: dict[str, Any], i: Any) -> dict[str, Any]:
        """What `inside` needs for the dimensions i to i + block - 1: weights between their units, and what comes before."""
        number, known = i // self.block, cache["known"]
        start = [ops.entry(window.starts, number) for window in self._windows]
        mine = [ops.as_type_of(ops.entry(window.mine, number), known[0]) for window in self._windows]
        inner, before = {}, {}
        for name, weight in cache["weights"].items():
            source, target = self._ends[name]
            weight = ops.window(weight, start[target], mine[target].shape[0], 1)
            before[name] = known[source] @ weight
            inner[name] = ops.window(weight, start[source], mine[source].shape[0], 0) * mine[source][:, None]
        for name, bias in cache["biases"].items():
            _, target = self._ends[name]
            before[name] = before[name] + ops.window(bias, start[target], mine[target].shape[0])
        return {"inner": inner, "before": before, "start": start, "mine": mine}

    def inside(self, params: dict[str, ops.Array], block: dict[str, Any], x: ops.Array) -> ops.Array:
        """The outputs [..., block, outputs] of a block's dimensions, given its own inputs `x` [..., block, inputs]."""
        units = self._block_units(block, x)
        theta = self._block_layer(block, "out", units[-1])
        if "direct" in block["inner"]:
            theta = theta + self._block_layer(block, "direct", units[0])
        return theta.reshape(*x.shape[:-1], self.outputs)

    def leave(
        self, params: dict[str, ops.Array], cache: dict[str, Any], block: dict[str, Any], x: ops.Array
    ) -> dict[str, Any]:
        """The cache after a block whose inputs are `x` [..., block, inputs]: its units are known."""
        known = [
            ops.put_window(known, ops.window(known, start, own.shape[0]) + units * own, start)
            for known, units, start, own in zip(
                cache["known"], self._block_units(block, x), block["start"], block["mine"], strict=False
            )
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
    def _masks(self) -> dict[str, ops.Mask]:
        """Which entries of each weight matrix are there, [inputs, outputs]: none leads back in time."""
        return {
            name: ops.Mask(self._times[source][:, None] <= self._times[target])
            for name, (source, target) in self._ends.items()
        }

    @cached_property
    def _entering(self) -> dict[str, np.ndarray]:
        """How many numbers enter each unit of the layers that have a bias."""
        entering = {name: mask.ones.sum(0) for name, mask in self._masks.items()}
        if "direct" in entering:
            entering["out"] = entering["out"] + entering.pop("direct")
        return {name: n + self.context * (name in ("0", "out")) for name, n in entering.items()}

    @property
    def _blocks(self) -> int:
        """How many blocks there are: the last may go on beyond the last dimension."""
        return -(-self.dim // self.block)

    @cached_property
    def _windows(self) -> list["_Windows"]:
        """Of each layer, the units that each block computes: its inputs and outputs stand side by side."""
        blocks = np.repeat(np.arange(self._blocks), self.block)
        layers = (
            np.repeat(blocks, self.inputs),
            *(d // self.block for d in self._degrees),
            np.repeat(blocks, self.outputs),
        )
        return [_Windows.of(layer, self._blocks) for layer in layers]

    def _laid_out(self, x: ops.Array, layer: int, axis: int) -> ops.Array:
        """`x` with the units of a layer along an axis in the order of their steps, and zeros that complete the last block.

        Hidden units are so already.
        """
        if 0 < layer <= len(self.hidden):
            return x
        if self.order is not None:
            x = ops.take(x, np.argsort(self._times[layer], kind="stable"), axis)
        missing = (self._blocks * self.block - self.dim) * x.shape[axis] // self.dim
        return ops.pad(x, missing, axis) if missing else x

    def _units(self, x: ops.Array, layer: Callable[[str, ops.Array], ops.Array]) -> list[ops.Array]:
        """The inputs and the units of all hidden layers, where `layer(name, h)` is what a layer makes of the one before."""
        units = [x]
        a = None
        for i in range(len(self.hidden)):
            new = layer(f"{i}", units[-1])
            a = a + new if self.residual and i else new
            units.append(self._activate(a))
        return units

    def _block_units(self, block: dict[str, Any], x: ops.Array) -> list[ops.Array]:
        """The units [rows, n] of a block in each layer but the last, given its inputs."""
        return self._units(x.reshape(-1, self.block * self.inputs), partial(self._block_layer, block))

    def _block_layer(self, block: dict[str, Any], name: str, h: ops.Array) -> ops.Array:
        return ops.linear(h, block["inner"][name], block["before"][name])

    def _masked(self, params: Parameters) -> dict[str, ops.Array]:
        return {name: mask(params[f"{name}.weight"]) for name, mask in self._masks.items()}

    def _from_context(self, params: Parameters, context: ops.Array | None) -> tuple[Any, Any]:
        """What the context adds to the first hidden layer and to the outputs."""
        if not self.context:
            return 0.0, 0.0
        return (context @ params["context.weight"] if self.hidden else 0.0), context @ params["context.direct"]

    def _activate(self, x: ops.Array) -> ops.Array:
        return ACTIVATIONS[self.activation](x)


@dataclass(frozen=True)
class _Windows:
    """Stretches of a layer, all of one size: each holds the units of a block, and maybe some of its neighbours'."""

    starts: np.ndarray  # [blocks]
    mine: np.ndarray  # [blocks, size]: whether a unit is the block's own

    @classmethod
    def of(cls, blocks: np.ndarray, count: int) -> "_Windows":
        """Those of a layer whose units belong to the given blocks, in rising order."""
        numbers = np.arange(count)
        size = max(1, np.bincount(blocks, minlength=count)[:count].max())
        starts = np.minimum(np.searchsorted(blocks, numbers), len(blocks) - size)
        mine = blocks[starts[:, None] + np.arange(size)] == numbers[:, None]
        return cls(starts, mine)


def check_order(order: tuple[int, ...] | None, dim: int) -> None:
    """Raise where an order is no permutation of the dimensions."""
    if order is not None and sorted(order) != list(range(dim)):
        raise ValueError(f"expected an order that is a permutation of 0..{dim - 1}; got {order!r}.")
