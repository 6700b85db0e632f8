"""Requirements that algorithms share: each looks at the site tables and gives a reason, or None."""

from itertools import zip_longest

from ppgen.backends.protocol import KEPT, bare
from ppgen.backends.sites import Site
from ppgen.problem.problem import Problem

MAX_CONFIGURATIONS = 4096


def a_guide(problem: Problem) -> str | None:
    """The model's latent sites have a guide."""
    latent = [site.name for site in problem.model.latent(problem.data)]
    if latent and problem.guide is None:
        return f"the model's latent sites {latent} need a guide q(z | x), and none was given"
    return None


def normalised(problem: Problem) -> str | None:
    """The model is a distribution of what it observes: sample sites alone, and some of them observed."""
    for site in problem.model.sites.values():
        if site.kind == "factor":
            return (
                f"the model has a factor {site.name!r}, so its density does not sum to one, and grows with the factor alone; "
                "write the likelihood or the prior as a sample site"
            )
    if not problem.model.observed(problem.data):
        return "no site of the model is observed, so there is no likelihood"
    return None


def factors_of_latent_sites(problem: Problem) -> str | None:
    """Without latent sites a bound is the likelihood itself, which must be normalised."""
    return None if problem.model.latent(problem.data) else normalised(problem)


def densities(problem: Problem) -> str | None:
    """Every site of model and guide has a log density."""
    for program in filter(None, (problem.model, problem.guide)):
        for site in program.sites.values():
            if not site.has_density:
                return f"site {site.name!r} of the {program.role} is implicit: it has draws, but no log density"
    return None


def weights(problem: Problem) -> str | None:
    """Draws can be weighed: densities are known, and the guide has one."""
    return a_guide_with_a_density(problem) or known_densities(problem)


def a_guide_with_a_density(problem: Problem) -> str | None:
    """The guide gives no site a single value."""
    for name in problem.points:
        return (
            f"site {name!r} of the guide is a point (a Delta), which has no density that draws could be weighed by; with "
            "ppgen.ELBO() such a guide finds the maximum of the posterior"
        )
    return None


def known_densities(problem: Problem) -> str | None:
    """Densities are known, not estimated: the exponential of an estimate is biased."""
    for site in problem.model.sites.values():
        if site.estimated:
            return (
                f"site {site.name!r} of the model has an unbiased estimate in place of its log density; a mean of it is "
                "right, a weight made of it is not"
            )
    return known_densities_of_draws(problem)


def known_densities_of_draws(problem: Problem) -> str | None:
    """The guide's densities are known: an estimate from below, subtracted, would make a bound too high."""
    for site in problem.guide.sites.values() if problem.guide else ():
        if site.estimated:
            return (
                f"site {site.name!r} of the guide has an estimate in place of its log density, which is too low on average, "
                "so a bound that subtracts it may exceed the truth"
            )
    return None


def a_latent_site(problem: Problem) -> str | None:
    """There is something to infer."""
    if not problem.model.latent(problem.data):
        return "every site of the model is observed, so there is nothing for a guide to do"
    return None


def complete_data(problem: Problem) -> str | None:
    """No single numbers of the data are missing."""
    for name in problem.entries:
        if name.startswith(KEPT):
            return f"numbers of {bare(name)!r} are missing, and a critic compares whole rows"
    return None


def local_latents(problem: Problem) -> str | None:
    """Every latent site lies in the plate of rows."""
    for site in problem.model.latent(problem.data):
        if not problem.model.is_local(site):
            return f"site {site.name!r} is global (outside the plate of rows), and a critic judges row by row"
    return None


def a_reparameterised_guide(problem: Problem) -> str | None:
    """Draws from the guide carry gradients."""
    if problem.guide is None:
        return None
    for site in problem.guide.latent(problem.data):
        if not site.reparameterised:
            return (
                f"site {site.name!r} of the guide ({kind(site)}) has no reparameterised draw, so no gradient reaches it"
            )
    return None


def a_guide_in_the_models_order(problem: Problem) -> str | None:
    """The guide draws the model's latent sites in the model's order, so that KL(q || p) can be taken one by one."""
    if problem.guide is None:
        return None
    for site, drawn in zip_longest(problem.model.latent(problem.data), problem.guide.latent(problem.data)):
        if drawn is None or site is None or site.name != drawn.name:
            found, wanted = (f"{s.name!r}" if s else "nothing more" for s in (drawn, site))
            return (
                "KL(q || p) in closed form holds site by site, given the sites before, and the guide draws "
                f"{found} where the model draws {wanted}; draw the model's sites in its order, or leave out analytic_kl"
            )
    return None


def a_dreamable_model(problem: Problem) -> str | None:
    """The model can generate its own data."""
    if not problem.model.observed(problem.data):
        return "no site of the model is observed, so a dream has nothing to show"
    for site in problem.model.sites.values():
        if site.observed and site.name not in problem.model.observes:
            return (
                f"the model observes site {site.name!r} from something that is not one of its arguments, "
                "so a dream of it cannot be handed to the guide"
            )
        if site.kind == "factor":
            return f"the model has a factor {site.name!r}, which cannot be sampled"
    return None


