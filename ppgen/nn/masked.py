"""A perceptron whose i-th outputs see only the inputs before the i-th: the network of MADE, MAF and IAF."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.arguments import assign, size, sizes
from ppgen.nn.mlp import ACTIVATIONS, check_activation
from ppgen.nn.spec import Parameters, Spec
from ppgen.nn.start import bound, linear


@dataclass(frozen=True)
class MaskedMLP:
    r"""Masked layers (Germain et al., 2015): output :math:`\theta_i` depends on :math:`x_j` only where j comes before i.

    A hidden unit of degree d sees the first d inputs of the order: it can be computed as soon as those are known.

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
        assign(
            self,
            dim=size("MaskedMLP", "dim", self.dim),
            hidden=sizes("MaskedMLP", "hidden", self.hidden, empty=True),
            outputs=size("MaskedMLP", "outputs", self.outputs),
            inputs=size("MaskedMLP", "inputs", self.inputs),
            context=size("MaskedMLP", "context", self.context, 0),
        )
        check_order(self.order, self.dim)
        assign(self, order=None if self.order is None else tuple(map(int, self.order)))
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

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
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

    def _units(self, x: ops.Array, layer: Callable[[str, ops.Array], ops.Array]) -> list[ops.Array]:
        """The inputs and the units of all hidden layers, where `layer(name, h)` is what a layer makes of the one before."""
        units = [x]
        a = None
        for i in range(len(self.hidden)):
            new = layer(f"{i}", units[-1])
            a = a + new if self.residual and i else new
            units.append(ACTIVATIONS[self.activation](a))
        return units

    def _masked(self, params: Parameters) -> dict[str, ops.Array]:
        return {name: mask(params[f"{name}.weight"]) for name, mask in self._masks.items()}

    def _from_context(self, params: Parameters, context: ops.Array | None) -> tuple[Any, Any]:
        """What the context adds to the first hidden layer and to the outputs."""
        if not self.context:
            return 0.0, 0.0
        return (context @ params["context.weight"] if self.hidden else 0.0), context @ params["context.direct"]


def check_order(order: tuple[int, ...] | None, dim: int) -> None:
    """Raise where an order is no permutation of the dimensions."""
    if order is not None and sorted(order) != list(range(dim)):
        raise ValueError(f"expected an order that is a permutation of 0..{dim - 1}; got {order!r}.")
