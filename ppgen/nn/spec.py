"""What a parameter of a network is before it has a value."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spec:
    """Shape and initial distribution of one array: uniform in [-bound, bound]."""

    shape: tuple[int, ...]
    bound: float

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """An initial value, float32."""
        if self.bound == 0:
            return np.zeros(self.shape, np.float32)
        return rng.uniform(-self.bound, self.bound, self.shape).astype(np.float32)
