"""Compiled functions that a problem keeps: those used last, and no more."""

from collections.abc import Callable
from typing import Any

import jax

from ppgen.problem.problem import Problem

KEPT = 16
"""Compiled functions of a problem that are kept; a number of particles, or of rows, has one of its own."""


def once(problem: Problem, name: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` compiled without gradients; for a name and shapes that were met lately, what was compiled then.

    Each shape of the arguments has its own compiled function, and the one that was used longest ago goes first, so that asking
    for ever new numbers of particles and rows does not fill the memory.

    Args:
        problem: what the function is about; what was compiled is kept with it.
        name: of the function, and of all that is fixed in it.
        fn: a function of arrays, and of trees of arrays.
    """

    def call(*args: Any) -> Any:
        kept: dict[Any, Callable[..., Any]] = problem.compiled.setdefault("functions", {})
        key = (name, problem.data, _shapes(args))
        kept[key] = kept.pop(key, None) or problem.backend.without_gradients(
            fn
        )  # the last in the dict is the last used
        while len(kept) > KEPT:
            del kept[next(iter(kept))]
        return kept[key](*args)

    return call


def _shapes(args: Any) -> Any:
    """What a compiled function depends on: the tree of its arguments, their shapes and types."""
    leaves, tree = jax.tree.flatten(args)
    return tree, tuple((getattr(x, "shape", ()), str(getattr(x, "dtype", type(x)))) for x in leaves)
