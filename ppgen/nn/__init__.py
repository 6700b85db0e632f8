"""Small pure networks over `ppgen.ops`; they hold shapes, not arrays."""

from ppgen.nn.convolution import ConvDecoder, ConvEncoder, ConvNet
from ppgen.nn.dropout import Dropout
from ppgen.nn.layers import Convolution, Embedding, LayerNorm
from ppgen.nn.masked import MaskedMLP
from ppgen.nn.mlp import MLP
from ppgen.nn.recurrent import GRU, LSTM, RecurrentNetwork
from ppgen.nn.recurrent_layer import RecurrentLayer
from ppgen.nn.residual import ResidualMLP
from ppgen.nn.spec import Spec, gather, part

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "Convolution",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "MaskedMLP",
    "RecurrentLayer",
    "RecurrentNetwork",
    "ResidualMLP",
    "Spec",
    "gather",
    "part",
]
