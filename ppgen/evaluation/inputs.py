"""What evaluation is given: data that belong to the programs, and programs that can answer."""

import hashlib
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ppgen.backends.protocol import KEPT, SEEN
from ppgen.backends.sites import Site
from ppgen.errors import DataError, NoLikelihoodError
from ppgen.inference.algorithm import positive
from ppgen.inference.requirements import densities, enumerable_latents, known_densities
from ppgen.problem.arrays import cast
from ppgen.problem.batch import rows_of
from ppgen.problem.checks.observations import nothing_reads_what_is_missing
from ppgen.problem.problem import Problem
from ppgen.problem.program import Program
from ppgen.problem.tied import placed, tied


def prepare(problem: Problem, arrays: Mapping[str, Any]) -> tuple[Problem, dict[str, np.ndarray]]:
    """The problem of just these entries, and the arrays on the host, with the types and values that the programs expect.

    Arguments that have a default in the programs, and were left out in training, may be given too. A site that the data leave
    out is latent where the guide has it or it is summed out; in other places all of its numbers are missing.

    Raises:
        DataError: a name is missing, unknown or that of a latent site; a shape or value does not fit its site.
    """
    host = problem.host(arrays, "the data")
    rows = rows_of(host)
    if rows != problem.size and (reason := tied(problem)):
        raise DataError(
            f"expected the {problem.size} rows that these programs met; got {rows} rows, and {reason}. Give the rows of the "
            "fit; for new rows, learn a guide that takes them as an argument."
        )
    if latent := [name for name in problem.model.sites if name in host and name not in problem.entries]:
        raise DataError(
            f"the data have values of {latent}, which are latent; expected {sorted(problem.entries)} only. Leave them out."
        )
    _in_their_places(problem, host)
    host |= _left_out(problem, host)
    try:
        return problem.observing(host), host
    except DataError as error:
        raise DataError(f"the data: {error}") from None


