"""Maps of each number by itself."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Parameters, Support, interval


@dataclass(frozen=True)
class ActNorm(Transform):
    r"""y = x e^s + shift, learned for each dimension (Kingma & Dhariwal, 2018); it starts at the identity.

    Args:
        dim: number of dimensions D.
    """

    dim: int
    support = "real"

    def __post_init__(self) -> None:
        arguments.assign(self, dim=arguments.size("ActNorm", "dim", self.dim))

    def specs(self) -> dict[str, nn.Spec]:
        return {"log_scale": nn.Spec((self.dim,)), "shift": nn.Spec((self.dim,))}

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        y = x * ops.exp(params["log_scale"]) + params["shift"]
        return y, ops.broadcast_to(ops.sum(params["log_scale"]), x.shape[:-1])

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        x = (y - params["shift"]) * ops.exp(-params["log_scale"])
        return x, ops.broadcast_to(-ops.sum(params["log_scale"]), y.shape[:-1])


@dataclass(frozen=True)
class Elementwise(Transform):
    """An increasing map of the reals onto its support, without parameters; a subclass writes `map` and `unmap`.

    Values that rounding would put on an end of the support are the number next to it, so that every draw has a density; at
    the ends and outside a flow's log density is minus infinity.

    Args:
        rank: number of axes of an event: 1 for vectors, 3 for images.
    """

    rank: int = 1
    support: ClassVar[Support] = "real"

    def __post_init__(self) -> None:
        arguments.assign(self, rank=arguments.size(type(self).__name__, "rank", self.rank, least=0))

    def map(self, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        """The value y = f(x) and log f'(x), elementwise."""
        raise NotImplementedError

    def unmap(self, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        """The x with f(x) = y and log f'(x), elementwise, for y between the ends."""
        raise NotImplementedError

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        y, log_slope = self.map(x)
        return ops.clip(y, *self._next_to_ends(y)), ops.sum(log_slope, _events(self.rank))

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        low, high = interval(self.support)
        inside = (y > low) & (y < high)
        x, log_slope = self.unmap(ops.where(inside, y, 0.5))  # 0.5 is between the ends of all of them
        return x, ops.sum(ops.where(inside, -log_slope, -math.inf), _events(self.rank))

    def _next_to_ends(self, y: ops.Array) -> tuple[float, float]:
        """The least and the largest number between the ends; none is so small that processors round it to 0."""
        info = ops.finfo(y)
        low, high = (float(np.nextafter(info.dtype.type(end), info.dtype.type(0))) for end in interval(self.support))
        return low or float(info.tiny), high


@dataclass(frozen=True)
class Exp(Elementwise):
    """The exponential y = e^x, positive."""

    support = "positive"

    def map(self, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        return ops.exp(x), x

    def unmap(self, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        return ops.log(y), ops.log(y)


@dataclass(frozen=True)
class Softplus(Elementwise):
    """The softplus y = log(1 + e^x), positive; it grows like x where `Exp` grows like e^x."""

    support = "positive"

    def map(self, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        return ops.softplus(x), -ops.softplus(-x)

    def unmap(self, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        log_slope = ops.log(-ops.expm1(-y))
        return y + log_slope, log_slope


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """The logistic function y = 1 / (1 + e^-x), in (0, 1); its `Inverse` is the logit."""

    support = "unit_interval"

    def map(self, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        return ops.sigmoid(x), -ops.softplus(x) - ops.softplus(-x)

    def unmap(self, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        return ops.log(y) - ops.log1p(-y), ops.log(y) + ops.log1p(-y)


@dataclass(frozen=True)
class Tanh(Elementwise):
    """The hyperbolic tangent y = tanh x, in (-1, 1)."""

    support = (-1.0, 1.0)

    def map(self, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        return ops.tanh(x), 2 * (math.log(2) - x - ops.softplus(-2 * x))

    def unmap(self, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        return 0.5 * (ops.log1p(y) - ops.log1p(-y)), ops.log1p(y) + ops.log1p(-y)


@dataclass(frozen=True)
class AffineConstant(Transform):
    """A fixed linear map y = loc + scale x: to set an interval, or to undo the standardisation of columns.

    Args:
        loc: a number, or one for each entry of the last axis, such as `x.mean(0)`.
        scale: likewise, none of them 0.
        rank: number of axes of an event: 1 for vectors, 3 for images.

    Example:
        >>> from ppgen.distributions import StandardUniform, Flow, flows
        >>> Flow(StandardUniform(2), (flows.AffineConstant(-1.0, 2.0),)).support
        (-1.0, 1.0)
    """

    loc: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    rank: int = 1
    support = "real"

    def __post_init__(self) -> None:
        numbers = {name: np.asarray(getattr(self, name), float) for name in ("loc", "scale")}
        if any(n.ndim > 1 or not np.isfinite(n).all() for n in numbers.values()) or not numbers["scale"].all():
            raise ValueError(
                f"expected a finite loc and a finite scale that is not 0, a number or one a column; got {self!r}."
            )
        columns = {n.size for n in numbers.values() if n.ndim}
        if len(columns) > 1:
            raise ValueError(f"expected a loc and a scale for as many columns; got {sorted(columns)}.")
        arguments.assign(self, **{name: tuple(n.tolist()) if n.ndim else float(n) for name, n in numbers.items()})

    @property
    def dim(self) -> int | None:
        return self._columns if self.rank == 1 else None

    def image(self, support: Support) -> Support:
        if isinstance(self.loc, tuple) or isinstance(self.scale, tuple):  # an interval for each column has no name
            return "real"
        if support == "positive" and self.loc == 0 and self.scale > 0:
            return "positive"
        interval = (0.0, 1.0) if support == "unit_interval" else support
        if not isinstance(interval, tuple):
            return "real"
        low, high = sorted(float(self.loc + self.scale * end) for end in interval)
        return low, high

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        loc, scale, log_slope = self._numbers(x)
        return loc + scale * x, ops.sum(ops.broadcast_to(log_slope, x.shape), _events(self.rank))

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        loc, scale, log_slope = self._numbers(y)
        return (y - loc) / scale, ops.sum(ops.broadcast_to(-log_slope, y.shape), _events(self.rank))

    @property
    def _columns(self) -> int | None:
        """For how many columns there are numbers; None where there is one number for all."""
        return next((len(number) for number in (self.loc, self.scale) if isinstance(number, tuple)), None)

    def _numbers(self, like: ops.Array) -> tuple[ops.Array, ops.Array, ops.Array]:
        """The location, the scale and the log of its size."""
        numbers = np.array(self.loc), np.array(self.scale), np.log(np.abs(self.scale))
        return tuple(ops.as_type_of(number, like) for number in numbers)


def _events(rank: int) -> tuple[int, ...]:
    return tuple(range(-rank, 0))
