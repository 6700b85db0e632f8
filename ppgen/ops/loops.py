"""Loops that JAX compiles once and torch runs in Python."""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

import numpy as np

from ppgen.ops.dispatch import Array, Function, dispatched_by

_depth: ContextVar[int] = ContextVar("ppgen_loops", default=0)


def depth() -> int:
    """How many loops of ppgen enclose the running code: `scan`, `associative_scan`, `while_loop`, `vmap`.

    JAX runs the body of a loop once for all its turns, so what Python counts there, it counts once.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> seen = []
        >>> _ = ops.scan(lambda total, x: (total + x, seen.append(ops.depth())), 0.0, np.ones(3))
        >>> ops.depth(), set(seen)
        (0, {1})
    """
    return _depth.get()


def loop(function: Function) -> Function:
    """Let `depth` count a function that runs the functions it is given many times."""

    @functools.wraps(function)
    def deeper(*args: Any, **kwargs: Any) -> Any:
        token = _depth.set(_depth.get() + 1)
        try:
            return function(*args, **kwargs)
        finally:
            _depth.reset(token)

    return cast(Function, deeper)


@loop
@dispatched_by("carry", "xs")
def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`carry, y = step(carry, x)` for each slice `x` of `xs` along its first axis: the last carry, and the ys stacked.

    Args:
        step: the body of the loop; it keeps the shapes and types of its carry.
        carry: a tree of arrays.
        xs: a tree of arrays with one length; `ops.arange(n)` for a loop that counts. Keys of the active backend, one a
            slice, may be among them: an array of JAX's keys, or for torch of NumPy's uint64, each a Python integer.
        reverse: begin with the last slice; the ys stay in the places of their xs.

    Returns:
        The last carry, and the tree of ys with one more axis in front.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> last, sums = ops.scan(lambda total, x: (total + x, total + x), 0.0, np.array([1.0, 2.0, 3.0]))
        >>> float(last), sums.tolist()
        (6.0, [1.0, 3.0, 6.0])
    """
    ...


@loop
@dispatched_by("xs")
def associative_scan(fn: Callable[[Any, Any], Any], xs: Array, reverse: bool = False) -> Array:
    """`x_0`, `fn(x_0, x_1)`, `fn(fn(x_0, x_1), x_2)`, ... along the first axis, in log2 of its length steps.

    `fn` is associative and takes many pairs at once, along the first axis. In `reverse` the t-th result is that of
    `x_t` to the last, in their order.
    """


@loop
@dispatched_by("carry")
def while_loop(condition: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    """`carry = step(carry)` for as long as `condition(carry)` holds. Under JAX no gradient flows back through it."""


@dispatched_by("predicate", "operands")
def cond(predicate: Any, if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: Any) -> Any:
    """`if_true(*operands)` where the predicate, one boolean, holds; else `if_false(*operands)`.

    Only the chosen branch is computed, but under JAX's `vmap`, which computes both. There the two give trees of arrays of
    one shape and type. (`ops.where` chooses for each entry.)

    Example:
        >>> from ppgen import ops
        >>> float(ops.cond(True, lambda x: x + 1.0, lambda x: x - 1.0, 2.0))
        3.0
    """


@dispatched_by("i")
def entry(table: np.ndarray, i: Any) -> Any:
    """The i-th entry of a fixed table, where i is an int or, while JAX compiles a loop that counts, an array."""
