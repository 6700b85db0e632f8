"""Solutions of equations, with the gradient of the equation."""

from collections.abc import Callable

import torch
from torch import Tensor

from ppgen.ops.implicit import settle
from ppgen.ops.torch.gradients import leads_beyond, will_differentiate_again


def triangular_solution(
    g: Callable[[Tensor], Tensor], solve: Callable[[], Tensor], start: Tensor, turns: int
) -> Tensor:
    with torch.no_grad():
        x = solve()
    if not torch.is_grad_enabled():
        return x
    if will_differentiate_again():
        for _ in range(turns):  # of g alone, x stays what it is and gets all its derivatives
            x = g(x)
        return x
    again = g(x.requires_grad_())  # the same values, with what they depend on
    if not leads_beyond([again], [x]):  # quicker than a graph without x
        return x.detach()
    solution = again.view_as(again)

    def through_equation(cotangent: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "expected a first derivative of draws that solve an equation on the Pyro backend; got a higher one. "
                "Take the inner derivative with ppgen.ops.grad, or use the NumPyro backend."
            )

        def turn(v: Tensor) -> Tensor:
            return cotangent + torch.autograd.grad(again, x, v, retain_graph=True, materialize_grads=True)[0]

        return settle(turn, cotangent, turns)

    solution.register_hook(through_equation)
    return solution
