"""Gradients, and functions of many arguments at once."""

import functools
from collections.abc import Callable
from typing import Any

from ppgen.ops.dispatch import Array, dispatched, dispatched_by
from ppgen.ops.loops import loop


@dispatched
def stop_gradient(x: Array) -> Array:
    """`x` as a constant: no gradient flows through it."""


def grad(fn: Callable[..., Array]) -> Callable[..., Any]:
    r"""The function that gives the gradient of `fn` with respect to its first argument.

    .. math:: x, \dots \mapsto \nabla_x f(x, \dots)

    What else `fn` depends on is held fixed while it is differentiated. The result is a function like any other: it has
    gradients of its own (a penalty on the gradients of a critic), and `vmap` gives the gradient of each row.

    Args:
        fn: from an array, or a tree of arrays, and further arguments to a scalar.

    Returns:
        A function of the arguments of `fn`; its result is like the first of them.

    Raises:
        ValueError: where `fn` gives anything but a scalar.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> slope = ops.grad(lambda x: ops.sum(x**3))
        >>> slope(np.array([1.0, 2.0])).tolist()
        [3.0, 12.0]
        >>> ops.grad(lambda x: ops.sum(slope(x)))(np.array([1.0, 2.0])).tolist()
        [6.0, 12.0]
    """

    def scalar(*args: Any) -> Array:
        value = fn(*args)
        if getattr(value, "shape", ()) != ():
            raise ValueError(
                f"expected a function with a scalar result to differentiate; got a result of shape {tuple(value.shape)}. "
                "Sum it, or take the gradient of one row and ppgen.ops.vmap."
            )
        return value

    return functools.partial(gradient, scalar)


@dispatched_by("x", "rest")
def gradient(fn: Callable[..., Array], x: Any, *rest: Any) -> Any:
    """The gradient of the scalar `fn(x, *rest)` with respect to `x`."""


def vmap(fn: Callable[..., Any], in_axes: int | tuple[int | None, ...] = 0) -> Callable[..., Any]:
    """`fn` for each entry along an axis of its arguments, all at once; the results are stacked along their first axis.

    torch cannot map what depends on values (`while_loop`, `cond`, a computed `window`), and says so.

    Args:
        fn: from arrays or trees of arrays to a tree of arrays.
        in_axes: the axis of each argument along which to go, one number for all or one for each; None for an argument
            that is the same for all.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> rows = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> ops.vmap(ops.grad(lambda row: ops.sum(row**2)))(rows).tolist()  # the gradient of each row
        [[2.0, 4.0], [6.0, 8.0]]
    """
    return functools.partial(mapped, fn, in_axes)


@loop
@dispatched_by("args")
def mapped(fn: Callable[..., Any], in_axes: int | tuple[int | None, ...], *args: Any) -> Any:
    """`fn` along an axis of each of its arguments."""


def recompute(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` without memory: its backward pass computes the intermediate values again."""
    return functools.partial(recomputed, fn)


@dispatched_by("args")
def recomputed(fn: Callable[..., Any], *args: Any) -> Any:
    """`fn(*args)`, whose intermediate values are forgotten."""
