"""What a site may depend on: its own row, no value that it is to explain, no place in the batch, no numbers but its own."""

from collections.abc import Mapping
from dataclasses import replace

from ppgen.backends.dependence import Dependence, Dependences
from ppgen.backends.sites import Site
from ppgen.errors import ProgramError, ProgramWarning, tell
from ppgen.problem.program import Program

_INSTEAD = {
    "probs": "pass a network's output as logits=, or divide probabilities of classes by their sum",
    "scale": "pass it through ops.softplus or ops.exp",
    "rate": "pass it through ops.softplus or ops.exp",
    "concentration": "pass it through ops.softplus or ops.exp",
}


def check(program: Program, found: Dependences, *, full_batch: bool) -> Program:
    """Refuse what cannot be meant, warn of what is seldom meant; the program with what evaluation has to know."""
    if found.fixed:
        raise ProgramError(
            f"the {program.role} draws random numbers that are the same in each run, from a key or a seed of its own; expected "
            "randomness from sample sites. Replace the draw by ppgen.sample; a constant is drawn once, outside the program."
        )
    if not full_batch:
        _not_by_place(program, found, frozenset({*program.parameters, "a constant"}))
    for name, dependence in found.sites.items():
        if name not in program.sites:
            continue
        site = program.sites[name]
        _in_range(program, site, dependence.outside)
        if program.role == "guide" and dependence.moving:
            ends = " and ".join(sorted(dependence.moving))
            tell(
                f"site {name!r} of the guide lies in an interval whose {ends} change with the "
                "parameters, so it leaves out values that the model may allow, and no gradient tells it so. Use a distribution "
                "with the model's support (Beta for [0, 1]).",
                ProgramWarning,
            )
        if program.role == "model":
            _not_of_itself(program, site, dependence)
        elif not program.is_local(site) and dependence.entries and not full_batch:
            raise ProgramError(
                f"site {name!r} of the {program.role} is shared by all rows, and the {program.role} makes it of the batch, "
                f"of {sorted(dependence.entries)}; expected parameters, since a minibatch would stand for all rows. Use "
                "ppgen.param, or the full batch: leave out batch_size."
            )
    local = {
        name: d for name, d in found.sites.items() if name in program.sites and program.is_local(program.sites[name])
    }
    mixed = frozenset(name for name, dependence in local.items() if dependence.mixes and program.role == "model")
    if mixed:
        tell(
            f"sites {sorted(mixed)} of the model depend on other rows of the batch (a mean over rows, a normalisation by "
            "batch?), so rows have no densities of their own: results change with the batch, and none is called exact. "
            "Compute such numbers before, as entries of the data, to be silent.",
            ProgramWarning,
        )
    placed = frozenset().union(*(d.places for d in local.values())) if full_batch else frozenset()
    return replace(program, mixed=mixed, placed=placed)


def no_parameter_per_datum(program: Program, found: Dependences) -> None:
    """No parameter of a program that meets minibatches has a value a row."""
    _not_by_place(program, found, frozenset(program.parameters))


def _not_by_place(program: Program, found: Dependences, what: frozenset[str]) -> None:
    """Nothing in a minibatch depends on the place of a row: another row will be there in the next one."""
    for name, dependence in found.sites.items():
        if (places := dependence.places & what) and name in program.sites and program.is_local(program.sites[name]):
            raise ProgramError(
                f"site {name!r} of the {program.role} has one value of {', '.join(sorted(places))} per datum, so "
                "that a row of a minibatch would get that of another; expected what depends on the row's own data. Compute it "
                "by a network of the data (amortisation), give it as an entry of the data, or use the full batch: leave out "
                "batch_size."
            )


def _in_range(program: Program, site: Site, outside: Mapping[str, float]) -> None:
    for part, example in outside.items():
        instead = _INSTEAD.get(part, "map it into its range")
        raise ProgramError(
            f"site {site.name!r} of the {program.role}: expected the {part} of its distribution in their range, whatever the "
            f"parameters of the program; got {example:.4g} at some, where it is no density. To mend it, {instead}."
        )


def _not_of_itself(program: Program, site: Site, dependence: Dependence) -> None:
    entry = program.observes.get(site.name, site.name)
    if entry not in dependence.entries:
        return
    said = (
        f"site {site.name!r} of the {program.role} is computed from the very entry {entry!r} that it observes, so that its "
        "density counts what it was told; expected what it does not observe."
    )
    if not site.event_shape and not dependence.mixes:
        raise ProgramError(
            f"{said} Take {entry!r} out of the arguments of the {program.role}, or rename the covariate."
        )
    tell(
        f"{said} That is a density only where each number depends on earlier ones alone (an autoregression).",
        ProgramWarning,
    )
