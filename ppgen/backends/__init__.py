"""Backends: NumPyro on JAX and Pyro on PyTorch behind one protocol.

`get("numpyro")` and `get("pyro")` import their framework only when asked for.
"""

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppgen.backends.protocol import Backend

NAMES = ("numpyro", "pyro")
_loaded: "dict[str, Backend]" = {}


def get(name: "str | Backend") -> "Backend":
    """The backend called `name` (or `name` itself if it is a backend already)."""
    if not isinstance(name, str):
        return name
    if name not in NAMES:
        raise ValueError(f"expected a backend, one of {NAMES}; got {name!r}.")
    if name not in _loaded:
        if name == "pyro" and importlib.util.find_spec("pyro") is None:
            raise ImportError("the pyro backend needs torch and pyro-ppl: pip install 'ppgen[pyro]'.")
        _loaded[name] = _made(name)
    return _loaded[name]


def _made(name: str) -> "Backend":
    if name == "numpyro":
        from ppgen.backends import numpyro

        return numpyro.Backend()
    from ppgen.backends import pyro

    return pyro.Backend()
