"""torch optimisers for the specifications in `ppgen.training.optimizers`."""

from collections.abc import Callable
from typing import Any

import torch


def adam(spec: Any, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    """Adam or AdamW, fused into one kernel a step."""
    kind = torch.optim.AdamW if spec.weight_decay else torch.optim.Adam
    return _scheduled(
        kind,
        spec,
        parameters,
        betas=(spec.b1, spec.b2),
        eps=spec.eps,
        weight_decay=spec.weight_decay,
        fused=bool(parameters) and all(p.is_floating_point() for p in parameters),
    )


def sgd(spec: Any, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    """Stochastic gradient descent."""
    return _scheduled(torch.optim.SGD, spec, parameters, momentum=spec.momentum)


def _scheduled(
    kind: type, spec: Any, parameters: list[torch.Tensor], **options: Any
) -> torch.optim.Optimizer:
    """An optimiser that reads its learning rate from a schedule, and clips, before each step."""
    rate: float | Callable[[int], Any] = spec.learning_rate
    optimizer = kind(parameters, lr=rate if not callable(rate) else float(rate(0)), **options)
    if callable(rate) or spec.clip is not None:
        optimizer.register_step_pre_hook(_Before(rate if callable(rate) else None, spec.clip, parameters))
    return optimizer


class _Before:
    """What happens before an update; a class, so that a copy of the optimiser has its own count of steps."""

    def __init__(
        self, rate: Callable[[int], Any] | None, clip: float | None, parameters: list[torch.Tensor]
    ) -> None:
        self.rate, self.clip, self.parameters, self.count = rate, clip, parameters, 0

    def __call__(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self.rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = float(self.rate(self.count))
            self.count += 1
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
