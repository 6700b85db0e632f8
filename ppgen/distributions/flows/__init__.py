"""Normalising flows: a base distribution pushed through invertible transforms."""

from ppgen.distributions.flows.autoregressive import AutoregressiveTransform
from ppgen.distributions.flows.bijections import Affine, Bijection, Shift
from ppgen.distributions.flows.flow import Flow
from ppgen.distributions.flows.transform import Inverse, Transform

__all__ = ["Affine", "AutoregressiveTransform", "Bijection", "Flow", "Inverse", "Shift", "Transform"]
