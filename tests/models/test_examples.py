import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["gaussian_mixture", "ppca", "regression", "sigmoid_belief_network", "vae"])
def test_the_examples_run(module):
    results = doctest.testmod(importlib.import_module(f"ppgen.models.{module}"))
    assert results.attempted
    assert not results.failed
