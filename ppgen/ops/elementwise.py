"""Functions of each entry."""

import math
from typing import Any

from ppgen.ops.dispatch import Array, dispatched, dispatched_by


@dispatched
def exp(x: Array, /) -> Array:
    """e^x."""


@dispatched
def expm1(x: Array, /) -> Array:
    """e^x - 1, accurate near 0."""


@dispatched
def log(x: Array, /) -> Array:
    """Natural logarithm."""


@dispatched
def log1p(x: Array, /) -> Array:
    """log(1 + x), accurate near 0."""


@dispatched
def sqrt(x: Array, /) -> Array:
    """Square root."""


@dispatched
def square(x: Array, /) -> Array:
    """The square of x."""


@dispatched
def absolute(x: Array, /) -> Array:
    """|x|; its gradient at 0 is 0."""


@dispatched
def sign(x: Array, /) -> Array:
    """-1, 0 or 1, as x is negative, 0 or positive; NaN of NaN."""


@dispatched
def sin(x: Array, /) -> Array:
    """Sine."""


@dispatched
def cos(x: Array, /) -> Array:
    """Cosine."""


@dispatched
def sinh(x: Array, /) -> Array:
    """Hyperbolic sine."""


@dispatched
def cosh(x: Array, /) -> Array:
    """Hyperbolic cosine."""


@dispatched
def arcsinh(x: Array, /) -> Array:
    """Inverse hyperbolic sine."""


@dispatched
def tanh(x: Array, /) -> Array:
    """Hyperbolic tangent."""


@dispatched
def erf(x: Array, /) -> Array:
    """The error function 2 Phi(sqrt(2) x) - 1, with Phi the standard normal distribution function."""


@dispatched
def lgamma(x: Array, /) -> Array:
    """Log Gamma(x) for positive x; that of n + 1 is log n!."""


@dispatched
def digamma(x: Array, /) -> Array:
    """The derivative of `lgamma`, for positive x."""


@dispatched
def floor(x: Array, /) -> Array:
    """The largest integer at most x."""


@dispatched
def sigmoid(x: Array, /) -> Array:
    """1 / (1 + e^-x)."""


@dispatched
def relu(x: Array, /) -> Array:
    """max(x, 0)."""


@dispatched
def softplus(x: Array, /) -> Array:
    """log(1 + e^x), without overflow; its gradient at 0 is 1/2."""


@dispatched
def leaky_relu(x: Array, /) -> Array:
    """Positive x as it is, negative as 0.2 x: the usual choice in critics."""


@dispatched
def elu(x: Array, /) -> Array:
    """Positive x as it is, negative as e^x - 1."""


@dispatched
def silu(x: Array, /) -> Array:
    """The product x * sigmoid(x)."""


@dispatched
def gelu(x: Array, /) -> Array:
    """The product x * Phi(x), with the exact normal distribution function."""


@dispatched_by("x", "y")
def maximum(x: Array, y: Array, /) -> Array:
    """The larger of two; where they are equal, each has half of the gradient."""


@dispatched_by("x", "y")
def minimum(x: Array, y: Array, /) -> Array:
    """The smaller of two; where they are equal, each has half of the gradient."""


def logaddexp(x: Array, y: Array, /) -> Array:
    """log(e^x + e^y), without overflow; two probabilities of 0 have finite gradients too.

    Example:
        >>> import math
        >>> from ppgen import ops
        >>> float(ops.exp(ops.logaddexp(math.log(0.25), math.log(0.5))))
        0.75
    """
    first = x > y
    larger, smaller = where(first, x, y), where(first, y, x)
    return larger + softplus(where(absolute(larger) == math.inf, 0.0, smaller - larger))


@dispatched_by("condition", "x", "y")
def where(condition: Array, x: Any, y: Any, /) -> Array:
    """`x` where the condition holds, `y` elsewhere."""


@dispatched
def clip(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """`x` cut to [low, high]; at the ends its gradient is still 1 (that of `jnp.clip` is 1/2 there)."""


@dispatched
def finite(x: Array, /) -> Array:
    """`x` with 0 in place of what is NaN or infinite."""
