"""The benchmark of densities runs: ppgen alone, small, in this process."""

import numpy as np
import pytest
from rich.console import Console

from benchmarks import distributions
from benchmarks.densities import in_ppgen
from benchmarks.densities.task import MODELS, ROWS, Task


def test_a_table_of_every_density(monkeypatch):
    monkeypatch.setattr(distributions, "SHORT", 1e-9)  # one call of each kind
    name = "ppgen-pyro"
    tasks = [distributions.measure({name: distributions.start(name)}, Task(model, 6), rounds=2) for model in MODELS]
    for task in tasks:
        found = task["candidates"][name]
        assert found["parameters"] > 0
        assert [len(found[action]["values"]) for action in distributions.ACTIONS] == [2, 2]
        assert not task["ratios"]  # there is no peer
    console = Console(record=True, width=120)
    distributions.show(console, "torch", "sample", [name], tasks)
    text = console.export_text()
    assert all(model in text for model in MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_timed(model):
    """The same densities of the same rows on both backends, and draws."""
    log_prob, sample, parameters = in_ppgen.start_pyro(Task(model, 6))
    compiled, *_, as_many = in_ppgen.start_numpyro(Task(model, 6))
    assert parameters == as_many
    assert sample().shape == (ROWS, 6)
    assert log_prob().shape == (ROWS,)
    np.testing.assert_allclose(np.asarray(log_prob()), np.asarray(compiled()), rtol=1e-4)


def test_ratios_within_rounds():
    """Of a peer to ppgen on its backend, in the rounds that both have."""
    sample = distributions.Sample
    found = distributions.summarise(
        {
            "ppgen-pyro": {"parameters": 3, "log_prob": sample((1.0, 2.0, 4.0)), "sample": sample((2.0, 6.0, 8.0))},
            "zuko": {"parameters": 4, "log_prob": sample((3.0, 4.0, 4.0)), "sample": sample((80.0, 120.0))},
            "flowjax": {"parameters": 4, "log_prob": sample((1.0,)), "sample": sample((1.0,))},
        }
    )
    assert list(found["ratios"]) == ["zuko"]
    assert found["ratios"]["zuko"]["log_prob"]["values"] == [3.0, 2.0, 1.0]
    assert found["ratios"]["zuko"]["sample"]["values"] == [40.0, 20.0]
    assert found["candidates"]["ppgen-pyro"]["sample / log_prob"]["median"] == 2.0
    assert found["candidates"]["zuko"]["log_prob"]["median"] == 4e3
