"""Fits side by side on the same rows: paired differences, what each number is, and what training data tell."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen.errors import DataError
from ppgen.evaluation.inputs import entries
from ppgen.evaluation.learned import Learned
from ppgen.evaluation.printing import printed
from ppgen.evaluation.result import Evaluation, plain
from ppgen.problem.arrays import to_host
from ppgen.problem.batch import rows_of
from ppgen.problem.problem import Problem

SIDES = {"exact": (0, 0), "lower bound": (0, 1), "upper bound": (1, 0), "estimate": (1, 1)}
"""Whether a number may lie above the truth, and below it."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One line of a comparison; all numbers in nats per row.

    Attributes:
        name: whose line it is.
        evaluation: its log-likelihood, with its kind.
        difference: its nats less those of the reference; below 0 where the reference is better.
        stderr: standard error of the difference over rows, which are paired; nan where rows have no numbers of their own.
        relation: what the true difference is to the one shown: "=" (both exact), "≥" or "≤" (a bound is involved), "~" (it
            may lie on either side).
        train: its log-likelihood of the training data, where they were given.
    """

    name: str
    evaluation: Evaluation
    difference: float
    stderr: float
    relation: str
    train: Evaluation | None = None

    @property
    def gap(self) -> float:
        """Nats of the training rows less those of these; large where the fit knows its training rows by heart."""
        return math.nan if self.train is None else self.train.nats - self.evaluation.nats

    @property
    def gap_stderr(self) -> float:
        """Standard error of the gap; the two sets of rows are independent."""
        return math.nan if self.train is None else math.hypot(self.train.stderr, self.evaluation.stderr)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `compare` finds: printed, a table.

    Attributes:
        lines: one for each that was compared, in the order in which they were given.
        reference: the name that differences are taken to.
        memorised: nats per training row of pure memorisation, -log N; nan where there is no such number.
    """

    lines: tuple[Compared, ...]
    reference: str
    memorised: float = math.nan

    def __getitem__(self, name: str) -> Compared:
        """The line of a name."""
        return {line.name: line for line in self.lines}[name]

    @property
    def mixed(self) -> bool:
        """Whether the numbers are of different kinds."""
        return len({line.evaluation.kind for line in self.lines}) > 1

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python values that JSON can hold."""
        lines = [
            {
                "name": line.name, "difference": plain(line.difference), "stderr": plain(line.stderr),
                "relation": line.relation, "evaluation": line.evaluation.to_dict(),
                "train": line.train and line.train.to_dict(), "gap": plain(line.gap),
            }
            for line in self.lines
        ]  # fmt: skip
        return {"reference": self.reference, "memorised": plain(self.memorised), "lines": lines}

    @property
    def notes(self) -> list[str]:
        """What a reader of the table must know, a sentence each."""
        found = []
        if self.mixed:
            found.append(
                "The numbers are of different kinds: the true difference is at least (≥) or at most (≤) the one shown, or (~) "
                "may lie on either side of it."
            )
        elif any(line.relation == "~" for line in self.lines):
            kind = self.lines[0].evaluation.kind
            found.append(f"All are {kind}s: a difference (~) may come from how far each lies from the truth.")
        if not math.isnan(self.memorised):
            found.append(f"Pure memorisation would give each training row {self.memorised:.2f} nats (-log N).")
        return found + [f"{line.name}: {line.evaluation.note}." for line in self.lines if line.evaluation.note]

    def __rich__(self) -> Any:
        """The table, for a rich console."""
        from rich.console import Group
        from rich.table import Table

        trained = any(line.train is not None for line in self.lines)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("")
        for heading in ("nats / row", "difference", *(("train - test",) if trained else ())):
            table.add_column(heading, justify="right")
        table.add_column("kind")
        for line in self.lines:
            e = line.evaluation
            paired = (
                "reference" if line.name == self.reference else f"{line.relation} {_pm(line.difference, line.stderr)}"
            )
            gap = (_pm(line.gap, line.gap_stderr),) if trained else ()
            kind = f"{e.kind}, {e.particles} particles" if e.particles else e.kind
            table.add_row(line.name, _pm(e.nats, e.stderr), paired, *gap, kind)
        return Group(table, *self.notes)

    def __repr__(self) -> str:
        return printed(self)


def compare(
    fits: Mapping[str, Learned | Evaluation] | Sequence[Learned | Evaluation],
    data: Mapping[str, Any] | None = None,
    *,
    train: Mapping[str, Any] | None = None,
    against: str = "best",
    **options: Any,
) -> Comparison:
    r"""Evaluate fits on the same rows and compare them row by row.

    .. math:: d_i = \log p_a(x_i) - \log p_b(x_i), \qquad \bar d \pm \sqrt{\operatorname{var}(d) / n}

    Rows are harder or easier for all fits alike, so the standard error of a difference is mostly far below those of the two
    numbers. Numbers of different kinds are compared, but never in silence: each difference says what the true one is to it.

    With training data the gap between training and test rows stands beside each, and, for discrete data without covariates,
    the memorisation bound -log N: a distribution that puts mass 1/N on each of N different training rows gives each of them
    -log N nats, and no distribution has a higher mean over them (where rows are repeated the highest is the mean of the log
    of a row's share). It gives any other row probability 0. A fit whose *training* rows come near -log N knows them by heart.
    A density has no such bound: it can be as high as it likes at the training rows.

    Args:
        fits: fits by name; or some of them, called like their algorithms. An `Evaluation` is taken as it is.
        data: arrays by name, on which fits are evaluated; only needed where there are fits.
        train: the rows that the fits were trained on.
        against: the name that differences are taken to, or "best" (of the highest nats), or "first".
        options: passed to each `fit.evaluate`.

    Raises:
        ValueError: fewer than two to compare, or an unknown name.
        DataError: evaluations of other rows, of other sites, or of a density beside a probability.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, param, plate, sample
        >>> def model(scale):
        ...     def program(rows):
        ...         loc = param("loc", 0.0)
        ...         with plate("data", rows):
        ...             sample("x", dist.Normal(loc, scale))
        ...     return program
        >>> data = {"x": np.array([-1.0, 0.0, 1.0, 0.5], np.float32)}
        >>> narrow, wide = ppgen.evaluate(model(1.0), data=data), ppgen.evaluate(model(2.0), data=data)
        >>> found = ppgen.compare({"narrow": narrow, "wide": wide})
        >>> found.reference, round(found["wide"].difference, 3), round(found["wide"].stderr, 3), found["wide"].relation
        ('narrow', -0.482, 0.097, '=')
    """
    named = dict(fits) if isinstance(fits, Mapping) else dict(zip(_names(fits), fits, strict=True))
    if len(named) < 2:
        raise ValueError(
            f"compare: expected at least two fits; got {list(named)}. Write ppgen.compare({{'a': a, 'b': b}}, data)."
        )
    found = {name: _evaluated(name, fit, data, options) for name, fit in named.items()}
    check_alike(found)
    if against not in (*found, "best", "first"):
        raise ValueError(f"compare: expected against to be 'best', 'first' or one of {list(found)}; got {against!r}.")
    best = max(found, key=lambda name: found[name].nats)
    reference = against if against in found else best if against == "best" else next(iter(found))

    judged = {name: fit for name, fit in named.items() if isinstance(fit, Learned)}
    trained = {} if train is None else {name: fit.evaluate(train, **options) for name, fit in judged.items()}
    bounds = {memorised(fit.problem, train) for fit in judged.values()} if train is not None else set()
    lines = tuple(
        Compared(name, one, *difference(one, found[reference]), _relation(one, found[reference]), trained.get(name))
        for name, one in found.items()
    )
    return Comparison(lines, reference, bounds.pop() if len(bounds) == 1 else math.nan)


def difference(a: Evaluation, b: Evaluation) -> tuple[float, float]:
    """The mean difference of two evaluations of the same rows, a - b, and its standard error, in nats per row."""
    if a.per_row is None or b.per_row is None:
        return a.nats - b.nats, math.nan
    if a is b:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):  # rows of probability 0 under both
        paired = a.per_row - b.per_row
        error = float(paired.std(ddof=1)) / math.sqrt(len(paired)) if len(paired) > 1 else math.nan
        return float(paired.mean()), error


def memorised(problem: Problem, train: Mapping[str, Any]) -> float:
    """Nats per row of a distribution on the N training rows alone, -log N; nan for densities and where there are covariates."""
    arrays = to_host(train, double=problem.backend.double())
    seen = problem.model.observed(arrays)
    if any(not site.support.discrete for site in seen) or set(arrays) - set(entries(problem.model, arrays)):
        return math.nan
    return -math.log(rows_of(arrays))


def check_alike(found: Mapping[str, Evaluation]) -> None:
    """Raise where evaluations are not of the same rows, sites and units."""
    check_same_units(found)
    _check(found, "numbers of rows", lambda e: e.rows, "Evaluate both on the same rows")
    _check(found, "data", lambda e: e.data, "Evaluate both on the same rows, in the same order")


def check_same_units(found: Mapping[str, Evaluation]) -> None:
    """Raise where evaluations are of other sites, or of a density beside a probability."""
    _check(found, "sites", lambda e: e.observed, "A density and a probability have no common unit")
    _check(found, "dimensions per row", lambda e: e.dimensions, "Evaluate both on the same entries")


def _check(found: Mapping[str, Evaluation], what: str, of: Callable[[Evaluation], Any], advice: str) -> None:
    (first, one), *others = found.items()
    for name, other in others:
        if of(one) != of(other) and "" not in (of(one), of(other)):
            raise DataError(
                f"expected evaluations of the same {what}; got {of(one)} of {first!r} and {of(other)} of {name!r}. {advice}."
            )


def _evaluated(name: str, fit: Any, data: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Evaluation:
    if isinstance(fit, Evaluation):
        return fit
    if not isinstance(fit, Learned):
        raise ValueError(f"compare: expected fits or evaluations; got {type(fit).__name__} under {name!r}.")
    if data is None:
        raise ValueError(f"compare: expected data to evaluate {name!r} on. Write ppgen.compare(fits, data).")
    return fit.evaluate(data, **options)


def _relation(a: Evaluation, b: Evaluation) -> str:
    """What the true difference a - b is to that of the numbers."""
    if a is b:
        return "="
    (a_above, a_below), (b_above, b_below) = SIDES.get(a.kind, (1, 1)), SIDES.get(b.kind, (1, 1))
    less, more = a_above or b_below, a_below or b_above  # what the true difference may be than the one shown
    return {(0, 0): "=", (0, 1): "≥", (1, 0): "≤", (1, 1): "~"}[less, more]


def _names(fits: Iterable[Any]) -> list[str]:
    """Names of fits by their algorithms, numbered where two are the same."""
    names = [type(fit.algorithm).__name__ if isinstance(fit, Learned) else "evaluation" for fit in fits]
    return [f"{name} {names[: i + 1].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _pm(value: float, error: float) -> str:
    """A number and its standard error, if it has one."""
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if math.isnan(error) else f"{value:.3f} ± {error:.3f}"
