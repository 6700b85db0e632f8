"""Pyro and NumPyro under one set of names, so that a program is written once; and their own SVI."""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

STEPS = 3


@dataclass(frozen=True)
class Library:
    """One of the two, for programs that take it as an argument.

    Attributes:
        name: "numpyro" or "pyro".
        core: the library, with `sample`, `param` and `plate`.
        dist: its distributions.
        math: jax.numpy or torch.
        array: from NumPy to its arrays.
        network: a linear layer of its usual kind, from so many inputs to so many outputs, never registered.
        noise: a standard normal number from a seed set there and then.
        train: runs its own SVI for a few steps and gives the losses.
    """

    name: str
    core: Any
    dist: Any
    math: Any
    array: Callable[[Any], Any]
    network: Callable[[int, int], Callable[[Any], Any]]
    noise: Callable[[], Any]
    train: Callable[..., list[float]]

    def positive(self, name: str, start: float) -> Any:
        """A positive parameter."""
        return self.core.param(name, self.array(np.float32(start)), constraint=self.dist.constraints.positive)

    def weights(self, name: str, *shape: int) -> Any:
        """A parameter of small random numbers."""
        start = np.random.RandomState(0).normal(size=shape).astype("float32")
        return self.core.param(name, self.array(start))


def numpyro() -> Library:
    """NumPyro, its programs compiled as its users do."""
    import equinox
    import jax
    import numpyro as core
    from numpyro.infer import SVI, Trace_ELBO

    def network(inputs: int, outputs: int) -> Callable[[Any], Any]:
        return jax.vmap(equinox.nn.Linear(inputs, outputs, key=jax.random.key(0)))

    def train(model: Any, guide: Any, data: dict[str, Any]) -> list[float]:
        svi, losses = SVI(model, guide, core.optim.Adam(1e-2), Trace_ELBO()), []
        arrays = {name: jax.numpy.asarray(value) for name, value in data.items()}
        state, update = svi.init(jax.random.key(0), **arrays), jax.jit(svi.update)
        for _ in range(STEPS):
            state, loss = update(state, **arrays)
            losses.append(float(loss))
        return losses

    dist = importlib.import_module("numpyro.distributions")
    return Library(
        "numpyro",
        core,
        dist,
        jax.numpy,
        jax.numpy.asarray,
        network,
        lambda: jax.random.normal(jax.random.key(0)),
        train,
    )


def pyro() -> Library:
    """Pyro."""
    import pyro as core
    import torch
    from pyro.infer import SVI, Trace_ELBO

    def noise() -> Any:
        torch.manual_seed(0)
        return torch.randn(())

    def train(model: Any, guide: Any, data: dict[str, Any]) -> list[float]:
        core.clear_param_store()
        torch.manual_seed(0)
        svi = SVI(model, guide, core.optim.Adam({"lr": 1e-2}), Trace_ELBO())
        tensors = {name: torch.as_tensor(np.asarray(value)) for name, value in data.items()}
        return [float(svi.step(**tensors)) for _ in range(STEPS)]

    dist = importlib.import_module("pyro.distributions")
    return Library("pyro", core, dist, torch, torch.as_tensor, torch.nn.Linear, noise, train)


def finite(losses: list[float]) -> bool:
    """Whether all losses are numbers."""
    return all(map(math.isfinite, losses))
