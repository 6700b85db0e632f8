"""Matrix products and triangular systems."""

import torch
from torch import Tensor

from ppgen.ops.products import Mask


def matmul(x: Tensor, y: Tensor) -> Tensor:
    return torch.matmul(x, y)


def einsum(equation: str, *arrays: Tensor) -> Tensor:
    return torch.einsum(equation, *arrays)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, x, weight) if x.ndim == 2 else x @ weight + bias


def inverse(x: Tensor) -> Tensor:
    return torch.linalg.inv(x)


def cholesky(x: Tensor) -> Tensor:
    return torch.linalg.cholesky(x)


def solve_triangular(matrix: Tensor, x: Tensor, lower: bool = True) -> Tensor:
    return torch.linalg.solve_triangular(matrix, x, upper=not lower)


def masked(weight: Tensor, mask: Mask) -> Tensor:
    kind = weight.dtype, weight.device
    if kind not in mask.tensors:
        with torch.inference_mode(False):  # gradients could not pass a tensor made in that mode
            mask.tensors[kind] = torch.tensor(mask.ones, dtype=weight.dtype, device=weight.device)
    return weight * mask.tensors[kind]
