"""Joining, cutting, repeating and picking entries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def stack(arrays: Sequence[Tensor], axis: int = 0) -> Tensor:
    return torch.stack(tuple(arrays), axis)


def concatenate(arrays: Sequence[Tensor], axis: int = -1) -> Tensor:
    return torch.cat(tuple(arrays), axis)


def split(x: Tensor, sizes: Sequence[int], axis: int = -1) -> tuple[Tensor, ...]:
    return tuple(torch.split(x, list(sizes), axis))


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.broadcast_to(x, tuple(shape))


def tile(x: Tensor, times: Sequence[int]) -> Tensor:
    return torch.tile(x, tuple(times))


def moveaxis(x: Tensor, source: int, target: int) -> Tensor:
    return torch.movedim(x, source, target)


def take(x: Tensor, index: Any, axis: int = -1) -> Tensor:
    index = index if isinstance(index, Tensor) else torch.as_tensor(np.array(index))
    if index.ndim == 1:
        return torch.index_select(x, axis, index)
    axis %= x.ndim
    return torch.index_select(x, axis, index.reshape(-1)).reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def permute(x: Tensor, order: Tensor, axis: int = -1) -> Tensor:
    return torch.index_select(torch.as_tensor(x), axis, order)


def take_along(x: Tensor, index: Tensor, axis: int = -1) -> Tensor:
    return torch.take_along_dim(x, index.long(), axis)


def window(x: Tensor, start: Any, size: int, axis: int = -1) -> Tensor:
    return torch.narrow(x, axis, min(int(start), x.shape[axis] - size), size)


def put_window(x: Tensor, piece: Tensor, start: Any, axis: int = -1) -> Tensor:
    start = min(int(start), x.shape[axis] - piece.shape[axis])
    return torch.slice_scatter(x, piece, axis, start, start + piece.shape[axis])
