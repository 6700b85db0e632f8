"""Loops that JAX compiles once and torch runs in Python."""

from collections.abc import Callable
from typing import Any

import jax

from ppgen.ops.arrays import stack
from ppgen.ops.dispatch import torch_of


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`carry, y = step(carry, x)` for each slice `x` of `xs` along its first axis: the last carry, and the ys stacked.

    `carry`, `xs` and the ys may be trees of arrays; a step keeps the shapes and types of its carry. In `reverse` the
    last slice comes first; the ys stay in the places of their xs.
    """
    if torch_of(*jax.tree.leaves((carry, xs))) is None:
        return jax.lax.scan(step, carry, xs, reverse=reverse)
    leaves, tree = jax.tree.flatten(xs)
    slices = list(zip(*(x.unbind(0) for x in leaves), strict=True))  # x[i] would have a gradient the size of x
    ys = []
    for row in reversed(slices) if reverse else slices:
        carry, y = step(carry, jax.tree.unflatten(tree, row))
        ys.append(y)
    return carry, jax.tree.map(lambda *rows: stack(rows), *(reversed(ys) if reverse else ys))


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
