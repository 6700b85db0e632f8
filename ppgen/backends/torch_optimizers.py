"""torch optimisers for the specifications in `ppgen.training.optimizers`."""

from collections.abc import Callable
from typing import Any

import torch


def adam(spec: Any, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    """Adam or AdamW, fused into one kernel a step."""
    kind = torch.optim.AdamW if spec.weight_decay else torch.optim.Adam
    betas, rate = (spec.b1, spec.b2), first_rate(spec)
    return kind(parameters, lr=rate, betas=betas, eps=spec.eps, weight_decay=spec.weight_decay, fused=True)


def sgd(spec: Any, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    """Stochastic gradient descent."""
    return torch.optim.SGD(parameters, lr=first_rate(spec), momentum=spec.momentum)


def first_rate(spec: Any) -> float:
    """The learning rate of the first step; the backend updates it where there is a schedule."""
    rate: Callable[[int], float] | float = spec.learning_rate
    return float(rate(0)) if callable(rate) else rate
