"""What one dimension is, given the numbers that a network has computed from the dimensions before it."""

import math
from dataclasses import dataclass

from ppgen import ops
from ppgen.distributions.learnable import Noise


class Conditional:
    """A family of distributions of one number, with `outputs` parameters theta.

    Attributes:
        outputs: how many parameters.
        inputs: how many numbers a value enters the network with.
        support: as in `Learnable`.
        reparameterised: whether draws carry a gradient to theta.
    """

    outputs: int
    inputs: int = 1
    support: str | int = "real"
    reparameterised: bool = False

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        """Log density [...] of values `x` [...] under parameters [..., outputs]."""
        raise NotImplementedError

    def noise(self, noise: Noise, shape: tuple[int, ...]) -> ops.Array:
        """The randomness of one draw each, [*shape, n]."""
        return noise.uniform((*shape, 1))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        """Values [...] from parameters [..., outputs] and noise [..., n]; in floating point, whole numbers too."""
        raise NotImplementedError

    def encode(self, x: ops.Array) -> ops.Array:
        """How values [...] enter the network: [..., inputs]."""
        return x[..., None]


@dataclass(frozen=True)
class Bernoulli(Conditional):
    """A bit with log-odds theta."""

    outputs = 1
    support = "boolean"

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        logit = theta[..., 0]
        return x * logit - ops.softplus(logit)

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        u = noise[..., 0]
        return ops.as_type_of(u < ops.sigmoid(theta[..., 0]), u)


@dataclass(frozen=True)
class Categorical(Conditional):
    """One of the integers 0 to `classes` - 1, with logits theta; it enters the network as a one-hot code."""

    classes: int

    def __post_init__(self) -> None:
        if not (isinstance(self.classes, int) and self.classes >= 2):
            raise ValueError(f"Categorical: expected at least 2 classes; got {self.classes!r}.")

    @property
    def outputs(self) -> int:
        return self.classes

    @property
    def inputs(self) -> int:
        return self.classes

    @property
    def support(self) -> int:
        return self.classes

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        return ops.sum(ops.log_softmax(theta) * self.encode(x), -1)

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        return choose(theta, noise[..., 0])

    def encode(self, x: ops.Array) -> ops.Array:
        return ops.as_type_of(x[..., None] == ops.arange(self.classes), x)


@dataclass(frozen=True)
class Gaussian(Conditional):
    """A normal with parameters loc and log scale."""

    outputs = 2
    reparameterised = True

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        loc, log_scale = theta[..., 0], theta[..., 1]
        return -0.5 * ops.square((x - loc) * ops.exp(-log_scale)) - log_scale - 0.5 * math.log(2 * math.pi)

    def noise(self, noise: Noise, shape: tuple[int, ...]) -> ops.Array:
        return noise.normal((*shape, 1))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        return theta[..., 0] + ops.exp(theta[..., 1]) * noise[..., 0]


def choose(logits: ops.Array, u: ops.Array) -> ops.Array:
    """The class [...] whose interval of the cumulative probabilities holds u [...], as a float."""
    below = ops.cumsum(ops.softmax(logits))[..., :-1] <= u[..., None]
    return ops.sum(ops.as_type_of(below, u), -1)
