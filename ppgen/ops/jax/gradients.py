"""Gradients, and functions of many arguments at once."""

from collections.abc import Callable
from typing import Any

import jax

from ppgen.ops.dispatch import Array


def stop_gradient(x: Array) -> Array:
    return jax.lax.stop_gradient(x)


def gradient(fn: Callable[..., Array], x: Any, *rest: Any) -> Any:
    return jax.grad(fn)(x, *rest)


def mapped(fn: Callable[..., Any], in_axes: int | tuple[int | None, ...], *args: Any) -> Any:
    return jax.vmap(fn, in_axes)(*args)


def recomputed(fn: Callable[..., Any], *args: Any) -> Any:
    return jax.checkpoint(fn)(*args)
