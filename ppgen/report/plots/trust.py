"""How far numbers are to be trusted: weights, calibration, comparisons, checks."""

import math

import numpy as np
from matplotlib.figure import Figure

from ppgen.evaluation import Calibration, Check, Comparison, Evaluation
from ppgen.report.plots.canvas import COLOURS, new, plain

TRUSTED, USABLE = 0.5, 0.7
"""k-hats below which importance weights are good, and of use at all."""


def khat(evaluation: Evaluation, *, title: str = "") -> Figure:
    """PSIS k-hat of each row's importance weights, in the order of rows, with the lines above which they are not to be trusted.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.report import plots
        >>> found = ppgen.Evaluation.of_rows(np.zeros(3), dimensions=1, kind="lower bound", estimator="by hand",
        ...                                  khat=np.array([0.1, 0.8, -np.inf]))
        >>> figure = plots.khat(found)
    """
    if evaluation.khat is None:
        raise ValueError(f"khat: expected an evaluation with importance weights; got one by {evaluation.estimator}.")
    values = np.asarray(evaluation.khat, float)
    finite = values[np.isfinite(values)]
    low, high = min(finite.min(initial=0.0), 0.0) - 0.1, max(finite.max(initial=1.0), 1.0) + 0.1
    figure, (axis,) = new(1, 1, 5.6, 3.2, title)
    trust = np.digitize(np.nan_to_num(values, nan=np.inf), (TRUSTED, USABLE))
    for level, (colour, name) in enumerate([(COLOURS[3], "good"), (COLOURS[2], "ok"), (COLOURS[1], "unreliable")]):
        mine = np.flatnonzero(trust == level)
        share = f"{name}: {len(mine)} of {len(values)}"
        axis.plot(mine, np.clip(values[mine], low, high), "o", color=colour, markersize=3.5, label=share)
    for line in (TRUSTED, USABLE):
        axis.axhline(line, color="#777777", linewidth=0.8, linestyle=":")
    axis.set(xlabel="row", ylabel="PSIS k-hat", ylim=(low - 0.05, high + 0.05))
    plain(axis, legend=True)
    return figure


def calibration(found: Calibration, *, title: str = "") -> Figure:
    """For each site: how far the distribution function of the truth's ranks is from uniform, in its 95% band; and the ranks.

    A line above the band at the left and below it at the right tells of posteriors that are too narrow; the other way round,
    too wide; on one side all along, of a bias.

    Example:
        >>> import numpy as np
        >>> from ppgen.evaluation import Calibration
        >>> from ppgen.report import plots
        >>> figure = plots.calibration(Calibration({"z": np.random.default_rng(0).integers(0, 100, (200, 2))}, 99))
    """
    figure, axes = new(len(found.ranks), 2, 3.8, 2.7, title)
    n, band = found.simulations, found.band()
    for i, (site, p) in enumerate(found.probabilities.items()):
        above, below = axes[i], axes[len(found.ranks) + i]
        above.fill_between([0, 1], -band, band, color="#dddddd", linewidth=0)
        for numbers in np.sort(p, 0).T:
            steps = np.concatenate([[0], np.repeat(numbers, 2), [1]])
            height = np.repeat(np.arange(n + 1) / n, 2)
            above.plot(steps, height - steps, color=COLOURS[0], linewidth=1, alpha=max(0.4, 1 / p.shape[1]))
        above.set(xlim=(0, 1), xlabel="probability below the truth", ylabel="ECDF less uniform")
        above.set_title(site, fontsize=10.5)
        bins = min(20, max(5, p.size // 20))
        below.hist(p.ravel(), bins=bins, range=(0, 1), color=COLOURS[0], alpha=0.8)
        below.axhline(p.size / bins, color="#777777", linewidth=0.8, linestyle=":")
        below.set(xlim=(0, 1), xlabel="probability below the truth", ylabel="simulations")
        for axis in (above, below):
            plain(axis)
    return figure


def comparison(found: Comparison, *, title: str = "") -> Figure:
    """Differences to the reference in nats per row, two standard errors to each side; bounds have an arrow to where truth lies.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.report import plots
        >>> a, b = (ppgen.Evaluation.of_rows(np.array(x), dimensions=1, kind="exact", estimator="by hand")
        ...         for x in ([-1.0, -2.0], [-1.5, -2.2]))
        >>> figure = plots.comparison(ppgen.compare({"a": a, "b": b}))
    """
    figure, (axis,) = new(1, 1, 6.4, 0.42 * len(found.lines) + 1.1, title)
    for y, line in enumerate(reversed(found.lines)):
        colour = COLOURS[6] if line.name == found.reference else COLOURS[0]
        error = None if math.isnan(line.stderr) else 2 * line.stderr
        axis.errorbar(line.difference, y, xerr=error, fmt="o", color=colour, markersize=5, capsize=3, linewidth=1.2)
        arrow = {"≥": (10, "→"), "≤": (-10, "←")}.get(line.relation)
        if arrow:
            axis.annotate(
                arrow[1], (line.difference, y), (arrow[0], 5), textcoords="offset points", color=colour, ha="center"
            )
    axis.axvline(0, color="#777777", linewidth=0.8, linestyle=":")
    axis.set_yticks(
        range(len(found.lines)), [f"{line.name} ({line.evaluation.kind})" for line in reversed(found.lines)]
    )
    axis.set_ylim(-0.6, len(found.lines) - 0.4)
    axis.set_xlabel(f"nats per row, less those of {found.reference} (higher is better)")
    plain(axis)
    return figure


def check(found: Check, *, title: str = "") -> Figure:
    """Histograms of each statistic over replicates, with a line where the data have it.

    Example:
        >>> import numpy as np
        >>> from ppgen.evaluation import Check
        >>> from ppgen.report import plots
        >>> figure = plots.check(Check({"largest": 3.0}, {"largest": np.random.default_rng(0).normal(size=200)}, prior=False))
    """
    figure, axes = new(len(found.observed), 1, 3.2, 2.6, title)
    for axis, (name, p) in zip(axes, found.p_values.items(), strict=True):
        axis.hist(found.replicated[name], bins=30, color=COLOURS[0], alpha=0.8)
        axis.axvline(found.observed[name], color=COLOURS[1], linewidth=1.8)
        axis.set_title(f"{name}, p = {p:.3f}", fontsize=10.5)
        axis.set_ylabel("replicates")
        axis.locator_params(axis="x", nbins=5)
        plain(axis)
    return figure
