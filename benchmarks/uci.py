"""Flows on UCI tables, trained alike in ppgen, zuko and flowjax; and RNADE: `python -m benchmarks.uci --help`.

Every library gets the same rows (80% train, 10% valid, 10% test, standardised by the training rows), the same batches,
the same Adam with the same cosine and clipping, 5 transforms with networks of two hidden layers of 64, and is judged
at the look at the validation rows that was best. They differ in what they put around the transforms: ppgen a linear map
after each, zuko a reversed order, flowjax a random permutation; the table tells how many numbers each learns.
Libraries run side by side, each in a process of its own.
"""

import argparse
import importlib
import json
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import ppgen
from benchmarks.flows.task import FLOWS, Task, run
from benchmarks.timing import Worker

LIBRARIES = ("ppgen", "zuko", "flowjax")
TABLES = ("power-plant", "wine-quality-red", "kin8nm", "protein-tertiary-structure")
RNADE = {"wine-quality-red": "~-9.36"}  # Uria et al. (2013), mean of ten folds; from memory


def main() -> None:
    options = parse()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the workers, which share the cores
    console = Console()
    tasks = [
        Task(flow, table, seed, options.steps)
        for table in options.tables
        for flow in options.flows
        if flow != "RNADE" or table in RNADE
        for seed in range(options.seeds)
    ]
    found: dict[str, dict[Task, dict[str, float]]] = {name: {} for name in options.only}

    def train(name: str, worker: Worker) -> None:
        for number, task in enumerate(tasks):
            if name != "ppgen" and task.flow == "RNADE":
                continue
            found[name][task] = worker(number)
            console.print(f"{name}: {task} {found[name][task]['test']:.3f}", highlight=False)

    with ExitStack() as stack, ThreadPoolExecutor(len(options.only)) as pool:
        workers = {name: stack.enter_context(Worker(start, name, tasks)) for name in options.only}
        list(pool.map(train, workers, workers.values()))

    figures = summarise(found)
    show(console, options, figures)
    verdict(console, figures)
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "figures": figures}, indent=1) + "\n")


def start(library: str, tasks: list[Task]) -> Callable[[int], dict[str, float]]:
    """In the worker: train the task of a number."""
    make = importlib.import_module(f"benchmarks.flows.in_{library}").start
    tables = {task.table: load(task.table) for task in tasks}
    return lambda number: run(make, tasks[number], tables[tasks[number].table])


def load(table: str) -> dict[str, np.ndarray]:
    """The splits of a table; of the wines without their grade, a whole number, whose density has no bound."""
    data, columns = ppgen.data.uci(table), slice(-1 if table == "wine-quality-red" else None)
    return {name: getattr(data, name)["x"][:, columns] for name in ("train", "valid", "test")}


def summarise(found: dict[str, dict[Task, dict[str, float]]]) -> list[dict[str, Any]]:
    """Mean and spread over the seeds of each table, flow and library."""
    figures = []
    for table, flow in dict.fromkeys((task.table, task.flow) for results in found.values() for task in results):
        for library, results in found.items():
            mine = [result for task, result in results.items() if (task.table, task.flow) == (table, flow)]
            if not mine:
                continue
            tests = [result["test"] for result in mine]
            figures.append({
                "table": table, "flow": flow, "library": library, "test": statistics.fmean(tests),
                "spread": statistics.stdev(tests) if len(tests) > 1 else float("nan"), "tests": tests,
                "parameters": mine[0]["parameters"], "best": [r["best"] for r in mine],
                "seconds": statistics.fmean(r["seconds"] for r in mine),
            })  # fmt: skip
    return figures


def show(console: Console, options: argparse.Namespace, figures: list[dict[str, Any]]) -> None:
    table = Table(
        title=f"Test log-likelihood, nats a row (more is better): {options.steps} steps, {options.seeds} seeds",
        title_justify="left",
    )
    for name in ("table", "flow", "library", "mean", "spread", "parameters", "seconds"):
        table.add_column(name, justify="left" if name in ("table", "flow", "library") else "right")
    for figure in figures:
        table.add_row(
            figure["table"], figure["flow"], figure["library"], f"{figure['test']:.3f}", f"{figure['spread']:.3f}",
            str(figure["parameters"]), f"{figure['seconds']:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "The spread is the standard deviation over seeds. Seconds include compilation; libraries share cores."
    )


def verdict(console: Console, figures: list[dict[str, Any]]) -> None:
    """Say whether ppgen is worse than the better one of its peers by more than the spread."""
    for mine in figures:
        peers = [f for f in figures if (f["table"], f["flow"]) == (mine["table"], mine["flow"]) and f is not mine]
        if mine["library"] != "ppgen" or not peers:
            continue
        best = max(peers, key=lambda f: f["test"])
        gap, spread = mine["test"] - best["test"], float(np.hypot(mine["spread"], best["spread"]))
        if abs(gap) <= spread:
            word = "level with"
        elif np.isnan(spread):
            word = "of one seed, or diverged, beside"
        else:
            word = "better than" if gap > 0 else "[red]WORSE than[/red]"
        console.print(
            f"{mine['table']}, {mine['flow']}: ppgen is {word} {best['library']}: {gap:+.3f}, spread of the difference "
            f"{spread:.3f}"
        )
    for mine in figures:
        if mine["flow"] == "RNADE":
            console.print(
                f"RNADE on {mine['table']}: published {RNADE[mine['table']]}, the mean of ten folds and from memory; here "
                "one split, its own preprocessing by the training rows."
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
