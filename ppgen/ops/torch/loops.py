"""Loops that run in Python."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    leaves, tree = jax.tree.flatten(xs)
    slices = list(zip(*map(_slices, leaves), strict=True))
    if not slices:
        raise ValueError(
            "expected xs of at least one slice to go through; got none. Leave the loop out where it is empty."
        )
    ys = []
    for row in reversed(slices) if reverse else slices:
        carry, y = step(carry, jax.tree.unflatten(tree, row))
        ys.append(y)
    return carry, jax.tree.map(_stacked, *(reversed(ys) if reverse else ys))


def _slices(x: Any) -> Sequence[Any]:
    """The entries along the first axis."""
    if isinstance(x, np.ndarray) and x.dtype == np.uint64:
        return x.tolist()  # keys, which are Python's integers here
    return torch.as_tensor(x).unbind(0)  # x[i] would have a gradient the size of x


def _stacked(*rows: Any) -> Tensor:
    return torch.stack(rows if isinstance(rows[0], Tensor) else [torch.as_tensor(row) for row in rows])


def associative_scan(fn: Callable[[Any, Any], Any], xs: Tensor, reverse: bool = False) -> Tensor:
    return _prefixes(lambda a, b: fn(b, a), xs.flip(0)).flip(0) if reverse else _prefixes(fn, xs)


def _prefixes(fn: Callable[[Any, Any], Any], xs: Tensor) -> Tensor:
    """Join neighbours, solve the half-sized problem for the odd places, and extend it by one for the even ones."""
    n = len(xs)
    if n == 1:
        return xs
    odd = _prefixes(fn, fn(xs[: n - 1 : 2], xs[1::2]))
    even = xs[:1] if n == 2 else torch.cat([xs[:1], fn(odd[: (n - 1) // 2], xs[2::2])])
    pairs = torch.stack([even[: len(odd)], odd], 1).reshape(2 * len(odd), *xs.shape[1:])
    return torch.cat([pairs, even[len(odd) :]])


def while_loop(condition: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    while condition(carry):
        carry = step(carry)
    return carry


def cond(predicate: Any, if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: Any) -> Any:
    return (if_true if predicate else if_false)(*operands)


def entry(table: np.ndarray, i: Any) -> Any:
    return table[int(i)]
