"""A perceptron whose i-th outputs see only the inputs before the i-th: the network of MADE, MAF and IAF."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.nn.mlp import ACTIVATIONS, RECTIFIERS
from ppgen.nn.spec import Spec


@dataclass(frozen=True)
class MaskedMLP:
    r"""Masked layers (Germain et al., 2015): output :math:`\theta_i` depends on :math:`x_j` only where j comes before i.

    A hidden unit of degree d sees the first d inputs of the order. Units are sorted by degree, so that `step` computes
    each of them once, as soon as its inputs are known: all dimensions together cost about one pass.

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

    def init_cache(
        self, params: dict[str, ops.Array], shape: tuple[int, ...], context: ops.Array | None = None
    ) -> dict[str, Any]:
        """What `step` carries: the inputs and units known so far, and weights with a row for each unit."""
        w, like = self._masked(params), params["out.bias"]
        hidden, offset = self._from_context(params, context)

        def rows(weight: ops.Array) -> ops.Array:
            return ops.moveaxis(weight, 0, 1)

        def everywhere(bias: ops.Array) -> ops.Array:
            return ops.broadcast_to(bias, (*shape, bias.shape[-1]))

        layers = range(len(self.hidden))
        cache = {
            "x": ops.zeros((*shape, self.dim * self.inputs), like),
            "units": [ops.zeros((*shape, n), like) for n in self.hidden],
            "weight": [rows(w[f"{i}"]) for i in layers],
            "bias": [everywhere(params[f"{i}.bias"] + (0.0 if i else hidden)) for i in layers],
            "offset": everywhere(like + offset).reshape(*shape, self.dim, self.outputs),
        }
        for name in w.keys() & {"out", "direct"}:
            cache[name] = rows(w[name]).reshape(self.dim, self.outputs, -1)
        return cache

    def step(
        self, params: dict[str, ops.Array], cache: dict[str, Any], x: ops.Array, i: Any
    ) -> tuple[dict[str, Any], ops.Array]:
        """The outputs [..., outputs] of the i-th dimension of the order, given the one before it, `x` [..., inputs].

        Nothing comes before i = 0: there `x` is zero.
        """
        order = ops.asarray(self.permutation)
        seen = ops.put_window(cache["x"], x, order[i - 1] * self.inputs)
        units = list(cache["units"])
        h = seen
        for layer, (starts, size) in enumerate(self._blocks):  # the units that see what is new
            start = ops.asarray(starts)[i]
            weight = ops.window(cache["weight"][layer], start, size, 0)
            new = self._activate(h @ ops.moveaxis(weight, 0, 1) + ops.window(cache["bias"][layer], start, size))
            if self.residual and layer:
                new = new + ops.window(h, start, size)
            h = units[layer] = ops.put_window(units[layer], new, start)

        def out(name: str, h: ops.Array) -> ops.Array:
            return h @ ops.moveaxis(ops.window(cache[name], order[i], 1, 0)[0], 0, 1)

        result = ops.window(cache["offset"], order[i], 1, -2)[..., 0, :] + out("out", h)
        if "direct" in cache:
            result = result + out("direct", seen)
        return {**cache, "x": seen, "units": units}, result

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
    def _blocks(self) -> list[tuple[np.ndarray, int]]:
        """For each hidden layer: where the units of degree i start, and how many `step` computes at a time.

        A block may reach into units of the next degrees; they are computed again when their inputs are known.
        """
        ranks = np.arange(self.dim)
        return [
            (np.searchsorted(degrees, ranks), int(max(1, np.bincount(degrees, minlength=1).max())))
            for degrees in self._degrees
        ]

    @cached_property
    def _masks(self) -> dict[str, np.ndarray]:
        """Which entries of each weight matrix are there, [inputs, outputs]."""
        inputs, outputs = np.repeat(self.ranks, self.inputs), np.repeat(self.ranks, self.outputs)
        masks, below = {}, inputs + 1  # the first degree that may see each input, or unit
        for i, degrees in enumerate(self._degrees):
            masks[f"{i}"] = below[:, None] <= degrees
            below = degrees
        masks["out"] = below[:, None] <= outputs
        if self.direct and self.hidden:
            masks["direct"] = inputs[:, None] < outputs
        return masks

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
