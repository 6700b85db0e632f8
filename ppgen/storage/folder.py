"""A folder of safetensors arrays and a JSON manifest, written all or nothing. Nothing is ever unpickled."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from ppgen.errors import CheckpointError
from ppgen.storage.lock import locked

FORMAT = 3
MANIFEST = "manifest.json"


def write(path: Path, arrays: Mapping[str, Mapping[str, np.ndarray]], about: Mapping[str, Any]) -> Path:
    """Write arrays to `path`: to a temporary folder beside it, synced to disk, then renamed.

    At each moment one whole folder lies where `read` finds it; what an earlier writer left that was killed is swept.

    Args:
        path: the folder; new, or one that holds nothing but what an earlier `write` put there.
        arrays: files to write, by name, each of arrays by name.
        about: what else the manifest says, in values that JSON can hold.

    Raises:
        CheckpointError: the folder holds something else, which would be lost; or another process writes there.
    """
    where = path.resolve()
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"expected to write to {path}; got {error}. Choose another folder.") from None
    with locked(beside(where, "lock"), path):
        sweep(where)
        free(where)
        new = Path(tempfile.mkdtemp(prefix=f"{beside(where, 'new').name}-", dir=where.parent))
        try:
            _fill(new, arrays, about)
            _replace(new, where)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """The manifest and the arrays of a folder, each file checked against its SHA-256."""
    path = found(path)
    manifest = manifest_of(path)
    arrays = {}
    for name, digest in manifest["sha256"].items():
        part = path / name
        try:
            intact = _digest(part.read_bytes()) == digest
        except OSError:
            intact = False
        if not intact:
            raise CheckpointError(f"{part} is missing or damaged (its SHA-256 does not match). Save the fit again.")
        arrays[part.stem] = load_file(part)
    return manifest, arrays


def manifest_of(path: Path) -> dict[str, Any]:
    """The manifest of a folder, checked against its own SHA-256."""
    file = path / MANIFEST
    if not file.exists():
        raise CheckpointError(f"expected a saved fit at {path} (a folder with {MANIFEST}); found none. Check the path.")
    try:
        manifest = json.loads(file.read_text())
        form = manifest["format"]
        intact = manifest.pop("digest", None) == _digest(_text(manifest))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged ({error!r}). Save the fit again.") from None
    if type(form) is int and form != FORMAT:
        raise CheckpointError(
            f"{path} has format {form}; expected {FORMAT}. Load it with the ppgen that wrote it, {manifest.get('ppgen')}."
        )
    if not intact:
        raise CheckpointError(f"{file} is damaged or was edited (its SHA-256 does not match). Save the fit again.")
    return manifest


def found(path: Path) -> Path:
    """Where the folder lies: at `path`, or beside it where a writer was killed before it renamed the new one."""
    if not path.exists():
        for other in sorted(_left(path.resolve())):  # the new one before the old one
            if _whole(other):
                return other
    return path


def free(path: Path) -> None:
    """Raise `CheckpointError` unless `path` can be written without a loss."""
    if not path.exists():
        return
    strangers = ["a file of that name"] if not path.is_dir() else sorted(p.name for p in path.iterdir())
    if path.is_dir() and (path / MANIFEST).exists():
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            strangers = [name for name in strangers if name not in {MANIFEST, *manifest["sha256"]}]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # a manifest of somebody else
    if strangers or not path.is_dir():
        raise CheckpointError(
            f"expected {path} to be new or an earlier fit and nothing else; it holds {', '.join(strangers[:5])}, which would "
            "be lost. Choose another folder."
        )


def sweep(path: Path) -> None:
    """Put `path` back where a killed writer took it away, and remove what it left beside it; no other may be writing."""
    if (whole := found(path)) != path:
        whole.rename(path)
    for left in list(_left(path)):
        shutil.rmtree(left, ignore_errors=True)


def discard(path: Path) -> None:
    """Remove a folder that `write` made; one that holds anything else stays."""
    try:
        free(path)
    except CheckpointError:
        return
    old = Path(tempfile.mkdtemp(prefix=f"{beside(path, 'old').name}-", dir=path.parent))
    path.rename(old)
    shutil.rmtree(old)


def version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fill(folder: Path, arrays: Mapping[str, Mapping[str, np.ndarray]], about: Mapping[str, Any]) -> None:
    """Write the files of a folder and sync them to disk."""
    digests = {}
    for name, entries in arrays.items():
        file = folder / f"{name}.safetensors"
        save_file({k: np.array(v, order="C") for k, v in entries.items()}, file)
        digests[file.name] = _digest(file.read_bytes())
    manifest = {"format": FORMAT, "ppgen": version("ppgen"), **about, "sha256": digests}
    manifest = json.loads(json.dumps(manifest))  # as it will be read
    (folder / MANIFEST).write_text(json.dumps(manifest | {"digest": _digest(_text(manifest))}, indent=2) + "\n")
    for file in folder.iterdir():
        _sync(file)
    _sync(folder)


def _replace(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`; whatever fails, one whole folder stays there."""
    if path.exists() and any(path.iterdir()):
        old = new.with_name(f"{beside(path, 'old').name}-{new.name[-8:]}")
        path.rename(old)
        try:
            new.rename(path)
        except BaseException:
            old.rename(path)
            raise
        _sync(path.parent)
        shutil.rmtree(old)
    else:
        new.rename(path)
    _sync(path.parent)


def beside(path: Path, kind: str) -> Path:
    """The name of what a writer keeps beside `path` for a while."""
    return path.with_name(f".{path.name}.{kind}")


def _left(path: Path) -> Iterator[Path]:
    """The folders that a writer of `path` has not removed."""
    name = re.compile(re.escape(f".{path.name}.") + "(new|old)-[a-z0-9_]{8}")
    return (other for other in path.parent.glob(".*") if name.fullmatch(other.name))


def _whole(path: Path) -> bool:
    try:
        digests = manifest_of(path)["sha256"]
        return all(_digest((path / name).read_bytes()) == digest for name, digest in digests.items())
    except (CheckpointError, OSError):
        return False


def _text(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
