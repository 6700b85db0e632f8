"""Flows on UCI tables, trained alike in ppgen, zuko and flowjax; and RNADE: `python -m benchmarks.uci --help`.

Every library gets the same rows (80% train, 10% valid, 10% test, standardised by the training rows), the same batches,
the same Adam with the same cosine and clipping, 5 transforms with networks of two hidden layers of 64, and is judged
at the look at the validation rows that was best. They differ in what they put around the transforms: ppgen a linear map
after each, zuko a reversed order, flowjax a random permutation; the table tells how many numbers each learns.
Libraries run side by side, each in a process of its own.
"""

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import ppgen
from benchmarks.flows.compare import compare, summarise, verdict
from benchmarks.flows.task import FLOWS, Task

LIBRARIES = ("ppgen", "zuko", "flowjax")
TABLES = ("power-plant", "wine-quality-red", "kin8nm", "protein-tertiary-structure")
RNADE = {"wine-quality-red": "~-9.36"}  # Uria et al. (2013), mean of ten folds; from memory


def main() -> None:
    options = parse()
    console = Console()
    tasks = {library: tasks_of(library, options) for library in options.only}
    figures = summarise(compare(tasks, load, console), lambda task, result: result["test"])
    show(console, options, figures)
    verdict(console, figures)
    for mine in figures:
        if mine["model"] == "RNADE":
            console.print(
                f"RNADE on {mine['table']}: published {RNADE[mine['table']]}, the mean of ten folds and from memory; here "
                "one split, its own preprocessing by the training rows."
            )
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "figures": figures}, indent=1) + "\n")


def tasks_of(library: str, options: argparse.Namespace) -> list[Task]:
    return [
        Task(flow, table, seed, options.steps)
        for table in options.tables
        for flow in options.flows
        if flow != "RNADE" or (library == "ppgen" and table in RNADE)
        for seed in range(options.seeds)
    ]


def load(task: Task) -> dict[str, np.ndarray]:
    """The splits of a table; of the wines without their grade, a whole number, whose density has no bound."""
    return splits(task.table)


@cache
def splits(table: str) -> dict[str, np.ndarray]:
    data, columns = ppgen.data.uci(table), slice(-1 if table == "wine-quality-red" else None)
    return {name: getattr(data, name)["x"][:, columns] for name in ("train", "valid", "test")}


def show(console: Console, options: argparse.Namespace, figures: list[dict[str, Any]]) -> None:
    table = Table(
        title=f"Test log-likelihood, nats a row (more is better): {options.steps} steps, {options.seeds} seeds",
        title_justify="left",
    )
    for name in ("table", "flow", "library", "mean", "spread", "worst row", "parameters", "seconds"):
        table.add_column(name, justify="left" if name in ("table", "flow", "library") else "right")
    for figure in figures:
        table.add_row(
            figure["table"], figure["model"], figure["library"], f"{figure['mean']:.3f}", f"{figure['spread']:.3f}",
            f"{min(seed['worst'] for seed in figure['seeds']):.0f}", str(figure["seeds"][0]["parameters"]),
            f"{figure['seconds']:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "The spread is the standard deviation over seeds. Seconds include compilation; libraries share cores."
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.uci", description="Flows on UCI tables, trained alike in ppgen, zuko and flowjax."
    )
    add = parser.add_argument
    add("--tables", nargs="+", default=list(TABLES[:3]), choices=TABLES, help="default: the first three")
    add("--flows", nargs="+", default=[*FLOWS, "RNADE"], choices=[*FLOWS, "RNADE"], help="default: all")
    add("--only", nargs="+", default=list(LIBRARIES), choices=LIBRARIES, help="run these libraries (default: all)")
    add("--seeds", type=int, default=5, help="default: 5")
    add("--steps", type=int, default=2000, help="Adam steps of each run (default: 2000)")
    add("--json", type=Path, help="also write the figures of every seed to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
