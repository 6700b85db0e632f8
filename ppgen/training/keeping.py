"""Fits as arrays and a manifest: to be written to disk, and for another run to go on from."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppgen import storage
from ppgen.errors import CheckpointError, RunWarning, tell
from ppgen.inference.algorithm import Algorithm
from ppgen.problem import constants
from ppgen.problem.batch import rows_of
from ppgen.problem.problem import Problem
from ppgen.storage.folder import version
from ppgen.storage.runs import Saved
from ppgen.training.fingerprint import Fingerprint, few
from ppgen.training.standing import Standing, check_settings
from ppgen.training.trainer import State, Trainer

if TYPE_CHECKING:
    from ppgen.training.result import Fit


def save(fit: "Fit", path: Path) -> Path:
    """Write a fit to a folder, all or nothing."""
    about, arrays = kept(fit)
    return storage.write(path, arrays, about)


def kept(fit: "Fit") -> Saved:
    """What is kept of a fit: the manifest and, by file, arrays by name."""
    problem = fit.problem
    rows = few(problem)
    look = _looked(fit, rows)
    arrays = {
        "params": fit.params,
        "state": packed(fit),
        "example": dict(problem.example) if fit.draws else rows,  # draws are of a posterior given all rows
        "history": fit.history,
        "pending": dict(fit.standing.pending),
        "values": look.values,
        "densities": look.densities,
    }
    simple, arrays["constants"], others = constants.kept(problem.constants, problem.backend)
    if fit.draws:
        arrays |= {"draws": fit.draws, "statistics": fit.statistics}
    about = {
        "backend": problem.backend.name,
        "versions": {n: version(n) for n in ("jax", "numpyro", "torch", "pyro-ppl", "numpy") if version(n)},
        "algorithm": _describe(fit.algorithm),
        "seed": fit.seed,
        "step": int(fit.state.step),
        "size": problem.size,
        "full_batch": problem.full_batch,
        "rows": None if problem.model.one_row else problem.rows,
        "missing": problem.missing,
        "train": list(fit.train),
        "evidence": None if fit.evidence is None else fit.evidence.to_dict(),
        "parameters": {name: list(value.shape) for name, value in fit.params.items()},
        "programs": look.sites,
        "looked at": None if problem.model.one_row else rows_of(rows),
        "constants": {"values": simple, "not kept": others},
        "settings": dict(fit.standing.settings),
        "epoch": fit.standing.epoch,
        "lines": fit.standing.lines,
        "valid": fit.valid,
    }
    return about, arrays


def adopt(saved: Saved, trainer: Trainer, settings: dict[str, str]) -> tuple[State, Standing]:
    """The state of a fit, and where its run stood, for another trainer of the same programs and backend."""
    about, arrays = saved
    check_settings(about["settings"], settings)
    state = trainer.init(about["seed"], arrays["params"])
    confirm(saved, trainer.problem, state.parameters, "the fit to resume")
    try:
        state = trainer.backend.unpack(state, arrays["state"])
    except KeyError as missing:
        raise CheckpointError(
            f"expected to resume with the optimiser the fit was learned with; its state lacks {missing}. "
            "Pass the same optimizer=, or start anew from these parameters with params=fit."
        ) from None
    return state, standing(saved)


def standing(saved: Saved) -> Standing:
    """Where the run of a kept fit stood."""
    about, arrays = saved
    return Standing(about["settings"], about["epoch"], about["lines"], arrays["pending"])


def confirm(saved: Saved, problem: Problem, parameters: Any, what: str) -> None:
    """Raise `CheckpointError` where these programs, with the parameters of a kept fit, are not those it was learned with."""
    about, arrays = saved
    looked = about["looked at"]
    rows = arrays["example"] if looked is None else {name: value[:looked] for name, value in arrays["example"].items()}
    was = Fingerprint(about["programs"], arrays["values"], arrays["densities"])
    if not was.sites:
        return  # `save` said that it could not look at the programs
    try:
        now = Fingerprint.of(problem, parameters, rows, was.values)
        said = was.differences(now, libraries=about["backend"] == problem.backend.name)
    except Exception as error:  # whatever other programs raise at the values of these
        said = [f"they do not run on the values of those ({error})"]
    if said:
        raise CheckpointError(
            f"expected the programs that {what} was learned with; got others: {'; '.join(said[:5])}. Pass the same programs. "
            "To use its parameters in these, read params.safetensors of its folder and pass params= to ppgen.fit."
        )


def packed(fit: "Fit") -> dict[str, np.ndarray]:
    """The fit's state as arrays; of a loaded fit, as they were read, the optimisers' included."""
    return fit.saved if fit.saved is not None else fit.problem.backend.pack(fit.state)


def _looked(fit: "Fit", rows: dict[str, np.ndarray]) -> Fingerprint:
    """The fingerprint of a fit's programs; an empty one, and a warning, where they cannot be run: the fit is saved anyway."""
    try:
        return Fingerprint.of(fit.problem, fit.state.parameters, rows)
    except Exception as error:
        tell(
            f"the programs could not be run to note what they compute ({error}); the fit is kept without, and ppgen.load will "
            "not notice programs that are others.",
            RunWarning,
        )
        return Fingerprint({}, {}, {})


def _describe(algorithm: Algorithm) -> dict[str, Any]:
    settings = {f.name: getattr(algorithm, f.name) for f in dataclasses.fields(algorithm)}
    simple = all(isinstance(v, str | int | float | bool | type(None)) for v in settings.values())
    return {"name": type(algorithm).__name__, "settings": settings if simple else None, "repr": repr(algorithm)}
