"""Which library a function acts on: that of its arrays, else that of the running program's backend."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

Array = Any
"""A jax.Array or a torch.Tensor."""

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


def torch_of(*arrays: Any) -> Any | None:
    """The torch module if any array is a tensor, or if none decides and a torch backend is running."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    for x in arrays:
        if isinstance(x, torch.Tensor):
            return torch
        if isinstance(x, jax.Array):
            return None
    backend = _active.get()
    return torch if backend is not None and backend.library == "torch" else None
