"""Guides that are made of the model: `ppgen.fit(model, ppgen.guides.FullRank(), data=...)`."""

from ppgen.guides.flow import Flow
from ppgen.guides.gaussian import FullRank, LowRank
from ppgen.guides.laplace import Laplace
from ppgen.guides.mean_field import MeanField
from ppgen.guides.point import MAP

__all__ = ["MAP", "Flow", "FullRank", "Laplace", "LowRank", "MeanField"]
