"""A module of torch in training."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.flows.task import CLIP, Learner, Task


def learner(
    task: Task,
    train: np.ndarray,
    module: torch.nn.Module,
    log_prob: Callable[[torch.Tensor], torch.Tensor],
    objective: Callable[[torch.Tensor], torch.Tensor] | None = None,
    roles: Sequence[torch.nn.Module] = (),
    **more: Callable[[], float],
) -> Learner:
    """Its learner.

    Args:
        task: what is trained.
        train: the rows.
        module: what is learned.
        log_prob: of rows, [rows].
        objective: what training climbs, [rows]; `log_prob` by default.
        roles: parts whose gradients are clipped on their own; the whole module by default.
        **more: the other entries of the learner.
    """
    objective, roles = objective or log_prob, roles or (module,)
    optimizer = torch.optim.Adam(module.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, task.learning_rate)
    rows = torch.from_numpy(train)

    def advance(index: np.ndarray) -> None:
        for batch in torch.from_numpy(index):
            optimizer.zero_grad()
            (-objective(rows[batch]).mean()).backward()
            for role in roles:
                torch.nn.utils.clip_grad_norm_(role.parameters(), CLIP)
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def judge(rows: np.ndarray) -> np.ndarray:
        return log_prob(torch.from_numpy(rows)).numpy()

    return Learner(advance, judge, sum(p.numel() for p in module.parameters()), **more)
