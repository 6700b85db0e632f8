"""Model and guide have the same latent sites, with the same plates, shapes and supports."""

from collections.abc import Iterable

from ppgen.errors import ProgramError
from ppgen.problem.program import Program


def match(model: Program, guide: Program, data: Iterable[str]) -> None:
    """Compare the two site tables; a site that the data give is given to the guide too, and must fit it as well."""
    wanted = {site.name: site for site in model.latent(data)}
    given = {site.name: site for site in guide.latent() if site.kind != "auxiliary"}
    observed = {site.name: site for site in model.observed(data)}
    if missing := [name for name in wanted if name not in given]:
        raise ProgramError(
            f"the guide misses latent site{'s' * (len(missing) > 1)} {missing} of the model; got {list(given)}. "
            "Sample them in the guide, or observe them in the data."
        )
    for name in given:
        if name in wanted or (name in observed and not observed[name].observed):
            continue
        raise ProgramError(
            f"the guide samples a site {name!r} that is not latent in the model; expected {list(wanted)}. "
            "Remove it or rename it."
        )
    for name, q in given.items():
        p = wanted.get(name) or observed[name]
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
