"""Which library a function acts on: that of its arrays, else that of the running program's backend."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar, cast

import jax
from jax.core import Tracer

Array = Any
"""A jax.Array or a torch.Tensor."""

Function = TypeVar("Function", bound=Callable[..., Any])

_active: ContextVar[Any] = ContextVar("ppgen_backend", default=None)


def active() -> Any | None:
    """The backend whose program is running, or None."""
    return _active.get()


@contextmanager
def activate(backend: Any) -> Iterator[None]:
    """Make `backend` the active one inside a `with` block."""
    token = _active.set(backend)
    try:
        yield
    finally:
        _active.reset(token)


def dispatched(signature: Function) -> Function:
    """A public function, of which only the signature and the docstring are written here; its first argument decides.

    The function of the same name in `ppgen/ops/jax/` or `ppgen/ops/torch/`, in the file of the same name, does the
    work. It takes the same arguments.
    """
    return dispatched_by(next(iter(inspect.signature(signature).parameters)))(signature)


def dispatched_by(*names: str) -> Callable[[Function], Function]:
    """`dispatched`, where the first array among several arguments decides; an argument may be a tree of arrays."""

    def decorate(signature: Function) -> Function:
        theme, parameters = signature.__module__.rpartition(".")[2], inspect.signature(signature).parameters
        rests = [name for name in names if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL]
        deciding = [(list(parameters).index(name), name, name in rests) for name in names]
        first, first_name, _ = deciding[0]
        of_type: dict[type, Callable[..., Any]] = {}  # an array is known by its type: torch's functions are quick
        of_library: dict[str, Callable[..., Any]] = {}

        def find(x: Any, args: tuple, kwargs: dict[str, Any]) -> Callable[..., Any]:
            if type(x) in (list, tuple) and x:  # arrays to join: the first one may do
                x = x[0]
                if type(x) in of_type:
                    return of_type[type(x)]
            for place, name, all_from_there in deciding:
                given = args[place] if len(args) > place else kwargs.get(name)
                library = _library_of(args[place:] if all_from_there else given)
                if library is not None:
                    break
            else:
                backend = _active.get()
                library = "jax" if backend is None else backend.library
            if library not in of_library:
                of_library[library] = getattr(import_module(f"ppgen.ops.{library}.{theme}"), signature.__name__)
            if _kinds.get(type(x)) == library:
                of_type[type(x)] = of_library[library]
            return of_library[library]

        @functools.wraps(signature)
        def call(*args: Any, **kwargs: Any) -> Any:
            x = args[first] if len(args) > first else kwargs.get(first_name)
            return (of_type.get(type(x)) or find(x, args, kwargs))(*args, **kwargs)

        return cast(Function, call)

    return decorate


_kinds: dict[type, str] = {}


def _library_of(x: Any) -> str | None:
    """Return "jax" or "torch" for an array, or for a tree by its first array; None where there is none."""
    kind = _kinds.get(type(x)) or _kind(x)
    if kind == "neither":
        return None
    if kind in ("jax", "torch"):
        return kind
    for part in x if kind == "sequence" else jax.tree.leaves(x):
        library = _library_of(part)
        if library is not None:
            return library
    return None


def _kind(x: Any) -> str:
    """What values of a type are: arrays of "jax" or "torch", a "sequence" or "tree" that may hold some, or "neither"."""
    torch = sys.modules.get("torch")  # without it there are no tensors
    if isinstance(x, jax.Array | Tracer):
        kind = "jax"
    elif torch is not None and isinstance(x, torch.Tensor):
        kind = "torch"
    elif isinstance(x, list | tuple):
        kind = "sequence"
    else:
        kind = "neither" if x is None or jax.tree_util.all_leaves([x]) else "tree"
    return _kinds.setdefault(type(x), kind)
