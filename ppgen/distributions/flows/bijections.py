"""Elementwise bijections whose parameters a network computes: what a coupling or an autoregressive transform does."""

from dataclasses import dataclass

from ppgen import ops
from ppgen.distributions.scales import LAYER_BOUND, check_bound, softly_bounded


class Bijection:
    """An increasing map y = f(x) of one number with `outputs` parameters theta; at theta = 0 it is the identity.

    As in a `Transform`, `forward` goes from the base to the data and `inverse` from the data to the base. A density takes
    `inverse`, so let that be the cheaper of the two.

    Both give the value [...] and the log of its derivative [...] for `theta` [..., outputs].
    """

    outputs: int

    def forward(self, theta: ops.Array, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        """The value y = f(x), and log f'(x)."""
        raise NotImplementedError

    def inverse(self, theta: ops.Array, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        """The x with f(x) = y, and minus log f'(x)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Shift(Bijection):
    """A shift x = y + theta of the data (NICE)."""

    outputs = 1

    def forward(self, theta: ops.Array, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        return x - theta[..., 0], theta[..., 0] * 0

    def inverse(self, theta: ops.Array, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        return y + theta[..., 0], theta[..., 0] * 0


@dataclass(frozen=True)
class Affine(Bijection):
    """An affine map x = y e^s + shift of the data (RealNVP, MAF); s = theta / (1 + |theta| / bound) is kept in bounds.

    See `scales.softly_bounded` for why.
    """

    bound: float = LAYER_BOUND
    outputs = 2

    def __post_init__(self) -> None:
        check_bound("Affine", self.bound)

    def forward(self, theta: ops.Array, x: ops.Array) -> tuple[ops.Array, ops.Array]:
        log_slope = -self._log_scale(theta)
        return (x - theta[..., 0]) * ops.exp(log_slope), log_slope

    def inverse(self, theta: ops.Array, y: ops.Array) -> tuple[ops.Array, ops.Array]:
        log_scale = self._log_scale(theta)
        return y * ops.exp(log_scale) + theta[..., 0], log_scale

    def _log_scale(self, theta: ops.Array) -> ops.Array:
        return softly_bounded(theta, self.bound)[..., 1]  # in this order XLA computes several at a time
