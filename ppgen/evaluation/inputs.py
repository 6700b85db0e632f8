"""What evaluation is given: data that belong to the programs, and programs that can answer."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.backends.program import Program, Site
from ppgen.errors import DataError, NoLikelihoodError
from ppgen.inference import MaximumLikelihood
from ppgen.inference.requirements import atoms, densities, enumerable_latents, weights
from ppgen.training.arrays import check_names


def prepare(trainer: Any, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays on the host, with the names, shapes, types and values that the programs expect.

    Arguments that have a default in the programs, and were left out in training, may be given too.

    Raises:
        DataError: a name is missing, unknown or that of a latent site; a shape or value does not fit its site.
    """
    plan, host = trainer.plan, trainer.host(arrays, "the data")
    if latent := [site.name for site in plan.model.latent(plan.rows) if site.name in host]:
        raise DataError(
            f"the data have values of {latent}, which are latent; expected {sorted(plan.rows)} only. Leave them out."
        )
    defaults = {name for program in plan.programs.values() for name in program.arguments} - {"rows", *plan.rows}
    check_names(host.keys() - defaults, plan.rows, "the data")
    return host


def dimensions(program: Program, given: Mapping[str, Any], *, continuous_only: bool = False) -> int:
    """How many scalar variables one row observes; a one-hot vector is one variable."""
    count = 0
    for site in program.observed(given):
        if continuous_only and (site.support.discrete or _one_hot(site)):
            continue
        classes = math.prod(site.event_shape[-1:]) if _one_hot(site) else 1
        count += atoms(site, program.rows_plate) // classes
    return count


def _one_hot(site: Site) -> bool:
    return site.support.name.startswith("OneHot")


def is_enumerated(trainer: Any) -> bool:
    """True when latent sites are summed out: they are discrete and few, and no guide is there to be judged."""
    guided = "guide" in trainer.plan.programs and not isinstance(trainer.algorithm, MaximumLikelihood)
    return not guided and enumerable_latents(trainer.plan.pairing) is None


def needs_guide(trainer: Any) -> None:
    """Raise where latent sites remain and no guide knows them."""
    if "guide" in trainer.plan.programs:
        return
    latent = [site.name for site in trainer.plan.model.latent(trainer.plan.pairing.data)]
    raise NoLikelihoodError(
        f"no likelihood can be computed: the latent sites {latent} cannot be summed out, and there is no guide "
        "q(z | x) to weigh draws by. Fit one afterwards with the model held fixed and evaluate that fit: "
        "ppgen.fit(model, guide, data=..., params=fit, train=('guide',), "
        "algorithm=ppgen.ReweightedWakeSleep(50))."
    )


def needs_densities(trainer: Any) -> None:
    """Raise where a site is implicit, which can only be drawn from, or has an estimate in place of its log density."""
    if reason := weights(trainer.plan.pairing):
        raise NoLikelihoodError(
            f"the likelihood cannot be computed: {reason}. Judge what was learned by a program that has the density itself, "
            "with the parameters of this fit."
        )
    if reason := densities(trainer.plan.pairing):
        raise NoLikelihoodError(
            f"the likelihood cannot be computed: {reason}. Judge the fit by its draws, fit.sample(rows=...)."
        )


def rows_apart(trainer: Any) -> None:
    """Raise where the guide draws local sites of all rows at once, so that no row has a weight of its own."""
    model, guide = trainer.plan.model, trainer.plan.programs["guide"]
    together = [s.name for s in guide.latent() if not guide.is_local(s) and s.name not in model.sites]
    if together and any(model.is_local(site) for site in model.latent(trainer.plan.pairing.data)):
        raise NoLikelihoodError(
            f"the guide draws the latent sites of all rows together, in {together}, so rows have no likelihoods of "
            "their own; expected a guide whose local sites are independent given the global ones. Use a guide that is "
            "mean-field over rows, or ppgen.evaluation.evidence for all rows together."
        )


def caveat(trainer: Any) -> str:
    """What keeps the model from being a normalised density, in words; empty for most."""
    sites = trainer.plan.model.sites.values()
    factors = [site.name for site in sites if site.kind == "factor"]
    scaled = [site.name for site in sites if site.scaled]
    said = []
    if factors:
        said.append(f"the model has factors {factors}, so its density is not normalised")
    if scaled:
        said.append(f"the model scales the log densities of {scaled}")
    return "; ".join(said)
