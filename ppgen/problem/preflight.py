"""One look at the programs before anything is compiled: mistakes that would pass in silence become errors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppgen.backends.protocol import SEEN, Backend, bare
from ppgen.backends.sites import Initialiser, Parameter, Site
from ppgen.errors import PpgenError, ProgramError
from ppgen.problem import one_row
from ppgen.problem.arrays import cast, check_finite, check_values, same_rows
from ppgen.problem.batch import rows_of
from ppgen.problem.checks import closures, dependence, failures, observations, parameters, plates, randomness, sites
from ppgen.problem.checks.reachable import reachable
from ppgen.problem.constants import are_taken
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
    constants: Mapping[str, Any] | None = None,
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
        constants: arguments that are no rows of data, by name.

    Returns:
        The inspected programs by role, and their initial parameters (unconstrained) by name.

    Raises:
        ProgramError: programs that do not fit each other.
        DataError: a batch that does not fit them.
    """
    check_finite(arrays, "the batch")
    create, given = Initialiser(seed), whole(arrays)
    p, seen = look_at_model(
        Program(model, "model", backend, rows_plate or "", constants=constants or {}), arrays, create
    )
    if p.one_row:
        one_row.tell_of_it(p, full_batch)
        arrays = one_row.in_one_row(arrays)
    arrays = cast(arrays, p)
    p = replace(p, observes=observations.links(p, seen.observations, arrays))
    found, programs, looks = dict(seen.created), {"model": p}, {"model": seen}
    if guide is not None:
        q, seen_q = look_at_guide(guide, p, arrays, create)
        parameters.shared(p, q, seen.created, seen_q.created)
        found, programs = {**seen_q.created, **found}, {"model": p, "guide": q}
        looks["guide"] = seen_q

    are_taken(p.constants, {role: program.arguments for role, program in programs.items()}, arrays)
    observations.no_default_hides_a_typo(programs.values(), arrays)
    observations.every_entry_is_used(p, programs.get("guide"), arrays)
    observations.something_is_observed(p, arrays)
    for program in programs.values():
        if not p.one_row:  # among all rows at once, an axis may be theirs
            plates.batch_axes_are_plates(program, p)
        plates.rows_match(program, arrays)
    plates.tell_scales(programs.values())
    observations.shapes(p, seen.observations, arrays)
    observations.inside_rows(p, arrays)
    observations.inside_supports(p, seen.observations)
    plates.rows_come_first(p, arrays)
    check_values(arrays, p, "the batch")
    if guide is not None:
        sites.match(p, programs["guide"], given)
    observations.nothing_reads_what_is_missing(p, found, arrays)
    rows = rows_of(arrays)
    depends = {
        role: backend.dependences(program, looks[role], found, arrays, rows)
        for role, program in programs.items()
        if not p.one_row  # whose rows are nobody's business
    }
    for role in depends:
        closures.used(programs[role], depends[role].constants, looks[role].modules)
    if not full_batch or seen.trouble:
        for role, program in programs.items():
            if not full_batch:
                dependence.no_parameter_per_datum(program, depends[role])
            _look_again(program, p, arrays, full_batch, create)
    for role in depends:
        programs[role] = dependence.check(programs[role], depends[role], full_batch=full_batch)

    nesting = max(program.nesting for program in programs.values())
    programs = {role: replace(program, nesting=nesting) for role, program in programs.items()}
    return backend.arrange(programs, found, arrays, rows), found


def whole(entries: Iterable[str]) -> frozenset[str]:
    """Names of the entries that are given in every row."""
    names = set(entries)
    return frozenset(n for n in names if bare(n) == n and SEEN + n not in names)


def look_at_model(model: Program, arrays: Mapping[str, np.ndarray], create: Initialiser) -> tuple[Program, Any]:
    """The model after its first look, with its plate of rows; or, if it has none, as one that takes the data as one row."""
    try:
        p, seen = inspect(model, arrays, create)
    except PpgenError:
        same_rows(arrays)  # a clearer reason, if it is one
        raise
    if not model.rows_plate and one_row.has_no_rows(p, whole(arrays), rows_of(arrays)):
        return inspect(
            replace(model, rows_plate=one_row.plate_name(p), one_row=True), one_row.in_one_row(arrays), create
        )
    same_rows(arrays)
    rows_plate = model.rows_plate or _rows_plate(p, whole(arrays))
    if p.parts:  # what is weighed by the plate of rows is known when that plate is
        return inspect(replace(model, rows_plate=rows_plate), arrays, create)
    return replace(p, rows_plate=rows_plate), seen


def look_at_guide(
    guide: Callable[..., Any], p: Program, arrays: Mapping[str, np.ndarray], create: Initialiser
) -> tuple[Program, Any]:
    """The guide of a model after its first look; one that asks for `rows` knows of the plate of rows."""
    q = Program(guide, "guide", p.backend, p.rows_plate, borrowed=p.arguments, constants=p.constants)
    return inspect(replace(q, one_row=p.one_row and "rows" not in q.arguments), arrays, create, p.parameters)


def inspect(
    program: Program,
    arrays: Mapping[str, np.ndarray],
    create: Initialiser,
    registered: Mapping[str, Parameter] | None = None,
) -> tuple[Program, Any]:
    """The program with its sites and parameters as one run on `arrays` finds them, and what else that run found.

    Parameters that another program has `registered` are the program's too where it computes with them.
    """
    backend, rows = program.backend, rows_of(arrays)
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
    lent = closures.lent(registered or {}, met, recorder.found)
    program = replace(
        program,
        sites=recorder.sites,
        parameters=recorder.found | lent,
        lent=frozenset(lent),
        native=recorder.native,
        parts=recorder.parts,
        idle=recorder.idle,
        computed=recorder.local,
        nesting=max((site.rank for site in recorder.sites.values()), default=0) or 1,
    )
    closures.registered(program, met)
    return program, recorder


def _look_again(
    program: Program, model: Program, arrays: Mapping[str, np.ndarray], full_batch: bool, create: Initialiser
) -> None:
    """A second look, at half the rows, tells sizes that follow the batch from sizes that equal it by accident.

    A program that sees all the data in each step may have sizes of its own: all rows again.
    """
    rows = rows_of(arrays)
    if not full_batch:
        arrays = {name: value[: (rows + 1) // 2] for name, value in arrays.items()}
    again, seen = inspect(program, arrays, create, program.parameters)
    if seen.trouble:
        raise failures.explained(program, arrays, seen.trouble) from seen.trouble
    plates.batch_axes_are_plates(again, model)
    plates.rows_match(again, arrays)
    plates.events_stay(program, again, rows, rows_of(arrays))
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
