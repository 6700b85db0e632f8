"""Sums, extremes and orders along axes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ppgen.ops.axes import Axes


def _over(function: Callable[..., Tensor], default: int | None = None, **settings: Any) -> Callable[..., Tensor]:
    """A reduction of torch with NumPy's axes: none of them, (), means none; to torch it means all."""

    def reduce(x: Tensor, axis: Axes = default, keepdims: bool = False) -> Tensor:
        if axis is None and not keepdims:
            return function(x, **settings)
        if not isinstance(axis, int):
            axis = tuple(range(x.ndim)) if axis is None else tuple(axis)
            if not axis:
                return function(x[..., None], dim=-1, **settings)
        return function(x, dim=axis, keepdim=keepdims, **settings)

    return reduce


def _prod(x: Tensor, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
    if not isinstance(dim, tuple):
        return torch.prod(x) if dim is None else torch.prod(x, dim, keepdim)
    for one in dim:
        x = torch.prod(x, one, keepdim=True)
    return x if keepdim else x.squeeze(dim)


def _logsumexp(x: Tensor, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
    return torch.logsumexp(x, tuple(range(x.ndim)) if dim is None else dim, keepdim)


sum, prod, mean = _over(torch.sum), _over(_prod), _over(torch.mean)
var, std = _over(torch.var, correction=0), _over(torch.std, correction=0)
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
