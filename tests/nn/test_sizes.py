"""Sizes of networks: integers of any kind, kept as Python's own."""

import numpy as np
import pytest

from ppgen import nn

NETS = {
    "mlp": lambda n: nn.MLP(n(4), n(8), (n(2), n(3))),
    "residual": lambda n: nn.ResidualMLP(n(3), (n(8), n(5)), n(2), n(1)),
    "masked": lambda n: nn.MaskedMLP(n(3), (n(8),), n(2), n(1), n(2), order=(n(2), n(0), n(1))),
    "recurrent": lambda n: nn.RecurrentNetwork(n(5), n(4), n(2), n(3), context=n(2)),
    "gru": lambda n: nn.GRU(n(3), n(5)),
    "lstm": lambda n: nn.LSTM(n(3), n(5)),
    "convolution": lambda n: nn.ConvNet(n(3), (n(4), n(5)), n(2), n(5), n(1)),
    "encoder": lambda n: nn.ConvEncoder((n(3), n(4), n(8)), (n(6), n(5)), (n(7), n(2)), n(3)),
    "encoder_one": lambda n: nn.ConvEncoder((n(3), n(4), n(8)), (n(6), n(5)), n(7)),
    "decoder": lambda n: nn.ConvDecoder(n(2), (n(6), n(5)), (n(3), n(4), n(8)), n(3)),
}


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_numpys_integers_are_sizes(build, kind):
    """As `x.shape` and `np.arange` give them; nothing of their kind is left in what the network is or makes."""
    plain, net = build(int), build(kind)
    assert net == plain
    assert hash(net) == hash(plain)
    assert repr(net) == repr(plain)
    assert repr(net.specs()) == repr(plain.specs())


@pytest.mark.parametrize("wrong", [lambda n: True, float, str, lambda n: -n], ids=["bool", "float", "str", "negative"])
@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_other_values_are_not(build, wrong):
    with pytest.raises(ValueError, match=r"expected .*; got"):
        build(wrong)


@pytest.mark.parametrize("activation", ["step", None, ["relu"]], ids=str)
@pytest.mark.parametrize(
    "build",
    [
        lambda **settings: nn.MLP(4, 3, **settings),
        lambda **settings: nn.ResidualMLP(3, (4,), 2, **settings),
        lambda **settings: nn.MaskedMLP(3, (4,), **settings),
        lambda **settings: nn.ConvNet(3, (4,), 2, **settings),
        lambda **settings: nn.ConvEncoder((1, 4, 4), (4,), 2, **settings),
        lambda **settings: nn.ConvDecoder(2, (4,), (1, 4, 4), **settings),
    ],
    ids=["mlp", "residual", "masked", "convolution", "encoder", "decoder"],
)
def test_activations_of_another_name(build, activation):
    with pytest.raises(ValueError, match=r"expected an activation, one of \['elu', .*'tanh'\]; got"):
        build(activation=activation)
