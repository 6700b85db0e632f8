"""The flows of zuko (PyTorch)."""

import numpy as np
import torch
import zuko

from benchmarks.flows.task import BINS, CLIP, HIDDEN, TRANSFORMS, Task


def start(task: Task, train: np.ndarray):
    torch.manual_seed(task.seed)
    size = {"features": train.shape[1], "transforms": TRANSFORMS, "hidden_features": HIDDEN}
    flow = {
        "MAF": lambda: zuko.flows.MAF(**size),
        "NSF": lambda: zuko.flows.NSF(**size, bins=BINS),
        "NSF, couplings": lambda: zuko.flows.NSF(**size, bins=BINS, passes=2),
        "RealNVP": lambda: zuko.flows.RealNVP(**size),
    }[task.flow]()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, task.learning_rate)
    rows = torch.from_numpy(train)

    def advance(index: np.ndarray) -> None:
        for batch in torch.from_numpy(index):
            optimizer.zero_grad()
            (-flow().log_prob(rows[batch]).mean()).backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), CLIP)
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def log_prob(rows: np.ndarray) -> np.ndarray:
        return flow().log_prob(torch.from_numpy(rows)).numpy()

    return advance, log_prob, sum(p.numel() for p in flow.parameters())
