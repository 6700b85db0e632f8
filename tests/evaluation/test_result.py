import json
import math

import numpy as np
import pytest

from ppgen.evaluation import Evaluation


def of_rows(per_row, **rest):
    return Evaluation.of_rows(np.array(per_row), kind="exact", estimator="test", **({"dimensions": 2} | rest))


def test_mean_and_standard_error():
    found = of_rows([-1.0, -2.0, -3.0, -6.0])
    assert found.nats == -3.0
    assert found.stderr == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2)
    assert found.total == -12.0


def test_bits_per_dimension():
    assert of_rows([-8 * math.log(2)] * 2).bits_per_dim == pytest.approx(4.0)
    assert of_rows([0.0] * 2, quantization_bits=16).bits_per_dim == 8.0  # a uniform density of 8-bit data


def test_one_row_has_no_standard_error():
    found = of_rows([-1.0])
    assert math.isnan(found.stderr)
    assert "±" not in repr(found)
    assert "1 row)" in repr(found)


def test_impossible_row():
    found = of_rows([-1.0, -math.inf])
    assert found.nats == -math.inf
    assert math.isnan(found.stderr)


def test_total():
    found = Evaluation.of_total(-10.0, rows=5, dimensions=1, kind="lower bound", estimator="test")
    assert (found.nats, found.total, found.per_row) == (-2.0, -10.0, None)


def test_repr_says_how_far_to_trust():
    found = of_rows([-1.0, -2.0], khat=np.array([0.4, 0.9]), ess=12.34, particles=100, note="a note")
    assert repr(found).splitlines()[1:] == [
        "exact: test, 100 particles",
        "effective sample size 12.3 of 100",
        "PSIS k-hat: median 0.40 (good), worst 0.90 (unreliable)",
        "a note",
    ]
    assert "worst 0.60 (ok)" in repr(of_rows([0.0, 0.0], khat=np.array([-np.inf, 0.6])))
    assert "median -inf (good), worst inf (unreliable)" in repr(of_rows([0.0, 0.0], khat=np.array([np.inf, -np.inf])))


def test_json():
    found = of_rows([-1.0], khat=np.array([-np.inf]), ess=np.float64(3.0))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["per_row"] == [-1.0]
    assert float(read["khat"][0]) == -math.inf
    assert math.isnan(float(read["stderr"]))
    assert read["particles"] is None


def test_kind_is_one_of_four():
    with pytest.raises(ValueError, match="expected kind"):
        Evaluation.of_rows(np.zeros(2), dimensions=1, kind="bound", estimator="test")
