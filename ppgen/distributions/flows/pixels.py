"""Between pixels and real numbers."""

import numpy as np

from ppgen.distributions.flows.compose import Compose
from ppgen.distributions.flows.elementwise import AffineConstant, Sigmoid


def Logit(alpha: float = 0.05, rank: int = 3) -> Compose:
    r"""Pixels in [0, 1] modelled by their logits: :math:`x = (\sigma(y) - \alpha) / (1 - 2 \alpha)` (Dinh et al., 2017).

    The last transform of a flow of pixels; undone, it gives :math:`y = \mathrm{logit}(\alpha + (1 - 2 \alpha) x)`, which
    is finite at black and white. In exchange the density lives on a little more than [0, 1]: on
    :math:`[-\alpha / (1 - 2 \alpha), (1 - \alpha) / (1 - 2 \alpha)]`; clip the draws to look at them.

    Args:
        alpha: between 0 and 1/2; papers have 0.05 for photographs and 1e-6 for MNIST.
        rank: number of event axes: 3 for images, 1 for vectors.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> y, log_det = flows.Logit(0.05).inverse({}, np.array([[[0.0, 0.5, 1.0]]], np.float32))
        >>> [round(float(logit), 2) for logit in y[0, 0]], round(float(log_det), 2)
        ([-2.94, 0.0, 2.94], 7.16)
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"expected alpha between 0 and 1/2; got {alpha!r}.")
    scale = 1 / (1 - 2 * alpha)
    return Compose((Sigmoid(rank), AffineConstant(-alpha * scale, scale, rank)))


def dequantise(x: np.ndarray, levels: int = 256, seed: int = 0) -> np.ndarray:
    r"""Spread integer pixels 0 to `levels` - 1 over (0, 1): (x + u) / levels, u uniform (Theis et al., 2016).

    A density p of the result says about the integers themselves, in D dimensions,

    .. math:: \log P(x) = \log \int p(\tfrac{x + u}{L})\, L^{-D} du \ge E_u \log p(\tfrac{x + u}{L}) - D \log L

    so its log-likelihood is an estimate of a *lower bound*, and its bits per dimension of an upper bound;
    `fit.evaluate(data, quantization=levels)` counts the last term. For training draw new noise in every epoch.

    Args:
        x: integers, of any shape.
        levels: number of levels L.
        seed: of the noise.

    Returns:
        float32, of the shape of `x`, strictly between 0 and 1.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import flows
        >>> x = flows.dequantise(np.array([0, 3, 255]))
        >>> np.floor(x * 256).astype(int).tolist()
        [0, 3, 255]
    """
    x = np.asarray(x, np.float64)
    if not np.isin(x, np.arange(levels)).all():
        raise ValueError(
            f"expected integers from 0 to {levels - 1}; got values from {x.min():g} to {x.max():g}, not all of them such. "
            "Pass pixels as they are stored, or the right number of levels."
        )
    u = 1 - np.random.default_rng(seed).random(x.shape)  # in (0, 1]
    below = np.nextafter(np.float32((x + 1) / levels), np.float32(0))  # float32 may round up to the next level
    return np.minimum(((x + u) / levels).astype(np.float32), below)
