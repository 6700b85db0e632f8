"""Guides that are made of the model."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppgen.problem.problem import Problem


class Automatic:
    """A guide that looks at the model first: what stands in the place of a guide program, as `ppgen.guides.MeanField()`."""

    def program(self, problem: "Problem") -> Callable[..., Any]:
        """The guide as a program, for the model of a problem that has no guide yet."""
        raise NotImplementedError(f"{type(self).__name__} makes no program")

    def finish(self, problem: "Problem", parameters: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters (unconstrained) after the last step of `ppgen.fit` on arrays: as they are, for most guides.

        Args:
            problem: the model and this guide.
            parameters: what training came to.
            data: all rows, as the backend's arrays.
        """
        return parameters
