"""The benchmark of binary densities runs from end to end on a few rows, and its own density is the library's."""

from pathlib import Path

import numpy as np
import pytest

import ppgen
from ppgen.distributions import MADE, OrderEnsemble
from ppgen.distributions.autoregressive import conditionals

ROOT = Path(__file__).parents[2]
ROWS = np.random.default_rng(0).integers(2, size=(50, 6)).astype(np.float32)


@pytest.fixture
def benchmark(monkeypatch):
    """The module, with the data cut to six bits of 50 rows."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import binarized_mnist

    tiny = ppgen.data.Dataset(name="digits", train={"x": ROWS[:40]}, test={"x": ROWS[40:]}, shape=(2, 3))
    monkeypatch.setattr(ppgen.data, "digits", lambda: tiny)
    return binarized_mnist


def test_every_model_runs(benchmark, tmp_path, capsys):
    """A line of the table for each model, and for each ensemble; figures as the densities give them."""
    options = ["--data", "digits", "--epochs", "2", "--batch", "9", "--hidden", "4", "--masks", "2", "--orders", "3"]
    figures = benchmark.main([
        "--model", *benchmark.MODELS, *options, "--valid-rows", "3", "--test-rows", "8", "--json", str(tmp_path / "f.json"),
    ])  # fmt: skip
    readings = [("made_readings", size) for size in (1, 1, 1, 1, 2, 3, 4)]
    eonade = [("eonade", size) for size in (1, 2, 3)]
    found = [(figure["model"], figure["orders"]) for figure in figures]
    assert found == [("made", 1), ("made", 2), *readings, ("nade", 1), *eonade, ("fvsbn", 1)]
    for figure in figures:
        assert 2 < figure["nats"] < 9
        assert figure["epochs"] == 2
        assert figure["epoch"] > 0
    out = capsys.readouterr().out
    assert "negative log-likelihood of 8 rows" in out.replace("\n", " ")
    assert "eonade" in (tmp_path / "f.json").read_text()


def test_as_many_epochs_as_fit(benchmark, capsys):
    figures = benchmark.main(
        ["--model", "made", "--data", "digits", "--minutes", "0.01", "--epochs", "2", "--batch", "9"]
    )
    assert 1 <= figures[0]["epochs"] <= 2
    assert "fit into 0.01 minutes" in capsys.readouterr().out


def test_a_made_whose_order_is_given(benchmark):
    """The density that moves masks is the ensemble's that moves weights."""
    from benchmarks.orders import OrderedMADE

    made = MADE(6, hidden=(9, 8))
    orders = np.stack([np.random.default_rng(i).permutation(6) for i in range(3)])
    params = {path: value + 0.3 for path, value in made.init(seed=0).items()}
    for i, order in enumerate(orders):
        places = np.argsort(order).astype(np.float32)
        found = OrderedMADE(made).apply(params, places).log_prob(ROWS)
        picked = OrderEnsemble(made, orders, pick=True).apply(params, np.array([i], np.float32)).log_prob(ROWS)
        np.testing.assert_allclose(found, picked, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"residual": True},
        {"direct": True},
        {"seed": 0},
        {"conditional": conditionals.Categorical(2)},
        {"context": 2},
        {"order": (5, 4, 3, 2, 1, 0)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_made_that_it_does_not_compute_is_refused(settings, benchmark):
    from benchmarks.orders import OrderedMADE

    with pytest.raises(ValueError, match=r"expected a MADE of bits without .*got MADE.*Use OrderEnsemble"):
        OrderedMADE(MADE(6, hidden=(4, 4), **settings))
