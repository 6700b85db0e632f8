"""Fits kept on disk; and the state of one fit for another run to go on from."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppgen import storage
from ppgen.inference.algorithm import Algorithm
from ppgen.storage import CheckpointError
from ppgen.storage.folder import version
from ppgen.training.trainer import State, Trainer

if TYPE_CHECKING:
    from ppgen.training.result import Fit

_ROWS = 7  # rows of the first look that are kept for the next one


def save(fit: "Fit", path: Path) -> Path:
    """Write a fit to a folder, all or nothing."""
    problem = fit.problem
    arrays = {"params": fit.params, "state": packed(fit), "example": _example(fit), "history": fit.history}
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
        "rows": problem.rows,
        "missing": problem.missing,
        "train": list(fit.train),
        "evidence": None if fit.evidence is None else fit.evidence.to_dict(),
        "parameters": {name: list(value.shape) for name, value in fit.params.items()},
    }
    return storage.write(path, arrays, about)


def adopt(fit: "Fit", trainer: Trainer) -> State:
    """The state of `fit` for another trainer of the same programs and backend."""
    if fit.backend != trainer.backend.name or fit.algorithm != trainer.algorithm:
        raise CheckpointError(
            f"expected to resume with {fit.algorithm!r} on {fit.backend!r}; got {trainer.algorithm!r} on "
            f"{trainer.backend.name!r}. To start another algorithm from these parameters pass params=fit.params."
        )
    state = trainer.init(fit.seed, fit.params)
    try:
        return trainer.backend.unpack(state, packed(fit))
    except KeyError as missing:
        raise CheckpointError(
            f"expected to resume with the optimiser the fit was learned with; its state lacks {missing}. "
            "Pass the same optimizer=, or start anew from these parameters with params=fit."
        ) from None


def packed(fit: "Fit") -> dict[str, np.ndarray]:
    """The fit's state as arrays; of a loaded fit, as they were read, the optimisers' included."""
    return fit.saved if fit.saved is not None else fit.problem.backend.pack(fit.state)


def _example(fit: "Fit") -> dict[str, np.ndarray]:
    """Rows for the next look at the programs: a few, or all where parameters have as many rows as the data.

    Draws are of a posterior given all rows, so these stay with them.
    """
    problem = fit.problem
    by_row = problem.full_batch and any(problem.size in value.shape for value in fit.params.values())
    needs_all = by_row or bool(fit.draws)
    return {name: value if needs_all else value[:_ROWS] for name, value in problem.example.items()}


def _describe(algorithm: Algorithm) -> dict[str, Any]:
    settings = {f.name: getattr(algorithm, f.name) for f in dataclasses.fields(algorithm)}
    simple = all(isinstance(v, str | int | float | bool | type(None)) for v in settings.values())
    return {"name": type(algorithm).__name__, "settings": settings if simple else None, "repr": repr(algorithm)}
