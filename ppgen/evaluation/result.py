"""`Evaluation`: a log-likelihood together with what kind of number it is."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ppgen.evaluation.psis import FEWEST

KINDS = ("exact", "lower bound", "upper bound", "estimate", "joint", "unnormalised")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """How probable data are under a model, and how far to trust the number.

    Attributes:
        nats: mean log-likelihood per row, in nats; higher is better.
        stderr: standard error of that mean over rows; nan where there is one number only.
        bits_per_dim: the same in bits per observed scalar variable; lower is better; nan where there is none.
            Of continuous sites this is a density's unless `quantization` was given (see `evaluate`). A lower bound on nats is
            an upper bound here.
        kind: what `nats` is of the truth: "exact", "lower bound" (in expectation), "upper bound" or "estimate"; "unnormalised"
            where the model has factors or scales its densities: an integral of its density, that is no likelihood of data.
        estimator: how it was computed, in words.
        rows: number of rows.
        dimensions: observed scalar variables per row; their mean where rows differ.
        particles: importance samples per row; None where none were needed.
        per_row: log-likelihood of each row [rows]; None where only the rows together have one.
        khat: PSIS k-hat of the importance weights: [rows], or [1] of weights for the whole data; None without weights.
        ess: mean effective sample size per row, of `particles`.
        levels: of data of so many levels that were dequantised; then the bits bound those of the levels from above.
        note: anything a reader must know.
        observed: what the number is of, in words: the observed sites, and whether each has a probability or a density.
        data: a fingerprint of the observed values, by which evaluations of the same rows are known.

    Example:
        >>> import numpy as np
        >>> Evaluation.of_rows(np.array([-1.0, -2.0, -3.0]), dimensions=1, kind="exact", estimator="all sites observed")
        -2.0000 ± 0.5774 nats per row (3 rows), 2.8854 bits per dimension
        exact: all sites observed
    """

    nats: float
    stderr: float
    bits_per_dim: float
    kind: str
    estimator: str
    rows: int
    dimensions: float
    particles: int | None = None
    per_row: np.ndarray | None = None
    khat: np.ndarray | None = None
    ess: float | None = None
    levels: int | None = None
    note: str = ""
    observed: str = ""
    data: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected kind to be one of {KINDS}; got {self.kind!r}.")

    @classmethod
    def of_rows(
        cls, per_row: np.ndarray, *, dimensions: float, quantization_bits: float = 0.0, **rest: Any
    ) -> "Evaluation":
        """Mean and standard error of the rows' log-likelihoods; see `of_total`."""
        per_row = np.asarray(per_row, np.float64)
        with np.errstate(invalid="ignore"):  # a row of probability 0 has no standard error
            nats = float(per_row.mean())
            spread = float(per_row.std(ddof=1)) if len(per_row) > 1 else math.nan
        return cls(
            nats, spread / math.sqrt(len(per_row)), rows=len(per_row), dimensions=dimensions, per_row=per_row,
            **_in_bits(nats, dimensions, quantization_bits, **rest),
        )  # fmt: skip

    def doubted(self, doubt: bool) -> "Evaluation":
        """The same number, called an estimate where there is a doubt whether it is exact or a bound."""
        return replace(self, kind="estimate") if doubt else self

    @classmethod
    def of_total(
        cls, total: float, *, rows: int, dimensions: float, quantization_bits: float = 0.0, **rest: Any
    ) -> "Evaluation":
        """One log-likelihood of all rows together.

        Args:
            total: in nats.
            rows: number of rows.
            dimensions: observed scalar variables per row.
            quantization_bits: added per row.
            rest: fields; and `normalised=False` for a density that is not, which has no bits.
        """
        nats = float(total) / rows
        rest = _in_bits(nats, dimensions, quantization_bits, **rest)
        return cls(nats, math.nan, rows=rows, dimensions=dimensions, **rest)

    @property
    def total(self) -> float:
        """Log-likelihood of all rows, in nats."""
        return self.nats * self.rows

    def noting(self, note: str) -> "Evaluation":
        """The same with one more note."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python values that JSON can hold; numbers that are not finite become strings."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Evaluation":
        """The inverse of `to_dict`."""

        def read(value: Any) -> Any:
            if isinstance(value, list):
                return np.array([read(v) for v in value])
            return float(value) if value in ("nan", "inf", "-inf") else value

        return cls(**{name: read(value) for name, value in values.items()})

    def __repr__(self) -> str:
        error = "" if math.isnan(self.stderr) else f" ± {self.stderr:.4f}"
        lines = [
            f"{self.nats:.4f}{error} nats per row ({self.rows} row{'s' * (self.rows != 1)})"
            + ("" if math.isnan(self.bits_per_dim) else f", {self.bits_per_dim:.4f} bits per dimension")
            + ("" if self.levels is None else " (an upper bound, see below)"),
            f"{self.kind}: {self.estimator}" + (f", {self.particles} particles" if self.particles else ""),
        ]
        if self.ess is not None:
            lines.append(f"effective sample size {self.ess:.1f} of {self.particles}")
        if self.khat is not None and (self.particles or FEWEST) < FEWEST:
            lines.append(f"PSIS k-hat: cannot be told from fewer than {FEWEST} particles")
        elif self.khat is not None:
            ranked = np.sort(self.khat)  # infinities have no mean, so the median is one of them
            median, worst = float(ranked[(len(ranked) - 1) // 2]), float(ranked[-1])
            lines.append(f"PSIS k-hat: median {median:.2f} ({trust(median)}), worst {worst:.2f} ({trust(worst)})")
        if self.levels is not None:
            lines.append(
                f"the bits bound those of the {self.levels} levels from above; nats are of the dequantised density"
            )
        return "\n".join([*lines, *([self.note] if self.note else [])])


def _in_bits(
    nats: float, dimensions: float, quantization_bits: float, *, kind: str, normalised: bool = True, **rest: Any
) -> dict[str, Any]:
    """The fields of an evaluation with its bits per dimension, as far as it is one of a normalised density."""
    if not normalised:
        return {"bits_per_dim": math.nan, "kind": "unnormalised", **rest}
    return {"bits_per_dim": bits(nats, dimensions, quantization_bits), "kind": kind, **rest}


def bits(nats: float, dimensions: float, quantization_bits: float = 0.0) -> float:
    """Bits per dimension: (-nats / log 2 + bits that quantisation adds per row) / dimensions; nan of no dimensions."""
    return (-nats / math.log(2) + quantization_bits) / dimensions if dimensions else math.nan


def trust(khat: float) -> str:
    """How far to trust importance weights with this k-hat (Vehtari et al., 2024)."""
    if khat < 0.5:
        return "good"
    return "ok" if khat < 0.7 else "unreliable"


def plain(value: Any) -> Any:
    """A value as JSON can hold it; numbers that are not finite become strings."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    return value
