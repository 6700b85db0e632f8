"""Pixels into channels and back."""

from dataclasses import dataclass
from typing import ClassVar

from ppgen import ops
from ppgen.distributions.flows.images import check_channels
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Parameters


@dataclass(frozen=True)
class Squeeze(Transform):
    """Squares of 2 x 2 pixels become four channels: [..., c, h, w] to [..., 4 c, h / 2, w / 2] (Dinh et al., 2017).

    Channel 4 i + 2 a + b of the result holds row a and column b of each square of channel i. The log-determinant is 0.
    Data are the large side, so a `MultiScale` has `Inverse(Squeeze())`.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> y, log_det = flows.Squeeze().forward({}, np.arange(8.0).reshape(1, 2, 4))
        >>> y.tolist()
        [[[0.0, 2.0]], [[1.0, 3.0]], [[4.0, 6.0]], [[5.0, 7.0]]]
    """

    rank: ClassVar[int] = 3

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        check_channels(self, x, None)
        *lead, c, h, w = x.shape
        if h % 2 or w % 2:
            raise ValueError(
                f"expected images with even sides to squeeze; got height {h} and width {w}. "
                "Pad or crop the images, or use fewer levels."
            )
        y = x.reshape(*lead, c, h // 2, 2, w // 2, 2)
        y = ops.moveaxis(ops.moveaxis(y, -3, -4), -1, -3)  # [c, 2, 2, h / 2, w / 2]
        return y.reshape(*lead, 4 * c, h // 2, w // 2), x[..., 0, 0, 0] * 0

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        check_channels(self, y, None)
        *lead, c, h, w = y.shape
        if c % 4:
            raise ValueError(f"expected a multiple of 4 channels to make squares of; got {c}. Squeeze an image first.")
        x = y.reshape(*lead, c // 4, 2, 2, h, w)
        x = ops.moveaxis(ops.moveaxis(x, -3, -1), -4, -3)  # [c, h, 2, w, 2]
        return x.reshape(*lead, c // 4, 2 * h, 2 * w), y[..., 0, 0, 0] * 0
