"""What every candidate trains: the same networks on the same rows in the same batches."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROWS, PIXELS, HIDDEN, LATENT = 60_000, 784, 400, 20
BATCH, LEARNING_RATE = 128, 1e-3


@dataclass(frozen=True)
class Problem:
    """A VAE 784-400-(20, 20) / 20-400-784 with `particles` draws of the latent for each row."""

    particles: int
    steps: int  # in each round

    @cached_property
    def rows(self) -> np.ndarray:
        """Binary rows, as many as MNIST has, from ten random templates: there is something to learn."""
        generator = np.random.default_rng(0)
        templates = generator.beta(0.3, 0.7, size=(10, PIXELS)).astype(np.float32)
        chance = generator.random((ROWS, PIXELS), dtype=np.float32)
        return (chance < templates[generator.integers(10, size=ROWS)]).astype(np.float32)

    def index(self, number: int) -> np.ndarray:
        """The rows of each batch of round `number`, `[steps, batch]`."""
        return np.random.default_rng([1, number]).integers(ROWS, size=(self.steps, BATCH), dtype=np.int32)

    def weights(self) -> dict[str, np.ndarray]:
        """Initial matrices `[in, out]` and biases, drawn as `ppgen.nn.MLP` draws its own."""
        generator = np.random.default_rng(2)
        layers = {
            "encoder.0": (PIXELS, HIDDEN),
            "encoder.1": (HIDDEN, 2 * LATENT),
            "decoder.0": (LATENT, HIDDEN),
            "decoder.1": (HIDDEN, PIXELS),
        }
        weights = {}
        for name, (inputs, outputs) in layers.items():
            bound = inputs**-0.5
            weights[f"{name}.weight"] = generator.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
            weights[f"{name}.bias"] = generator.uniform(-bound, bound, outputs).astype(np.float32)
        return weights
