"""A folder of safetensors arrays and a JSON manifest, written all or nothing. Nothing is ever unpickled."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from ppgen.errors import PpgenError

FORMAT = 2
_MANIFEST = "manifest.json"


class CheckpointError(PpgenError):
    """A directory that does not hold a whole fit."""


def write(path: Path, arrays: Mapping[str, Mapping[str, np.ndarray]], about: Mapping[str, Any]) -> Path:
    """Write arrays to `path`: to a temporary folder beside it, synced to disk, then renamed.

    Args:
        path: the folder; new, or one that holds nothing but what an earlier `write` put there.
        arrays: files to write, by name, each of arrays by name.
        about: what else the manifest says, in values that JSON can hold.

    Raises:
        CheckpointError: the folder holds something else, which would be lost.
    """
    free(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        digests = {}
        for name, entries in arrays.items():
            file = temporary / f"{name}.safetensors"
            save_file({k: np.array(v, order="C") for k, v in entries.items()}, file)
            digests[file.name] = _digest(file)
        manifest = {"format": FORMAT, "ppgen": version("ppgen"), **about, "sha256": digests}
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        _replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return path


def free(path: Path) -> None:
    """Raise `CheckpointError` unless `path` can be written without a loss."""
    if not path.exists():
        return
    strangers = ["a file of that name"] if not path.is_dir() else sorted(p.name for p in path.iterdir())
    if path.is_dir() and (path / _MANIFEST).exists():
        try:
            manifest = json.loads((path / _MANIFEST).read_text())
            strangers = [name for name in strangers if name not in {_MANIFEST, *manifest["sha256"]}]
        except (ValueError, KeyError, TypeError):
            pass  # a manifest of somebody else
    if strangers or not path.is_dir():
        raise CheckpointError(
            f"expected {path} to be new or an earlier fit and nothing else; it holds {', '.join(strangers[:5])}, which would "
            "be lost. Choose another folder."
        )


def read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """The manifest and the arrays of a folder, each file checked against its SHA-256."""
    file = path / _MANIFEST
    if not file.exists():
        raise CheckpointError(
            f"expected a saved fit at {path} (a folder with {_MANIFEST}); found none. Check the path."
        )
    try:
        manifest = json.loads(file.read_text())
        found, digests = manifest["format"], dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged ({error!r}). Save the fit again.") from None
    if found != FORMAT:
        raise CheckpointError(
            f"{path} has format {found}; expected {FORMAT}. Load it with the ppgen that wrote it, {manifest.get('ppgen')}."
        )
    arrays = {}
    for name, digest in digests.items():
        part = path / name
        if not part.exists() or _digest(part) != digest:
            raise CheckpointError(f"{part} is missing or damaged (its SHA-256 does not match). Save the fit again.")
        arrays[part.stem] = load_file(part)
    return manifest, arrays


def version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`; whatever fails, one whole fit stays there."""
    if path.exists() and any(path.iterdir()):
        old = new.with_name(new.name + "-old")
        path.rename(old)
        new.rename(path)
        shutil.rmtree(old)
    else:
        new.rename(path)
    _sync(path.parent)
