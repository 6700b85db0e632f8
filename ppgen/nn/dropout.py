"""Dropout."""

from dataclasses import dataclass

from ppgen import ops
from ppgen.backends.recorder import training
from ppgen.nn.spec import Parameters, Spec


@dataclass(frozen=True)
class Dropout:
    r"""Entries that are 0 by chance while a step trains; the others grow to keep the mean (Srivastava et al., 2014).

    .. math:: y = x \, m / (1 - r), \qquad m \sim \mathrm{Bernoulli}(1 - r)

    Validation, evaluation, draws and posteriors leave x as it is, and so does a call outside a running program.

    Args:
        rate: the probability r of a 0.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> nn.Dropout(0.5).apply({}, np.ones(3))
        array([1., 1., 1.])
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 <= self.rate < 1:
            raise ValueError(f"Dropout: expected a rate of at least 0 and less than 1; got {self.rate!r}.")

    def specs(self) -> dict[str, Spec]:
        """No parameters."""
        return {}

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array:
        """`x` with some of its entries at 0, where a step trains."""
        run = training()
        if run is None or self.rate == 0:
            return x
        return ops.where(run.uniform(tuple(x.shape)) < self.rate, ops.zeros((), x), x / (1 - self.rate))
