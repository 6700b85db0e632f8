"""Loops that JAX compiles once and torch runs in Python."""

from collections.abc import Callable
from typing import Any

import jax

from ppgen.ops.arrays import stack
from ppgen.ops.dispatch import torch_of


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any) -> tuple[Any, Any]:
    """`carry, y = step(carry, x)` for each slice `x` of `xs` along its first axis: the last carry, and the ys stacked.

    `carry`, `xs` and the ys may be trees of arrays; a step keeps the shapes and types of its carry.
    """
    if torch_of(*jax.tree.leaves((carry, xs))) is None:
        return jax.lax.scan(step, carry, xs)
    ys = []
    for i in range(len(jax.tree.leaves(xs)[0])):
        carry, y = step(carry, jax.tree.map(lambda x, i=i: x[i], xs))
        ys.append(y)
    return carry, jax.tree.map(lambda *slices: stack(slices), *ys)


def while_loop(condition: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    """`carry = step(carry)` for as long as `condition(carry)` holds. Under JAX no gradient flows back through it."""
    if torch_of(*jax.tree.leaves(carry)) is None:
        return jax.lax.while_loop(condition, step, carry)
    while condition(carry):
        carry = step(carry)
    return carry


def recompute(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` without memory: its backward pass computes the intermediate values again."""

    def forgetful(*args: Any) -> Any:
        torch = torch_of(*jax.tree.leaves(args))
        if torch is None:
            return jax.checkpoint(fn)(*args)
        from torch.utils.checkpoint import checkpoint

        return checkpoint(fn, *args, use_reentrant=False)

    return forgetful
