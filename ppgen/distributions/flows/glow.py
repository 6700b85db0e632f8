"""Multi-scale flows of images by the names of their papers."""

from ppgen.distributions.flows.compose import Compose
from ppgen.distributions.flows.elementwise import ActNorm
from ppgen.distributions.flows.images import ChannelCoupling, CheckerboardCoupling, Pixelwise
from ppgen.distributions.flows.lu import LU
from ppgen.distributions.flows.multiscale import MultiScale, Shape, check_sides
from ppgen.distributions.flows.permutation import Reverse
from ppgen.distributions.flows.repeat import Repeat
from ppgen.distributions.flows.squeeze import Squeeze
from ppgen.distributions.flows.transform import Inverse, Transform


def Glow(
    shape: Shape, levels: int = 3, steps: int = 8, hidden: tuple[int, ...] = (64,), context: int = 0
) -> MultiScale:
    """Glow (Kingma & Dhariwal, 2018): activation normalisation, 1 x 1 convolution, coupling, at several scales.

    After each level half of the channels leave to a Gaussian given the other half. Density and draws are one pass each.
    Where the paper has plain networks of three layers these are residual. Activation normalisation starts at the
    identity, not from a first batch, and the 1 x 1 convolution at a reversal of the channels, not at a random rotation:
    a fresh Glow is a standard normal, so scale the data to about unit variance. Pixels in [0, 1] go through `Logit`.

    Args:
        shape: channels, height and width of an image; the sides are multiples of 2 ** levels.
        levels: number of scales.
        steps: steps of flow at each scale.
        hidden: channels inside each residual block of the networks (the paper has 512).
        context: size of the context, which enters every network; 0 for none.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import Flow, Glow, flows
        >>> glow = Glow((1, 4, 4), levels=1, steps=2, hidden=(8,))
        >>> glow
        MultiScale(
          (1, 4, 4),
          Compose(
            Repeat(
              2,
              Compose(
                ChannelCoupling(channels=4, bijection=Affine(bound=2.0), hidden=(8,), context=0, swap=False, activation='relu'),
                Pixelwise(
                  Compose(
                    Permutation(order=(3, 2, 1, 0)),
                    Inverse(transform=LU(dim=4)),
                    ActNorm(dim=4),
                  ),
                ),
              ),
            ),
            Inverse(transform=Squeeze()),
          ),
        )
        >>> pixels = Flow(glow, (flows.Logit(),))
        >>> pixels.apply(pixels.init()).log_prob(np.full((7, 1, 4, 4), 0.5)).shape
        (7,)
    """
    check_sides(shape, levels)
    stages = []
    for level in range(levels):
        channels = shape[0] * 2 ** (level + 2)
        coupling = ChannelCoupling(channels, hidden=hidden, context=context)
        mix = Pixelwise(Compose((Reverse(channels), Inverse(LU(channels)), ActNorm(channels))))
        leave = [coupling] if level + 1 < levels else []
        stages.append(Compose((*leave, Repeat(steps, Compose((coupling, mix))), Inverse(Squeeze()))))
    return MultiScale(shape, tuple(reversed(stages)))


def ImageRealNVP(
    shape: Shape, levels: int = 3, steps: int = 2, hidden: tuple[int, ...] = (64,), context: int = 0
) -> MultiScale:
    """RealNVP for images (Dinh et al., 2017): couplings of checkerboards, then of channels, at several scales.

    After each level half of the channels leave as standard normal numbers. Density and draws are one pass each.
    Activation normalisation stands where the paper has batch normalisation. Pixels in [0, 1] go through `Logit`.

    Args:
        shape: channels, height and width of an image; the sides are multiples of 2 ** levels.
        levels: number of scales.
        steps: pairs of couplings of either kind at each scale; a pair changes all numbers of the image.
        hidden: channels inside each residual block of the networks.
        context: size of the context, which enters every network; 0 for none.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> flow = flows.ImageRealNVP((3, 8, 8), levels=2, hidden=(8,), context=5)
        >>> p = flow.apply(flow.init(), np.ones((7, 5)))
        >>> p.batch_shape, p.event_shape
        ((7,), (3, 8, 8))
    """
    check_sides(shape, levels)

    def pairs(kind: type, channels: int) -> Transform:
        couplings = (kind(channels, hidden=hidden, context=context, swap=swap) for swap in (False, True))
        return Repeat(steps, Compose((*couplings, Pixelwise(ActNorm(channels)))))

    stages = []
    for level in range(levels):
        channels = shape[0] * 2**level
        stages.append(
            Compose((pairs(ChannelCoupling, 4 * channels), Inverse(Squeeze()), pairs(CheckerboardCoupling, channels)))
        )
    return MultiScale(shape, tuple(reversed(stages)))
