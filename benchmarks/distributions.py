"""Time `log_prob` and `sample` of densities in ppgen and in its peers: `python -m benchmarks.distributions --help`.

All libraries compute networks of the same sizes on the same rows, in turn, each in a process of its own that sleeps until
its turn: zuko changes settings of torch for its whole process. Under JAX every call is compiled; under torch none keeps
gradients. Ratios are taken within each round. Run it on a quiet machine.
"""

import argparse
import importlib
import json
import random
import time
from contextlib import ExitStack
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.densities.task import BINS, MODELS, ROWS, TRANSFORMS, Task
from benchmarks.timing import Sample, Worker, describe_machine

CANDIDATES = {  # name: (backend, file under benchmarks/densities, its function)
    "ppgen-numpyro": ("JAX", "in_ppgen", "start_numpyro"),
    "flowjax": ("JAX", "in_flowjax", "start"),
    "numpyro": ("JAX", "in_numpyro", "start"),
    "ppgen-pyro": ("torch", "in_ppgen", "start_pyro"),
    "zuko": ("torch", "in_zuko", "start"),
    "pyro": ("torch", "in_pyro", "start"),
}
OURS = {"JAX": "ppgen-numpyro", "torch": "ppgen-pyro"}
ACTIONS = ("log_prob", "sample")
WANTED = (
    "Wanted: fastest peer / ppgen at least 1 for log_prob, and at least 30 for draws of MAF and MADE at D = 784; "
    "sample / log_prob at most 10 on JAX."
)
SHORT = 0.2  # seconds that calls of one kind fill in a round, where they are fast
SLOW, FEW = 5.0, 2  # a call that takes more seconds than SLOW is made in the first FEW rounds alone


def main() -> None:
    options = parse()
    console = Console()
    machine = describe_machine(("jax", "numpyro", "flowjax", "torch", "pyro-ppl", "zuko"))
    console.print(
        f"{ROWS} rows; flows of {TRANSFORMS} transforms, splines of {BINS} bins; {options.rounds} rounds after a warm-up."
    )
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    report = {"machine": machine, "rounds": options.rounds, "tasks": []}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(start, name)) for name in options.only}
        for model in options.models:
            for dim in options.dims:
                report["tasks"].append(measure(workers, Task(model, dim), options.rounds))
                console.print(f"{model}, D = {dim}: done", style="dim")
    for backend in dict.fromkeys(CANDIDATES[name][0] for name in options.only):
        for action in ACTIONS:
            show(console, backend, action, options.only, report["tasks"])
    console.print(WANTED)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=2)


def start(name: str):
    """In the worker: one round of the candidate, seconds of a call of each kind; None where it has no such density."""
    _, file, function = CANDIDATES[name]
    library = importlib.import_module(f"benchmarks.densities.{file}")
    task, calls, parameters, slow = None, {}, 0, {}

    def one_round(request: tuple[Task, int]) -> dict[str, Any] | None:
        nonlocal task, calls, parameters, slow
        wanted, number = request
        if wanted.model not in library.MODELS:
            return None
        if wanted != task:
            task, calls, slow = wanted, {}, {}  # what is not needed any more goes first
            *functions, parameters = getattr(library, function)(task)
            calls = dict(zip(ACTIONS, functions, strict=True))
        seconds = {name: seconds_of(call) for name, call in calls.items() if number <= slow.get(name, number)}
        slow |= {name: FEW for name, value in seconds.items() if value > SLOW}
        return {"parameters": parameters, **seconds}

    return one_round


def seconds_of(call: Any) -> float:
    """The median of so many calls as SHORT holds, at least one."""
    seconds = []
    while sum(seconds) < SHORT:
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return Sample(tuple(seconds)).median


def measure(workers: dict[str, Worker], task: Task, rounds: int) -> dict[str, Any]:
    """Seconds of every round that counts; each round takes the candidates in another order."""
    answers: dict[str, list] = {name: [] for name in workers}
    for number in range(rounds + 1):
        for name in random.Random(number).sample(list(workers), len(workers)):
            answers[name].append(workers[name]((task, number)))
    candidates = {
        name: {
            "parameters": rows[0]["parameters"],
            **{action: Sample(tuple(row[action] for row in rows[1:] if action in row)) for action in ACTIONS},
        }
        for name, rows in answers.items()
        if rows[0]
    }
    return {"model": task.model, "dim": task.dim, "hidden": task.hidden, **summarise(candidates)}


def summarise(candidates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Plain values, for the table and for JSON: milliseconds, and ratios of each peer to ppgen within rounds."""
    results, ratios = {}, {}
    for name, found in candidates.items():
        results[name] = {
            "parameters": found["parameters"],
            **{action: found[action].scaled(1e3).summary() for action in ACTIONS},
            "sample / log_prob": ratio(found["sample"], found["log_prob"]).summary(),
        }
        own = OURS[CANDIDATES[name][0]]
        if name != own and own in candidates:
            ratios[name] = {action: ratio(found[action], candidates[own][action]).summary() for action in ACTIONS}
    return {"candidates": results, "ratios": ratios}


def ratio(above: Sample, below: Sample) -> Sample:
    """Within each round that has both."""
    return Sample(tuple(a / b for a, b in zip(above.values, below.values, strict=False)))


def show(console: Console, backend: str, action: str, names: list[str], tasks: list[dict[str, Any]]) -> None:
    """One row for each density: milliseconds of all libraries, and how many times longer the fastest peer takes."""
    names = [name for name in names if CANDIDATES[name][0] == backend]
    own = next((name for name in names if name == OURS[backend]), None)
    table = Table(title=f"{action} on {backend}, ms", title_justify="left")
    titles = ["ppgen" if name == own else name for name in names]
    for heading in ("density", "D", "hidden", *titles, "fastest peer / ppgen", "sample / log_prob"):
        table.add_column(heading, justify="left" if heading == "density" else "right")
    for task in tasks:
        found = task["candidates"]
        ratios = [task["ratios"][name][action]["median"] for name in names if name in task["ratios"]]
        table.add_row(
            task["model"],
            str(task["dim"]),
            " x ".join((str(len(task["hidden"])), str(task["hidden"][0]))),
            *(f"{found[name][action]['median']:.2f}" if name in found else "" for name in names),
            f"{min(ratios):.2f}" if ratios else "",
            f"{found[own]['sample / log_prob']['median']:.1f}" if own else "",
        )
    console.print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distributions",
        description="Time log_prob and sample of densities in ppgen and in its peers, in turn.",
        epilog="Densities: " + "; ".join(f"{name} ({what})" for name, what in MODELS.items()) + ".",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CANDIDATES,
        default=list(CANDIDATES),
        metavar="NAME",
        help=f"run these libraries: {', '.join(CANDIDATES)} (default: all)",
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="densities (default: all)")
    parser.add_argument(
        "--dims", type=dimension, nargs="+", default=[64, 784], metavar="D", help="dimensions (default: 64 784)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help=f"rounds that count; a call of over {SLOW:g} s is made in {FEW} (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="PATH", help="also write every figure of every round to this file")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"expected at least 1 round; got {options.rounds}")
    return options


def dimension(text: str) -> int:
    if (dim := int(text)) < 4:
        raise argparse.ArgumentTypeError(f"expected at least 4 dimensions; got {dim}")
    return dim


if __name__ == "__main__":
    main()
