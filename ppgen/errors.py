"""The errors ppgen raises, each a kind of ValueError that says what was expected, what came, and what to do."""

import os
import sys
import warnings
from typing import Any


class PpgenError(ValueError):
    """Base of all errors that ppgen raises about a program, a batch or a choice of algorithm."""


class ProgramError(PpgenError):
    """A model or guide that cannot mean what was written: plates, supports, names, parameters."""


class DataError(PpgenError):
    """Data that do not fit the program: shape, type, support, NaN, a missing or misspelt name.

    Attributes:
        fit: the `Fit` so far, where a batch of a stream was at fault after the first (set by `ppgen.fit`).
    """

    fit: Any = None


class IllegalPairing(PpgenError):
    """An algorithm that cannot learn this program; the message lists those that can."""


class NoLikelihoodError(PpgenError):
    """A likelihood or posterior that cannot be computed; the message says what to fit first."""


class NonFiniteError(PpgenError):
    """A loss or gradient that stopped being finite. The parameters before that step are kept.

    Attributes:
        step: the number of the step that failed, counted from 0.
        fit: the `Fit` so far, with the parameters of the last good step (set by `ppgen.fit`).
    """

    def __init__(self, message: str, step: int = -1) -> None:
        super().__init__(message)
        self.step = step
        self.fit: Any = None


class CheckpointError(PpgenError):
    """A folder that does not hold a whole fit, or not one of these programs; or that cannot be written without a loss."""


class RunWarning(UserWarning):
    """A run that went otherwise than it was asked to: interrupted, out of batches, taken back, resumed from further back."""


class ProgramWarning(UserWarning):
    """Something in a program that is seldom meant, and that a reader of the result should know."""


class Note(UserWarning):
    """Something that ppgen did by itself, and that a reader of the result should know."""


_LIBRARY = os.path.dirname(__file__) + os.sep


def tell(message: str, category: type[Warning] = Note) -> None:
    """Warn at the line outside the library that called it, however deep the call is."""
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_LIBRARY):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=depth)
