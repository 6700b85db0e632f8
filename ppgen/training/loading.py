"""Fits read from disk, on either backend."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ppgen.inference as algorithms
from ppgen import storage
from ppgen.evaluation import Evaluation
from ppgen.inference.algorithm import Algorithm
from ppgen.inference.procedure import Procedure
from ppgen.problem.problem import Problem
from ppgen.storage import CheckpointError
from ppgen.training.result import Fit
from ppgen.training.trainer import State, Trainer


def load(
    path: str | Path,
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    backend: str | None = None,
    algorithm: Algorithm | None = None,
) -> Fit:
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
    path = Path(path)
    manifest, arrays = storage.read(path)
    if algorithm is None:
        algorithm = _algorithm(manifest["algorithm"], path)
    same = backend in (None, manifest["backend"])
    problem = Problem(
        model, guide, data=arrays["example"], backend=backend or manifest["backend"], size=manifest["size"],
        rows=manifest["rows"], full_batch=manifest["full_batch"], seed=manifest["seed"],
    )  # fmt: skip
    if new := sorted(set(problem.export(problem.start)) - set(arrays["params"])):
        raise CheckpointError(
            f"expected programs with the parameters of the fit at {path}, {sorted(arrays['params'])}; got {new} besides, "
            "which would stay untrained. Load it with the programs it was learned with; to go on with larger ones, "
            "ppgen.fit(..., params=fit)."
        )
    if isinstance(algorithm, Procedure):
        return _of_a_procedure(problem, algorithm, manifest, arrays)
    trainer = Trainer(problem, algorithm, train=tuple(manifest["train"]))
    state = trainer.init(parameters=arrays["params"])
    saved = None
    if same:
        state, saved = problem.backend.unpack(state, arrays["state"], optimizers=False), arrays["state"]
    else:
        state = dataclasses.replace(state, step=state.step + manifest["step"])
    return Fit(trainer.problem, algorithm, state, arrays["history"], trainer.train, saved)


def _of_a_procedure(problem: Problem, procedure: Procedure, manifest: dict[str, Any], arrays: dict[str, Any]) -> Fit:
    problem, backend = procedure.cast(problem), problem.backend
    state = State(
        problem.parameters(arrays["params"]), {}, backend.key(manifest["seed"]), backend.counter() + manifest["step"]
    )
    found = {name: arrays[name] for name in ("draws", "statistics") if name in arrays}
    if manifest.get("evidence"):
        found["evidence"] = Evaluation.from_dict(manifest["evidence"])
    return Fit(problem, procedure, state, arrays["history"], tuple(manifest["train"]), **found)


def _algorithm(described: dict[str, Any], path: Path) -> Algorithm:
    kind = getattr(algorithms, described["name"], None)
    if kind is None or described["settings"] is None:
        raise CheckpointError(f"{path} was learned by {described['repr']}; pass algorithm= to load it.")
    return kind(**described["settings"])
