"""The monotone rational-quadratic spline."""

import math
from dataclasses import dataclass

from ppgen import ops
from ppgen.distributions.flows.bijections import Bijection

SMALLEST = 1e-3  # width and height of a bin, as a share of the whole interval; and slope at a knot


@dataclass(frozen=True)
class RationalQuadraticSpline(Bijection):
    r"""A monotone spline on [-bound, bound], the identity outside (Durkan et al., 2019).

    It takes the data, as densities do, and draws take its inverse. Knots :math:`(y_k, x_k)` with slopes :math:`d_k` cut the
    interval into bins. In the bin of y, of width w, height h and mean slope s = h / w, with :math:`\xi = (y - y_k) / w`:

    .. math:: f^{-1}(y) = x_k + h \frac{s \xi^2 + d_k \xi (1 - \xi)}{s + (d_k + d_{k+1} - 2 s) \xi (1 - \xi)}

    Theta holds the logits of the widths, those of the heights, and the slopes at the inner knots (at the ends the slope
    is 1, so that f and its derivative are continuous). Outside the tails are those of the base: a spline moves no mass
    beyond the bound, so put the data within it, or a linear map after it.

    Args:
        bins: number of bins K, at least 2.
        bound: half the length of the interval.

    Example:
        >>> from ppgen import ops
        >>> from ppgen.distributions import flows
        >>> spline = flows.RationalQuadraticSpline(bins=4, bound=2.0)
        >>> y, log_slope = spline.forward(ops.zeros((spline.outputs,)), ops.asarray([-3.0, 0.5, 1.0]))
        >>> y.tolist()
        [-3.0, 0.5, 1.0]
    """

    bins: int = 8
    bound: float = 5.0

    def __post_init__(self) -> None:
        if not (isinstance(self.bins, int) and 2 <= self.bins <= 0.5 / SMALLEST):
            raise ValueError(f"expected 2 to {0.5 / SMALLEST:g} bins; got {self.bins!r}.")
        if not (self.bound > 0 and math.isfinite(self.bound)):
            raise ValueError(f"expected a positive bound; got {self.bound!r}.")

    @property
    def outputs(self) -> int:
        return 3 * self.bins - 1

    def forward(self, theta: ops.Array, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        inside = self._inside(x)
        (left, width), (bottom, height), slopes = self._bins(theta)
        at = ops.where(inside, x, 0.0)  # outside nothing is computed that could overflow, not even a gradient
        number = self._bin(bottom, at)
        left, width, bottom, height, *slopes = (_pick(number, of) for of in (left, width, bottom, height, *slopes))
        xi = _solve(ops.clip((at - bottom) / height, 0.0, 1.0), height / width, *slopes)
        _, log_slope = _curve(xi, height / width, *slopes)
        return ops.where(inside, left + width * xi, x), ops.where(inside, -log_slope, 0.0)

    def inverse(self, theta: ops.Array, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        inside = self._inside(y)
        (left, width), (bottom, height), slopes = self._bins(theta)
        at = ops.where(inside, y, 0.0)
        number = self._bin(left, at)
        left, width, bottom, height, *slopes = (_pick(number, of) for of in (left, width, bottom, height, *slopes))
        xi = ops.clip((at - left) / width, 0.0, 1.0)
        share, log_slope = _curve(xi, height / width, *slopes)
        return ops.where(inside, bottom + height * share, y), ops.where(inside, log_slope, 0.0)

    def _inside(self, x: ops.Array) -> ops.Array:
        return (x > -self.bound) & (x < self.bound)

    def _bins(self, theta: ops.Array) -> tuple:
        """Starts and sizes [..., K] of the bins along y, the same along x, slopes where bins start and where they end."""
        widths, heights, slopes = ops.split(theta, (self.bins, self.bins, self.bins - 1))

        def edges(logits: ops.Array) -> tuple[ops.Array, ops.Array]:
            size = 2 * self.bound * (SMALLEST + (1 - SMALLEST * self.bins) * _shares(logits))
            return ops.cumsum(size) - size - self.bound, size

        slopes = SMALLEST + ops.softplus(slopes + math.log(math.expm1(1 - SMALLEST)))  # 1 at theta = 0
        end = slopes[..., :1] * 0 + 1
        return edges(widths), edges(heights), (ops.concatenate([end, slopes]), ops.concatenate([slopes, end]))

    def _bin(self, starts: ops.Array, x: ops.Array) -> ops.Array:
        """The number of the bin that holds x [...], given where bins start."""
        return ops.as_integer(ops.sum(ops.as_type_of(starts[..., 1:] <= x[..., None], x), -1))


def _shares(logits: ops.Array) -> ops.Array:
    """The softmax of each row, written out: torch's own is made for longer rows."""
    weights = ops.exp(logits - ops.stop_gradient(ops.amax(logits, -1))[..., None])
    return weights / ops.sum(weights, -1, keepdims=True)


def _pick(number: ops.Array, values: ops.Array) -> ops.Array:
    """The entry of each row [..., K] of `values` with the given number."""
    values = ops.broadcast_to(values, (*number.shape, values.shape[-1]))
    return ops.take_along(values, number[..., None])[..., 0]


def _curve(xi: ops.Array, slope: ops.Array, start: ops.Array, end: ops.Array) -> tuple[ops.Array, ops.Array]:
    """The share of the bin's height that is reached at xi, and the log of the slope there."""
    product = xi * (1 - xi)
    below = slope + (start + end - 2 * slope) * product
    rise = end * ops.square(xi) + 2 * slope * product + start * ops.square(1 - xi)
    share = (slope * ops.square(xi) + start * product) / below
    return share, 2 * ops.log(slope) + ops.log(rise) - 2 * ops.log(below)


def _solve(share: ops.Array, slope: ops.Array, start: ops.Array, end: ops.Array) -> ops.Array:
    """The xi where the curve reaches a share of the height: a root of a quadratic, in the forms that do not cancel."""
    bend = start + end - 2 * slope
    a, b, c = slope - start + share * bend, start - share * bend, -slope * share
    discriminant = ops.square(b) - 4 * a * c
    positive = discriminant > 0  # rounding may say otherwise, and the root has no gradient at 0
    root = ops.where(positive, ops.sqrt(ops.where(positive, discriminant, 1.0)), 0.0)
    q = -(b + ops.where(b >= 0, root, -root)) / 2
    return ops.clip(ops.where(b >= 0, c, q) / ops.where(b >= 0, q, a), 0.0, 1.0)
