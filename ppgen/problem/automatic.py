"""Guides that are made of the model."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppgen.problem.problem import Problem


class Automatic:
    """A guide that looks at the model first: what stands in the place of a guide program, as `ppgen.guides.MeanField()`."""

    def program(self, problem: "Problem") -> Callable[..., Any]:
        """The guide as a program, for the model of a problem that has no guide yet."""
        raise NotImplementedError(f"{type(self).__name__} makes no program")
