"""One look at the programs before anything is compiled: mistakes that would pass in silence become errors."""

import random
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen.backends.program import Initialiser, Program, Site
from ppgen.errors import DataError, PpgenError, ProgramError
from ppgen.inference import ALGORITHMS
from ppgen.inference.algorithm import Algorithm, Pairing
from ppgen.training.arrays import cast, check_finite, check_values
from ppgen.training.checks import closures, observations, parameters, plates, sites


@dataclass(frozen=True)
class Plan:
    """What preflight found.

    Attributes:
        programs: the inspected programs by role.
        parameters: their initial parameters (unconstrained) by name.
        pairing: what the algorithm was asked to work on.
        rows: the shape of one row of each entry of the data.
    """

    programs: dict[str, Program]
    parameters: dict[str, Any]
    pairing: Pairing
    rows: dict[str, tuple[int, ...]]

    @property
    def model(self) -> Program:
        """The model."""
        return self.programs["model"]


def preflight(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None,
    algorithm: Algorithm,
    backend: Any,
    arrays: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    rows_plate: str | None = None,
    full_batch: bool = False,
) -> Plan:
    """Inspect programs on a first batch and check that they mean something together.

    Args:
        model: the model program.
        guide: the guide program, if there is one.
        algorithm: what is to learn them.
        backend: the backend.
        arrays: a batch on the host.
        seed: seed of the initial parameters.
        rows_plate: name of the plate of rows in a native program, where it is in doubt.
        full_batch: whether each step sees all the data.

    Raises:
        ProgramError: programs that do not fit each other.
        DataError: a batch that does not fit them.
        IllegalPairing: an algorithm that cannot learn them.
    """
    check_finite(arrays, "the batch")
    create = Initialiser(seed)
    p = Program(model, "model", backend, rows_plate)
    seen = _inspect(p, arrays, create)
    p.rows_plate = rows_plate or _rows_plate(p, arrays)
    arrays = cast(arrays, p)
    found, programs, q = dict(seen.created), [p], None
    if guide is not None:
        q = Program(guide, "guide", backend, p.rows_plate, borrow_arguments=p.arguments)
        seen_q = _inspect(q, arrays, create)
        parameters.shared(p, q, seen.created, seen_q.created)
        found, programs = {**seen_q.created, **found}, [p, q]

    observations.link(p, seen.observations, arrays)
    observations.every_entry_is_used(p, q, arrays)
    observations.something_is_observed(p, arrays)
    for program in programs:
        plates.batch_axes_are_plates(program)
        plates.rows_match(program, arrays)
    observations.shapes(p, seen.observations, arrays)
    observations.inside_rows(p, arrays)
    check_values(arrays, p, "the batch")
    if q is not None:
        sites.match(p, q, arrays)
    if not full_batch or seen.trouble:
        for program in programs:
            _look_again(program, arrays, full_batch, create)

    pairing = Pairing(p, q, frozenset(arrays), full_batch)
    algorithm.check(pairing, ALGORITHMS)
    programs = {"model": p, **({"guide": q} if q is not None else {})}
    for role, fn in algorithm.programs(pairing).items():
        extra = Program(fn, role, backend, p.rows_plate)
        seen = _inspect(extra, arrays, create)
        plates.one_number_a_row(extra, seen.returned, arrays)
        found.update(seen.created)
        programs[role] = extra
    programs = {role: program for role, program in programs.items() if role in (*algorithm.roles, "guide")}
    for role in algorithm.roles:
        if role not in programs:  # a model without latent sites needs no guide
            programs[role] = Program(_nothing, role, backend, p.rows_plate)
    for program in programs.values():
        program.nesting = max(pr.nesting for pr in programs.values())
    backend.settle(programs.values(), found, arrays, plates.rows_of(arrays))
    return Plan(programs, found, pairing, {name: value.shape[1:] for name, value in arrays.items()})


def _nothing() -> None:
    """The guide of a model that has no latent sites."""


def _inspect(program: Program, arrays: Mapping[str, np.ndarray], create: Initialiser) -> Any:
    """Fill the program's site table and parameters from one run on `arrays`."""
    backend, rows = program.backend, plates.rows_of(arrays)
    before = random.getstate(), np.random.get_state()[1:]
    try:
        with backend.watching() as met:
            recorder = backend.inspect(program, arrays, rows, create, backend.key(0))
    except PpgenError as error:
        error.__dict__.pop("__notes__", None)  # JAX's remarks on its tracebacks
        raise
    except (ValueError, TypeError, RuntimeError) as error:  # what the libraries raise for shapes
        raise _does_not_run(program, arrays, error) from error
    if backend.compiles and _moved(before):
        raise ProgramError(
            f"the {program.role} draws from Python's or NumPy's own generator, which a compiled program does only "
            "once; expected randomness from sample sites. Replace the draw by ppgen.sample."
        )
    program.sites = recorder.sites
    program.parameters = recorder.found
    program.nesting = max((site.rank for site in program.sites.values()), default=0) or 1
    closures.registered(program, met)
    return recorder


def _look_again(program: Program, arrays: Mapping[str, np.ndarray], full_batch: bool, create: Initialiser) -> None:
    """A second look, at half the rows, tells sizes that follow the batch from sizes that equal it by accident.

    A program that sees all the data in each step may have sizes of its own: all rows again.
    """
    again, rows = copy(program), plates.rows_of(arrays)
    if not full_batch:
        arrays = {name: value[: (rows + 1) // 2] for name, value in arrays.items()}
    seen = _inspect(again, arrays, create)
    if seen.trouble:
        raise _does_not_run(program, arrays, seen.trouble) from seen.trouble
    plates.batch_axes_are_plates(again)
    plates.rows_match(again, arrays)
    plates.events_stay(program, again, rows, plates.rows_of(arrays))
    if program.role == "model":
        observations.shapes(again, seen.observations, arrays)


def _does_not_run(program: Program, arrays: Mapping[str, np.ndarray], error: Exception) -> ProgramError:
    shapes = ", ".join(f"{name} {value.shape} {value.dtype}" for name, value in arrays.items())
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("(at ")]  # not JAX's own
    reason = " ".join([str(error).rstrip("."), *notes])
    return ProgramError(
        f"the {program.role} does not run on a batch of {plates.rows_of(arrays)} rows ({shapes}): {reason}. Expected a "
        "program that runs on any number of rows; where a size is at fault, take it from the data, as in "
        "plate('data', rows) or len(x), and call .to_event(1) where an axis is part of one event."
    )


def _moved(before: tuple[Any, Any]) -> bool:
    numpy_state = np.random.get_state()[1:]
    return random.getstate() != before[0] or not all(
        np.array_equal(a, b) for a, b in zip(numpy_state, before[1], strict=True)
    )


def _rows_plate(model: Program, data: Iterable[str]) -> str:
    """The plate of rows: `data`, or in a native program the one plate that holds every observed site."""
    if any("data" in site.plates for site in model.sites.values()):
        return "data"
    observed: list[Site] = model.observed(data)
    common = set.intersection(*(set(site.plates) for site in observed)) if observed else set()
    if len(common) == 1:
        return common.pop()
    if not observed or not model.native:
        return "data"
    held = {site.name: sorted(site.plates) for site in observed}
    raise ProgramError(
        f"expected one plate that holds every observed site of the model; got {held}. "
        "Put the rows in a plate, or name it: ppgen.fit(..., rows='batch')."
    )


__all__ = ["DataError", "Plan", "preflight"]
