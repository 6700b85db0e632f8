"""The distribution of the rows at hand."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from ppgen import arguments, ops
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event, interval


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Empirical(Learnable):
    r"""Mass 1/N on each of N given rows; it has no parameters.

    .. math:: p(x) = \frac{1}{N} \sum_n [x = x_n]

    Its density is a probability (with respect to counting): minus infinity in logarithm off the rows. So it cannot be
    mixed with densities, nor pushed through a flow. `log_prob` of B values compares one number a step with that of all
    rows, in memory B N.

    Args:
        atoms: the rows [N, *event_shape], in `support`; a copy is kept.
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

    def __init__(self, atoms: ArrayLike, support: Support = "real") -> None:
        kept = np.array(atoms)
        if kept.ndim < 1 or not len(kept) or kept.dtype.kind not in "biuf":
            raise ValueError(f"expected numbers [rows, ...], at least one row; got shape {kept.shape} of {kept.dtype}.")
        if isinstance(support, Integral):
            support = arguments.size("Empirical", "support", support)
        outside = np.flatnonzero(~_inside(kept, support).reshape(len(kept), -1).all(-1))
        if len(outside):
            raise ValueError(
                f"expected rows in the support {support!r}; got {kept[outside[0]].tolist()} in row {outside[0]}, and "
                f"{len(outside)} such rows of {len(kept)}. Give the support that the rows have, or leave them out."
            )
        kept.setflags(write=False)
        arguments.assign(self, atoms=kept, support=support)

    reparameterised = False

    @property
    def counting(self) -> bool:
        return not isinstance(self.support, int) and self.support != "boolean"

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.atoms.shape[1:]

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        check_event(self, x)
        size, rank = math.prod(self.event_shape), len(self.event_shape)
        rows = ops.moveaxis(x.reshape(*x.shape[: x.ndim - rank], size), -1, 0)
        atoms = ops.as_type_of(self.atoms.reshape(len(self.atoms), size).T.copy(), x)

        def compare(same: ops.Array, numbers: tuple[ops.Array, ops.Array]) -> tuple[ops.Array, None]:
            row, atom = numbers
            return same & (row[..., None] == atom), None

        start = ops.broadcast_to(rows[0, ..., None] == atoms[0], (*rows.shape[1:], len(self.atoms)))
        same, _ = ops.scan(compare, start, (rows, atoms))
        return ops.log(ops.as_type_of(ops.sum(same, -1), x) / len(self.atoms))

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        u = noise.uniform(shape)
        index = ops.clip(ops.as_integer(u * len(self.atoms)), 0, len(self.atoms) - 1)
        x = ops.as_type_of(self.atoms.copy(), u)[index]
        return ops.as_integer(x) if isinstance(self.support, int) else x

    def mean(self, params: Parameters, context: ops.Array | None = None) -> ops.Array:
        return ops.as_type_of(self.atoms.mean(0), ops.zeros(()))

    def __reduce__(self) -> tuple:
        return Empirical, (self.atoms, self.support)  # copies are made anew: their rows cannot be written to, either

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


def _inside(x: np.ndarray, support: Support) -> np.ndarray:
    """Where numbers are finite and lie in a support."""
    classes = 2 if support == "boolean" else support
    if isinstance(classes, int):
        return np.isin(x, np.arange(classes))
    low, high = interval(support, "Where values are discrete, it is 'boolean' or a number of classes.")
    return np.isfinite(x) & ((x > low) | ((x == low) & (support != "positive"))) & (x <= high)
