"""Normalising flows: a base distribution pushed through invertible transforms."""

from ppgen.distributions.flows.autoregressive import AutoregressiveTransform
from ppgen.distributions.flows.bijections import Affine, Bijection, Shift
from ppgen.distributions.flows.compose import Compose
from ppgen.distributions.flows.coupling import Coupling
from ppgen.distributions.flows.elementwise import ActNorm, AffineConstant, Elementwise, Exp, Sigmoid, Softplus, Tanh
from ppgen.distributions.flows.flow import Flow
from ppgen.distributions.flows.glow import Glow, ImageRealNVP
from ppgen.distributions.flows.images import ChannelCoupling, CheckerboardCoupling, Pixelwise
from ppgen.distributions.flows.lu import LU
from ppgen.distributions.flows.multiscale import MultiScale
from ppgen.distributions.flows.permutation import Permutation, Reverse, Shuffle
from ppgen.distributions.flows.pixels import Logit, dequantise
from ppgen.distributions.flows.ready import IAF, MAF, NICE, NSF, RealNVP
from ppgen.distributions.flows.repeat import Repeat
from ppgen.distributions.flows.spline import RationalQuadraticSpline
from ppgen.distributions.flows.squeeze import Squeeze
from ppgen.distributions.flows.transform import Inverse, Transform

__all__ = [
    "IAF",
    "LU",
    "MAF",
    "NICE",
    "NSF",
    "ActNorm",
    "Affine",
    "AffineConstant",
    "AutoregressiveTransform",
    "Bijection",
    "ChannelCoupling",
    "CheckerboardCoupling",
    "Compose",
    "Coupling",
    "Elementwise",
    "Exp",
    "Flow",
    "Glow",
    "ImageRealNVP",
    "Inverse",
    "Logit",
    "MultiScale",
    "Permutation",
    "Pixelwise",
    "RationalQuadraticSpline",
    "RealNVP",
    "Repeat",
    "Reverse",
    "Shift",
    "Shuffle",
    "Sigmoid",
    "Softplus",
    "Squeeze",
    "Tanh",
    "Transform",
    "dequantise",
]
