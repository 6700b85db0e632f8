"""Functions of each entry. Numbers are taken too, as JAX takes them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ppgen.ops.dispatch import Array


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.as_tensor(x)


def _of_one(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    return lambda x: function(x if isinstance(x, Tensor) else torch.as_tensor(x))


def _of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    return lambda x, y: function(_tensor(x), _tensor(y))


exp, expm1, log, log1p, sqrt, square = map(
    _of_one, (torch.exp, torch.expm1, torch.log, torch.log1p, torch.sqrt, torch.square)
)
sin, cos, sinh, cosh, arcsinh, tanh = map(
    _of_one, (torch.sin, torch.cos, torch.sinh, torch.cosh, torch.arcsinh, torch.tanh)
)
absolute, floor, erf, lgamma, digamma = map(
    _of_one, (torch.absolute, torch.floor, torch.erf, torch.lgamma, torch.digamma)
)
sigmoid, relu, softplus, elu, silu, gelu = map(
    _of_one, (torch.sigmoid, torch.relu, functional.softplus, functional.elu, functional.silu, functional.gelu)
)
maximum, minimum = _of_two(torch.maximum), _of_two(torch.minimum)


@_of_one
def sign(x: Tensor) -> Tensor:
    return torch.where(torch.isnan(x), x.detach(), torch.sign(x))  # torch has 0 of NaN


@_of_one
def leaky_relu(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


def where(condition: Array, x: Any, y: Any) -> Tensor:
    return torch.where(_tensor(condition), x, y)


def clip(x: Array, low: Any = None, high: Any = None) -> Tensor:
    return torch.clamp(x, low, high)


@_of_one
def finite(x: Tensor) -> Tensor:
    return torch.nan_to_num(x, 0.0, 0.0, 0.0)
