"""What networks learn from where they start, in ppgen and in its peers: `python -m benchmarks.starts --help`.

- MADE of 500 units on bits, against zuko's masked network.
- A Gaussian VAE of grey digits, against torch by hand with the start that its layers have by default.
- Flows of mixtures of Gaussians on the plane, whose density is known, against zuko and flowjax.

Every library gets the same rows, the same batches, the same Adam with the same cosine and clipping, and is judged at the
look at the validation rows that was best. Each starts from its own numbers. Libraries run side by side, each in a process
of its own.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.flows import tables
from benchmarks.flows.compare import compare, summarise, verdict
from benchmarks.flows.task import FLOWS, Task

BITS = ("mushrooms", "digits", "few digits")
PLANE = tuple(tables.CENTRES)
LEARNED = {**dict.fromkeys(BITS, ("MADE",)), "grey digits": ("VAE",), **dict.fromkeys(PLANE, FLOWS)}
LIBRARIES = {"MADE": ("ppgen", "zuko"), "VAE": ("ppgen", "torch"), **dict.fromkeys(FLOWS, ("ppgen", "zuko", "flowjax"))}
UNITS = {"MADE": "nats a row", "VAE": "bits a pixel", **dict.fromkeys(FLOWS, "KL, nats")}


def main() -> None:
    options = parse()
    console = Console()
    tasks: dict[str, list[Task]] = {}
    for table in options.tables:
        for model in LEARNED[table]:
            for library in LIBRARIES[model] if model in options.models else ():
                mine = [Task(model, table, seed, options.steps) for seed in range(options.seeds)]
                tasks.setdefault(library, []).extend(mine if library in options.only else ())
    figures = summarise(compare({library: mine for library, mine in tasks.items() if mine}, load, console), cost)
    show(console, options, figures)
    verdict(console, figures, less_is_better=True)
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "figures": figures}, indent=1) + "\n")


def load(task: Task) -> tables.Splits:
    if task.table in PLANE:
        return tables.plane(task.table, task.seed)
    return getattr(tables, task.table.replace(" ", "_"))()


def cost(task: Task, result: dict[str, float]) -> float:
    """Of bits the negative log-likelihood; of grey levels in bits a pixel; on the plane the KL from the truth."""
    rows = load(task)["test"]
    if task.table in PLANE:
        return float(np.mean(tables.true_log_prob(task.table, rows))) - result["test"]
    if task.model == "VAE":
        return math.log2(256) - result["test"] / (rows.shape[1] * math.log(2))
    return -result["test"]


def show(console: Console, options: argparse.Namespace, figures: list[dict[str, Any]]) -> None:
    table = Table(
        title=f"Held-out cost (less is better): {options.steps} steps, {options.seeds} seeds", title_justify="left"
    )
    for name in ("table", "model", "unit", "library", "mean", "spread", "worst row", "outside", "seconds"):
        table.add_column(name, justify="left" if name in ("table", "model", "unit", "library") else "right")
    for figure in figures:
        outside = np.mean([seed["outside"] for seed in figure["seeds"]])
        table.add_row(
            figure["table"], figure["model"], UNITS[figure["model"]], figure["library"], f"{figure['mean']:.3f}",
            f"{figure['spread']:.3f}", f"{min(seed['worst'] for seed in figure['seeds']):.0f}",
            "" if np.isnan(outside) else f"{outside:.0%}", f"{figure['seconds']:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "The spread is the standard deviation over seeds; the worst row is the lowest log density of a test row, in nats, "
        "under any seed; outside is the share of prior means outside of [0, 1]. Seconds include compilation; libraries "
        "share cores."
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__.splitlines()[0])
    models, libraries = [*LIBRARIES], sorted({name for names in LIBRARIES.values() for name in names})
    add = parser.add_argument
    add("--tables", nargs="+", default=list(LEARNED), choices=list(LEARNED), help="default: all")
    add("--models", nargs="+", default=models, choices=models, help="default: all")
    add("--only", nargs="+", default=libraries, choices=libraries, help="run these libraries (default: all)")
    add("--seeds", type=int, default=5, help="default: 5")
    add("--steps", type=int, default=2000, help="Adam steps of each run (default: 2000)")
    add("--json", type=Path, help="also write the figures of every seed to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
