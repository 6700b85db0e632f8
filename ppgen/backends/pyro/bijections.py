"""Bijections from the reals onto supports: torch's own, and those that it lacks."""

import math
from typing import Any

import torch
from torch.distributions import ComposeTransform, Transform, biject_to, constraints, transform_to


def bijection(support: Any) -> Transform:
    """The bijection from the reals onto a support; NotImplementedError where none is known."""
    if isinstance(support, constraints.MixtureSameFamilyConstraint):  # that of each component, which torch looks for
        support = support.base_constraint
    if support is constraints.positive_definite:
        return ToPositiveDefinite()
    found = biject_to(support)
    return Onto(support, found.parts) if isinstance(found, ComposeTransform) else found


def transform(constraint: Any) -> Any:
    """From the reals onto a constraint; torch has a bijection for most, and only a transform for Cholesky factors."""
    try:
        return biject_to(constraint)
    except NotImplementedError:
        return transform_to(constraint)


class Onto(ComposeTransform):
    """A composed transform that knows what it is onto: torch's say the reals of exp and a shift."""

    def __init__(self, support: Any, parts: list) -> None:
        super().__init__(parts)
        self._support = support

    @property
    def codomain(self) -> Any:
        return self._support


class ToPositiveDefinite(Transform):
    r"""From n (n + 1) / 2 numbers to L L^T: those of L below its diagonal, row by row, then the logarithms of its diagonal.

    .. math:: \log |\det| = n \log 2 + \sum_{i=1}^n (n - i + 2) \log L_{ii}
    """

    domain = constraints.real_vector
    codomain = constraints.positive_definite
    bijective = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToPositiveDefinite)

    def __hash__(self) -> int:
        return hash(type(self))

    def _call(self, x: torch.Tensor) -> torch.Tensor:
        n = self.forward_shape(x.shape)[-1]
        below = torch.zeros((*x.shape[:-1], n, n), dtype=x.dtype)
        below[(..., *torch.tril_indices(n, n, -1))] = x[..., :-n]
        root = below + torch.diag_embed(x[..., -n:].exp())
        return root @ root.mT

    def _inverse(self, y: torch.Tensor) -> torch.Tensor:
        root = torch.linalg.cholesky(y)
        n = y.shape[-1]
        return torch.cat([root[(..., *torch.tril_indices(n, n, -1))], root.diagonal(dim1=-2, dim2=-1).log()], -1)

    def log_abs_det_jacobian(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        n = y.shape[-1]
        return n * math.log(2) + (x[..., -n:] * torch.arange(n + 1, 1, -1)).sum(-1)

    def forward_shape(self, shape: Any) -> torch.Size:
        n = (math.isqrt(1 + 8 * shape[-1]) - 1) // 2
        return torch.Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Any) -> torch.Size:
        return torch.Size((*shape[:-2], shape[-1] * (shape[-1] + 1) // 2))
