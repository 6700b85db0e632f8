"""A masked perceptron that goes block by block: how MADE, MAF and IAF draw."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ppgen import nn, ops


class BlockwiseMLP(nn.MaskedMLP):
    """A `ppgen.nn.MaskedMLP` that computes each hidden unit once while dimensions become known, a block of them at a time.

    `enter` sums up what the units of the next `block` dimensions get from all before them, and `inside` passes through
    those few units alone: once through all blocks costs little more than one pass.
    """

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

    def _block_units(self, block: dict[str, Any], x: ops.Array) -> list[ops.Array]:
        """The units [rows, n] of a block in each layer but the last, given its inputs."""
        return self._units(x.reshape(-1, self.block * self.inputs), partial(self._block_layer, block))

    def _block_layer(self, block: dict[str, Any], name: str, h: ops.Array) -> ops.Array:
        return ops.linear(h, block["inner"][name], block["before"][name])


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
