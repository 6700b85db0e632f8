"""Densities that factorise over dimensions: p(x) = prod_i p(x_i | x_<i, context)."""

from dataclasses import Field, fields
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.conditionals import Conditional
from ppgen.distributions.autoregressive.sampling import METHODS, generate
from ppgen.distributions.learnable import Learnable, Noise, Parameters, as_float, check_event

LEAST = {"dim": 1, "length": 1, "context": 0}  # of the sizes that a density of this kind may have


class Network(Protocol):
    """Computes the parameters of all conditionals at once, and of one after another from what it has computed before.

    One that goes block by block, such as `BlockwiseMLP`, has these members in place of `step`, for the dimensions i to
    i + block - 1 of the order: `block`, how many there are; `enter(params, cache, i)`, what `inside` needs of the cache;
    `inside(params, inner, x)`, their conditionals [..., block, outputs] given their own encoded values [..., block, inputs],
    each from those before it; and `leave(params, cache, inner, x)`, the cache after them. The last block may go on beyond the
    last dimension.
    """

    permutation: np.ndarray  # the dimensions, in the order in which they are generated

    def specs(self) -> dict[str, nn.Spec]:
        """The parameters by path."""
        ...

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None) -> ops.Array:
        """All conditionals in one pass: [..., D, outputs] for encoded values [..., D, inputs]."""
        ...

    def init_cache(self, params: Parameters, shape: tuple[int, ...], context: ops.Array | None) -> Any:
        """What `step` carries: a tree of arrays, with leading axes `shape`."""
        ...

    def step(self, params: Parameters, cache: Any, x: ops.Array, i: Any) -> tuple[Any, ops.Array]:
        """The i-th conditional [..., outputs] of the order, given the encoded value before it (zero at i = 0)."""
        ...


class Autoregressive(Learnable):
    """p(x) = prod_i p(x_i | theta_i(x_<i, context)), theta by a network.

    A subclass has the fields or properties `net` and `conditional`, and may have `method`: how it draws, "incremental"
    (one dimension or block after another, from what has been computed before), "jacobi" (all dimensions at once until they
    agree) or "naive" (a full pass for each dimension). From the same noise the three give the same values, and gradients,
    up to rounding of the parameters: that may turn a bit, or move a level, in rare draws. Draws are integers where the
    support is one of integers, and floats else (bits too); densities take either.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # a subclass is a dataclass
    net: Network
    conditional: Conditional
    method: str = "incremental"

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in LEAST.keys() & {field.name for field in fields(self)}:
            arguments.assign(self, **{name: arguments.size(owner, name, getattr(self, name), LEAST[name])})
        arguments.kind(owner, "conditional", self.conditional, Conditional, "conditionals.Gaussian()")
        if self.method not in METHODS:
            raise ValueError(f"{owner}: expected a method of drawing, one of {tuple(METHODS)}; got {self.method!r}.")
        _ = self.net  # checks its arguments

    @cached_property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.net.permutation),)

    @property
    def support(self) -> str | int:
        return self.conditional.support

    @property
    def reparameterised(self) -> bool:
        return self.conditional.reparameterised

    def specs(self) -> dict[str, nn.Spec]:
        return self.net.specs()

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """The parameters of all conditionals [..., D, outputs] at `x` [..., D], in one pass."""
        x = as_float(x, params)
        check_event(self, x)
        return self.net.conditionals(params, self.conditional.encode(x), context)

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        return self.conditional.row_log_prob(self.conditionals(params, x, context), x)

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        family = self.conditional
        given = family.noise(noise, (*shape, *self.event_shape))
        x = generate(self.method, self.net, params, family.encode, family.draw, given, context)
        return self._values(x if self.reparameterised else ops.stop_gradient(x))

    def _values(self, x: ops.Array) -> ops.Array:
        return ops.as_integer(x) if isinstance(self.support, int) else x
