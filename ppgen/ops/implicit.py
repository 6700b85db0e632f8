"""Solutions of x = g(x) where each entry of g depends on earlier entries only, in some order of the last axis.

Such an equation has one solution, and `x = g(x)` reaches it from anywhere in as many turns as there are entries.
"""

import math
from collections.abc import Callable

from ppgen.ops.arrays import finfo
from ppgen.ops.axes import all, amax
from ppgen.ops.dispatch import Array, dispatched_by
from ppgen.ops.elementwise import absolute, finite
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

    return while_loop(unsettled, turn, (0, True, x))[-1]


def _equal(x: Array, y: Array) -> Array:
    return all(x == y)


def _nearly_equal(x: Array, y: Array) -> Array:
    tolerance = 10 * float(finfo(x).eps)
    size, change = absolute(x), absolute(x - y)
    columns = amax(size.reshape(-1, size.shape[-1]), 0)
    return all((change <= tolerance * amax(size, -1)[..., None]) & (change <= tolerance * columns))


@dispatched_by("start")
def triangular_solution(g: Callable[[Array], Array], solve: Callable[[], Array], start: Array, turns: int) -> Array:
    r"""The x = solve() with x = g(x), and the gradient of that equation: how `solve` finds x does not matter.

    .. math:: dx = (1 - J)^{-1} dg, \quad J = \partial g / \partial x

    J is triangular with zeros on its diagonal, so products with J find dx exactly: at most `turns` of them, often few.
    `start` is any array like x.
    """
