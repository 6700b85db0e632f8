"""The flows of zuko (PyTorch), and a MADE of bits of its masked network."""

import numpy as np
import torch
import zuko
from torch.nn.functional import softplus

from benchmarks.flows.by_torch import learner
from benchmarks.flows.task import BINS, HIDDEN, MADE_UNITS, TRANSFORMS, Learner, Task


def start(task: Task, train: np.ndarray) -> Learner:
    torch.manual_seed(task.seed)
    columns = train.shape[1]
    size = {"features": columns, "transforms": TRANSFORMS, "hidden_features": HIDDEN}
    model = {
        "MADE": lambda: Made(columns),
        "MAF": lambda: zuko.flows.MAF(**size),
        "NSF": lambda: zuko.flows.NSF(**size, bins=BINS),
        "NSF, couplings": lambda: zuko.flows.NSF(**size, bins=BINS, passes=2),
        "RealNVP": lambda: zuko.flows.RealNVP(**size),
    }[task.model]()

    def log_prob(rows: torch.Tensor) -> torch.Tensor:
        return model(rows) if task.model == "MADE" else model().log_prob(rows)

    return learner(task, train, model, log_prob)


class Made(torch.nn.Module):
    """Bits, of which the network computes all log-odds at once."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        before = torch.ones(columns, columns).tril(-1).bool()
        self.net = zuko.nn.MaskedMLP(before, [MADE_UNITS])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.net(x)
        return (x * logits - softplus(logits)).sum(-1)
