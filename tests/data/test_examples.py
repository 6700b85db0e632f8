import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["dataset", "fetch", "images", "synthetic"])
def test_the_examples_run(module):
    results = doctest.testmod(importlib.import_module(f"ppgen.data.{module}"))
    assert results.attempted
    assert not results.failed
