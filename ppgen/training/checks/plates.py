"""Every batch axis belongs to a plate, and the plate of rows has as many rows as the batch."""

from ppgen.backends.program import Program
from ppgen.errors import ProgramError


def batch_axes_are_plates(program: Program) -> None:
    """An axis that no plate declares is an event axis somebody forgot."""
    for site in program.sites.values():
        dims = {dim for dim, _ in site.plates.values()}
        for axis in range(1, len(site.batch_shape) + 1):
            if site.batch_shape[-axis] != 1 and -axis not in dims:
                plates = {name: size for name, (_, size) in site.plates.items()}
                raise ProgramError(
                    f"site {site.name!r} of the {program.role} has batch shape {site.batch_shape}, and its axis {-axis} "
                    f"(size {site.batch_shape[-axis]}) belongs to no plate; got plates {plates}. Call .to_event(1) on "
                    "the distribution if that axis is part of one event, or put the site inside a plate."
                )


def rows_match(program: Program, rows: int) -> None:
    """The plate of rows is as long as the batch."""
    for site in program.sites.values():
        if program.rows_plate in site.plates:
            _, size = site.plates[program.rows_plate]
            if size != rows:
                raise ProgramError(
                    f"site {site.name!r} of the {program.role}: the plate {program.rows_plate!r} has size {size}, but the "
                    f"batch has {rows} rows. Take the plate's size from the data, plate({program.rows_plate!r}, rows) "
                    "or len(x), so that it follows the batch."
                )
