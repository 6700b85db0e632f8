"""The neural autoregressive density estimator, for bits and for real numbers."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.conditionals import Bernoulli, Conditional, MixtureOfGaussians
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.learnable import Parameters
from ppgen.nn.masked import check_order
from ppgen.nn.mlp import ACTIVATIONS, check_activation
from ppgen.nn.start import bound

BLOCK = 8  # columns computed at a time: fewer take more steps, more take more work in each


@dataclass(frozen=True)
class NADE(Autoregressive):
    r"""One hidden layer that grows by one input a dimension (Larochelle & Murray, 2011).

    .. math:: p(x) = \prod_i p(x_i \mid b_i + V_i \sigma(a_i)), \qquad a_1 = c, \quad a_{i+1} = a_i + W_i x_i

    All D conditionals together cost O(D H), and so does a draw. Memory is O(B H) a row for blocks of B columns and
    O(D H / B) for what the backward pass starts each block from: the rest it computes again.

    Args:
        dim: number of dimensions D.
        hidden: number of hidden units H.
        conditional: what each dimension is.
        context: size of the context, which enters the hidden layer and each conditional; 0 for none.
        order: a permutation of 0..D-1; that of the columns by default.
        activation: of the hidden layer, see `ppgen.nn.MLP`.
        method: how to draw, "incremental", "jacobi" or "naive".

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import NADE
        >>> nade = NADE(3, hidden=8)
        >>> p = nade.apply(nade.init(seed=0))
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    dim: int
    hidden: int = 500
    conditional: Conditional = Bernoulli()
    context: int = 0
    order: tuple[int, ...] | None = None
    activation: str = "sigmoid"
    method: str = "incremental"

    rescaled = False

    def __post_init__(self) -> None:
        owner = type(self).__name__
        hidden = arguments.size(owner, "hidden", self.hidden)
        arguments.assign(self, hidden=hidden, order=arguments.order(owner, self.order))
        super().__post_init__()

    @cached_property
    def net(self) -> "NADENetwork":
        """The recursion."""
        return NADENetwork(
            self.dim, self.hidden, self.conditional.outputs, self.conditional.inputs, self.context, self.order,
            self.activation, self.rescaled,
        )  # fmt: skip


@dataclass(frozen=True)
class RNADE(NADE):
    r"""NADE of real numbers, each a mixture given those before it (Uria et al., 2013).

    .. math:: p(x) = \prod_i p(x_i \mid b_i + V_i \sigma(\rho_i a_i))

    The rescaling :math:`\rho_i`, learned, keeps units from saturating as inputs add up. Arguments are those of `NADE`.

    Example:
        >>> from ppgen.distributions import RNADE
        >>> RNADE(6, hidden=50).conditional
        MixtureOfGaussians(components=10, bound=5.0)
    """

    conditional: Conditional = MixtureOfGaussians(10)

    rescaled = True


