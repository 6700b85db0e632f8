"""Loops that JAX compiles once and torch runs in Python."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppgen.ops.arrays import concatenate, stack
from ppgen.ops.dispatch import Array, torch_of


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


def entry(table: np.ndarray, i: Any) -> Any:
    """The i-th entry of a fixed table, where i is an int or, while JAX compiles a loop that counts, an array."""
    return table[i] if isinstance(i, int) else jnp.asarray(table)[i]


def associative_scan(fn: Callable[[Any, Any], Any], xs: Array, reverse: bool = False) -> Array:
    """`x_0`, `fn(x_0, x_1)`, `fn(fn(x_0, x_1), x_2)`, ... along the first axis, in log2 of its length steps.

    `fn` is associative and takes many pairs at once, along the first axis. In `reverse` the t-th result is that of
    `x_t` to the last, in their order.
    """
    if torch_of(xs) is None:
        return jax.lax.associative_scan((lambda a, b: fn(b, a)) if reverse else fn, xs, reverse=reverse)
    return _prefixes(lambda a, b: fn(b, a), xs.flip(0)).flip(0) if reverse else _prefixes(fn, xs)


def _prefixes(fn: Callable[[Any, Any], Any], xs: Array) -> Array:
    """Join neighbours, solve the half-sized problem for the odd places, and extend it by one for the even ones."""
    n = len(xs)
    if n == 1:
        return xs
    odd = _prefixes(fn, fn(xs[: n - 1 : 2], xs[1::2]))
    even = xs[:1] if n == 2 else concatenate([xs[:1], fn(odd[: (n - 1) // 2], xs[2::2])], 0)
    pairs = stack([even[: len(odd)], odd], 1).reshape(2 * len(odd), *xs.shape[1:])
    return concatenate([pairs, even[len(odd) :]], 0)


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