def _left_out(problem: Problem, host: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Entries of the sites whose data are left out, all of them missing."""
    model, guide, found = problem.model, problem.guide, {}
    for name in problem.data - set(host) if model.observed(host) else ():
        site = model.sites.get(name)
        if (
            site is None
            or (guide is not None and name in guide.sites)
            or (guide is None and site.support.count is not None)
        ):
            continue
        shape = (rows_of(host), *problem.entries[name])
        found |= {name: np.full(shape, site.support.inside[0], np.float32), KEPT + name: np.zeros(shape, bool)}
    if found:
        found = cast(found, model)
        nothing_reads_what_is_missing(model, problem.start, {**host, **found})
    return found


def _in_their_places(problem: Problem, host: Mapping[str, np.ndarray]) -> None:
    """Parameters that have a value for each row of the data belong to these rows, in their order."""
    names, learned = placed(problem), cast(problem.example, problem.model)
    if names and not all(name in host and np.array_equal(host[name], value) for name, value in learned.items()):
        raise DataError(
            f"the parameters {sorted(names)} have one value per datum of the data that the fit was made of; expected these "
            "rows, in their order; got others. To evaluate others, compute them by a network of the data (amortisation)."
        )


def dimensions(program: Program, given: Mapping[str, Any], *, continuous_only: bool = False) -> float:
    """How many scalar variables one row observes, on average where rows differ; a one-hot vector is one variable."""
    count = 0
    for site in program.observed(given):
        if continuous_only and (site.support.discrete or _one_hot(site)):
            continue
        classes = math.prod(site.event_shape[-1:]) if _one_hot(site) else 1
        entry = program.observes.get(site.name, site.name)
        marks = [given[mark + entry] for mark in (SEEN, KEPT) if mark + entry in given]
        share = np.mean(marks[0]) if marks else 1
        count += program.atoms(site) // classes * share
    return count


def _one_hot(site: Site) -> bool:
    return site.support.name.startswith("OneHot")


def is_enumerated(problem: Problem) -> bool:
    """True when latent sites are summed out: they are discrete and few, and no guide is there to be judged."""
    return problem.guide is None and enumerable_latents(problem) is None


def guide_of(problem: Problem) -> Program:
    """The guide; raise where latent sites remain and none knows them."""
    if problem.guide is not None:
        return problem.guide
    latent = [site.name for site in problem.model.latent(problem.data)]
    raise NoLikelihoodError(
        f"no likelihood can be computed: the latent sites {latent} cannot be summed out, and there is no guide "
        "q(z | x) to weigh draws by. Fit one afterwards with the model held fixed and evaluate that fit: "
        "ppgen.fit(model, guide, data=..., params=fit, train=('guide',), "
        "algorithm=ppgen.ReweightedWakeSleep(50))."
    )


def needs_densities(problem: Problem) -> None:
    """Raise where a site is implicit, which can only be drawn from, or has an estimate in place of its log density."""
    if reason := known_densities(problem):
        raise NoLikelihoodError(
            f"the likelihood cannot be computed: {reason}. Judge what was learned by a program that has the density itself, "
            "with the parameters of this fit."
        )
    if reason := densities(problem):
        raise NoLikelihoodError(
            f"the likelihood cannot be computed: {reason}. Judge the fit by its draws, fit.sample(rows=...)."
        )


def rows_apart(problem: Problem, guide: Program) -> None:
    """Raise where the guide draws local sites of all rows at once, so that no row has a weight of its own."""
    model = problem.model
    together = [s.name for s in guide.latent(problem.data) if not guide.is_local(s) and s.name not in model.sites]
    if together and any(model.is_local(site) for site in model.latent(problem.data)):
        raise NoLikelihoodError(
            f"the guide draws the latent sites of all rows together, in {together}, so rows have no likelihoods of "
            "their own; expected a guide whose local sites are independent given the global ones. Use a guide that is "
            "mean-field over rows, or ppgen.evaluation.evidence for all rows together."
        )


def caveat(problem: Problem) -> str:
    """What keeps the model from being a normalised density, in words; empty for most."""
    sites = problem.model.sites.values()
    factors = [site.name for site in sites if site.kind == "factor"]
    scaled = [site.name for site in sites if site.scaled]
    said = []
    if factors:
        said.append(f"the model has factors {factors}, so its density is not normalised")
    if mixed := sorted(problem.model.mixed):
        said.append(
            f"sites {mixed} depend on other rows, so the numbers are those of these rows together, in these batches"
        )
    if scaled:
        said.append(f"the model scales the log densities of {scaled}")
    return "; ".join(said)


def described(problem: Problem, arrays: Mapping[str, np.ndarray], quantization: int | None) -> dict[str, Any]:
    """What every evaluation of these data says: dimensions, the bits of quantisation, a caveat."""
    model = problem.model
    extra = 0.0
    if quantization is not None:
        positive("quantization", quantization, "evaluate")
        continuous = dimensions(model, arrays, continuous_only=True)
        if not continuous:
            raise ValueError(
                "expected quantization only for continuous observed sites, whose data were dequantised; every observed "
                "site is discrete, so bits per dimension are exact without it. Leave it out."
            )
        _dequantised(problem, arrays, quantization)
        extra = continuous * float(np.log2(quantization))
    note = caveat(problem)
    return {
        "dimensions": dimensions(model, arrays), "quantization_bits": extra, "levels": quantization,
        "note": note, "normalised": not note,
        "observed": measured(model, arrays), "data": fingerprint(model, arrays),
    }  # fmt: skip


def measured(model: Program, given: Mapping[str, Any]) -> str:
    """What a log-likelihood is of: the observed sites in order of their names, "x (density), y (probability)"."""
    kinds = {site.name: "probability" if site.support.discrete else "density" for site in model.observed(given)}
    return ", ".join(f"{name} ({kinds[name]})" for name in sorted(kinds))


def entries(model: Program, given: Collection[str]) -> list[str]:
    """The entries of the data that hold the values of observed sites; the others are covariates."""
    return [
        name for name in (model.observes.get(site.name, site.name) for site in model.observed(given)) if name in given
    ]


def fingerprint(model: Program, arrays: Mapping[str, np.ndarray]) -> str:
    """The same for the same observed values in the same order of rows, whatever the entries are called."""
    numbers = sorted(np.asarray(arrays[name], np.float32).tobytes() for name in entries(model, arrays))
    return hashlib.sha256(b"".join(numbers)).hexdigest()[:16]


def _dequantised(problem: Problem, arrays: Mapping[str, np.ndarray], levels: int) -> None:
    """Continuous observed values lie in [0, 1] and between the levels; a density at the levels themselves bounds nothing."""
    sites = {problem.model.observes.get(site.name, site.name): site for site in problem.model.observed(arrays)}
    for name, site in sites.items():
        values = arrays.get(name)
        if values is None or site.support.discrete or _one_hot(site):
            continue
        if values.min() < 0 or values.max() > 1:
            raise DataError(
                f"entry {name!r}: expected {levels} levels, dequantised and scaled to [0, 1], for quantization={levels}; "
                f"got {values.min():g} to {values.max():g}. Scale them, (x + u) / {levels}, or leave it out."
            )
        if any(np.allclose(values * top, np.round(values * top), atol=1e-3) for top in (levels, levels - 1)):
            raise DataError(
                f"entry {name!r}: expected dequantised data for quantization={levels}; every value is one of the levels, "
                "where a density bounds no probability. Add uniform noise: "
                f"ppgen.distributions.flows.dequantise(x, levels={levels}), and learn from such data."
            )
