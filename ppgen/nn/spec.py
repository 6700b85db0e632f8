"""What a parameter of a network is before it has a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops

Parameters = Mapping[str, ops.Array]
"""Arrays by path, as `specs` names them."""


@dataclass(frozen=True)
class Spec:
    """Shape and initial distribution of one array: uniform in [centre - bound, centre + bound].

    The bound is one number, or one for each entry of the last axis.
    """

    shape: tuple[int, ...]
    bound: float | tuple[float, ...] = 0.0
    centre: float = 0.0

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """An initial value, float32."""
        bound = np.asarray(self.bound)
        return rng.uniform(self.centre - bound, self.centre + bound, self.shape).astype(np.float32)


def gather(**parts: Any) -> dict[str, Spec]:
    """The parameters of several parts (networks, transforms), each under its own name: `name.path`."""
    return {f"{name}.{path}": spec for name, part in parts.items() for path, spec in part.specs().items()}


def part(parameters: Parameters, name: str) -> dict[str, Any]:
    """The parameters of one part, under their own paths: the inverse of `gather`."""
    prefix = name + "."
    return {path.removeprefix(prefix): value for path, value in parameters.items() if path.startswith(prefix)}
