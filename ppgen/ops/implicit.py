"""Solutions of x = g(x) where each entry of g depends on earlier entries only, in some order of the last axis.

Such an equation has one solution, and `x = g(x)` reaches it from anywhere in as many turns as there are entries.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from ppgen.ops.arrays import absolute, amax, every, finfo, finite
from ppgen.ops.dispatch import Array, torch_of
from ppgen.ops.loops import while_loop


def settle(update: Callable[[Array], Array], x: Array, turns: int, exact: bool = False) -> Array:
    """`x = update(x)` until x [..., n] stays the same, at most `turns` times. No gradient flows back.

    Unless that is to be `exact`, an entry stays the same where it changes little beside the largest in its row, and beside
    the largest in its column: columns may have other units than their neighbours.
    """
    if not math.prod(x.shape):
        return x
    stays = _equal if exact else _nearly_equal

    def unsettled(state: tuple) -> Array:
        turn, changed, _ = state
        return (turn < turns) & changed

    def turn(state: tuple) -> tuple:
        number, _, x = state
        x = finite(x)  # what is not yet right may overflow, and must not spread; at the end it stays to be seen
        new = update(x)
        return number + 1, ~stays(finite(new), x), new

    if torch_of(x) is None:
        return while_loop(unsettled, turn, (jnp.zeros((), int), jnp.ones((), bool), x))[-1]
    return while_loop(unsettled, turn, (0, True, x))[-1]


def _equal(x: Array, y: Array) -> Array:
    return every(x == y)


def _nearly_equal(x: Array, y: Array) -> Array:
    tolerance = 10 * float(finfo(x).eps)
    size, change = absolute(x), absolute(x - y)
    columns = amax(size.reshape(-1, size.shape[-1]), 0)
    return every((change <= tolerance * amax(size, -1)[..., None]) & (change <= tolerance * columns))


def triangular_solution(g: Callable[[Array], Array], solve: Callable[[], Array], start: Array, turns: int) -> Array:
    r"""The x = solve() with x = g(x), and the gradient of that equation: how `solve` finds x does not matter.

    .. math:: dx = (1 - J)^{-1} dg, \quad J = \partial g / \partial x

    J is triangular with zeros on its diagonal, so products with J find dx exactly: at most `turns` of them, often few.
    `start` is any array like x.
    """
    torch = torch_of(start)
    if torch is None:
        return jax.lax.custom_root(lambda x: x - g(x), start, lambda *_: solve(), partial(_solve_linear, turns=turns))
    with torch.no_grad():
        x = solve()
    if not torch.is_grad_enabled():
        return x
    again = g(x.requires_grad_())  # the same values, with what they depend on
    if not _leads_beyond(again, x):
        return x.detach()
    solution = again.view_as(again)

    def through_equation(cotangent: Array) -> Array:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "expected a first derivative of draws that solve an equation on the Pyro backend; got a higher one. "
                "Use the NumPyro backend, or a distribution whose draws are explicit."
            )

        def turn(v: Array) -> Array:
            return cotangent + torch.autograd.grad(again, x, v, retain_graph=True, materialize_grads=True)[0]

        return settle(turn, cotangent, turns)

    solution.register_hook(through_equation)
    return solution


def _leads_beyond(result: Array, x: Array) -> bool:
    """Whether gradients of a tensor reach any other than `x`: a look at its graph is quicker than one without `x`."""
    seen, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if not node.next_functions and getattr(node, "variable", None) is not x:
            return True
        seen.add(node)
        waiting += [earlier for earlier, _ in node.next_functions]
    return False


def _solve_linear(matrix: Callable[[Array], Array], b: Array, turns: int) -> Array:
    """The v with matrix(v) = b, for a triangular matrix with ones on its diagonal; likewise for its transpose."""

    def solve(matrix: Callable[[Array], Array], b: Array) -> Array:
        return settle(lambda v: v + (b - matrix(v)), b, turns)

    return jax.lax.custom_linear_solve(matrix, b, solve, transpose_solve=solve)
