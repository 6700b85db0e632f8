"""Folders of arrays: whatever happens to a writer or to a file, one whole folder is found or one clear error is raised."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppgen.errors import CheckpointError
from ppgen.storage import RunFolder, folder, read, write
from ppgen.storage.lock import locked

ARRAYS = {"params": {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)}, "history": {}}


def saved(path, step):
    return write(path, ARRAYS, {"step": step, "nested": {"x": [1, 2.5, None]}})


def test_what_is_written_is_read(tmp_path):
    manifest, arrays = read(saved(tmp_path / "run", 3))
    assert (manifest["step"], manifest["nested"]) == (3, {"x": [1, 2.5, None]})
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS["params"].items():
        np.testing.assert_array_equal(arrays["params"][name], value)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def killed(path, new, old):
    """The disk as a writer leaves it that is killed while it replaces `path`: what it wrote, what it put away."""
    name = path.name
    saved(path, 1)
    if new is not None:
        saved(path.with_name("next"), 2).rename(made := path.with_name(f".{name}.new-abcdefgh"))
        if new == "half":
            (made / folder.MANIFEST).unlink()
    if old:
        path.rename(path.with_name(f".{name}.old-abcdefgh"))


@pytest.mark.parametrize(
    ("new", "old", "step"),
    [("half", False, 1), ("whole", False, 1), ("whole", True, 2), (None, True, 1), ("half", True, 1)],
)
def test_a_killed_writer_loses_nothing(tmp_path, new, old, step):
    """Wherever it was killed, `read` finds the last folder that was whole; the next writer sweeps the rest."""
    path = tmp_path / "run"
    killed(path, new, old)
    assert read(path)[0]["step"] == step
    saved(tmp_path / "run.new-abcdefgh", 7)  # its neighbours are not swept
    saved(path, 5)
    assert read(path)[0]["step"] == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run.new-abcdefgh"]


def test_a_failed_writer_after_a_killed_one_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "run"
    killed(path, None, True)

    def full(folder):
        raise OSError("disk full")

    monkeypatch.setattr(folder, "_sync", full)
    with pytest.raises(OSError, match="disk full"):
        saved(path, 5)
    assert read(path)[0]["step"] == 1


def test_a_rename_that_fails_puts_the_earlier_folder_back(tmp_path, monkeypatch):
    path, rename = saved(tmp_path / "run", 1), Path.rename

    def fails(self, target):
        if ".new-" in self.name:
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no"):
        saved(path, 2)
    assert read(path)[0]["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


OTHER_JSON = ["", "null", "3", "[]", '"text"', "{}", '{"format": 3}', '{"format": null, "sha256": []}', "[" * 100_000]


def damages(text):
    """Manifests that are not what was written: cut off, of other types, without a key, other JSON, one byte changed."""
    rng, manifest = random.Random(0), json.loads(text)
    yield from (text[: rng.randrange(len(text) - 1)] for _ in range(40))
    yield from OTHER_JSON
    for key in manifest:
        yield json.dumps({name: value for name, value in manifest.items() if name != key})
        for other in (None, 1.5, "x", [], {}, [[]], {"params.safetensors": 3}, True):
            if other != manifest[key]:
                yield json.dumps({**manifest, key: other})
    for _ in range(60):
        place = rng.randrange(len(text))
        if not text[place].isspace():
            yield text[:place] + chr(rng.choice(range(33, 126))) + text[place + 1 :]


def test_a_damaged_manifest_is_one_clear_error(tmp_path):
    path = saved(tmp_path / "run", 3)
    text = (path / folder.MANIFEST).read_text()
    for damaged in damages(text):
        if damaged == text:
            continue
        (path / folder.MANIFEST).write_text(damaged)
        with pytest.raises(CheckpointError, match=r"manifest\.json is damaged|has format|missing or damaged"):
            read(path)
    (path / folder.MANIFEST).write_bytes(b"\xff\xfe\x00" + text.encode())
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        read(path)
    (path / folder.MANIFEST).unlink()
    (path / folder.MANIFEST).mkdir()
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        read(path)


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_file_is_an_error(tmp_path, harm):
    path = saved(tmp_path / "run", 3)
    part = path / "params.safetensors"
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.unlink() if harm == "remove" else part.write_bytes(content if harm == "flip" else content[:-1])
    with pytest.raises(CheckpointError, match=r"params\.safetensors is missing or damaged"):
        read(path)


@pytest.mark.parametrize("strange", ["notes.txt", "params.npz", "sub"])
def test_only_what_was_written_is_replaced(tmp_path, strange):
    path = saved(tmp_path / "run", 1)
    (path / strange).mkdir() if strange == "sub" else (path / strange).write_text("mine")
    with pytest.raises(CheckpointError, match=rf"it holds {strange}, which would be lost"):
        saved(path, 2)
    folder.discard(path)
    assert (path / strange).exists()
    assert read(path)[0]["step"] == 1


def test_a_folder_with_a_strangers_manifest_is_left_alone(tmp_path):
    for text in ('{"name": "mine"}', '{"sha256": 3}', "[]", "no json"):
        path = tmp_path / "web"
        path.mkdir()
        (path / "manifest.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"it holds manifest\.json, which would be lost"):
            saved(path, 2)
        assert (path / "manifest.json").read_text() == text
        shutil.rmtree(path)


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    saved(tmp_path / "far", 1)
    (tmp_path / "run").symlink_to(tmp_path / "far")
    saved(tmp_path / "run", 2)
    assert (tmp_path / "run").is_symlink()
    assert read(tmp_path / "far")[0]["step"] == 2


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="expected to write to"):
        saved(tmp_path / "file" / "run", 1)


HOLDER = """
import sys, pathlib
from ppgen.storage.lock import locked
file = pathlib.Path(sys.argv[1])
with locked(file, file.parent):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_writer_left_in_a_run_is_swept(tmp_path):
    """Also the lock of one that was killed right after its last rename."""
    run = RunFolder(tmp_path / "run")
    with run.writing():
        run.write(4, ARRAYS, {"step": 4})
    killed(run.path / "step-000000008", "half", False)
    for name in (".step-000000004.lock", ".best.lock", ".lock", "notes.txt"):
        (run.path / name).write_text("1")
    with run.writing():
        pass
    assert sorted(path.name for path in run.path.iterdir()) == ["notes.txt", "step-000000004", "step-000000008"]


def test_a_lock_is_held_by_the_living_only(tmp_path):
    """Another process, another thread of this one; and none that was killed."""
    file = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CheckpointError, match=rf"process {holder.pid} is writing there\. Wait"),
            locked(file, tmp_path),
        ):
            raise AssertionError("two writers")
    finally:
        holder.kill()
        holder.communicate()
    assert file.exists()
    again = locked(file, tmp_path)
    with locked(file, tmp_path), pytest.raises(CheckpointError, match="this process is writing there"), again:
        raise AssertionError("two writers")
    assert not file.exists()
