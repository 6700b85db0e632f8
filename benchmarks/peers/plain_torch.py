"""The VAE by hand in PyTorch, eager."""

import numpy as np
import torch
from torch.nn.functional import softplus

from benchmarks.peers.problem import BATCH, LATENT, LEARNING_RATE
from benchmarks.peers.torch_networks import networks


def start(problem):
    torch.manual_seed(0)
    encoder, decoder = networks(problem)
    rows = torch.from_numpy(problem.rows)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=LEARNING_RATE)

    def loss(x):
        """E_q[log q(z | x) - log p(x, z)] from reparameterised draws; the terms log 2 pi cancel."""
        loc, log_scale = encoder(x).chunk(2, -1)
        noise = torch.randn(problem.particles, BATCH, LATENT)
        z = loc + log_scale.exp() * noise
        logits = decoder(z)
        log_likelihood = (x * logits - softplus(logits)).sum(-1)
        log_prior = -0.5 * (z**2).sum(-1)
        log_q = (-0.5 * noise**2 - log_scale).sum(-1)
        return (log_q - log_prior - log_likelihood).mean()

    def step(x):
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        optimizer.step()
        return value.item()

    def run(index):
        return np.array([step(rows[batch]) for batch in torch.from_numpy(index)])

    return run
