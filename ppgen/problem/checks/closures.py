"""Networks that a program uses without registering them would never learn."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ppgen.backends.sites import Parameter
from ppgen.errors import ProgramError
from ppgen.problem.checks.reachable import reachable
from ppgen.problem.program import Program


def lent(others: Mapping[str, Parameter], met: Mapping[int, Any], own: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Parameters of another program that were met here, under a name that is not taken (a model that registers both networks).

    Args:
        others: the parameters of the other program.
        met: the torch parameters that this one used, by id.
        own: the parameters that this one registers.
    """
    return {name: p for name, p in others.items() if id(p.source) in met and name not in own}


def registered(program: Program, met: Mapping[int, Any]) -> None:
    """Every torch network that the program uses has been registered by `module`.

    Args:
        program: the inspected program.
        met: the torch parameters it used, by id, as `backend.watching` noted them.
    """
    known = {id(array) for p in program.parameters.values() for array in _arrays(p.source)}
    around = list(reachable(program.fn))
    networks = {name: arrays for name, value in around if (arrays := _arrays(value))}
    for parameter in (p for key, p in met.items() if key not in known):
        name = next((n for n, arrays in networks.items() if any(a is parameter for a in arrays)), "net")
        raise ProgramError(
            f"the {program.role} uses a torch network {name!r} (a parameter of shape {tuple(parameter.shape)}) without "
            f"registering it, so it would never learn; expected {_call(program, name)} inside the program. "
            f"Register it, or freeze it: {name}.requires_grad_(False)."
        )


def used(program: Program, constants: list[Any] | None, modules: Mapping[str, Any]) -> None:
    """No network's arrays are among the numbers that a compiled program takes as they are.

    Args:
        program: the inspected program.
        constants: those numbers; None where they are not known.
        modules: the networks that it has registered, by name.
    """
    if constants is None:
        return
    known = {id(array) for p in program.parameters.values() for array in _arrays(p.source)}
    around = list(reachable(program.fn))
    networks = {name: arrays for name, value in around if (arrays := _arrays(value))} | _applied(around, modules)
    for name, arrays in networks.items():
        telling = [array for array in arrays if array.size > 1 and id(array) not in known and np.ptp(array) > 0]
        if any(_among(array, constants) for array in telling):
            raise ProgramError(
                f"the {program.role} uses a network {name!r} without registering it, so it would never learn; expected "
                f"{_call(program, name)} inside the program. Register it; one that is to stay as it is can be called "
                "outside the program, on the data."
            )


def _applied(around: list[tuple[str, Any]], modules: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Networks that hold no arrays and are not registered, with the arrays they may be applied to: those in dicts around."""
    free = [name for name, value in around if _describes(value) and not any(value is net for net in modules.values())]
    arrays = [x for _, value in around if isinstance(value, dict) for x in jax.tree.leaves(value) if _learnable(x)]
    return dict.fromkeys(free, arrays)


def _describes(value: Any) -> bool:
    """Whether a value is a network of shapes, of ppgen.nn or flax, which is applied to its parameters."""
    return hasattr(value, "specs") or (
        hasattr(value, "apply") and any(b.__module__.startswith("flax.linen") for b in type(value).__mro__)
    )


def _among(array: Any, constants: list[Any]) -> bool:
    """Whether an array is one of those that a trace took as they were."""
    return any(array is c or (np.shape(c) == array.shape and np.array_equal(c, array)) for c in constants)


def _call(program: Program, name: str) -> str:
    natively = {"torch": "pyro.module", "jax": "eqx_module"}[program.backend.library]
    return f"{natively if program.native else 'module'}({name!r}, {name})"


def _arrays(value: Any) -> list[Any]:
    """The learnable arrays of a torch, equinox or nnx network; none for anything else."""
    bases = [base.__module__ for base in type(value).__mro__]
    if "torch.nn.parameter" in bases:
        return [value]
    if "torch.nn.modules.module" in bases:
        return list(value.parameters())
    if any(base.startswith(("equinox.", "flax.nnx.")) for base in bases):
        return [x for x in jax.tree.leaves(value) if _learnable(x)]
    return []


def _learnable(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray) and jax.numpy.issubdtype(x.dtype, jax.numpy.inexact)
