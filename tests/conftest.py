"""Shared by all tests: both backends, small compiled functions, no pictures on a screen."""

import os

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # tests compile much and compute little
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads on tiny arrays wait for each other: ten times slower

import pytest


@pytest.fixture(params=["numpyro", "pyro"])
def backend(request):
    if request.param == "pyro":
        pytest.importorskip("pyro", reason="the pyro backend needs the extra ppgen[pyro]")
    return request.param
