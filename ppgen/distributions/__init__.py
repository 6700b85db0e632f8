"""Learnable distributions: a network's worth of parameters at any sample site."""

from ppgen.distributions import autoregressive, flows
from ppgen.distributions.autoregressive import MADE, Recurrent
from ppgen.distributions.bases import StandardNormal, StandardUniform
from ppgen.distributions.empirical import Empirical
from ppgen.distributions.flows import Flow
from ppgen.distributions.learnable import Learnable
from ppgen.language import dist

__all__ = [
    "MADE",
    "Empirical",
    "Flow",
    "Learnable",
    "Recurrent",
    "StandardNormal",
    "StandardUniform",
    "autoregressive",
    "flows",
]

dist.learnable.update({name: globals()[name] for name in __all__ if name[0].isupper()})  # as ppgen.dist.NSF
