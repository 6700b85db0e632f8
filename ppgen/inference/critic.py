"""Critics: networks on named sites, each a program that gives one number a row."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ppgen import nn, ops
from ppgen.errors import ProgramError
from ppgen.language import module
from ppgen.problem.problem import Problem


@dataclass(frozen=True)
class Critic:
    """A network that looks at named sites, flattened and joined, and gives one number a row: a log density ratio, a baseline.

    Args:
        sites: what it looks at: sites of the model, observed or latent, or other entries of the data (a label as context).
            By default the observed sites, in program order.
        net: a network with one output; or a program of its own, whose arguments are then what it looks at; None stands for
            a network of two hidden layers of 128.

    Example:
        >>> from ppgen import Critic, nn
        >>> Critic(("x", "z"), nn.MLP(66, 64, 1)).sites
        ('x', 'z')
    """

    sites: tuple[str, ...] | None = None
    net: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.sites, str) or not (self.sites is None or all(isinstance(name, str) for name in self.sites)):
            raise ValueError(f"Critic: expected a tuple of site names; got {self.sites!r}. Write Critic(('x',)).")

    def program(self, role: str, problem: Problem) -> Callable[..., ops.Array]:
        """The critic as a program of the sites it looks at."""
        net = self.net
        if inspect.isfunction(net) or inspect.ismethod(net):
            return net
        names = self.looks_at(problem)
        if net is None:
            net = nn.MLP(sum(width(problem, name) for name in names), 128, 128, 1, activation="leaky_relu")

        def program(**values: ops.Array) -> ops.Array:
            columns = [flat(problem, name, values[name]) for name in names]
            return module(role, net)(ops.concatenate(columns, -1))[..., 0]

        program.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]  # inspect reads it
            [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
        )
        return program

    def looks_at(self, problem: Problem) -> tuple[str, ...]:
        """The names, each of which the problem has."""
        model = problem.model
        if self.sites is None:
            return tuple(model.observes.get(site.name, site.name) for site in model.observed(problem.data))
        for name in self.sites:
            if name not in model.sites and name not in problem.entries:
                raise ProgramError(
                    f"a critic looks at {name!r}; expected sites of the model, {list(model.sites)}, or entries of the data, "
                    f"{sorted(problem.entries)}. Correct the name."
                )
            if name in model.sites and not model.is_local(model.sites[name]):
                raise ProgramError(
                    f"a critic looks at {name!r}, which all rows share; expected sites in the plate {problem.rows!r}, as it "
                    "gives a number a row. Leave it out."
                )
        return tuple(model.observes.get(name, name) for name in self.sites)


def width(problem: Problem, name: str) -> int:
    """How many columns a site or an entry has once it is flattened."""
    site = problem.model.sites.get(name) or _observing(problem, name)
    if site is not None:
        return problem.model.atoms(site)
    count = 1
    for n in problem.entries[name]:
        count *= n
    return count


def flat(problem: Problem, name: str, value: ops.Array) -> ops.Array:
    """A site's value or an entry of the data as columns, [rows, columns], in floating point."""
    site = problem.model.sites.get(name)
    if site is not None:
        axis = value.ndim - len(site.event_shape) + (site.row_dim(problem.rows) or 0)
        value = ops.moveaxis(value, axis, 0) if axis else value
    return 1.0 * value.reshape(value.shape[0], -1)


def _observing(problem: Problem, argument: str) -> Any:
    """The site of a native program that observes an argument."""
    names = [site for site, entry in problem.model.observes.items() if entry == argument]
    return problem.model.sites[names[0]] if names else None
