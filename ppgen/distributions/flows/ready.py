"""Flows by the names of their papers, ready to use."""

from collections.abc import Iterable

from ppgen.distributions.bases import StandardNormal
from ppgen.distributions.flows.autoregressive import AutoregressiveTransform
from ppgen.distributions.flows.bijections import Affine, Bijection, Shift
from ppgen.distributions.flows.coupling import Coupling
from ppgen.distributions.flows.elementwise import ActNorm
from ppgen.distributions.flows.flow import Flow
from ppgen.distributions.flows.lu import LU
from ppgen.distributions.flows.spline import RationalQuadraticSpline
from ppgen.distributions.flows.transform import Inverse, Transform
from ppgen.distributions.learnable import Learnable


def NICE(
    dim: int, transforms: int = 4, hidden: tuple[int, ...] = (64, 64), context: int = 0, base: Learnable | None = None
) -> Flow:
    """Additive couplings of every other dimension in turn, and a learned scale for each at the end (Dinh et al., 2015).

    Density and draws are one pass each. The couplings keep volumes.

    Args:
        dim: number of dimensions D, at least 2.
        transforms: number of couplings.
        hidden: inner size of each residual block of their networks.
        context: size of the context; 0 for none.
        base: where the flow starts, `StandardNormal(dim)` by default.

    Example:
        >>> from ppgen.distributions import NICE
        >>> NICE(2, transforms=1, hidden=(8,))
        Flow(
          StandardNormal(2),
          Coupling(dim=2, bijection=Shift(), hidden=(8,), context=0, mask=None, swap=False, activation='relu'),
          ActNorm(dim=2),
        )
    """
    return Flow(base or StandardNormal(dim), (*_couplings(dim, Shift(), transforms, hidden, context), ActNorm(dim)))


def RealNVP(
    dim: int, transforms: int = 6, hidden: tuple[int, ...] = (64, 64), context: int = 0, base: Learnable | None = None
) -> Flow:
    """Affine couplings of every other dimension in turn (Dinh et al., 2017), each followed by a linear map.

    Density and draws are one pass each.

    Args:
        dim: number of dimensions D, at least 2.
        transforms: number of couplings.
        hidden: inner size of each residual block of their networks.
        context: size of the context; 0 for none.
        base: where the flow starts, `StandardNormal(dim)` by default.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import RealNVP
        >>> flow = RealNVP(2)  # a fresh flow is its base
        >>> round(float(flow.apply(flow.init()).log_prob(np.zeros(2))), 4)
        -1.8379
    """
    return _flow(base, dim, _couplings(dim, Affine(), transforms, hidden, context))


def NSF(
    dim: int,
    transforms: int = 5,
    hidden: tuple[int, ...] = (64, 64),
    context: int = 0,
    bins: int = 8,
    bound: float = 5.0,
    autoregressive: bool = False,
    method: str = "incremental",
    base: Learnable | None = None,
) -> Flow:
    """The neural spline flow (Durkan et al., 2019): rational-quadratic splines, each layer followed by a linear map.

    With couplings density and draws are one pass each. With `autoregressive=True`, and of one dimension, which
    has no other to be coupled with, the density is one pass and draws go dimension by dimension.

    Args:
        dim: number of dimensions D.
        transforms: number of spline layers.
        hidden: inner size of each residual block of the networks (of their hidden layers if autoregressive).
        context: size of the context; 0 for none.
        bins: bins of each spline.
        bound: splines act on [-bound, bound]. Scale the data to a few units: outside only the linear maps act.
        autoregressive: autoregressive layers in place of couplings.
        method: how an autoregressive flow draws, see `AutoregressiveTransform`.
        base: where the flow starts, `StandardNormal(dim)` by default.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import NSF
        >>> flow = NSF(3, context=2)
        >>> p = flow.apply(flow.init(seed=0), np.ones((7, 2)))
        >>> p.batch_shape, p.event_shape
        ((7,), (3,))
    """
    spline = RationalQuadraticSpline(bins, bound)
    if autoregressive or dim == 1:
        return _flow(base, dim, _autoregressive(dim, spline, transforms, hidden, context, method))
    return _flow(base, dim, _couplings(dim, spline, transforms, hidden, context))


def MAF(
    dim: int,
    transforms: int = 5,
    hidden: tuple[int, ...] = (64, 64),
    context: int = 0,
    method: str = "incremental",
    base: Learnable | None = None,
) -> Flow:
    """The masked autoregressive flow (Papamakarios et al., 2017), each layer followed by a linear map.

    The density is one pass; draws go dimension by dimension. Use it to learn a density from data.

    Args:
        dim: number of dimensions D.
        transforms: number of autoregressive layers, every other one in reverse order.
        hidden: sizes of the hidden layers of their networks, all the same.
        context: size of the context; 0 for none.
        method: how to draw, "incremental", "jacobi" or "naive"; see `AutoregressiveTransform`.
        base: where the flow starts, `StandardNormal(dim)` by default.

    Example:
        >>> from ppgen.distributions import MAF
        >>> MAF(2, transforms=1).event_shape
        (2,)
    """
    return _flow(base, dim, _autoregressive(dim, Affine(), transforms, hidden, context, method))


def IAF(
    dim: int,
    transforms: int = 5,
    hidden: tuple[int, ...] = (64, 64),
    context: int = 0,
    method: str = "incremental",
    base: Learnable | None = None,
) -> Flow:
    """The inverse autoregressive flow (Kingma et al., 2016), each layer followed by a linear map.

    Draws and their density are one pass, which is what a guide needs; the density of other values goes dimension by
    dimension.

    Args:
        dim: number of dimensions D.
        transforms: number of autoregressive layers, every other one in reverse order.
        hidden: sizes of the hidden layers of their networks, all the same.
        context: size of the context; 0 for none.
        method: how to compute the density of given values, "incremental", "jacobi" or "naive"; see
            `AutoregressiveTransform`.
        base: where the flow starts, `StandardNormal(dim)` by default.

    Example:
        >>> from ppgen.distributions import IAF
        >>> IAF(2, transforms=1).reparameterised
        True
    """
    return _flow(base, dim, map(Inverse, _autoregressive(dim, Affine(), transforms, hidden, context, method)))


def _couplings(dim: int, bijection: Bijection, n: int, hidden: tuple[int, ...], context: int) -> list[Transform]:
    """Couplings of every other dimension, in turn."""
    return [Coupling(dim, bijection, hidden, context, swap=bool(i % 2)) for i in range(n)]


def _autoregressive(
    dim: int, bijection: Bijection, n: int, hidden: tuple[int, ...], context: int, method: str
) -> list[Transform]:
    """Autoregressive transforms, every other one in reverse order."""

    def order(i: int) -> tuple[int, ...] | None:
        return tuple(reversed(range(dim))) if i % 2 else None

    return [AutoregressiveTransform(dim, bijection, hidden, context, order=order(i), method=method) for i in range(n)]


def _flow(base: Learnable | None, dim: int, transforms: Iterable[Transform]) -> Flow:
    """Transforms, each followed by a linear map that mixes the dimensions."""
    return Flow(base or StandardNormal(dim), tuple(part for transform in transforms for part in (transform, LU(dim))))
