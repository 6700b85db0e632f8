"""Networks that a program uses without registering them would never learn."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from ppgen.backends.sites import Parameter
from ppgen.errors import ProgramError
from ppgen.problem.program import Program


def used(others: Mapping[str, Parameter], met: Mapping[int, Any], own: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Parameters of another program that were met here, under a name that is not taken (a model that registers both networks).

    Args:
        others: the parameters of the other program.
        met: the torch parameters that this one used, by id.
        own: the parameters that this one registers.
    """
    return {name: p for name, p in others.items() if id(p.source) in met and name not in own}


def registered(program: Program, met: dict[int, Any]) -> None:
    """Every network that the program uses has been registered by `module`.

    Args:
        program: the inspected program.
        met: the torch parameters it used, by id, as `backend.watching` noted them.
    """
    known = {id(array) for p in program.parameters.values() for array in _arrays(p.source)}
    networks = {name: arrays for name, value in _names(program.fn) if (arrays := _arrays(value))}
    for parameter in (p for key, p in met.items() if key not in known):
        name = next((n for n, arrays in networks.items() if any(a is parameter for a in arrays)), "net")
        raise ProgramError(
            f"the {program.role} uses a torch network {name!r} (a parameter of shape {tuple(parameter.shape)}) without "
            f"registering it, so it would never learn; expected {_call(program, name)} inside the program. "
            f"Register it, or freeze it: {name}.requires_grad_(False)."
        )
    if program.backend.library == "torch" or (program.native and program.parameters):
        return  # NumPyro's own modules do not tell which network they came from
    for name, arrays in networks.items():
        if not any(id(array) in known for array in arrays):
            raise ProgramError(
                f"the {program.role} uses a network {name!r} without registering it, so it would never learn; expected "
                f"{_call(program, name)} inside the program. Register it; one that is to stay as it is can be called "
                "inside a function of its own, outside the program."
            )


def _call(program: Program, name: str) -> str:
    natively = {"torch": "pyro.module", "jax": "eqx_module"}[program.backend.library]
    return f"{natively if program.native else 'module'}({name!r}, {name})"


def _names(fn: Any) -> Iterator[tuple[str, Any]]:
    """What a function refers to by name: globals, variables around it, attributes of the object it is a method of."""
    method = fn if inspect.isroutine(fn) else getattr(fn, "__call__", fn)  # noqa: B004
    function, owner = inspect.unwrap(getattr(method, "__func__", method)), getattr(method, "__self__", None)
    if not inspect.isfunction(function):
        return
    found = inspect.getclosurevars(function)
    yield from found.globals.items()
    yield from found.nonlocals.items()
    yield from ((name, getattr(owner, name)) for name in function.__code__.co_names if hasattr(owner, name))


def _arrays(value: Any) -> list[Any]:
    """The learnable arrays of a torch, equinox or nnx network; none for anything else."""
    bases = [base.__module__ for base in type(value).__mro__]
    if "torch.nn.parameter" in bases:
        return [value]
    if "torch.nn.modules.module" in bases:
        return list(value.parameters())
    if any(base.startswith(("equinox.", "flax.nnx.")) for base in bases):
        leaves = jax.tree.leaves(value)
        return [
            x
            for x in leaves
            if isinstance(x, jax.Array | np.ndarray) and jax.numpy.issubdtype(x.dtype, jax.numpy.inexact)
        ]
    return []
