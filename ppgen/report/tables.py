"""Tables of evaluations for a terminal."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table

from ppgen.evaluation import Evaluation


@dataclass(frozen=True)
class Line:
    """One line of a comparison.

    Attributes:
        name: the algorithm.
        evaluation: its held-out log-likelihood.
        seconds: time it trained, compilation included.
        note: what a reader must know about the number.
    """

    name: str
    evaluation: Evaluation
    seconds: float
    note: str = ""


def comparison(title: str, lines: Iterable[Line], unit: str = "image") -> Table:
    """Algorithms by held-out likelihood: nats a row (higher is better), bits a dimension, error, kind, seconds."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("algorithm")
    for name in (f"nats / {unit}", "std. err.", "bits / dim"):
        table.add_column(name, justify="right")
    table.add_column("kind")
    table.add_column("sec.", justify="right")
    for line in lines:
        e = line.evaluation
        table.add_row(
            line.name,
            f"{e.nats:.2f}",
            f"{e.stderr:.2f}",
            f"{e.bits_per_dim:.3f}",
            f"{e.kind}{', ' + line.note if line.note else ''}",
            f"{line.seconds:.1f}",
        )
    return table
