"""Transforms of images [..., channels, height, width] of any size."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.bijections import Affine, Bijection
from ppgen.distributions.flows.compose import tree
from ppgen.distributions.flows.transform import Around, Map, Transform
from ppgen.distributions.learnable import Parameters


@dataclass(frozen=True, repr=False)
class Pixelwise(Around):
    """A transform of vectors, applied to the channels of every pixel; its log-determinant counts once for each pixel.

    `Pixelwise(LU(channels))` is the invertible 1 x 1 convolution of Glow (Kingma & Dhariwal, 2018), and
    `Pixelwise(ActNorm(channels))` its activation normalisation.

    Args:
        transform: of vectors as long as there are channels.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> scale = flows.Pixelwise(flows.AffineConstant((0.0, 1.0), 2.0))
        >>> y, log_det = scale.forward({}, np.zeros((2, 3, 3)))
        >>> y[:, 0, 0].tolist(), round(float(log_det / np.log(2)), 4)  # 2 channels x 9 pixels
        ([0.0, 1.0], 18.0)
    """

    transform: Transform
    dim: ClassVar[None] = None
    rank: ClassVar[int] = 3

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return self._everywhere(self.transform.forward, params, x, context)

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return self._everywhere(self.transform.inverse, params, y, context)

    def _everywhere(self, map_: Map, params: Parameters, x: ops.Array, context: ops.Array | None) -> tuple:
        check_channels(self, x, self.transform.dim)
        y, log_det = map_(params, ops.moveaxis(x, -3, -1), None if context is None else context[..., None, None, :])
        return ops.moveaxis(y, -1, -3), ops.sum(log_det, (-2, -1))

    def __repr__(self) -> str:
        return tree("Pixelwise", [self.transform])


@dataclass(frozen=True)
class ImageCoupling(Transform):
    """Some numbers of an image stay, and set by a convolution network what is done to the others.

    A subclass writes `net` and `_apply`.

    Args:
        channels: of the image.
        bijection: what is done to each number of the changed part.
        hidden: channels inside each residual block of the network, see `ppgen.nn.ConvNet`.
        context: size of the context; 0 for none.
        swap: exchange the part that stays and the part that changes.
        activation: of the network, see `ppgen.nn.MLP`.
    """

    channels: int
    bijection: Bijection = Affine()
    hidden: tuple[int, ...] = (32,)
    context: int = 0
    swap: bool = False
    activation: str = "relu"
    rank: ClassVar[int] = 3
    support = "real"

    def __post_init__(self) -> None:
        owner = type(self).__name__
        arguments.assign(self, context=arguments.size(owner, "context", self.context, least=0))
        arguments.kind(owner, "bijection", self.bijection, Bijection, "flows.Affine()")
        arguments.assign(self, hidden=arguments.sizes(owner, "hidden", self.hidden))
        _ = self.net  # checks the rest

    @property
    def net(self) -> nn.ConvNet:
        """The network, from what stays to the parameters of the bijection."""
        raise NotImplementedError

    def specs(self) -> dict[str, nn.Spec]:
        return self.net.specs()

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        check_channels(self, x, self.channels)
        return self._apply(self.bijection.forward, params, x, context)

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        check_channels(self, y, self.channels)
        return self._apply(self.bijection.inverse, params, y, context)

    def _apply(self, map_: Map, params: Parameters, x: ops.Array, context: ops.Array | None) -> tuple:
        """The image after `map_`, a direction of the bijection, and the log-determinant."""
        raise NotImplementedError

    def _theta(self, params: Parameters, seen: ops.Array, context: ops.Array | None, changed: int) -> ops.Array:
        """The parameters of the bijection, [..., changed, h, w, outputs]."""
        theta = self.net.apply(params, seen, context)
        theta = theta.reshape(*theta.shape[:-3], changed, self.bijection.outputs, *theta.shape[-2:])
        return ops.moveaxis(theta, -3, -1)


class ChannelCoupling(ImageCoupling):
    """The first half of the channels (the smaller half) stays, the second changes.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> coupling = flows.ChannelCoupling(2, flows.Shift(), hidden=(8,))
        >>> params = {path: np.ones(spec.shape, np.float32) for path, spec in coupling.specs().items()}
        >>> x = np.zeros((2, 3, 3), np.float32)
        >>> y, log_det = coupling.forward(params, x)
        >>> (y != x).any((1, 2)).tolist(), float(log_det)
        ([False, True], 0.0)
    """

    @cached_property
    def net(self) -> nn.ConvNet:
        if self.channels < 2:
            raise ValueError(
                f"expected at least two channels to couple; got {self.channels!r}. "
                "Squeeze the image first, or use CheckerboardCoupling."
            )
        kept, changed = reversed(self._sizes) if self.swap else self._sizes
        outputs = changed * self.bijection.outputs
        return nn.ConvNet(kept, self.hidden, outputs, context=self.context, activation=self.activation)

    @property
    def _sizes(self) -> tuple[int, int]:
        """Channels of each half."""
        return self.channels // 2, self.channels - self.channels // 2

    def _apply(self, map_: Map, params: Parameters, x: ops.Array, context: ops.Array | None) -> tuple:
        turn = slice(None, None, -1 if self.swap else 1)
        kept, changed = ops.split(x, self._sizes, -3)[turn]
        changed, log_slope = map_(self._theta(params, kept, context, changed.shape[-3]), changed)
        kept = ops.broadcast_to(kept, (*changed.shape[:-3], *kept.shape[-3:]))  # a context may have more rows than x
        return ops.concatenate((kept, changed)[turn], -3), ops.sum(log_slope, (-3, -2, -1))


class CheckerboardCoupling(ImageCoupling):
    """Pixels whose row and column add up to an even number stay, the others change (Dinh et al., 2017).

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> coupling = flows.CheckerboardCoupling(1, hidden=(8,))
        >>> params = {path: np.ones(spec.shape, np.float32) for path, spec in coupling.specs().items()}
        >>> x = np.zeros((1, 3, 3), np.float32)
        >>> (coupling.forward(params, x)[0] != x).astype(int).tolist()
        [[[0, 1, 0], [1, 0, 1], [0, 1, 0]]]
    """

    @cached_property
    def net(self) -> nn.ConvNet:
        outputs = self.channels * self.bijection.outputs
        return nn.ConvNet(self.channels, self.hidden, outputs, context=self.context, activation=self.activation)

    def _apply(self, map_: Map, params: Parameters, x: ops.Array, context: ops.Array | None) -> tuple:
        rows, columns = np.indices(x.shape[-2:])
        stays = ops.as_type_of((rows + columns + self.swap) % 2 == 0, x)
        y, log_slope = map_(self._theta(params, x * stays, context, self.channels), x)
        return ops.where(stays > 0, x, y), ops.sum(log_slope * (1 - stays), (-3, -2, -1))


def check_channels(transform: Transform, x: ops.Array, channels: int | None) -> None:
    """Raise where images have another number of channels than their transform."""
    if x.ndim < 3 or channels not in (None, x.shape[-3]):
        raise ValueError(
            f"expected images [..., {channels or 'channels'}, height, width] for {transform!r}; "
            f"got shape {tuple(x.shape)}."
        )
