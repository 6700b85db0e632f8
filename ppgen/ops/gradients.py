"""Gradients of functions."""

from collections.abc import Callable
from typing import Any

import jax

from ppgen.ops.dispatch import Array, torch_of


def grad(fn: Callable[..., Array]) -> Callable[..., Any]:
    r"""The function that gives the gradient of a scalar `fn` with respect to its first argument.

    .. math:: x, \dots \mapsto \nabla_x f(x, \dots)

    Args:
        fn: from an array and further arguments to a scalar.
    """

    def gradient(x: Any, *rest: Any) -> Any:
        torch = torch_of(x)
        if torch is None:
            return jax.grad(fn)(x, *rest)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(fn(x, *rest), x)[0]

    return gradient
