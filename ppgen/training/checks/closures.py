"""Networks that a program uses without registering them would never learn."""

import inspect
from collections.abc import Iterator
from typing import Any

from ppgen.backends.program import Program
from ppgen.errors import ProgramError


def registered(program: Program) -> None:
    """Every network with arrays that the function refers to has been registered by `module`."""
    for name, net in _networks(program.fn):
        if not program.parameters:
            raise ProgramError(
                f"the {program.role} uses a network {name!r} ({type(net).__name__}) but registers no parameter, so it "
                f"would never learn; expected {name} = module({name!r}, {name}) inside the program."
            )
        arrays = _torch_parameters(net)
        known = {id(p.source) for p in program.parameters.values()}
        if arrays and program.native and not any(id(a) in known for a in arrays):
            raise ProgramError(
                f"the {program.role} uses a torch module {name!r} that it never registers, so it would never learn; "
                f"expected pyro.module({name!r}, {name}) inside the program."
            )


def _networks(fn: Any) -> Iterator[tuple[str, Any]]:
    function = inspect.unwrap(getattr(fn, "__func__", fn))
    if not inspect.isfunction(function):
        return
    found = inspect.getclosurevars(function)
    for name, value in {**found.globals, **found.nonlocals}.items():
        module = type(value).__mro__[-2].__module__ if len(type(value).__mro__) > 2 else ""
        if _torch_parameters(value) or module.startswith(("equinox", "flax.nnx")):
            yield name, value


def _torch_parameters(value: Any) -> list[Any]:
    if not any(base.__module__ == "torch.nn.modules.module" for base in type(value).__mro__):
        return []
    return [p for p in value.parameters() if p.requires_grad]
