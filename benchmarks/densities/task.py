"""What all libraries compute: the same networks on the same rows."""

from dataclasses import dataclass

import numpy as np

MODELS = {
    "coupling": "affine couplings of halves",
    "MAF": "affine autoregressive transforms",
    "NSF": "rational-quadratic splines in couplings of halves",
    "MADE": "bits by a masked autoencoder",
}
ROWS, TRANSFORMS, BINS, BOUND = 64, 3, 8, 5.0


@dataclass(frozen=True)
class Task:
    """A density over vectors. Every second transform has the halves swapped, or the order turned round."""

    model: str
    dim: int

    @property
    def width(self) -> int:
        """Units of a hidden layer: the masked networks of Pyro and NumPyro take no fewer than dimensions."""
        return 2 ** self.dim.bit_length()

    @property
    def hidden(self) -> tuple[int, ...]:
        """The hidden layers of a network: three in a coupling, as a residual block between two layers has."""
        return (self.width,) * (3 if self.model in ("coupling", "NSF") else 2)

    @property
    def rows(self) -> np.ndarray:
        """Where the density is computed, [ROWS, dim]: normal numbers, or bits."""
        normal = np.random.default_rng(0).normal(size=(ROWS, self.dim)).astype(np.float32)
        return (normal > 0).astype(np.float32) if self.model == "MADE" else normal
