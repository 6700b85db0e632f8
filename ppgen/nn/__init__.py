"""Small pure networks over `ppgen.ops`; they hold shapes, not arrays."""

from ppgen.nn.convolution import ConvDecoder, ConvEncoder, ConvNet
from ppgen.nn.masked import MaskedMLP
from ppgen.nn.mlp import MLP
from ppgen.nn.recurrent import GRU, LSTM, RecurrentNetwork
from ppgen.nn.residual import ResidualMLP
from ppgen.nn.spec import Spec, gather, part

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "MaskedMLP",
    "RecurrentNetwork",
    "ResidualMLP",
    "Spec",
    "gather",
    "part",
]
