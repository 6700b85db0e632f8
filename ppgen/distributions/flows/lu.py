"""A linear map that mixes the dimensions."""

from dataclasses import dataclass

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Parameters


@dataclass(frozen=True)
class LU(Transform):
    r"""y = L U x + shift (Kingma & Dhariwal, 2018, section 3.2, for vectors); it starts at the identity.

    L has a unit diagonal, and U the diagonal :math:`e^s`, so the log-determinant is :math:`\sum_i s_i`. One matrix
    holds all of them: L below the diagonal, s on it, U above it. A `Permutation` before it gives the P of P L U.

    Args:
        dim: number of dimensions D.

    Example:
        >>> from ppgen import ops
        >>> from ppgen.distributions import flows
        >>> params = {"matrix": ops.asarray([[0.0, 5.0], [3.0, 0.0]]), "shift": ops.asarray([0.0, 0.0])}
        >>> y, log_det = flows.LU(2).forward(params, ops.asarray([1.0, 1.0]))  # [[1, 0], [3, 1]] @ [[1, 5], [0, 1]]
        >>> y.tolist(), float(log_det)
        ([6.0, 19.0], 0.0)
    """

    dim: int
    support = "real"

    def __post_init__(self) -> None:
        arguments.assign(self, dim=arguments.size("LU", "dim", self.dim))

    def specs(self) -> dict[str, nn.Spec]:
        return {"matrix": nn.Spec((self.dim, self.dim)), "shift": nn.Spec((self.dim,))}

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        lower, upper, log_det = self._factors(params["matrix"])
        y = ops.linear(x, ops.moveaxis(lower @ upper, 0, 1), params["shift"])
        return y, ops.broadcast_to(log_det, x.shape[:-1])

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        lower, upper, log_det = self._factors(params["matrix"])
        eye = ops.as_type_of(np.eye(self.dim), lower)
        inverse = ops.solve_triangular(upper, ops.solve_triangular(lower, eye), lower=False)
        x = (y - params["shift"]) @ ops.moveaxis(inverse, 0, 1)
        return x, ops.broadcast_to(-log_det, y.shape[:-1])

    def _factors(self, matrix: ops.Array) -> tuple[ops.Array, ops.Array, ops.Array]:
        """L, U and the log-determinant."""
        below, above, eye = (
            ops.as_type_of(mask, matrix)
            for mask in (np.tri(self.dim, k=-1), np.tri(self.dim, k=-1).T, np.eye(self.dim))
        )
        log_diagonal = matrix * eye
        return matrix * below + eye, matrix * above + ops.exp(log_diagonal) * eye, ops.sum(log_diagonal)
