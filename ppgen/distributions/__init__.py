"""Learnable distributions: a network's worth of parameters at any sample site."""

from ppgen.distributions import autoregressive, flows
from ppgen.distributions.autoregressive import (
    FVSBN,
    MADE,
    NADE,
    RNADE,
    AnyOrder,
    DeepNADE,
    MarkovChain,
    OrderEnsemble,
    Recurrent,
)
from ppgen.distributions.bases import StandardNormal, StandardUniform
from ppgen.distributions.empirical import Empirical
from ppgen.distributions.flows import IAF, MAF, NICE, NSF, Flow, Glow, RealNVP
from ppgen.distributions.hidden_markov import HiddenMarkov
from ppgen.distributions.implicit import Implicit
from ppgen.distributions.infinite_mixture import InfiniteMixture
from ppgen.distributions.learnable import Learnable
from ppgen.distributions.mixtures import GaussianMixture, Mixture
from ppgen.language import dist

__all__ = [
    "FVSBN",
    "IAF",
    "MADE",
    "MAF",
    "NADE",
    "NICE",
    "NSF",
    "RNADE",
    "AnyOrder",
    "DeepNADE",
    "Empirical",
    "Flow",
    "GaussianMixture",
    "Glow",
    "HiddenMarkov",
    "Implicit",
    "InfiniteMixture",
    "Learnable",
    "MarkovChain",
    "Mixture",
    "OrderEnsemble",
    "RealNVP",
    "Recurrent",
    "StandardNormal",
    "StandardUniform",
    "autoregressive",
    "flows",
]

# as ppgen.dist.NSF
dist.learnable.update({name: globals()[name] for name in __all__ if name[0].isupper() and name != "Learnable"})
