"""Settings in words, the same in each process: no addresses, and functions by what they hold."""

import dataclasses
import functools
import hashlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

_DEPTH = 12  # of functions within functions


def described(value: Any, depth: int = _DEPTH) -> str:
    """A value in words that tell it from other settings: numbers as they are, objects by name and fields.

    A function is told by its name, the numbers and names in its code, and what it holds from around it; so a schedule or an
    optimiser of optax, which is made of functions, is told from one with another learning rate.

    Example:
        >>> described({"a": 1, "b": (0.5, None)})
        "{'a': 1, 'b': (0.5, None)}"
        >>> described(lambda step: 0.1 / step) == described(lambda step: 0.2 / step)
        False
    """
    if isinstance(value, float | np.number):
        return repr(value.item() if isinstance(value, np.number) else float(value))
    if value is None or isinstance(value, str | int | bool | complex | bytes):
        return repr(value)
    if not depth:
        return "..."

    def inner(value: Any) -> str:
        return described(value, depth - 1)

    if isinstance(value, type):
        return value.__qualname__
    if hasattr(value, "__array__") and hasattr(value, "shape"):
        return _array(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{inner(k)}: {inner(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _call(type(value).__name__, dict(zip(value._fields, value, strict=True)), inner)  # pyright: ignore
    if isinstance(value, list | tuple):
        return ("({})" if isinstance(value, tuple) else "[{}]").format(", ".join(map(inner, value)))
    if dataclasses.is_dataclass(value):
        return _call(type(value).__name__, {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, inner)
    if isinstance(value, functools.partial):
        return _call(inner(value.func), {**dict(enumerate(value.args)), **value.keywords}, inner)
    if inspect.ismethod(value):
        return _call(value.__func__.__qualname__, {"self": value.__self__}, inner)
    if inspect.isfunction(value):
        return _function(value, inner)
    return type(value).__qualname__


def _function(function: Any, inner: Any) -> str:
    code = function.__code__
    numbers = tuple(c for c in code.co_consts if isinstance(c, int | float) and not isinstance(c, bool))
    cells = {}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # a function that refers to itself, not filled yet
            continue
    simple = {n: v for n, v in inspect.getclosurevars(function).globals.items() if isinstance(v, int | float | str)}
    held = {"names": code.co_names, "numbers": numbers, **simple, **cells, "defaults": function.__defaults__ or ()}
    empty = [name for name, value in held.items() if isinstance(value, tuple) and not value]
    return _call(function.__qualname__, {name: value for name, value in held.items() if name not in empty}, inner)


def _call(name: str, fields: Mapping[Any, Any], inner: Any) -> str:
    return f"{name}({', '.join(f'{key}={inner(value)}' for key, value in fields.items())})"


def _array(value: Any) -> str:
    value = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:8]
    return f"{value.dtype}{list(value.shape)} {digest}"
