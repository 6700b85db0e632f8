"""One look at the programs before anything is compiled: mistakes that would pass in silence become errors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppgen.backends.protocol import SEEN, Backend
from ppgen.backends.sites import Initialiser, Site
from ppgen.errors import PpgenError, ProgramError
from ppgen.problem.arrays import cast, check_finite, check_values
from ppgen.problem.checks import closures, dependence, failures, observations, parameters, plates, randomness, sites
from ppgen.problem.checks.reachable import reachable
from ppgen.problem.program import Program


def preflight(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None,
    backend: Backend,
    arrays: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    rows_plate: str | None = None,
    full_batch: bool = False,
) -> tuple[dict[str, Program], dict[str, Any]]:
    """Inspect programs on a first batch and check that they mean something together.

    Args:
        model: the model program.
        guide: the guide program, if there is one.
        backend: the backend.
        arrays: a batch on the host.
        seed: seed of the initial parameters.
        rows_plate: name of the plate of rows in a native program, where it is in doubt.
        full_batch: whether each step sees all the data.

    Returns:
        The inspected programs by role, and their initial parameters (unconstrained) by name.

    Raises:
        ProgramError: programs that do not fit each other.
        DataError: a batch that does not fit them.
    """
    check_finite(arrays, "the batch")
    create, given = Initialiser(seed), whole(arrays)
    p, seen = inspect(Program(model, "model", backend, rows_plate or ""), arrays, create)
    p = replace(p, rows_plate=rows_plate or _rows_plate(p, given))
    arrays = cast(arrays, p)
    p = replace(p, observes=observations.links(p, seen.observations, arrays))
    found, programs, looks = dict(seen.created), {"model": p}, {"model": seen}
    if guide is not None:
        q, seen_q = inspect(Program(guide, "guide", backend, p.rows_plate, borrowed=p.arguments), arrays, create)
        parameters.shared(p, q, seen.created, seen_q.created)
        found, programs = {**seen_q.created, **found}, {"model": p, "guide": q}
        looks["guide"] = seen_q

    observations.no_default_hides_a_typo(programs.values(), arrays)
    observations.every_entry_is_used(p, programs.get("guide"), arrays)
    observations.something_is_observed(p, arrays)
    for program in programs.values():
        plates.batch_axes_are_plates(program)
        plates.rows_match(program, arrays)
    observations.shapes(p, seen.observations, arrays)
    observations.inside_rows(p, arrays)
    observations.inside_supports(p, seen.observations)
    plates.rows_come_first(p, arrays)
    check_values(arrays, p, "the batch")
    if guide is not None:
        sites.match(p, programs["guide"], given)
    rows = plates.rows_of(arrays)
    depends = {
        role: backend.dependences(program, looks[role], looks[role].created, arrays, rows)
        for role, program in programs.items()
    }
    for role, program in programs.items():
        closures.used(program, depends[role].constants, looks[role].modules)
    if not full_batch or seen.trouble:
        for role, program in programs.items():
            if not full_batch:
                dependence.no_parameter_per_datum(program, depends[role])
            _look_again(program, arrays, full_batch, create)
    for role, program in programs.items():
        programs[role] = dependence.check(program, depends[role], full_batch=full_batch)

    nesting = max(program.nesting for program in programs.values())
    programs = {role: replace(program, nesting=nesting) for role, program in programs.items()}
    return backend.arrange(programs, found, arrays, rows), found


def whole(entries: Iterable[str]) -> frozenset[str]:
    """Names of the entries that are given in every row."""
    names = set(entries)
    return frozenset(n for n in names if not n.startswith(SEEN) and SEEN + n not in names)


def inspect(program: Program, arrays: Mapping[str, np.ndarray], create: Initialiser) -> tuple[Program, Any]:
    """The program with its sites and parameters as one run on `arrays` finds them, and what else that run found."""
    backend, rows = program.backend, plates.rows_of(arrays)
    generators = [value for _, value in reachable(program.fn) if randomness.is_generator(value)]
    try:
        with backend.watching() as met, randomness.watched(generators) as used:
            recorder = backend.inspect(program, arrays, rows, create, backend.key(0))
            drawn = used()
    except PpgenError as error:
        error.__dict__.pop("__notes__", None)  # JAX's remarks on its tracebacks
        raise
    except (ValueError, TypeError, RuntimeError) as error:  # what the libraries raise for shapes
        raise failures.explained(program, arrays, error) from error
    randomness.check(program, drawn)
    program = replace(
        program,
        sites=recorder.sites,
        parameters=recorder.found,
        native=recorder.native,
        idle=recorder.idle,
        nesting=max((site.rank for site in recorder.sites.values()), default=0) or 1,
    )
    closures.registered(program, met)
    return program, recorder


def _look_again(program: Program, arrays: Mapping[str, np.ndarray], full_batch: bool, create: Initialiser) -> None:
    """A second look, at half the rows, tells sizes that follow the batch from sizes that equal it by accident.

    A program that sees all the data in each step may have sizes of its own: all rows again.
    """
    rows = plates.rows_of(arrays)
    if not full_batch:
        arrays = {name: value[: (rows + 1) // 2] for name, value in arrays.items()}
    again, seen = inspect(program, arrays, create)
    if seen.trouble:
        raise failures.explained(program, arrays, seen.trouble) from seen.trouble
    plates.batch_axes_are_plates(again)
    plates.rows_match(again, arrays)
    plates.events_stay(program, again, rows, plates.rows_of(arrays))
    if program.role == "model":
        observations.shapes(again, seen.observations, arrays)


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
