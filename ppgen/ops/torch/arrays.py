"""Making arrays, and what they are made of."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def asarray(x: Any, dtype: str | None = None, like: Tensor | None = None) -> Tensor:
    if dtype is None and like is None and isinstance(x, Tensor):
        return x  # as_tensor takes a microsecond to see that, and this is called everywhere
    return torch.as_tensor(x, dtype=None if dtype is None else getattr(torch, dtype), device=_device(like))


def zeros(shape: Sequence[int], like: Tensor | None = None) -> Tensor:
    return torch.zeros(tuple(shape), dtype=None if like is None else like.dtype)


def ones(shape: Sequence[int]) -> Tensor:
    return torch.ones(tuple(shape))


def zeros_like(x: Any) -> Tensor:
    return torch.zeros_like(torch.as_tensor(x))


def ones_like(x: Any) -> Tensor:
    return torch.ones_like(torch.as_tensor(x))


def arange(n: int, like: Tensor | None = None) -> Tensor:
    return torch.arange(n, device=_device(like))


def eye(n: int) -> Tensor:
    return torch.eye(n)


def one_hot(x: Tensor, classes: int) -> Tensor:
    return functional.one_hot(x.long(), classes).to(torch.get_default_dtype())


def as_float(x: Any, like: Tensor | None = None) -> Tensor:
    x = asarray(x)
    return x if x.is_floating_point() else x.to(torch.get_default_dtype() if like is None else like.dtype)


def as_integer(x: Any) -> Tensor:
    return torch.as_tensor(x).long()


def as_type_of(x: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(x, dtype=like.dtype)


def known_equal(x: Tensor, y: Tensor) -> bool:
    return torch.equal(x, y)


def _device(like: Any) -> Any:
    return getattr(like, "device", None)
