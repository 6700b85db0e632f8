"""Solutions of equations, with the gradient of the equation."""

from collections.abc import Callable
from functools import partial

import jax

from ppgen.ops.dispatch import Array
from ppgen.ops.implicit import settle


def triangular_solution(g: Callable[[Array], Array], solve: Callable[[], Array], start: Array, turns: int) -> Array:
    return jax.lax.custom_root(lambda x: x - g(x), start, lambda *_: solve(), partial(_solve_linear, turns=turns))


def _solve_linear(matrix: Callable[[Array], Array], b: Array, turns: int) -> Array:
    """The v with matrix(v) = b, for a triangular matrix with ones on its diagonal; likewise for its transpose."""

    def solve(matrix: Callable[[Array], Array], b: Array) -> Array:
        return settle(lambda v: v + (b - matrix(v)), b, turns)

    return jax.lax.custom_linear_solve(matrix, b, solve, transpose_solve=solve)
