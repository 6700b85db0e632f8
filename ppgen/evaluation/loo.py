"""Leave-one-out cross-validation without refitting, by Pareto-smoothed importance sampling."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.errors import NoLikelihoodError
from ppgen.evaluation.inputs import described, needs_densities, prepare
from ppgen.evaluation.learned import Learned
from ppgen.evaluation.predictive import _compiled, own_configurations, shared_draws, thinned
from ppgen.evaluation.psis import smoothed
from ppgen.evaluation.result import Evaluation
from ppgen.evaluation.weights import ROWS, SCALARS, breadth, device, even
from ppgen.inference.algorithm import positive
from ppgen.problem.batch import rows_of
from ppgen.problem.problem import Problem

FEWEST = 100  # draws


def loo(fit: Learned, data: Mapping[str, Any], *, draws: int = 1000, seed: int = 0) -> Evaluation:
    r"""The log predictive density of each row given all others, by PSIS-LOO (Vehtari et al., 2017).

    .. math:: \log p(x_i | x_{-i}) \approx \log \frac{\sum_s r_{is} \, p(x_i | w_s)}{\sum_s r_{is}}, \qquad
        r_{is} = \frac{p(w_s, x)}{q(w_s)} \, \frac{1}{p(x_i | w_s)}

    with the largest weights r smoothed. The first factor is 1 for draws from the posterior itself; draws from a guide q are
    corrected by it (Magnusson et al., 2019). Where k-hat of a row is above 0.7 its number is not to be trusted. Discrete latent
    sites of the row itself are summed out. Differences of two models, with their errors, are `ppgen.compare`'s.

    Args:
        fit: a fit with latent sites that all rows share: of a sampler, or with a guide.
        data: the rows that it was made of.
        draws: posterior draws S, at most.
        seed: seed of the guide's draws.

    Returns:
        An estimate, with k-hat of each row; its note has the effective number of parameters, the nats by which rows are better
        predicted by draws that have seen them.

    Raises:
        NoLikelihoodError: no latent site is shared by the rows; a latent site of single rows that is continuous.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     loc = sample("loc", dist.Normal(0.0, 10.0))
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> data = {"x": np.array([1.0, 2.0, 4.0, 3.0], np.float32)}
        >>> fit = ppgen.fit(model, data=data, algorithm=ppgen.NUTS(draws=300, warmup=200, chains=2))
        >>> loo(fit, data).estimator
        'leave-one-out, Pareto-smoothed importance sampling'
    """
    positive("draws", draws, "loo")
    problem, arrays = prepare(fit.problem, data)
    needs_densities(problem)
    latent = problem.model.latent(problem.data)
    own = [s.name for s in latent if problem.model.is_local(s) and s.support.count is None]
    if not problem.model.has_global(problem.data) or own:
        raise NoLikelihoodError(
            "loo: expected latent sites that all rows share, and no others but discrete ones; "
            + (f"got {own}, which each row has for itself" if own else "rows are independent of each other here")
            + ". Use fit.evaluate on rows that were held out."
        )
    shared, log_weights = posterior_draws(fit, data, draws, seed)
    if len(log_weights) < FEWEST:
        raise ValueError(f"loo: expected at least {FEWEST} posterior draws; got {len(log_weights)}. Draw more.")
    log_likelihood = _pointwise(problem, fit.state.parameters, shared, arrays)
    shares, tails = smoothed(log_weights[:, None] - log_likelihood)
    per_row = np.logaddexp.reduce(shares + log_likelihood, 0)
    whole = log_weights - np.logaddexp.reduce(log_weights)
    about = described(problem, arrays, None)
    extra = float((np.logaddexp.reduce(whole[:, None] + log_likelihood, 0) - per_row).sum())
    about["note"] = "; ".join(filter(None, [about["note"], f"effective number of parameters {extra:.2f}"]))
    ess = float((1 / np.exp(np.logaddexp.reduce(2 * shares, 0))).mean())
    estimator = "leave-one-out, Pareto-smoothed importance sampling"
    return Evaluation.of_rows(
        per_row, kind="estimate", estimator=estimator, particles=len(shares), khat=tails, ess=ess, **about
    )


def posterior_draws(
    fit: Learned, data: Mapping[str, Any], draws: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws of the sites that all rows share, by site [S, ...], S at most `draws`; and their log weights [S]."""
    if fit.draws:
        shared = thinned(shared_draws(fit.problem, fit.draws), draws)
        return shared, np.zeros(len(next(iter(shared.values()))))
    tree = fit.posterior(data, draws=draws, seed=seed)
    z = {str(name): value.values for name, value in tree["posterior"].data_vars.items()}
    return shared_draws(fit.problem, z), tree["sample_stats"]["log_weight"].values.ravel()


def _pointwise(
    problem: Problem, parameters: Mapping[str, Any], shared: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Log p(x_i | w_s) of all rows and draws, [S, rows]."""
    backend, rows, count = problem.backend, rows_of(arrays), len(next(iter(shared.values())))
    width = even(rows, ROWS)
    depth = even(count, max(1, SCALARS // (width * breadth(problem) * own_configurations(problem))))
    weigh, found = _compiled(problem, depth), np.empty((count, rows))
    for start in range(0, rows, width):
        some = slice(start, min(start + width, rows))
        batch = device(problem, arrays, some, width)
        for first in range(0, count, depth):
            chosen = np.minimum(np.arange(first, first + depth), count - 1)
            values = {name: backend.array(value[chosen]) for name, value in shared.items()}
            log_prob = backend.numpy(weigh(parameters, batch, values, backend.key(0)))
            found[first : first + depth, some] = log_prob[: count - first, : some.stop - some.start]
    return found
