"""What a program can reach: its globals, the variables around it, attributes, containers, and the helpers it calls."""

import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

_DEPTH = 6  # steps from the program
_LIBRARIES = frozenset(
    ["jax", "jaxlib", "numpyro", "torch", "pyro", "ppgen", "flax", "equinox", "optax", "numpy", "scipy", "builtins"]
)


def reachable(fn: Any) -> Iterator[tuple[str, Any]]:
    """Names and values that a function refers to, directly or through helpers, containers and attributes."""
    seen: set[int] = set()

    def walk(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
        if id(value) in seen or isinstance(value, ModuleType | type | str | bytes | int | float | None):
            return
        seen.add(id(value))
        yield name, value
        if hasattr(value, "__wrapped__"):  # jax.vmap(net)
            yield from walk(name, value.__wrapped__, depth + 1)
        if depth < _DEPTH:
            for inner, held in _held(value):
                yield from walk(inner, held, depth + 1)

    for name, value in names(fn):
        yield from walk(name, value, 0)


def names(fn: Any) -> Iterator[tuple[str, Any]]:
    """What a function refers to by name: globals, variables around it, attributes of the object it is a method of."""
    method = fn if inspect.isroutine(fn) else getattr(fn, "__call__", fn)  # noqa: B004
    function, owner = inspect.unwrap(getattr(method, "__func__", method)), getattr(method, "__self__", None)
    if not inspect.isfunction(function):
        return
    found = inspect.getclosurevars(function)
    yield from found.globals.items()
    yield from found.nonlocals.items()
    yield from ((name, getattr(owner, name)) for name in function.__code__.co_names if hasattr(owner, name))


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value of the user's own holds; libraries' objects are looked at as a whole."""
    if isinstance(value, Mapping):
        yield from ((str(name), held) for name, held in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(i), held) for i, held in enumerate(value))
    elif inspect.isfunction(value) or inspect.ismethod(value):
        if _own(getattr(value, "__module__", None)):
            yield from names(value)
    elif any(_own(base.__module__) for base in type(value).__mro__[:1]):
        yield from getattr(value, "__dict__", {}).items()


def _own(module: Any) -> bool:
    return isinstance(module, str) and module.split(".")[0] not in _LIBRARIES
