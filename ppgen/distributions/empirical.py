"""The distribution of the rows at hand."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ppgen import ops
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Empirical(Learnable):
    r"""Mass 1/N on each of N given rows; it has no parameters.

    .. math:: p(x) = \frac{1}{N} \sum_n [x = x_n]

    Its density is a probability (with respect to counting): minus infinity in logarithm off the rows.

    Args:
        atoms: the rows [N, *event_shape]; a copy is kept.
        support: the values a row may take, see `Learnable`.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import Empirical
        >>> p = Empirical([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]]).apply({})
        >>> np.exp(p.log_prob(np.array([[0.0, 1.0], [2.0, 3.0], [2.0, 1.0]]))).round(2)
        array([0.67, 0.33, 0.  ], dtype=float32)
    """

    atoms: np.ndarray
    support: Support = "real"

    def __init__(self, atoms: np.ndarray, support: Support = "real") -> None:
        kept = np.array(atoms)
        if kept.ndim < 1 or not len(kept) or kept.dtype.kind not in "biuf":
            raise ValueError(f"expected numbers [rows, ...], at least one row; got shape {kept.shape} of {kept.dtype}.")
        kept.setflags(write=False)
        object.__setattr__(self, "atoms", kept)
        object.__setattr__(self, "support", support)

    reparameterised = False

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.atoms.shape[1:]

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        check_event(self, x)
        rank = len(self.event_shape)
        rows = x.reshape(*x.shape[: x.ndim - rank], 1, math.prod(self.event_shape))
        differs = ops.as_type_of(rows != ops.as_type_of(self.atoms.copy().reshape(len(self.atoms), -1), x), x)
        count = ops.sum(ops.as_type_of(ops.sum(differs, -1) == 0, x), -1)
        return ops.log(count / len(self.atoms))

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        u = noise.uniform(shape)
        index = ops.clip(ops.as_integer(u * len(self.atoms)), 0, len(self.atoms) - 1)
        x = ops.as_type_of(self.atoms.copy(), u)[index]
        return ops.as_integer(x) if isinstance(self.support, int) else x

    def mean(self, params: Parameters, context: ops.Array | None = None) -> ops.Array:
        return ops.as_type_of(self.atoms.mean(0), ops.zeros(()))

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.atoms.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Empirical) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return (
            f"Empirical({len(self.atoms)} rows of shape {self.event_shape}, {self.atoms.dtype}, "
            f"support={self.support!r}, sha256 {self._digest[:16]})"
        )
