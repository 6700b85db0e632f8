"""Model and guide have the same latent sites, with the same plates, shapes and supports."""

from collections.abc import Iterable

from ppgen.backends.program import Program
from ppgen.errors import ProgramError


def match(model: Program, guide: Program, data: Iterable[str]) -> None:
    """Compare the two site tables."""
    wanted = {site.name: site for site in model.latent(data)}
    given = {site.name: site for site in guide.latent() if site.kind != "auxiliary"}
    if missing := [name for name in wanted if name not in given]:
        raise ProgramError(
            f"the guide misses latent site{'s' * (len(missing) > 1)} {missing} of the model; got {list(given)}. "
            "Sample them in the guide, or observe them in the data."
        )
    for name in given:
        if name in wanted:
            continue
        if name in set(data):
            raise ProgramError(
                f"the guide samples {name!r}, which the data observe; expected only the model's latent sites "
                f"{list(wanted)}. Take {name!r} as an argument of the guide instead."
            )
        raise ProgramError(
            f"the guide samples a site {name!r} that is not latent in the model; expected {list(wanted)}. "
            "Remove it or rename it."
        )
    for name, p in wanted.items():
        q = given[name]
        if set(p.plates) != set(q.plates):
            raise ProgramError(
                f"site {name!r} lies in plates {sorted(p.plates)} of the model but {sorted(q.plates)} of the guide; "
                "expected the same plates by name. Rename the guide's plate."
            )
        if (*p.batch_shape, *p.event_shape) != (
            *q.batch_shape,
            *q.event_shape,
        ) or p.event_shape != q.event_shape:
            raise ProgramError(
                f"site {name!r} has batch and event shape {p.batch_shape}, {p.event_shape} in the model but "
                f"{q.batch_shape}, {q.event_shape} in the guide; expected the same. Check sizes and .to_event."
            )
        if not p.support.same(q.support):
            raise ProgramError(
                f"site {name!r}: expected the guide's support to be the model's, {p.support}; got {q.support}. "
                "Use a distribution with that support in the guide (LogNormal for positive sites, Beta for [0, 1])."
            )
