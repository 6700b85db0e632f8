"""Every batch axis belongs to a plate, and the plate of rows has as many rows as the batch."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ppgen.errors import DataError, ProgramError, tell
from ppgen.problem.batch import rows_of
from ppgen.problem.program import Program


def all_rows(model: Program, count: int, size: int | None) -> int:
    """N, by the caller or by a model whose plate of rows says of how many rows it holds a part.

    Args:
        model: the inspected model.
        count: rows of the batch.
        size: N, if the caller knows it.
    """
    if size is not None and size < count:
        raise DataError(
            f"expected size to be the number of rows of the whole data, at least the {count} of this batch; got {size}. "
            "Correct it, or leave it out where the data are all there are."
        )
    stated = model.parts.get(model.rows_plate, (size, 0))[0]
    if None not in (size, stated) and stated != size:
        raise ProgramError(
            f"the plate {model.rows_plate!r} of the model has {stated} rows in all; expected the {size} of the data. Take its "
            "size from the data, or from a constant, constants={'N': len(x)}."
        )
    return stated or count


def batch_axes_are_plates(program: Program, model: Program) -> None:
    """An axis that no plate declares is an event axis somebody forgot; but the turns of a loop are declared by the loop."""
    for site in program.sites.values():
        if site.kind == "auxiliary":  # an autoguide's own draw of all sites together
            continue
        dims = {dim for dim, _ in site.plates.values()}
        if site.looped or (site.name in model.sites and model.sites[site.name].looped):
            dims.add(-len(site.batch_shape))
        for axis in range(1, len(site.batch_shape) + 1):
            if site.batch_shape[-axis] != 1 and -axis not in dims:
                plates = {name: size for name, (_, size) in site.plates.items()}
                raise ProgramError(
                    f"site {site.name!r} of the {program.role} has batch shape {site.batch_shape}, and its axis "
                    f"{-axis} (size {site.batch_shape[-axis]}) belongs to no plate; got plates {plates}. "
                    "Call .to_event(1) if that axis is part of one event, or put the site inside a plate."
                )


def rows_match(program: Program, arrays: Mapping[str, np.ndarray]) -> None:
    """The plate of rows is as long as the batch."""
    rows = rows_of(arrays)
    for site in program.sites.values():
        if program.rows_plate in site.plates:
            _, size = site.plates[program.rows_plate]
            if size != rows:
                raise ProgramError(
                    f"site {site.name!r} of the {program.role}: expected the plate {program.rows_plate!r} to have the "
                    f"{rows} rows of the batch; got size {size}. Take the plate's size from the data, "
                    f"plate({program.rows_plate!r}, rows) or len(x), so that it follows the batch."
                )


def tell_scales(programs: Iterable[Program]) -> None:
    """A scale of N / B that was left in a program would count twice; any other changes what is learned."""
    for program in programs:
        if scaled := [site.name for site in program.sites.values() if site.scaled]:
            tell(
                f"the {program.role} multiplies the log densities of {scaled} itself (a scale handler?), and ppgen weighs the "
                "rows of a minibatch besides. Drop a scale of N / B; keep one that is meant to change what is learned, with "
                "constants={'weight': ppgen.schedule(...)} if it follows the step."
            )


def rows_come_first(model: Program, entries: Mapping[str, np.ndarray]) -> None:
    """The plate of rows is the first axis of what it observes; in square data another plate would fit as well."""
    for site in model.observed(entries):
        name = model.observes.get(site.name, site.name)
        if name in entries and model.is_local(site) and model.row_axis(site):
            raise ProgramError(
                f"site {site.name!r} of the {model.role}: expected the plate of rows {model.rows_plate!r} to be the first axis "
                f"of its data, {entries[name].shape}; got axis {model.row_axis(site)} of {site.batch_shape}. "
                "Swap the plates' dim, make that axis an event with .to_event(1), or name the plate of rows: rows='...'."
            )


def events_stay(program: Program, again: Program, rows: int, other_rows: int) -> None:
    """No event grows with the batch; `program` saw `rows` rows, and `again` others."""
    for name in program.sites.keys() & again.sites.keys():
        before, after = program.sites[name].event_shape, again.sites[name].event_shape
        if before != after and (rows, other_rows) in zip(before, after, strict=False):
            raise ProgramError(
                f"site {name!r} of the {program.role} has an event of shape {before} for {rows} rows and {after} for "
                f"{other_rows}; expected each row to be an event of its own. Put the site in "
                f"`with plate({program.rows_plate!r}, rows):`, and keep the axis of rows out of .to_event."
            )


def one_number_a_row(program: Program, returned: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """What a critic or a baseline returns has shape [rows]; broadcasting would mix rows."""
    expected, got = (rows_of(arrays),), tuple(getattr(returned, "shape", ()))
    if expected != got:
        raise ProgramError(
            f"expected the {program.role} to return one number a row, shape {expected}; got shape {got}. "
            "Return the network's one output without its axis, net(x)[..., 0]."
        )
