"""Shared by the tests of `ppgen.ops`: arrays of each library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch


@pytest.fixture
def tensor(backend):
    """NumPy's arrays as the backend's."""
    return {"numpyro": jnp.asarray, "pyro": lambda x: torch.from_numpy(np.array(x))}[backend]


@pytest.fixture
def library(backend):
    """The type of the backend's arrays."""
    return {"numpyro": jax.Array, "pyro": torch.Tensor}[backend]


@pytest.fixture
def compiled(backend):
    """A function compiled where the backend compiles: one compilation for all that it does."""
    return jax.jit if backend == "numpyro" else lambda function: function
