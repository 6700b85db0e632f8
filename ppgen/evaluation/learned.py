"""What evaluation asks of a fit, which is made above it."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from ppgen.problem.problem import Problem


@runtime_checkable
class Learned(Protocol):
    """Programs with what was learned: a `ppgen.Fit`."""

    problem: Problem
    algorithm: Any
    state: Any
    draws: dict[str, Any]

    def evaluate(self, data: Mapping[str, Any], **options: Any) -> Any:
        """Log-likelihood of data, an `Evaluation`."""
        ...

    def posterior(self, data: Mapping[str, Any] | None = None, draws: int | None = None, seed: int = 0) -> Any:
        """Draws of the latent sites, an `xarray.DataTree`."""
        ...
