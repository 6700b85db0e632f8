"""Simulation-based calibration: whether posterior draws are as uncertain as they should be, over data that the model makes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen.errors import NoLikelihoodError
from ppgen.evaluation.learned import Learned
from ppgen.evaluation.predictive import thinned
from ppgen.evaluation.printing import printed
from ppgen.evaluation.simulated import as_data, resized, simulate
from ppgen.inference.algorithm import positive
from ppgen.problem.problem import Problem

SURE = 0.01  # a p-value below which a site is called what it looks like
BINS = 20  # of the chi-square test, at most; fewer where they would expect less than 10 simulations each


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Where the truth lies among posterior draws, over many simulations; uniformly, where all is right.

    Attributes:
        ranks: how many of the draws lie below the truth, by site [simulations, numbers of the site], 0 to `draws`.
        draws: posterior draws of each simulation.
    """

    ranks: dict[str, np.ndarray]
    draws: int

    @property
    def simulations(self) -> int:
        """How many simulations there were."""
        return len(next(iter(self.ranks.values())))

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """The probability below the truth under the posterior, as its draws estimate it: by site [simulations, numbers]."""
        return {site: (ranks + 0.5) / (self.draws + 1) for site, ranks in self.ranks.items()}

    @property
    def uniform(self) -> dict[str, np.ndarray]:
        """P-values of a chi-square test that ranks are uniform (Talts et al., 2018), by site [numbers]."""
        from scipy import stats  # half a second that an import of ppgen can do without

        bins = min(BINS, max(2, self.simulations // 10), self.draws + 1)
        expected = (
            np.bincount(np.arange(self.draws + 1) * bins // (self.draws + 1)) * self.simulations / (self.draws + 1)
        )

        def p_value(ranks: np.ndarray) -> float:
            return float(
                stats.chisquare(np.bincount(ranks * bins // (self.draws + 1), minlength=bins), expected).pvalue
            )

        return {site: np.array([p_value(column) for column in ranks.T]) for site, ranks in self.ranks.items()}

    @property
    def symmetric(self) -> dict[str, np.ndarray]:
        """P-values of a test that the probabilities are symmetric about 1/2 (Yao et al., 2018), by site [numbers].

        A posterior that is too narrow or too wide, but centred on average, passes. Of a variational fit it says whether its
        point estimate can be used even where its uncertainty cannot.
        """
        return {site: np.array([symmetry(p) for p in values.T]) for site, values in self.probabilities.items()}

    @property
    def spread(self) -> dict[str, np.ndarray]:
        """Variance of the probabilities over that of uniform ones, by site [numbers]: above 1, posteriors are too narrow."""
        scale = 12 / (1 - (self.draws + 1) ** -2)  # ranks are integers
        return {site: values.var(0) * scale for site, values in self.probabilities.items()}

    @property
    def p_value(self) -> float:
        """The smallest p-value of uniformity, as if it were the only one: times how many there are (Bonferroni)."""
        values = np.concatenate(list(self.uniform.values()))
        return min(1.0, float(values.min()) * len(values))

    def band(self, level: float = 0.95) -> float:
        """How far the empirical distribution function of uniform ranks stays from the diagonal, everywhere, so often."""
        from scipy import stats

        return float(stats.kstwo.ppf(level, self.simulations))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python values that JSON can hold."""
        return {"draws": self.draws, "ranks": {site: ranks.tolist() for site, ranks in self.ranks.items()}}

    def __rich__(self) -> Any:
        """A line for each site: its worst number, as if it were the only one."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
        for heading in ("site", "p (uniform)", "p (symmetric)", "spread", ""):
            table.add_column(heading, justify="left" if heading in ("site", "") else "right")
        uniform, symmetric, spread = self.uniform, self.symmetric, self.spread
        for site, p in uniform.items():
            worst, count = int(p.argmin()), len(p)
            of_all, lopsided = min(1.0, float(p[worst]) * count), min(1.0, float(symmetric[site].min()) * count)
            reading = _reading(of_all, lopsided, float(spread[site][worst]))
            table.add_row(site, f"{of_all:.3g}", f"{lopsided:.3g}", f"{spread[site][worst]:.2f}", reading)
        return table

    def __repr__(self) -> str:
        return f"{self.simulations} simulations, {self.draws} draws each\n{printed(self)}"


def calibration(
    fit: Learned,
    learn: Callable[[dict[str, np.ndarray], int], Learned] | None = None,
    *,
    simulations: int = 200,
    draws: int = 99,
    rows: int | None = None,
    seed: int = 0,
) -> Calibration:
    r"""Simulation-based calibration (Talts et al., 2018) of any algorithm, by ranks of the truth among posterior draws.

    .. math:: z \sim p(z), \; x \sim p(x | z), \; z_1 \dots z_L \sim q(z | x) \quad\Rightarrow\quad
        \#\{l : z_l < z\} \sim U\{0, \dots, L\} \text{ if } q(z | x) = p(z | x)

    Ranks near both ends tell of posteriors that are too narrow, ranks in the middle of ones too wide, ranks on one side of a
    bias. The same probabilities of the truth under q, tested for symmetry alone, are the calibration of variational fits of
    Yao et al. (2018): `found.symmetric`.

    A guide that was learned once for all rows is judged as it is: each simulated row is a simulation. Whatever learns anew from
    each data set (a sampler, a guide of sites that all rows share) is given as `learn`, and called once a simulation.

    Args:
        fit: what was learned; its model, with its parameters, simulates.
        learn: from data and a seed to a fit, such as `lambda data, seed: ppgen.fit(model, data=data, algorithm=ppgen.NUTS(),
            seed=seed)`.
        simulations: how many.
        draws: posterior draws L of each; those of a sampler are thinned to so many, which takes away their correlation.
        rows: with `learn`, rows of each data set; by default as many as the first batch had.
        seed: seed of all of it.

    Raises:
        NoLikelihoodError: nothing is latent; or latent sites that all rows share, without `learn`.

    Example:
        >>> import numpy as np, ppgen
        >>> model, guide = ppgen.models.ppca(3, latents=1)  # the guide is the exact posterior
        >>> data = {"x": np.eye(3, dtype=np.float32)}
        >>> fit = ppgen.fit(model, guide, data=data, steps=1)
        >>> found = calibration(fit, simulations=300)
        >>> found.ranks["z"].shape, found.p_value > 0.01
        ((300, 1), True)
    """
    positive("simulations", simulations, "calibration")
    positive("draws", draws, "calibration")
    problem = fit.problem
    latent = problem.model.latent(problem.data)
    if not latent:
        raise NoLikelihoodError("calibration: expected latent sites, whose posterior to judge; every site is observed.")
    if learn is None and (fit.draws or problem.model.has_global(problem.data)):
        raise NoLikelihoodError(
            f"calibration: {fit.algorithm!r} learns from each data set anew; expected a function that does. Write "
            "calibration(fit, learn=lambda data, seed: ppgen.fit(model, ..., data=data, seed=seed))."
        )
    arrays = resized(problem, simulations if learn is None else rows)
    drawn = simulate(problem, fit.state.parameters, arrays, 1 if learn is None else simulations, seed=seed)
    rng, found = np.random.default_rng(seed), {site.name: [] for site in latent}
    for i in range(len(drawn[latent[0].name])):
        data = as_data(problem, drawn, arrays, i)
        judged = fit if learn is None else learn(data, seed + i)
        z = _posterior(judged, data, draws, seed + i)
        for name in found:
            truth = _rows_first(problem, name, drawn[name][i])
            ranks = rank(truth, z[name], rng)
            found[name].append(ranks.reshape(len(ranks) if learn is None else 1, -1))
    return Calibration({name: np.concatenate(parts) for name, parts in found.items()}, draws)


def rank(truth: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How many of the draws [L, ...] lie below the truth [...]; among equal ones it has any place."""
    return (draws < truth).sum(0) + rng.integers(0, (draws == truth).sum(0) + 1)


def symmetry(probabilities: np.ndarray) -> float:
    r"""P-value of a test that numbers are symmetric about 1/2 (Butler, 1969).

    Taken from the ends inwards, the sides on which they lie are fair coins then. The largest distance of the walk of n such
    coins from 0, over :math:`\sqrt n`, is that of a Brownian motion.
    """
    sides = np.sign(probabilities - 0.5)[np.argsort(-np.abs(probabilities - 0.5), kind="stable")]
    distance = float(np.abs(np.cumsum(sides)).max()) / math.sqrt(len(sides))
    if distance < 0.1:
        return 1.0
    odd = 2 * np.arange(200) + 1
    inside = 4 / math.pi * np.sum((-1.0) ** np.arange(200) / odd * np.exp(-((math.pi * odd / distance) ** 2) / 8))
    return float(np.clip(1 - inside, 0, 1))


def _posterior(fit: Learned, data: Mapping[str, np.ndarray], draws: int, seed: int) -> dict[str, np.ndarray]:
    """Posterior draws [draws, ...] by site, rows first."""
    tree = fit.posterior(data) if fit.draws else fit.posterior(data, draws=draws, seed=seed)
    z = {str(name): value.values for name, value in tree["posterior"].data_vars.items()}
    return thinned({name: value.reshape(-1, *value.shape[2:]) for name, value in z.items()}, draws)


def _rows_first(problem: Problem, name: str, value: np.ndarray) -> np.ndarray:
    """A site's value with the axis of rows in front, as posteriors have it."""
    model = problem.model
    site = model.sites[name]
    return np.moveaxis(value, model.row_axis(site), 0) if model.is_local(site) else value


def _reading(uniform: float, symmetric: float, spread: float) -> str:
    """What a site looks like, in words."""
    if symmetric < SURE:
        return "biased"
    if uniform < SURE:
        return "too narrow" if spread > 1 else "too wide"
    return "no fault seen"
