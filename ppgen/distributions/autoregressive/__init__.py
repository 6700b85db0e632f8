"""Autoregressive distributions: one dimension after another."""

from ppgen.distributions.autoregressive import conditionals
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.autoregressive.made import MADE
from ppgen.distributions.autoregressive.recurrent import Recurrent

__all__ = ["MADE", "Autoregressive", "Recurrent", "conditionals"]
