"""The two networks in torch, for the candidates that run on it."""

from collections import OrderedDict

import torch
from torch import nn

from benchmarks.peers.problem import HIDDEN, LATENT, PIXELS


def networks(problem):
    """Encoder and decoder with the initial weights of the problem; torch keeps matrices as `[out, in]`."""
    both = nn.ModuleDict({"encoder": mlp(PIXELS, HIDDEN, 2 * LATENT), "decoder": mlp(LATENT, HIDDEN, PIXELS)})
    both.load_state_dict({name: torch.from_numpy(array.T) for name, array in problem.weights().items()})
    return both["encoder"], both["decoder"]


def mlp(inputs, hidden, outputs):
    layers = {"0": nn.Linear(inputs, hidden), "relu": nn.ReLU(), "1": nn.Linear(hidden, outputs)}
    return nn.Sequential(OrderedDict(layers))
