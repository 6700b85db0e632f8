"""Sums, extremes and orders along axes."""

from collections.abc import Callable

import torch
from torch import Tensor

from ppgen.ops.axes import Axes


def _over(function: Callable[..., Tensor], default: int | None = None) -> Callable[..., Tensor]:
    """A reduction of torch with NumPy's axes: none of them, (), means none; to torch it means all."""

    def reduce(x: Tensor, axis: Axes = default, keepdims: bool = False) -> Tensor:
        if isinstance(axis, int):
            return function(x, axis, keepdims)
        if axis is None and not keepdims:
            return function(x)
        axis = tuple(range(x.ndim)) if axis is None else tuple(axis)
        return function(x, axis, keepdims) if axis else function(x[..., None], -1)

    return reduce


Dim = int | tuple[int, ...] | None


def _prod(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    if not isinstance(dim, tuple):
        return torch.prod(x) if dim is None else torch.prod(x, dim, keepdim)
    for one in dim:
        x = torch.prod(x, one, keepdim=True)
    return x if keepdim else x.squeeze(dim)


def _var(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    return torch.var(x, dim, correction=0, keepdim=keepdim)


def _std(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    return torch.std(x, dim, correction=0, keepdim=keepdim)


def _logsumexp(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    return torch.logsumexp(x, tuple(range(x.ndim)) if dim is None else dim, keepdim)


sum, prod, mean, var, std = map(_over, (torch.sum, _prod, torch.mean, _var, _std))
amax, amin, any, all = map(_over, (torch.amax, torch.amin, torch.any, torch.all))
logsumexp = _over(_logsumexp, default=-1)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(x, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.log_softmax(x, axis)


def cumsum(x: Tensor, axis: int = -1) -> Tensor:
    return torch.cumsum(x, axis)


def sort(x: Tensor, axis: int = -1) -> Tensor:
    return torch.sort(x, dim=axis, stable=True)[0]


def argsort(x: Tensor, axis: int = -1) -> Tensor:
    return torch.argsort(x, dim=axis, stable=True)


def argmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.argmax(x, axis)
