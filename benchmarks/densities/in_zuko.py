"""The densities of zuko (PyTorch). Its masked network stands for a MADE."""

import torch
import zuko
from zuko.flows.coupling import GeneralCouplingTransform

from benchmarks.densities import bits
from benchmarks.densities.task import BINS, BOUND, ROWS, TRANSFORMS, Task
from benchmarks.densities.task import MODELS as MODELS


def start(task: Task):
    torch.manual_seed(0)
    rows = torch.from_numpy(task.rows)
    if task.model == "MADE":
        net = zuko.nn.MaskedMLP(torch.ones(task.dim, task.dim).tril(-1).bool(), task.hidden)
        log_prob, sample = bits.in_torch(net, rows)
    else:
        net = flow_of(task)
        distribution = net()
        log_prob = torch.no_grad()(lambda: distribution.log_prob(rows))
        sample = torch.no_grad()(lambda: distribution.sample((ROWS,)))
    return log_prob, sample, sum(p.numel() for p in net.parameters())


def flow_of(task: Task) -> torch.nn.Module:
    size = {"features": task.dim, "hidden_features": task.hidden}
    if task.model == "MAF":
        return zuko.flows.MAF(transforms=TRANSFORMS, **size)
    if task.model == "NSF":
        size |= {
            "univariate": lambda *phi: zuko.transforms.MonotonicRQSTransform(*phi, bound=BOUND),
            "shapes": [(BINS,), (BINS,), (BINS - 1,)],
        }
    first = torch.arange(task.dim) < task.dim // 2
    transforms = [GeneralCouplingTransform(mask=~first if i % 2 else first, **size) for i in range(TRANSFORMS)]
    normal = {"loc": torch.zeros(task.dim), "scale": torch.ones(task.dim)}
    base = zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, **normal, buffer=True)
    return zuko.lazy.Flow(transforms, base)
