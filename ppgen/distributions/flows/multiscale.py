"""Flows of images in which numbers leave at every scale."""

from dataclasses import dataclass

from ppgen import arguments, nn, ops
from ppgen.distributions.bases import StandardNormal
from ppgen.distributions.flows.compose import common, tree
from ppgen.distributions.flows.transform import Transform, image, one_an_event
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event

Shape = tuple[int, int, int]


@dataclass(frozen=True, repr=False)
class MultiScale(Learnable):
    r"""A tree of factors (Dinh et al., 2017): after each stage half of the channels are standard normal, the rest goes on.

    With stages :math:`f_1, \dots, f_n` and :math:`x_n = x`, the stages undone one after another give

    .. math:: (x_{k-1}, z_k) = f_k^{-1}(x_k), \quad (z_1 = f_1^{-1}(x_1) \text{ whole}) \qquad
        \log p(x) = \sum_k \log N(z_k; 0, 1) + \log |\det \partial f_k^{-1}|

    A stage that begins with a coupling of channels makes what leaves Gaussian given what goes on, with a location and a
    scale by a network.

    Args:
        event_shape: channels, height and width of an image.
        stages: f_1 to f_n; as in `Flow` the last gives x. Each ends with `Inverse(Squeeze())` or has it inside: it makes
            images [c, h, w] of [4 c, h / 2, w / 2].

    Example:
        >>> from ppgen.distributions.flows import ChannelCoupling, Compose, Inverse, MultiScale, Squeeze
        >>> net = ChannelCoupling(4, hidden=(16,))
        >>> flow = MultiScale((1, 2, 2), (Compose((net, Inverse(Squeeze()))),))
        >>> flow.apply(flow.init()).event_shape
        (1, 2, 2)
    """

    event_shape: Shape
    stages: tuple[Transform, ...]

    def __post_init__(self) -> None:
        arguments.assign(self, event_shape=tuple(self.event_shape), stages=tuple(self.stages))
        check_sides(self.event_shape, len(self.stages))
        for stage in self.stages:
            arguments.kind("MultiScale", "each stage", stage, Transform, "flows.Inverse(flows.Squeeze())")
            _ = image(stage, "real", 3)
        _ = self.context  # check that the parts agree

    @property
    def support(self) -> Support:
        return self.stages[-1].image("real")

    @property
    def context(self) -> int:
        return common("size of contexts", [stage.context for stage in self.stages if stage.context]) or 0

    def specs(self) -> dict[str, nn.Spec]:
        return nn.gather(**{str(i): stage for i, stage in enumerate(self.stages)})

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        check_event(self, x)
        total = 0.0
        for i, shape, leaving in reversed(self._scales()):
            stage = self.stages[i]
            both = stage.inverse(nn.part(params, str(i)), x, context if stage.context else None)
            x, log_det = one_an_event(stage, both, 3)
            if tuple(x.shape[-3:]) != shape:
                raise ValueError(
                    f"expected stage {i} to make images of shape {shape}, undone; got {tuple(x.shape[-3:])}. "
                    "Each stage has one Inverse(Squeeze())."
                )
            x, z = ops.split(x, (shape[0] - leaving[0], leaving[0]), -3)
            total = total + log_det + StandardNormal(*leaving).log_prob({}, z)
        return total

    def draw_with_log_prob(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        x, log_prob = None, 0.0
        for i, _, leaving in self._scales():
            stage = self.stages[i]
            z, log_normal = StandardNormal(*leaving).draw_with_log_prob({}, noise, shape)
            x = z if x is None else ops.concatenate((x, z), -3)
            both = stage.forward(nn.part(params, str(i)), x, context if stage.context else None)
            x, log_det = one_an_event(stage, both, 3)
            log_prob = log_prob + log_normal - log_det
        return x, log_prob

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        return self.draw_with_log_prob(params, noise, shape, context)[0]

    def _scales(self) -> list[tuple[int, Shape, Shape]]:
        """For each stage its number, the shape of its images on the side of the noise, and of the part that leaves."""
        scales, (c, h, w) = [], self.event_shape
        for i in reversed(range(len(self.stages))):
            c, h, w = 4 * c, h // 2, w // 2
            scales.append((i, (c, h, w), (c // 2 if i else c, h, w)))
            c = c // 2
        return scales[::-1]

    def __repr__(self) -> str:
        return tree("MultiScale", [self.event_shape, *self.stages])


def check_sides(shape: Shape, levels: int) -> None:
    """Raise where images of a shape cannot be squeezed as often as there are levels."""
    whole = len(shape) == 3 and all(isinstance(n, int) and n > 0 for n in shape)
    if not (whole and levels > 0) or any(side % 2**levels for side in shape[1:]):
        raise ValueError(
            f"expected a shape (channels, height, width) whose sides can be halved once for each of at least one level; "
            f"got shape {tuple(shape)} and {levels} levels. Pad or crop the images, or use fewer levels."
        )
