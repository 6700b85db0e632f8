"""Fits on disk: safetensors arrays and a JSON manifest, written all or nothing. Nothing is ever unpickled."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

import ppgen.inference as algorithms
from ppgen.errors import PpgenError
from ppgen.inference.algorithm import Algorithm
from ppgen.training.trainer import State, Trainer

if TYPE_CHECKING:
    from ppgen.training.result import Fit

FORMAT = 1
_FILES = ("params", "state", "example", "history")


class CheckpointError(PpgenError):
    """A directory that does not hold a whole fit."""


def save(fit: "Fit", path: Path) -> Path:
    """Write a fit to `path`: to a temporary folder beside it, synced to disk, then renamed."""
    if path.exists() and not (path / "manifest.json").exists():
        raise CheckpointError(f"expected {path} to be new or an earlier fit; it holds something else. Choose another.")
    path.parent.mkdir(parents=True, exist_ok=True)
    backend = fit.trainer.backend
    arrays = {
        "params": fit.params,
        "state": packed(fit),
        "example": fit.example,
        "history": fit.history,
    }
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        digests = {}
        for name in _FILES:
            file = temporary / f"{name}.safetensors"
            save_file({k: np.array(v, order="C") for k, v in arrays[name].items()}, file)
            digests[file.name] = _digest(file)
        manifest = {
            "format": FORMAT,
            "ppgen": _version("ppgen"),
            "backend": backend.name,
            "versions": {n: _version(n) for n in ("jax", "numpyro", "torch", "pyro-ppl", "numpy") if _version(n)},
            "algorithm": _describe(fit.algorithm),
            "seed": fit.seed,
            "step": int(fit.state.step),
            "size": fit.trainer.size,
            "rows": fit.trainer.plan.model.rows_plate,
            "train": list(fit.trainer.train),
            "parameters": {name: list(value.shape) for name, value in fit.params.items()},
            "sha256": digests,
        }
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        _replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return path


def load(
    path: str | Path,
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    backend: str | None = None,
    algorithm: Algorithm | None = None,
) -> "Fit":
    """Read a fit that `Fit.save` wrote.

    Args:
        path: the directory.
        model: the model program (programs are code and are not saved).
        guide: the guide program, if there was one.
        backend: "numpyro" or "pyro"; the one it was saved from by default. On the other one the parameters are the
            same and the optimiser starts anew.
        algorithm: needed only where the saved one holds networks or programs (a GAN's critic).

    Raises:
        CheckpointError: a missing, damaged or foreign directory.
    """
    from ppgen.training.result import Fit

    path = Path(path)
    manifest, arrays = read(path)
    if algorithm is None:
        algorithm = _algorithm(manifest["algorithm"], path)
    same = backend in (None, manifest["backend"])
    trainer = Trainer(
        model,
        guide,
        algorithm,
        backend=backend or manifest["backend"],
        size=manifest["size"],
        rows=manifest["rows"],
        train=tuple(manifest["train"]),
    )
    state = trainer.init(arrays["example"], manifest["seed"], arrays["params"], full_batch=True)
    if not same:
        state = dataclasses.replace(state, step=state.step + manifest["step"])
        return Fit(trainer, state, arrays["history"], manifest["seed"], arrays["example"])
    state = trainer.backend.unpack(state, arrays["state"], optimizers=False)
    return Fit(trainer, state, arrays["history"], manifest["seed"], arrays["example"], arrays["state"])


def read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """The manifest and the arrays of a saved fit, each file checked against its SHA-256."""
    file = path / "manifest.json"
    if not file.exists():
        raise CheckpointError(
            f"expected a saved fit at {path} (a folder with manifest.json); found none. Check the path."
        )
    manifest = json.loads(file.read_text())
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {manifest.get('format')}; expected {FORMAT}. Load it with the ppgen that wrote it, "
            f"{manifest.get('ppgen')}."
        )
    arrays = {}
    for name in _FILES:
        part = path / f"{name}.safetensors"
        if not part.exists() or _digest(part) != manifest["sha256"][part.name]:
            raise CheckpointError(f"{part} is missing or damaged (its SHA-256 does not match). Save the fit again.")
        arrays[name] = load_file(part)
    return manifest, arrays


def adopt(fit: "Fit", trainer: Trainer) -> State:
    """The state of `fit` for another trainer of the same programs and backend."""
    if fit.backend != trainer.backend.name or fit.algorithm != trainer.algorithm:
        raise CheckpointError(
            f"expected to resume with {fit.algorithm!r} on {fit.backend!r}; got {trainer.algorithm!r} on "
            f"{trainer.backend.name!r}. To start another algorithm from these parameters pass params=fit.params."
        )
    state = trainer.init(fit.example, fit.seed, fit.params, full_batch=True)
    try:
        return trainer.backend.unpack(state, packed(fit))
    except KeyError as missing:
        raise CheckpointError(
            f"expected to resume with the optimiser the fit was learned with; its state lacks {missing}. "
            "Pass the same optimizer=, or start anew from these parameters with params=fit."
        ) from None


def packed(fit: "Fit") -> dict[str, np.ndarray]:
    """The fit's state as arrays; of a loaded fit, as they were read, the optimisers' included."""
    return fit.saved if fit.saved is not None else fit.trainer.backend.pack(fit.state)


def _describe(algorithm: Algorithm) -> dict[str, Any]:
    settings = {f.name: getattr(algorithm, f.name) for f in dataclasses.fields(algorithm)}
    simple = all(isinstance(v, str | int | float | bool | type(None)) for v in settings.values())
    return {"name": type(algorithm).__name__, "settings": settings if simple else None, "repr": repr(algorithm)}


def _algorithm(described: dict[str, Any], path: Path) -> Algorithm:
    kind = getattr(algorithms, described["name"], None)
    if kind is None or described["settings"] is None:
        raise CheckpointError(f"{path} was learned by {described['repr']}; pass algorithm= to load it.")
    return kind(**described["settings"])


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`; whatever fails, one whole fit stays there."""
    if path.exists():
        old = new.with_name(new.name + "-old")
        path.rename(old)
        new.rename(path)
        shutil.rmtree(old)
    else:
        new.rename(path)
    _sync(path.parent)
