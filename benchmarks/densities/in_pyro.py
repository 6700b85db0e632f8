"""The densities of Pyro, its argument checks off. Its autoregressive network stands for a MADE.

Its autoregressive transforms have random orders; its couplings always change the second half, so the columns are turned
round between them.
"""

import pyro.distributions as dist
import pyro.distributions.transforms as T
import torch
from pyro.nn import AutoRegressiveNN, DenseNN

from benchmarks.densities import bits
from benchmarks.densities.task import BINS, BOUND, ROWS, TRANSFORMS, Task
from benchmarks.densities.task import MODELS as MODELS


def start(task: Task):
    torch.manual_seed(0)
    torch.distributions.Distribution.set_default_validate_args(False)
    rows, hidden = torch.from_numpy(task.rows), list(task.hidden)
    if task.model == "MADE":
        net = AutoRegressiveNN(task.dim, hidden, param_dims=[1], permutation=torch.arange(task.dim))
        return *bits.in_torch(net, rows), sum(p.numel() for p in net.parameters())

    layers = [layer(task) for _ in range(TRANSFORMS)]
    if task.model == "MAF":
        steps = [part.inv for part in layers]
    else:
        back = torch.arange(task.dim).flip(0)
        steps = [step for part in layers for step in (part, T.Permute(back))][:-1]
    flow = dist.TransformedDistribution(dist.Normal(torch.zeros(task.dim), 1.0).to_event(1), steps)

    @torch.no_grad()
    def log_prob():
        return flow.log_prob(rows.clone())  # of a tensor it has seen it would remember the result

    return log_prob, lambda: flow.sample((ROWS,)), sum(p.numel() for part in layers for p in part.parameters())


def layer(task: Task) -> torch.nn.Module:
    if task.model == "MAF":
        return T.affine_autoregressive(task.dim, list(task.hidden))
    half = task.dim // 2
    rest = task.dim - half
    if task.model == "coupling":
        return T.affine_coupling(task.dim, list(task.hidden), half)
    net = DenseNN(half, list(task.hidden), [rest * BINS, rest * BINS, rest * (BINS - 1)])
    return T.SplineCoupling(task.dim, half, net, BINS, BOUND, order="quadratic", identity=True)
