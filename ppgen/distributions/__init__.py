"""Learnable distributions: a network's worth of parameters at any sample site."""

from ppgen.distributions import autoregressive, flows
from ppgen.distributions.autoregressive import MADE
from ppgen.distributions.bases import StandardNormal, StandardUniform
from ppgen.distributions.flows import Flow
from ppgen.distributions.learnable import Learnable

__all__ = ["MADE", "Flow", "Learnable", "StandardNormal", "StandardUniform", "autoregressive", "flows"]
