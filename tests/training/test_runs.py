"""Runs in a directory: checkpoints inside a pass, resumed to the bit, and what is refused before the first step."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import ppgen
from ppgen.errors import CheckpointError, ProgramError, RunWarning
from ppgen.storage import RunFolder
from ppgen.training.keeping import packed


def same(a, b):
    """Equal to the bit: parameters, optimisers, keys, and histories but for the clock."""
    for one, other in ((packed(a), packed(b)), (a.history, b.history)):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds"}:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(params=["arrays", "stream"])
def run(request, quick, bits):
    """`quick` on arrays, or on the same rows as a stream of three batches a pass."""
    if request.param == "arrays":
        return quick
    batches = [{"x": bits[:8]}, {"x": bits[8:16]}, {"x": bits[16:]}]
    return lambda **options: quick(**{"data": batches, "batch_size": None, **options})


def steps(path):
    return [int(checkpoint.name.removeprefix("step-")) for checkpoint in RunFolder(path).checkpoints]


def test_a_killed_run_goes_on_to_the_bit(run, programs, bits, tmp_path):
    """From inside a pass, whose line of the history is made anew of all its steps; callbacks come as they would have."""
    path, seen = tmp_path / "run", []
    options = {"valid": {"x": bits[:5]}, "callbacks": [lambda fit: seen.append(int(fit.state.step))]}
    options |= {"run_dir": path, "checkpoint_every": 2, "optimizer": ppgen.Adam(0.01)}
    whole = run(**options)
    assert steps(path) == [9, 8, 6]
    assert seen == [3, 6, 9]
    same(whole, ppgen.load(path, *programs))
    shutil.rmtree(path / "step-000000009")  # as if it had been killed before
    resumed = run(**options, resume=True)
    same(whole, resumed)
    assert seen == [3, 6, 9, 9]
    same(whole, run(**options, resume=True))  # there is nothing left to do
    assert seen == [3, 6, 9, 9]
    best = ppgen.load(path / "best", *programs)
    assert best.valid == min(whole.history["valid/model"])
    assert best.history["step"][-1] == whole.history["step"][np.argmin(whole.history["valid/model"])]
    longer = run(**{**options, "epochs": 4}, resume=True)
    assert longer.history["step"].tolist() == [3, 6, 9, 12]


@pytest.mark.parametrize(("steps", "lines"), [(3, [3]), (5, [3, 5])])
def test_a_run_that_ended_by_steps_goes_on_to_the_bit(run, steps, lines):
    """Inside a pass, its history has a line of the part that it saw, which becomes one of the whole pass."""
    whole, part = run(epochs=2), run(steps=steps)
    assert part.history["step"].tolist() == lines
    same(part, run(steps=steps, resume=part))
    same(whole, run(epochs=2, resume=part))


def test_what_is_damaged_is_passed_by(quick, programs, tmp_path):
    path = tmp_path / "run"
    whole = quick(run_dir=path, checkpoint_every=2)
    for name, file in (("step-000000009", "state.safetensors"), ("step-000000008", "manifest.json")):
        (path / name / file).write_bytes(b"{}")
    with pytest.warns(RunWarning, match=r"step-000000009/state.* damaged.*step-000000008.* of step 6\."):
        assert int(ppgen.load(path, *programs).state.step) == 6
    with pytest.warns(RunWarning, match=r"checkpoint before it, .*of step 6\."):
        same(whole, quick(run_dir=path, checkpoint_every=2, resume=True))
    same(whole, ppgen.load(path, *programs))  # the damaged ones were written again
    assert (path / "aside-1-step-000000008" / "manifest.json").read_text() == "{}"
    for checkpoint in RunFolder(path).checkpoints:
        (checkpoint / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint of .* is whole"):
        quick(run_dir=path, resume=True)


def test_a_run_is_not_begun_over_another(quick, tmp_path, monkeypatch):
    """All of it is said before the first step; a directory that is new or empty is fine, also with resume=True."""
    path = tmp_path / "run"
    path.mkdir()
    fit = quick(steps=1, run_dir=path, resume=True)
    assert steps(path) == [1]
    (path / "notes.txt").write_text("mine")
    fit.save(tmp_path / "fit")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("ppgen.training.loop.Loop.start", None)
    with pytest.raises(CheckpointError, match=r"it holds a run\. Pass resume=True"):
        quick(run_dir=path)
    with pytest.raises(CheckpointError, match=r"it holds a saved fit\. Choose another folder"):
        quick(run_dir=tmp_path / "fit", resume=True)
    with pytest.raises(CheckpointError, match=r"expected to write to .*file"):
        quick(run_dir=tmp_path / "file" / "run")
    with RunFolder(path).writing(), pytest.raises(CheckpointError, match="only writer of .*is writing there"):
        quick(run_dir=path, resume=True)
    with pytest.raises(ProgramError, match=r"expected run_dir with resume=True"):
        quick(resume=True)
    with pytest.raises(ProgramError, match="expected resume to be a Fit or True; got 'run'"):
        quick(resume="run")
    with pytest.raises(ProgramError, match="expected checkpoint_every to be a positive integer; got 0"):
        quick(run_dir=path, checkpoint_every=0)
    assert (path / "notes.txt").read_text() == "mine"


OTHER = {
    "seed": (lambda: {"seed": 1}, r"seed=0, .*got seed=1\. Pass the same seed"),
    "optimiser": (lambda: {"optimizer": ppgen.Adam(0.02)}, r"learning_rate=0\.01.*got optimizer=Adam\(.*=0\.02"),
    "batch size": (lambda: {"batch_size": 4}, r"batches=19 rows, 8 a step.*got batches=19 rows, 4 a step"),
    "roles": (lambda: {"train": ("model",)}, r"train=\('model', 'guide'\)"),
    "algorithm": (lambda: {"algorithm": ppgen.IWAE(2)}, r"algorithm=ELBO\(.*got algorithm=IWAE\("),
}


@pytest.mark.parametrize(("options", "message"), OTHER.values(), ids=OTHER)
def test_another_run_is_not_gone_on_with(begun, options, message):
    quick, half = begun
    with pytest.raises(CheckpointError, match="expected to resume with.*" + message):
        quick(**{"epochs": 4, "optimizer": ppgen.Adam(0.01), **options()}, resume=half)


@pytest.fixture(scope="module")
def begun_fits():
    return {}


@pytest.fixture
def begun(quick, backend, begun_fits):
    """A run of one step, one for all tests of a backend."""
    if backend not in begun_fits:
        begun_fits[backend] = quick(steps=1, optimizer=ppgen.Adam(0.01))
    return quick, begun_fits[backend]


def test_schedules_and_native_optimisers_are_told_apart():
    """By what their functions hold, not by where they lie in memory."""
    import optax

    from ppgen.training.described import described

    def schedule(rate):
        return ppgen.Adam(lambda step: rate / (1 + step))

    makers = [
        lambda rate: ppgen.Adam(rate),
        schedule,
        optax.sgd,
        lambda rate: optax.chain(optax.clip(1.0), optax.adam(optax.cosine_decay_schedule(rate, 50))),
        lambda rate: {"model": ppgen.SGD(rate), "guide": ppgen.Adam(0.1)},
    ]
    for make in makers:
        assert described(make(0.1)) == described(make(0.1)) != described(make(0.2))
        assert " at 0x" not in described(make(0.1))


def test_the_page_of_runs_runs(tmp_path, monkeypatch):
    """docs/runs.md, on Pyro."""
    page = (Path(ppgen.__file__).parents[1] / "docs" / "runs.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    assert '"numpyro"' in code
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace('"numpyro"', '"pyro"'), names)
    whole = ppgen.fit(names["model"], names["guide"], epochs=4, **names["settings"])
    same(names["longer"], whole)
    assert int(names["last"].state.step) == 16
    assert int(names["so_far"].state.step) == 8
    assert names["best"].valid == min(names["fit"].history["valid/model"])
