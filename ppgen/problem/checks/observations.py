"""What is observed: every entry is used, shapes agree, and rows are inside their plate."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ppgen.backends.protocol import KEPT, Request, bare
from ppgen.errors import DataError, ProgramError
from ppgen.problem.arrays import observed_by
from ppgen.problem.batch import rows_of
from ppgen.problem.program import Program

_NEAR = 0.75  # how alike two names are, of 1, when one is taken for a slip of the other


def links(model: Program, observed: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Which argument each `obs=` site of a native program observes, found by comparing their numbers."""
    found = {}
    for site, value in observed.items():
        numbers = model.backend.numpy(value).ravel()
        for name in model.arguments:
            array = arrays.get(name)
            if array is not None and array.size == numbers.size and np.array_equal(array.ravel(), numbers):
                found[site] = name
                break
    return found


def every_entry_is_used(model: Program, guide: Program | None, arrays: Mapping[str, np.ndarray]) -> None:
    """A name that no program knows is a misspelt key or a forgotten observation."""
    known = {*model.sites, *model.arguments, *(guide.arguments if guide else ())}
    for name in arrays:
        if bare(name) != name:
            if bare(name) not in {*model.sites, *model.observes.values()}:
                raise DataError(
                    f"entry {bare(name)!r} has masked rows or numbers, and is no site of the model; expected masks on "
                    f"sites, {list(model.sites)}. Fill what is missing."
                )
        elif name not in known:
            raise DataError(
                f"the data have an entry {name!r} that no program uses; expected a site or argument, one of "
                f"{sorted(known - {'rows'})}. Rename the entry or the site, or leave it out."
            )


def no_default_hides_a_typo(programs: Iterable[Program], arrays: Mapping[str, np.ndarray]) -> None:
    """An argument that keeps its default beside an entry of nearly the same name is that entry, misspelt."""
    for program in programs:
        free = [name for name in arrays if name not in program.arguments and name not in program.sites]
        for argument in program.arguments:
            if argument in arrays or argument in program.required or argument == "rows":
                continue
            if near := difflib.get_close_matches(argument, free, 1, _NEAR):
                raise DataError(
                    f"the {program.role} takes an argument {argument!r}, which would keep its default; the data have an entry "
                    f"{near[0]!r}, which the {program.role} does not take. Give both one name."
                )


def inside_supports(model: Program, observed: Mapping[str, Any]) -> None:
    """What a native program computes of its arguments and observes is in the support of its site.

    Entries that are observed as they come are checked by row, in every batch (`check_values`).
    """
    for name, value in observed.items():
        support, values = model.sites[name].support, model.backend.numpy(value)
        if name not in model.observes and (outside := support.outside(values)).any():
            example = values[tuple(np.argwhere(outside)[0])].tolist()
            raise DataError(
                f"site {name!r} of the model observes values outside its support: expected {support}; got {example}. Correct "
                "what the program computes for obs=, or use a likelihood with this support."
            )


def something_is_observed(model: Program, arrays: Mapping[str, np.ndarray]) -> None:
    """Data that nothing observes have a wrong name; without data, or with a factor of them, the model is a target as it is."""
    factors = any(site.kind == "factor" for site in model.sites.values())
    if arrays and not factors and not model.observed(arrays):
        raise ProgramError(
            f"no site of the model is observed: expected data for one of {list(model.sites)}; got {sorted(arrays)}. "
            "Name the data after the site they observe (or pass obs= in a native program); pass data={} where nothing is."
        )


def shapes(model: Program, observed: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """A value has exactly the shape of its site; broadcasting would count data twice."""
    for site in model.observed(arrays):
        value = observed.get(site.name, arrays.get(site.name))
        if value is None:
            continue
        expected, got = (*site.batch_shape, *site.event_shape), tuple(value.shape)
        if expected != got:
            raise DataError(
                f"site {site.name!r} of the model: expected observations of shape {expected} (plates and event); "
                f"got {got}. Reshape the data, for example y[:, 0] for (N, 1), or change the distribution's event."
            )


def inside_rows(model: Program, arrays: Mapping[str, np.ndarray]) -> None:
    """Observed sites lie in the plate of rows; outside it, a minibatch would be taken for all the data."""
    for site in model.observed(arrays):
        if not model.is_local(site):
            raise ProgramError(
                f"site {site.name!r} of the model is observed; expected it in the plate {model.rows_plate!r}; got "
                f"plates {sorted(site.plates)}. Put it in `with plate({model.rows_plate!r}, rows):`, or name the "
                "plate of rows: ppgen.fit(..., rows='...')."
            )


def nothing_reads_what_is_missing(
    model: Program, parameters: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Missing numbers count nowhere: the model's log densities are the same whatever stands in their place."""
    partial = {name: site for name, site in observed_by(model).items() if KEPT + name in arrays}
    backend, rows = model.backend, rows_of(arrays)

    def terms(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        fixed = {name: backend.array(value) for name, value in values.items()}
        run = backend.run(model, parameters, backend.key(0), fixed, {}, rows, 1, Request("held"))
        return {n: backend.numpy(term.log_prob) for n, term in run.terms.items() if term.log_prob is not None}

    before = terms(arrays) if partial else {}
    for name, site in partial.items():
        other = arrays[name].dtype.type(site.support.inside[1])
        after = terms({**arrays, name: np.where(arrays[KEPT + name], arrays[name], other)})
        if changed := [n for n in after if not np.allclose(after[n], before[n], rtol=1e-4, atol=1e-4, equal_nan=True)]:
            raise DataError(
                f"entry {name!r} has missing numbers, and site {changed[0]!r} of the model depends on them; expected a model "
                f"that reads {name!r} nowhere else, so that their terms can be left out. Make what may be missing a site of "
                "its own, mask its whole rows, and sample it in the guide."
            )
