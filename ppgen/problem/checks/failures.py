"""What to do about a program that raised an error of a library while it ran."""

from collections.abc import Mapping

import jax
import numpy as np

from ppgen.errors import ProgramError
from ppgen.problem.checks.plates import rows_of
from ppgen.problem.program import Program

LARGE = 1e4
"""Above it, data are better normalised."""

_SHAPES = ("shape", "broadcast", "size", "dimension", "axis", "axes", "expand")
_PARAMETERS = ("satisfy the constraint", "got invalid")  # torch's words and NumPyro's
_ARGUMENTS = ("argument", "callable", "unsupported operand")


def explained(program: Program, arrays: Mapping[str, np.ndarray], error: Exception) -> ProgramError:
    """The error of a program that does not run on a batch, with what to do about it."""
    shapes = ", ".join(f"{name} {value.shape} {value.dtype}" for name, value in arrays.items())
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("(at ")]  # not JAX's own
    reason = " ".join([_reason(error), *notes])
    large = {name: most for name, value in arrays.items() if (most := float(np.abs(value).max(initial=0))) > LARGE}
    values = ", ".join(f"{name!r} reaches {most:.3g}" for name, most in large.items())
    normalise = f" Normalise the data, x / x.std() say: {values}." if large else ""
    return ProgramError(
        f"the {program.role} does not run on a batch of {rows_of(arrays)} rows ({shapes}): {reason}. "
        f"{_advice(error)}{normalise}"
    )


def _reason(error: Exception) -> str:
    """What a library said; JAX's first line and the operation, without its advice for JAX itself."""
    said = str(error)
    if _is_concrete(error):
        said = said.split("\n")[0]
    return said.split(", but found invalid values")[0].rstrip(".")


def _advice(error: Exception) -> str:
    said = str(error).lower()
    if _is_concrete(error):
        return (
            "A compiled program does not know its numbers: expected array functions on them (ppgen.ops.where for `if`, no "
            "float(), int(), bool() or NumPy), or, for what a shape decides, len(x) and x.shape."
        )
    if any(words in said for words in _PARAMETERS):
        return (
            "Expected every distribution to get parameters in their range: a network's output is any real number, so pass it "
            "as logits=, or through ops.softplus, ops.exp or ops.sigmoid."
        )
    if isinstance(error, TypeError) and any(words in said for words in _ARGUMENTS):
        return "Correct the call; the traceback above this error shows where."
    if any(words in said for words in _SHAPES):
        return (
            "Expected a program that runs on any number of rows; where a size is at fault, take it from the data, as in "
            "plate('data', rows) or len(x), and call .to_event(1) where an axis is part of one event."
        )
    return "The traceback above this error shows where."


def _is_concrete(error: Exception) -> bool:
    """Whether a number was asked for that only running compiled code could tell."""
    return isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError)
