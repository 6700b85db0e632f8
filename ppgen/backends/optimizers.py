"""What is no optimiser of a backend."""

from numbers import Real
from typing import Any

from ppgen.errors import ProgramError


def no_optimizer(spec: Any, backend: str, native: str) -> ProgramError:
    """The error of an optimiser that a backend cannot use.

    Args:
        spec: what was given.
        backend: which backend.
        native: the optimisers of its own that it takes, in words.
    """
    rate = spec if isinstance(spec, Real) else 1e-3
    return ProgramError(
        f"expected optimizer to be one of ppgen's, such as ppgen.Adam({rate}), or on {backend} {native}; got {spec!r}. "
        f"Write optimizer=ppgen.Adam({rate})."
    )