@dataclass(frozen=True)
class NADENetwork:
    """theta_i = b_i + V_i h(a_i), a_{i+1} = a_i + W_i x_i along the order, in blocks of columns.

    Inside a block all a_i come from one product of the block's inputs, masked to those before i, with its weights.
    """

    dim: int
    hidden: int
    outputs: int = 1
    inputs: int = 1
    context: int = 0
    order: tuple[int, ...] | None = None
    activation: str = "sigmoid"
    rescaled: bool = False

    def __post_init__(self) -> None:
        check_order(self.order, self.dim)
        check_activation(self.activation)

    @property
    def permutation(self) -> np.ndarray:
        """The dimensions, in the order in which they are generated."""
        return np.arange(self.dim) if self.order is None else np.array(self.order)

    def specs(self) -> dict[str, nn.Spec]:
        """The parameters by path; those of a dimension stand in its own rows, whatever the order."""
        first, last = bound(self.dim * self.inputs + self.context), bound(self._last_width + self.context)
        specs = {
            "in.weight": nn.Spec((self.dim, self.inputs, self.hidden), first),
            "in.bias": nn.Spec((self.hidden,), first),
            "out.weight": nn.Spec((self.dim, self.outputs, self._last_width), last),
            "out.bias": nn.Spec((self.dim, self.outputs), last),
        }
        if self.rescaled:
            specs["scale"] = nn.Spec((self.dim,), centre=1.0)
        if self.context:
            specs["context.weight"] = nn.Spec((self.context, self.hidden), first)
            specs["context.direct"] = nn.Spec((self.context, self.dim * self.outputs), last)
        return specs

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """All outputs in one pass: [..., D, outputs] for inputs `x` [..., D, inputs]."""
        shape = np.broadcast_shapes(x.shape[:-2], () if context is None else context.shape[:-1])
        count = math.prod(shape)
        blocks = -(-self.dim // BLOCK)
        size = -(-self.dim // blocks)

        def cut(rows: ops.Array) -> ops.Array:
            """[D, ...] in the order, filled up with zeros: [blocks, size, ...]."""
            rows = ops.take(rows, self.permutation, 0)
            rest = ops.zeros((blocks * size - self.dim, *rows.shape[1:]), rows)
            return ops.concatenate([rows, rest], 0).reshape(blocks, size, *rows.shape[1:])

        x = ops.broadcast_to(x, (*shape, *x.shape[-2:])).reshape(count, self.dim, self.inputs)
        rows = {"x": ops.moveaxis(x, 0, 1), "in": params["in.weight"], "out": params["out.weight"]}
        if self.rescaled:
            rows["scale"] = params["scale"]
        offset, start = (
            self._offset(params, context),
            ops.broadcast_to(self._start(params, context), (*shape, self.hidden)),
        )
        _, theta = ops.scan(
            ops.recompute(partial(self._block, params)),
            start.reshape(count, self.hidden),
            {name: cut(part) for name, part in rows.items()},
        )
        theta = theta.reshape(blocks * size, count, self.outputs)
        theta = ops.moveaxis(ops.take(theta, np.argsort(self.permutation), 0), 0, 1)
        return theta.reshape(*shape, self.dim, self.outputs) + offset

    def init_cache(
        self, params: Parameters, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> dict[str, ops.Array]:
        """What `step` carries: a_i [..., H], and what is added to the outputs."""
        offset = self._offset(params, context)
        return {
            "a": ops.broadcast_to(self._start(params, context), (*shape, self.hidden)),
            "offset": ops.broadcast_to(offset, (*shape, self.dim, self.outputs)),
        }

    def step(
        self, params: Parameters, cache: dict[str, ops.Array], x: ops.Array, i: Any
    ) -> tuple[dict[str, ops.Array], ops.Array]:
        """The i-th outputs [..., outputs] of the order, given the encoded value before it, `x` [..., inputs]."""
        order = ops.asarray(self.permutation, like=x)

        def row(name: str, at: Any) -> ops.Array:
            return ops.window(params[name], at, 1, 0)[0]

        a = cache["a"] + x @ row("in.weight", order[i - 1])
        h = self._last_hidden(params, a * row("scale", order[i]) if self.rescaled else a)
        offset = ops.window(cache["offset"], order[i], 1, -2)[..., 0, :]
        return {**cache, "a": a}, h @ ops.moveaxis(row("out.weight", order[i]), 0, 1) + offset

    @property
    def _last_width(self) -> int:
        """How many numbers `_last_hidden` gives."""
        return self.hidden

    def _block(self, params: Parameters, a: ops.Array, rows: dict[str, ops.Array]) -> tuple[ops.Array, ops.Array]:
        """From a [rows, H] before a block of columns to a after it, and the block's outputs [size, rows, outputs]."""
        x, weight = rows["x"], rows["in"].reshape(-1, self.hidden)
        size, count, inputs = x.shape
        x = ops.moveaxis(x, 0, 1)
        before = ops.as_type_of(np.tri(size, k=-1)[:, None, :, None], x)  # of i, those j < i
        each = a + ((x * before).reshape(size * count, size * inputs) @ weight).reshape(size, count, self.hidden)
        if self.rescaled:
            each = each * rows["scale"][:, None, None]
        theta = ops.einsum("ibh,ioh->ibo", self._last_hidden(params, each), rows["out"])
        return a + x.reshape(count, size * inputs) @ weight, theta

    def _start(self, params: Parameters, context: ops.Array | None) -> ops.Array:
        """a_1 [..., H]."""
        start = params["in.bias"]
        return start + context @ params["context.weight"] if self.context else start

    def _offset(self, params: Parameters, context: ops.Array | None) -> ops.Array:
        """What is added to all outputs, [..., D, outputs]."""
        if not self.context:
            return params["out.bias"]
        direct = context @ params["context.direct"]
        return params["out.bias"] + direct.reshape(*direct.shape[:-1], self.dim, self.outputs)

    def _last_hidden(self, params: Parameters, a: ops.Array) -> ops.Array:
        """What the outputs are linear in, from what enters the first hidden layer, [..., H]."""
        return ACTIVATIONS[self.activation](a)
