"""Small pure networks over `ppgen.ops`; they hold shapes, not arrays."""

from ppgen.nn.masked import MaskedMLP
from ppgen.nn.mlp import MLP
from ppgen.nn.spec import Spec, gather, part

__all__ = ["MLP", "MaskedMLP", "Spec", "gather", "part"]
