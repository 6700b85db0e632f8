"""Train the same tasks in several libraries side by side, each in a process of its own."""

import importlib
import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.flows.task import Task, run
from benchmarks.timing import Worker

Load = Callable[[Task], dict[str, np.ndarray]]
"""The rows of a task: "train", "valid" and "test"."""

Found = dict[str, dict[Task, dict[str, float]]]
"""What `run` found, by library and task."""


def compare(tasks: dict[str, Sequence[Task]], load: Load, console: Console) -> Found:
    """What became of each library's tasks."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the workers, which share the cores
    found: Found = {library: {} for library in tasks}

    def train(library: str, worker: Worker) -> None:
        for number, task in enumerate(tasks[library]):
            found[library][task] = worker(number)
            console.print(f"{library}: {task} {found[library][task]['test']:.3f}", highlight=False)

    with ExitStack() as stack, ThreadPoolExecutor(len(tasks)) as pool:
        workers = {name: stack.enter_context(Worker(start, name, mine, load)) for name, mine in tasks.items()}
        list(pool.map(train, workers, workers.values()))
    return found


def start(library: str, tasks: Sequence[Task], load: Load) -> Callable[[int], dict[str, float]]:
    """In the worker: train the task of a number."""
    make = importlib.import_module(f"benchmarks.flows.in_{library}").start
    return lambda number: run(make, tasks[number], load(tasks[number]))


def summarise(found: Found, measure: Callable[[Task, dict[str, float]], float]) -> list[dict[str, Any]]:
    """Mean and spread over the seeds of a measure, by table, model and library, with the results of all seeds."""
    figures = []
    for table, model in dict.fromkeys((task.table, task.model) for results in found.values() for task in results):
        for library, results in found.items():
            mine = {task: result for task, result in results.items() if (task.table, task.model) == (table, model)}
            if not mine:
                continue
            values = [measure(task, result) for task, result in mine.items()]
            figures.append({
                "table": table, "model": model, "library": library, "mean": statistics.fmean(values),
                "spread": statistics.stdev(values) if len(values) > 1 else float("nan"), "values": values,
                "seconds": statistics.fmean(result["seconds"] for result in mine.values()), "seeds": [*mine.values()],
            })  # fmt: skip
    return figures


def verdict(console: Console, figures: list[dict[str, Any]], less_is_better: bool = False) -> None:
    """Say whether ppgen is worse than the better one of its peers by more than the spread."""
    sign = -1 if less_is_better else 1
    for mine in figures:
        peers = [f for f in figures if (f["table"], f["model"]) == (mine["table"], mine["model"]) and f is not mine]
        if mine["library"] != "ppgen" or not peers:
            continue
        best = max(peers, key=lambda f: sign * f["mean"])
        gap, spread = mine["mean"] - best["mean"], float(np.hypot(mine["spread"], best["spread"]))
        if abs(gap) <= spread:
            word = "level with"
        elif np.isnan(spread):
            word = "of one seed, or diverged, beside"
        else:
            word = "better than" if sign * gap > 0 else "[red]WORSE than[/red]"
        console.print(
            f"{mine['table']}, {mine['model']}: ppgen is {word} {best['library']}: {gap:+.3f}, spread of the difference "
            f"{spread:.3f}"
        )
