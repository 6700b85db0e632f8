"""Loops that JAX compiles once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppgen.ops.dispatch import Array


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    return jax.lax.scan(step, carry, xs, reverse=reverse)


def associative_scan(fn: Callable[[Any, Any], Any], xs: Array, reverse: bool = False) -> Array:
    return jax.lax.associative_scan((lambda a, b: fn(b, a)) if reverse else fn, xs, reverse=reverse)


def while_loop(condition: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    return jax.lax.while_loop(condition, step, carry)


def cond(predicate: Any, if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: Any) -> Any:
    return jax.lax.cond(predicate, if_true, if_false, *operands)


def entry(table: np.ndarray, i: Any) -> Any:
    return table[i] if isinstance(i, int) else jnp.asarray(table)[i]
