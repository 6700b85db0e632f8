"""Saving, loading on either backend, resuming bit for bit, and what is refused."""

import json

import numpy as np
import pytest

import ppgen
from ppgen.storage import CheckpointError

OTHER = {"numpyro": "pyro", "pyro": "numpyro"}
OPTIMIZERS = {
    "adam": lambda: ppgen.Adam(1e-2),
    "schedule and clip": lambda: ppgen.Adam(lambda step: 0.02 / (1.0 + step), clip=0.5),
}


def test_load_gives_the_fit_back(quick, programs, tmp_path, bits):
    fit = quick()
    fit.save(tmp_path / "run")
    back = ppgen.load(tmp_path / "run", *programs)
    assert back.params.keys() == fit.params.keys()
    for name, value in fit.params.items():
        np.testing.assert_array_equal(back.params[name], value)
    for name, value in fit.history.items():
        np.testing.assert_array_equal(back.history[name], value)
    assert back.algorithm == fit.algorithm
    assert back.evaluate({"x": bits}, particles=20).nats == fit.evaluate({"x": bits}, particles=20).nats


def test_load_on_the_other_backend(quick, programs, tmp_path, backend):
    fit = quick()
    fit.save(tmp_path / "run")
    back = ppgen.load(tmp_path / "run", *programs, backend=OTHER[backend])
    assert back.backend == OTHER[backend]
    for name, value in fit.params.items():
        np.testing.assert_allclose(back.params[name], value, rtol=1e-6)
    assert back.sample(rows=3)["x"].shape == (3, 4)
    assert quick(backend=OTHER[backend], epochs=4, resume=back).history["step"].tolist() == [3, 6, 9, 12]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_resumed_run_is_the_uninterrupted_one(quick, programs, tmp_path, optimizer):
    whole = quick(epochs=4, optimizer=optimizer())
    quick(epochs=2, optimizer=optimizer()).save(tmp_path / "half")
    half = ppgen.load(tmp_path / "half", *programs)
    resumed = quick(epochs=4, optimizer=optimizer(), resume=half)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)
    np.testing.assert_array_equal(resumed.history["loss/model"], whole.history["loss/model"])
    fresh = quick(epochs=2, optimizer=optimizer(), params=half)  # without the optimiser's state it is another run
    assert any(not np.array_equal(fresh.params[name], value) for name, value in whole.params.items())


def test_a_loaded_fit_saved_again_can_be_resumed(quick, programs, tmp_path):
    quick(epochs=2).save(tmp_path / "first")
    ppgen.load(tmp_path / "first", *programs).save(tmp_path / "second")
    resumed = quick(epochs=3, resume=ppgen.load(tmp_path / "second", *programs))
    for name, value in quick(epochs=3).params.items():
        np.testing.assert_array_equal(resumed.params[name], value)


def test_resuming_with_another_optimiser_is_refused(quick):
    with pytest.raises(CheckpointError, match=r"resume with optimizer=SGD\(.*got optimizer=Adam\(.*params=fit"):
        quick(epochs=4, optimizer=ppgen.Adam(1e-3), resume=quick(optimizer=ppgen.SGD(0.1)))


def test_resuming_another_algorithm_is_refused(quick):
    with pytest.raises(CheckpointError, match=r"expected to resume with algorithm=ELBO.*params=fit"):
        quick(algorithm=ppgen.IWAE(3), resume=quick())


def test_a_failed_save_leaves_the_earlier_fit(quick, programs, tmp_path, monkeypatch):
    quick().save(tmp_path / "run")
    before = (tmp_path / "run" / "manifest.json").read_text()
    fit = quick(epochs=4)

    def broken(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("ppgen.storage.folder._sync", broken)
    with pytest.raises(OSError, match="disk full"):
        fit.save(tmp_path / "run")
    assert (tmp_path / "run" / "manifest.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert int(ppgen.load(tmp_path / "run", *programs).state.step) == 9


def test_a_second_save_replaces_the_first(quick, programs, tmp_path):
    quick().save(tmp_path / "run")
    quick(epochs=4).save(tmp_path / "run")
    assert int(ppgen.load(tmp_path / "run", *programs).state.step) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_with_notes_beside_a_fit_is_left_alone(quick, programs, tmp_path):
    """What a user wrote there would be lost; the earlier fit is whole."""
    path = quick().save(tmp_path / "run")
    (path / "notes.txt").write_text("seed 3 was the good one")
    with pytest.raises(
        CheckpointError, match=r"nothing else; it holds notes\.txt, which would be lost\. Choose another"
    ):
        quick(epochs=4).save(path)
    assert (path / "notes.txt").read_text() == "seed 3 was the good one"
    assert int(ppgen.load(path, *programs).state.step) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_in_the_place_of_the_folder_is_left_alone(quick, tmp_path):
    (tmp_path / "run").write_text("a list")
    with pytest.raises(CheckpointError, match="it holds a file of that name"):
        quick().save(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "a list"


def test_damage_and_strangers_are_refused(quick, programs, tmp_path):
    with pytest.raises(CheckpointError, match="found none"):
        ppgen.load(tmp_path / "nothing", *programs)
    stranger = tmp_path / "thesis"
    stranger.mkdir()
    (stranger / "chapter1.tex").write_text("...")
    with pytest.raises(CheckpointError, match="it holds chapter1.tex, which would be lost. Choose another"):
        quick().save(stranger)
    assert (stranger / "chapter1.tex").exists()
    path = quick().save(tmp_path / "run")
    data = bytearray((path / "params.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "params.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256 does not match"):
        ppgen.load(path, *programs)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(CheckpointError, match="has format 99; expected 3"):
        ppgen.load(path, *programs)


def test_other_programs_are_refused(quick, programs, tmp_path, bits):
    from ppgen import dist, module, nn, plate, sample

    def smaller(rows):
        decoder = module("decoder", nn.MLP(2, 3, 4))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1))

    quick().save(tmp_path / "run")
    with pytest.raises(ppgen.errors.ProgramError, match=r"'decoder.0.bias': expected shape \(3,\); got \(6,\)"):
        ppgen.load(tmp_path / "run", smaller, programs[1])


def test_a_gan_needs_its_critic_to_load(quick, programs, tmp_path):
    from ppgen import nn

    gan = ppgen.GAN(nn.MLP(4, 6, 1))
    quick(algorithm=gan).save(tmp_path / "gan")
    with pytest.raises(CheckpointError, match="pass algorithm= to load it"):
        ppgen.load(tmp_path / "gan", *programs)
    assert ppgen.load(tmp_path / "gan", *programs, algorithm=gan).algorithm == gan


def test_a_fit_whose_programs_cannot_be_looked_at_is_saved_aloud(quick, programs, tmp_path, monkeypatch):
    fit = quick(epochs=1)

    def fails(*_):
        raise RuntimeError("no such operation")

    with monkeypatch.context() as patch:
        patch.setattr("ppgen.training.fingerprint.once", fails)
        with pytest.warns(ppgen.errors.RunWarning, match=r"could not be run .*no such operation.*is kept without"):
            fit.save(tmp_path / "run")
    back = ppgen.load(tmp_path / "run", *programs)
    np.testing.assert_array_equal(back.params["decoder.0.bias"], fit.params["decoder.0.bias"])
