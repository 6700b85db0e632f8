"""Programs without a plate of rows: the data as a whole are one row for them, of weight 1.

A Gaussian process, a regression whose likelihood is written without a plate, or a program that draws its own minibatch
(`plate("N", N, subsample_size=B)`) says nothing of single rows. It takes the entries as they are. Everything else in the
library sees one row: entries and values get an axis of length 1 on their way out of the program and lose it on their way in
(`Recorder.place` and `extract`), and every site lies in a plate of rows with one row.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from ppgen.backends.protocol import bare
from ppgen.errors import DataError, ProgramError, tell
from ppgen.problem.program import Program


def in_one_row(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Entries with an axis of one row.

    Raises:
        DataError: an entry with missing numbers, of which the program knows nothing.
    """
    for name in arrays:
        if bare(name) != name:
            raise DataError(
                f"entry {bare(name)!r} has missing numbers, and the model no plate of rows; expected one that holds "
                "every observed site. Put them in `with plate('data', len(x)):`."
            )
    return {name: value[None] for name, value in arrays.items()}


def has_no_rows(model: Program, data: Iterable[str], rows: int) -> bool:
    """Whether a native model takes the data as a whole: no plate holds every observed site, or that plate draws its rows.

    Args:
        model: the inspected program.
        data: names of the entries.
        rows: how many rows the entries have.
    """
    observed = model.observed(data)
    if not model.native or not observed or "rows" in model.arguments:
        return False
    common = set.intersection(*(set(site.plates) for site in observed))
    own = [model.parts[name] for name in common if name in model.parts]
    return not common or any(part != rows for _, part in own)


def plate_name(model: Program) -> str:
    """A name for the plate of the one row, that no plate of the program has."""
    taken = {name for site in model.sites.values() for name in site.plates}
    return "data" if "data" not in taken else "all data"


def tell_of_it(model: Program, full_batch: bool) -> None:
    """Say that the data are one row; minibatches would need a plate.

    Raises:
        ProgramError: minibatches were asked for.
    """
    if not full_batch and model.parts:
        (name, (size, part)), *_ = model.parts.items()
        raise ProgramError(
            f"the model draws a minibatch of its own, {part} of {size} rows in the plate {name!r}; expected all rows of the "
            "data for it to draw from. Leave out batch_size, or take the plate's rows from the batch: plate('data', len(x))."
        )
    if not full_batch:
        raise ProgramError(
            "expected one plate that holds every observed site of the model, to take minibatches; got "
            f"{ {site.name: sorted(set(site.plates) - {model.rows_plate}) for site in model.observed()} }. Put the rows in a "
            "plate, with plate('data', len(x)), or leave out batch_size (and streams) to see all the data at each step."
        )
    if not model.parts:
        tell(
            "no plate holds every observed site of the model, so the data are one row, seen as a whole at each step. For "
            "minibatches, and likelihoods of single rows, put the rows in a plate: with plate('data', len(x))."
        )
