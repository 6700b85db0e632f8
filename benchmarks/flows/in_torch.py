"""The VAE by hand in PyTorch, from the start that its layers have by default."""

import math
from itertools import pairwise

import numpy as np
import torch

from benchmarks.flows.by_torch import learner
from benchmarks.flows.task import LATENTS, PARTICLES, SCALE, VAE_HIDDEN, Learner, Task


def start(task: Task, train: np.ndarray) -> Learner:
    torch.manual_seed(task.seed)
    vae = VAE(train.shape[1])

    @torch.no_grad()
    def outside() -> float:
        means = vae.model.decoder(torch.randn(1000, LATENTS))
        return float(((means < 0) | (means > 1)).float().mean())

    return learner(
        task, train, vae,
        lambda x: vae.log_weights(x, PARTICLES).logsumexp(0) - math.log(PARTICLES),
        lambda x: vae.log_weights(x, 1)[0],
        roles=(vae.encoder, vae.model), outside=outside,
    )  # fmt: skip


class VAE(torch.nn.Module):
    """A Gaussian decoder of one standard deviation, a Gaussian encoder."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.encoder = mlp(columns, *VAE_HIDDEN, 2 * LATENTS)
        self.model = Decoder(columns)

    def log_weights(self, x: torch.Tensor, particles: int) -> torch.Tensor:
        """log p(x, z) - log q(z | x) of draws z of q, [particles, rows]."""
        loc, log_scale = self.encoder(x).chunk(2, -1)
        q = torch.distributions.Normal(loc, log_scale.exp())
        z = q.rsample((particles,))
        p = self.model(z)
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
        return p.log_prob(x).sum(-1) + log_prior - q.log_prob(z).sum(-1)


class Decoder(torch.nn.Module):
    """p(x | z)."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.decoder = mlp(LATENTS, *VAE_HIDDEN, columns)
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(SCALE)))

    def forward(self, z: torch.Tensor) -> torch.distributions.Normal:
        return torch.distributions.Normal(self.decoder(z), self.log_scale.exp())


def mlp(*sizes: int) -> torch.nn.Sequential:
    layers = [part for m, n in pairwise(sizes) for part in (torch.nn.Linear(m, n), torch.nn.ReLU())]
    return torch.nn.Sequential(*layers[:-1])
