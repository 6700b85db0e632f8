"""Fits read from disk, on either backend."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ppgen.inference as algorithms
from ppgen import storage
from ppgen.errors import CheckpointError
from ppgen.evaluation import Evaluation
from ppgen.inference.algorithm import Algorithm
from ppgen.inference.procedure import Procedure
from ppgen.problem.problem import Problem
from ppgen.training import keeping
from ppgen.training.result import Fit
from ppgen.training.trainer import State, Trainer


def load(
    path: str | Path,
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    backend: str | None = None,
    algorithm: Algorithm | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Fit:
    """Read a fit that `Fit.save` wrote, or the last checkpoint of a run (`run_dir=`) that is whole.

    Args:
        path: the directory; of a run, also `run_dir/best`.
        model: the model program (programs are code and are not saved).
        guide: the guide program, if there was one.
        backend: "numpyro" or "pyro"; the one it was saved from by default. On the other one the parameters are the
            same and the optimiser starts anew.
        algorithm: needed only where the saved one holds networks or programs (a GAN's critic).
        constants: those that could not be saved: objects that are neither numbers, words nor arrays.

    Raises:
        CheckpointError: a missing, damaged or foreign directory; or programs that compute something else than those the
            fit was learned with.
        ProgramError: programs with parameters of other shapes.
    """
    path = Path(path)
    saved = manifest, arrays = storage.read_last(path)
    if algorithm is None:
        algorithm = _algorithm(manifest["algorithm"], path)
    same = backend in (None, manifest["backend"])
    problem = Problem(
        model, guide, data=arrays["example"], backend=backend or manifest["backend"], size=manifest["size"],
        rows=manifest["rows"], full_batch=manifest["full_batch"], seed=manifest["seed"],
        constants=_constants(manifest["constants"], arrays["constants"], constants or {}),
        missing=manifest.get("missing"),
    )  # fmt: skip
    if isinstance(algorithm, Procedure):
        fit = _of_a_procedure(problem, algorithm, manifest, arrays)
        _all_learned(fit.problem, arrays["params"], path)
        keeping.confirm(saved, fit.problem, fit.state.parameters, str(path))
        return fit
    trainer = Trainer(problem, algorithm, train=tuple(manifest["train"]))
    state = trainer.init(parameters=arrays["params"])
    _all_learned(trainer.problem, arrays["params"], path)
    keeping.confirm(saved, trainer.problem, state.parameters, str(path))
    packed, standing = None, keeping.standing(saved)
    if same:
        state, packed = problem.backend.unpack(state, arrays["state"], optimizers=False), arrays["state"]
    else:
        state = dataclasses.replace(state, step=state.step + manifest["step"])
        standing = dataclasses.replace(standing, settings={**standing.settings, "backend": problem.backend.name})
    return Fit(trainer.problem, algorithm, state, arrays["history"], trainer.train, packed, standing=standing)


def _all_learned(problem: Problem, learned: Mapping[str, Any], path: Path) -> None:
    """The programs have no parameter that the fit has not."""
    if new := sorted(set(problem.export(problem.start)) - set(learned)):
        raise CheckpointError(
            f"expected programs with the parameters of the fit at {path}, {sorted(learned)}; got {new} besides, which would "
            "stay untrained. Load it with the programs it was learned with; to go on with larger ones: ppgen.fit(params=fit)."
        )


def _constants(kept: Mapping[str, Any], arrays: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The constants of the programs: as saved, and as given."""
    if missing := sorted(set(kept["not kept"]) - given.keys()):
        raise CheckpointError(
            f"the fit was learned with constants {missing} that are no numbers, words or arrays, and were not saved; expected "
            "them. Pass them: ppgen.load(..., constants={...})."
        )
    return {**kept["values"], **arrays, **given}


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
