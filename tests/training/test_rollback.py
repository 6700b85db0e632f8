"""`on_nonfinite="rollback"`: a bad batch is passed by, and the run is that which never had it."""

import re

import numpy as np
import pytest

import ppgen
from ppgen import dist, ops, param, plate, sample
from ppgen.errors import NonFiniteError, ProgramError, RunWarning
from ppgen.training.loop import IN_A_ROW

N = 24
Y = np.random.default_rng(0).normal(size=N).astype("float32")
GOOD = np.random.default_rng(1).uniform(1, 2, size=N).astype("float32")


def overflows(rows, c):
    """Not finite where c is 1000."""
    with plate("data", rows):
        sample("y", dist.Normal(ops.exp(param("a", 1.0) * c), 1.0))


def spoiled(*rows):
    c = GOOD.copy()
    c[list(rows)] = 1000.0
    return {"y": Y, "c": c}


def batches(data, size=4):
    return [{name: value[i : i + size] for name, value in data.items()} for i in range(0, N, size)]


@pytest.fixture
def fit(backend):
    def fit(data, **options):
        return ppgen.fit(
            overflows, data=data, algorithm=ppgen.MaximumLikelihood(), backend=backend,
            **{"epochs": 2, "optimizer": ppgen.SGD(1e-5), "on_nonfinite": "rollback", **options},
        )  # fmt: skip

    return fit


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "stream"])
def test_a_bad_batch_is_passed_by(fit, stream):
    """Twice a pass of six steps. A model without noise ends where one ends that never had the batch."""
    bad, good = spoiled(17), {"y": Y, "c": GOOD}
    source = {"data": batches(bad)} if stream else {"data": bad, "batch_size": 4}
    with pytest.warns(
        RunWarning, match=r"at step \d+: the log density of site 'y'.*passed by; the run goes on"
    ) as told:
        found = fit(**source)
    assert len(told) == 2
    assert int(found.state.step) == 12
    assert found.history["step"].tolist() == [6, 12]
    if stream:
        without = [batch for i, batch in enumerate(batches(good)) if i != 4]
        expected = fit(without).params["a"]
        np.testing.assert_array_equal(found.params["a"], expected)
        assert fit(batches(good)).params["a"] != expected
    else:
        assert re.search(r"in row 17", str(told[0].message))
        assert np.isfinite(found.params["a"])
        assert found.params["a"] != 1.0


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "stream"])
def test_it_gives_up_after_some_in_a_row(fit, stream):
    bad = spoiled(*range(4, N))
    steps = {"epochs": None, "steps": 60}
    source = (
        {"data": [batches(bad)[0]] + batches(bad)[1:2] * 20}
        if stream
        else {"data": spoiled(*range(N)), "batch_size": 4}
    )
    with (
        pytest.warns(RunWarning) as told,
        pytest.raises(NonFiniteError, match=rf" {IN_A_ROW} batches in a row") as caught,
    ):
        fit(**source, **steps)
    assert len(told) == IN_A_ROW
    assert caught.value.step == caught.value.fit.state.step == IN_A_ROW + stream
    assert np.isfinite(caught.value.fit.params["a"])


def test_a_run_that_passed_a_batch_by_goes_on_to_the_bit(fit, tmp_path):
    bad = batches(spoiled(17))
    with pytest.warns(RunWarning, match="passed by"):
        whole = fit(bad, run_dir=tmp_path / "run", checkpoint_every=5)
    for step in (12, 10):
        (tmp_path / "run" / f"step-{step:09d}" / "manifest.json").unlink()
    with pytest.warns(RunWarning):
        resumed = fit(bad, run_dir=tmp_path / "run", checkpoint_every=5, resume=True)
    np.testing.assert_array_equal(resumed.params["a"], whole.params["a"])
    np.testing.assert_array_equal(resumed.history["loss/model"], whole.history["loss/model"])


def test_other_words_are_refused(fit):
    with pytest.raises(ProgramError, match="expected on_nonfinite to be 'raise' or 'rollback'; got 'skip'"):
        fit(spoiled(), on_nonfinite="skip")
