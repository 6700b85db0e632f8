"""Small data for programs written in Pyro's and NumPyro's own idiom."""

import numpy as np
import pytest

ROWS, PIXELS = 24, 12


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Threads of torch wait for each other far longer than these sums take."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pictures():
    """Bits, [24, 3, 4]."""
    return (np.random.default_rng(0).random((ROWS, 3, 4)) < 0.4).astype(np.float32)


@pytest.fixture(scope="session")
def line():
    """A regression y = x w + noise on two covariates."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(ROWS, 2)).astype(np.float32)
    return {"x": x, "y": (x @ [1.0, -2.0] + 0.3 * rng.normal(size=ROWS)).astype(np.float32)}