def weights_of_the_full_data(problem: Problem) -> str | None:
    """Objectives that are not a sum over rows see all rows at once when a latent is global."""
    if problem.full_batch:
        return None
    for site in problem.model.latent(problem.data):
        if not problem.model.is_local(site):
            return (
                f"site {site.name!r} is global (outside the plate of rows), so a particle has one weight on the full "
                "data, and minibatches would bias it (leave out batch_size)"
            )
    return None


def held_draws_of_the_full_data(problem: Problem) -> str | None:
    """A draw without a gradient that all rows share is judged by all rows at once; one of a row, by that row."""
    latent = [] if problem.guide is None else problem.guide.latent(problem.data)
    held = [site for site in latent if not site.reparameterised] or latent
    if problem.guide is None or problem.full_batch or all(map(problem.guide.is_local, held)):
        return None
    return weights_of_the_full_data(problem)


def enumerable_latents(problem: Problem) -> str | None:
    """Latent sites are discrete and few."""
    total = 1
    for site in problem.model.latent(problem.data):
        count = site.support.count
        if count is None:
            return f"site {site.name!r} ({kind(site)}) cannot be summed out exactly"
        total *= count ** problem.model.atoms(site)
    if total > MAX_CONFIGURATIONS:
        return f"the latent sites have {total} configurations a row; at most {MAX_CONFIGURATIONS} can be summed out"
    return None


def an_exact_posterior(problem: Problem) -> str | None:
    """Latent sites are local, and all discrete and few, or all real (and Gaussian, as a look at numbers tells later)."""
    latent = problem.model.latent(problem.data)
    for site in latent:
        if not problem.model.is_local(site):
            return f"site {site.name!r} is global (outside the plate of rows), and rows have posteriors of their own"
    if any(site.support.discrete for site in latent):
        return enumerable_latents(problem)
    for site in latent:
        if (site.support.kind, site.support.low, site.support.high) != ("real", None, None):
            return f"site {site.name!r} ({kind(site)}) has no Gaussian posterior"
    return None


def a_latent_to_sample(problem: Problem) -> str | None:
    """There is a continuous latent site."""
    latent = problem.model.latent(problem.data)
    if not latent:
        return "every site of the model is observed, so there is no posterior to draw from"
    if all(site.support.discrete for site in latent):
        return (
            f"the latent sites {[site.name for site in latent]} are discrete, so there is nothing to move continuously"
        )
    return None


def sampled_or_summed_out(problem: Problem) -> str | None:
    """Each latent site is the image of the reals, or discrete and summed out."""
    total = 1
    for site in problem.model.latent(problem.data):
        if site.support.kind == "point":
            return f"site {site.name!r} of the model has one value, and no density to draw it from"
        if not (site.support.discrete or site.has_reals):
            return f"site {site.name!r} ({kind(site)}) is not the image of the reals under a map that the library knows"
        if site.support.discrete:
            if site.support.count is None:
                return f"site {site.name!r} ({kind(site)}) cannot be summed out exactly"
            total *= site.support.count ** problem.model.atoms(site)
    if total > MAX_CONFIGURATIONS:
        return f"the discrete latent sites have {total} configurations a row; at most {MAX_CONFIGURATIONS} can be summed out"
    return None


def a_model_that_learns(problem: Problem) -> str | None:
    """The model has parameters, where it alone is learned."""
    if not problem.model.parameters:
        return "the model has no parameters, so there is nothing to learn"
    return None


def gradient_to_the_model(problem: Problem) -> str | None:
    """Latent draws of the model itself carry gradients."""
    for site in problem.model.latent(problem.data):
        if not site.reparameterised:
            return (
                f"site {site.name!r} of the model ({kind(site)}) has no reparameterised draw, so no gradient passes it"
            )
    return None


def a_reparameterised_emission(problem: Problem) -> str | None:
    """Draws of the observed sites carry gradients."""
    for site in problem.model.observed(problem.data):
        if not site.reparameterised:
            instead = "; emit='mean' sends its mean instead" if site.has_mean else ""
            return f"site {site.name!r} ({kind(site)}) has no reparameterised draw{instead}"
    return None


def a_mean_emission(problem: Problem) -> str | None:
    """Observed sites have a mean that carries gradients; an implicit one has draws that do."""
    for site in problem.model.observed(problem.data):
        if site.has_density and not site.has_mean:
            instead = "; emit='draw' sends its draws instead" if site.reparameterised else ""
            return f"site {site.name!r} ({kind(site)}) has no mean to emit{instead}"
        if not (site.has_density or site.reparameterised):
            return f"site {site.name!r} ({kind(site)}) has no reparameterised draw"
    return None


def kind(site: Site) -> str:
    """A site's kind in words."""
    return f"{'discrete' if site.support.discrete else 'continuous'}, {site.support}"
