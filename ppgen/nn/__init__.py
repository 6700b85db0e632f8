"""Small pure networks over `ppgen.ops`; they hold shapes, not arrays."""

from ppgen.nn.mlp import MLP
from ppgen.nn.spec import Spec

__all__ = ["MLP", "Spec"]
