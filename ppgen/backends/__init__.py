"""Backends: NumPyro on JAX and Pyro on PyTorch behind one protocol.

`get("numpyro")` and `get("pyro")` import their framework only when asked for.
"""

import importlib
import importlib.util
from typing import Any

NAMES = ("numpyro", "pyro")
_loaded: dict[str, Any] = {}


def get(name: Any) -> Any:
    """The backend called `name` (or `name` itself if it is a backend already)."""
    if not isinstance(name, str):
        return name
    if name not in NAMES:
        raise ValueError(f"expected a backend, one of {NAMES}; got {name!r}.")
    if name not in _loaded:
        if name == "pyro" and importlib.util.find_spec("pyro") is None:
            raise ImportError("the pyro backend needs torch and pyro-ppl: pip install 'ppgen[pyro]'.")
        _loaded[name] = importlib.import_module(f"ppgen.backends.{name}").Backend()
    return _loaded[name]
