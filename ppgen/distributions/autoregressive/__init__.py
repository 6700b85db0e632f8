"""Autoregressive distributions: one dimension after another."""

from ppgen.distributions.autoregressive import conditionals
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.autoregressive.deep_nade import AnyOrder, DeepNADE
from ppgen.distributions.autoregressive.fvsbn import FVSBN
from ppgen.distributions.autoregressive.made import MADE
from ppgen.distributions.autoregressive.markov import MarkovChain
from ppgen.distributions.autoregressive.nade import NADE, RNADE
from ppgen.distributions.autoregressive.orders import OrderEnsemble
from ppgen.distributions.autoregressive.recurrent import Recurrent

__all__ = [
    "FVSBN",
    "MADE",
    "NADE",
    "RNADE",
    "AnyOrder",
    "Autoregressive",
    "DeepNADE",
    "MarkovChain",
    "OrderEnsemble",
    "Recurrent",
    "conditionals",
]
