"""Prior and posterior predictive draws, and checks of a model by statistics of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen.evaluation.inputs import entries, prepare
from ppgen.evaluation.learned import Learned
from ppgen.evaluation.loo import posterior_draws
from ppgen.evaluation.printing import printed
from ppgen.evaluation.simulated import simulate
from ppgen.inference.algorithm import positive


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """Statistics of the data beside those of data that the model makes.

    Attributes:
        observed: each statistic of the data, by name.
        replicated: the same of each replicate, by name [draws].
        prior: whether replicates are drawn from the prior alone.
    """

    observed: dict[str, float]
    replicated: dict[str, np.ndarray]
    prior: bool

    @property
    def p_values(self) -> dict[str, float]:
        """How often replicates have a larger statistic than the data; equal ones count half."""
        return {
            name: float(np.mean(drawn > self.observed[name]) + np.mean(drawn == self.observed[name]) / 2)
            for name, drawn in self.replicated.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python values that JSON can hold."""
        replicated = {name: drawn.tolist() for name, drawn in self.replicated.items()}
        return {"prior": self.prior, "observed": self.observed, "replicated": replicated, "p_values": self.p_values}

    def __rich__(self) -> Any:
        """A line for each statistic."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(f"{'prior' if self.prior else 'posterior'} predictive")
        for heading in ("data", "5% to 95% of replicates", "p"):
            table.add_column(heading, justify="right")
        for name, p in self.p_values.items():
            low, high = np.quantile(self.replicated[name], (0.05, 0.95))
            table.add_row(name, f"{self.observed[name]:.4g}", f"{low:.4g} to {high:.4g}", f"{p:.3f}")
        return table

    def __repr__(self) -> str:
        return printed(self)


def replicate(
    fit: Learned, data: Mapping[str, Any], *, draws: int = 500, prior: bool = False, seed: int = 0
) -> dict[str, np.ndarray]:
    """Data like the given ones, drawn from the posterior or the prior predictive distribution.

    Sites that all rows share are drawn from the posterior given the data (as a sampler or the guide has it), or from the prior;
    latent sites of single rows from
    their prior given these, in both: they are new rows.

    Args:
        fit: what was learned.
        data: the data: rows, covariates, and what the posterior is given.
        draws: number of replicates S, at most.
        prior: draw everything from the model, with its parameters as they are.
        seed: seed of the draws.

    Returns:
        Values by site [S, rows, ...]; of sites that all rows share [S, ...].
    """
    positive("draws", draws, "replicate")
    problem, arrays = prepare(fit.problem, data)
    shared: dict[str, np.ndarray] = {}
    if not prior and problem.model.has_global(problem.data):
        shared, log_weights = posterior_draws(fit, data, draws, seed)
        draws = len(log_weights)
    drawn = simulate(problem, fit.state.parameters, arrays, draws, seed=seed, shared=shared)
    return {name: value for name, value in drawn.items() if name in problem.model.sites}


def check(
    fit: Learned,
    data: Mapping[str, Any],
    statistics: Mapping[str, Callable[[Any], Any]],
    *,
    draws: int = 500,
    prior: bool = False,
    seed: int = 0,
) -> Check:
    r"""A predictive check (Gelman et al., 1996): is what the model makes like the data, in what matters?

    .. math:: p = P\big( T(x^\text{rep}) \ge T(x) \big), \qquad x^\text{rep} \sim p(x^\text{rep} | x)

    The data are used twice, so that p-values gather around 1/2 even where the model is right; one near 0 or 1 means what it
    seems to. With `prior=True` replicates come from the prior, a look at the model before it has seen any data.

    Args:
        fit: what was learned.
        data: the data that it was made of.
        statistics: by name, functions of the observed values [rows, ...] to a number; of a dict of them by site where the
            model has several observed sites.
        draws: replicates.
        prior: draw from the prior predictive distribution.
        seed: seed of the draws.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     rate = sample("rate", dist.Gamma(2.0, 1.0))
        ...     with plate("data", rows):
        ...         sample("n", dist.Poisson(rate))
        >>> data = {"n": np.array([0, 0, 0, 9, 0, 0, 8, 0], np.float32)}  # too many zeros for a Poisson
        >>> fit = ppgen.fit(model, ppgen.guides.MeanField(), data=data, steps=500, optimizer=ppgen.Adam(0.05))
        >>> found = check(fit, data, {"mean": np.mean, "zeros": lambda n: (n == 0).mean()})
        >>> 0.2 < found.p_values["mean"] < 0.8, found.p_values["zeros"] < 0.02
        (True, True)
    """
    if not statistics:
        raise ValueError("check: expected statistics by name; got none. Write check(fit, data, {'largest': np.max}).")
    problem, arrays = prepare(fit.problem, data)
    model = problem.model
    sites = [site.name for site in model.observed(problem.data)]
    given = dict(zip(sites, entries(model, problem.data), strict=True))
    drawn = replicate(fit, data, draws=draws, prior=prior, seed=seed)

    def of(values: Mapping[str, np.ndarray]) -> dict[str, float]:
        argument = values if len(values) > 1 else next(iter(values.values()))
        return {name: float(statistic(argument)) for name, statistic in statistics.items()}

    observed = of({site: arrays[entry] for site, entry in given.items()})
    each = [of({site: drawn[site][i] for site in given}) for i in range(len(drawn[sites[0]]))]
    return Check(observed, {name: np.array([one[name] for one in each]) for name in statistics}, prior)
