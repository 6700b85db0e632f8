"""Autoregressive distributions: one dimension after another."""

from ppgen.distributions.autoregressive import conditionals
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.autoregressive.made import MADE

__all__ = ["MADE", "Autoregressive", "conditionals"]
