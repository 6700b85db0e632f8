"""Time one VAE training step in ppgen, in its peers and by hand: `python -m benchmarks.training --help`.

Every candidate trains the same networks on the same batches towards the same objective. The candidates run in
turn, each in a process of its own that sleeps until its turn, and ratios are taken within each round.
Run it on a quiet machine: eager torch waits for all its threads, and slows down many times where another
program takes their cores.
"""

import argparse
import importlib
import json
import statistics
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.table import Table

from benchmarks.peers.problem import BATCH, HIDDEN, LATENT, PIXELS, ROWS, Problem
from benchmarks.timing import Timing, Worker, alternate, describe_machine, ratios

CANDIDATES = {  # name: (title, file under benchmarks/peers, its function)
    "jax": ("hand-written JAX", "handwritten_jax", "start"),
    "numpyro": ("NumPyro SVI", "numpyro_svi", "start"),
    "ppgen-numpyro": ("ppgen on NumPyro", "ppgen_trainer", "start_numpyro"),
    "torch": ("plain PyTorch", "plain_torch", "start"),
    "pyro": ("Pyro SVI", "pyro_svi", "start"),
    "ppgen-pyro": ("ppgen on Pyro", "ppgen_trainer", "start_pyro"),
}
RATIOS = [
    ("ppgen-numpyro", "jax"),
    ("numpyro", "ppgen-numpyro"),
    ("numpyro", "jax"),
    ("ppgen-pyro", "pyro"),
    ("ppgen-pyro", "torch"),
    ("pyro", "torch"),
]
TOLERANCE = 0.01  # between losses: candidates differ in their noise, ppgen also in its initial draw
STEADY = 1.5  # the longest round over the median, where nothing else used the cores


def main() -> None:
    options = parse()
    console = Console()
    machine = describe_machine(("jax", "numpyro", "torch", "pyro-ppl"))
    console.print(
        f"VAE {PIXELS}-{HIDDEN}-{LATENT} on {ROWS} rows, batch {BATCH}, Adam. "
        f"{options.rounds} rounds of {options.steps} steps in turn, after a warm-up round of as many."
    )
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    report = {
        "machine": machine,
        "rounds": options.rounds,
        "steps": options.steps,
        "settled": options.settled,
        "particles": {},
    }
    equal_work = True
    for particles in options.particles:
        timings = measure(options.only, Problem(particles, options.steps), options.rounds, options.settled)
        results = report["particles"][particles] = summarise(timings, options.steps)
        show(console, particles, results)
        equal_work &= losses_agree(console, results["candidates"])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=2)
    sys.exit(0 if equal_work else 1)


def measure(names: list[str], problem: Problem, rounds: int, settled: bool) -> dict[str, Timing]:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(start, name, problem, settled=settled)) for name in names}
        return alternate(workers, rounds)


def start(name: str, problem: Problem):
    """In the worker: one round of the candidate, as a function of the round's number."""
    _, file, function = CANDIDATES[name]
    run = getattr(importlib.import_module(f"benchmarks.peers.{file}"), function)(problem)

    def one_round(number: int) -> dict:
        losses = run(problem.index(number))
        return {"loss": float(losses.mean()), "threads": threads()}

    return one_round


def threads() -> str:
    """What the framework of this process computes on; XLA takes every core and has no count to ask for."""
    if torch := sys.modules.get("torch"):
        return f"torch, {torch.get_num_threads()} threads"
    return f"XLA on {sys.modules['jax'].default_backend()}, default threads"


def summarise(timings: dict[str, Timing], steps: int) -> dict[str, dict]:
    """Plain values, for the table and for JSON."""
    candidates = {
        name: {
            "milliseconds_per_step": timing.seconds.scaled(1e3 / steps).summary(),
            "warm_up_seconds": timing.warm_up,
            **timing.last,
        }
        for name, timing in timings.items()
    }
    pairs = {
        f"{CANDIDATES[above][0]} / {CANDIDATES[below][0]}": ratios(timings[above], timings[below]).summary()
        for above, below in RATIOS
        if above in timings and below in timings
    }
    return {"candidates": candidates, "ratios": pairs}


def show(console: Console, particles: int, results: dict[str, dict]) -> None:
    candidates = results["candidates"]
    table = Table("candidate", title=f"K = {particles}", title_justify="left")
    for heading in ("ms/step", "min - max", "warm-up, s", "loss, nats/row"):
        table.add_column(heading, justify="right")
    for name, result in candidates.items():
        step = result["milliseconds_per_step"]
        table.add_row(
            CANDIDATES[name][0],
            f"{step['median']:.2f}",
            f"{step['min']:.2f} - {step['max']:.2f}",
            f"{result['warm_up_seconds']:.1f}",
            f"{result['loss']:.2f}",
        )
    console.print(table)
    if results["ratios"]:
        table = Table("ratio of the times")
        for heading in ("median", "min - max"):
            table.add_column(heading, justify="right")
        for name, ratio in results["ratios"].items():
            table.add_row(name, f"{ratio['median']:.2f}", f"{ratio['min']:.2f} - {ratio['max']:.2f}")
        console.print(table)
    console.print("; ".join(sorted({result["threads"] for result in candidates.values()})), highlight=False)
    steps = [result["milliseconds_per_step"] for result in candidates.values()]
    if any(step["max"] > STEADY * step["median"] for step in steps):
        console.print("[yellow]Some rounds took far longer than others: repeat this on a quiet machine.")


def losses_agree(console: Console, candidates: dict[str, dict]) -> bool:
    """Whether all candidates learned as much in as many steps; a time without that says nothing."""
    middle = statistics.median(result["loss"] for result in candidates.values())
    # Written so that a loss that is not a number is far, too.
    far = [name for name, result in candidates.items() if not abs(result["loss"] / middle - 1) < TOLERANCE]
    if far:
        console.print(
            f"[bold red]Expected losses within {TOLERANCE:.0%} of {middle:.2f} nats per row; "
            f"got others from {', '.join(far)}: this was not equal work."
        )
    return not far


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description="Time one VAE training step in ppgen, in its peers and by hand, in turn.",
        epilog="Candidates: "
        + "; ".join(f"{name} ({title})" for name, (title, *_) in CANDIDATES.items())
        + ". The exit status is 1 when their losses disagree: then they did not do equal work.",
    )
    parser.add_argument(
        "--rounds", type=positive, default=7, metavar="N", help="rounds that count (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=positive, default=100, metavar="N", help="steps in each round (default: %(default)s)"
    )
    parser.add_argument(
        "--particles",
        type=positive,
        nargs="+",
        default=[1, 10],
        metavar="K",
        help="draws of the latent for each row; one table for each K (default: 1 10)",
    )
    parser.add_argument(
        "--only",
        type=candidate_names,
        default=list(CANDIDATES),
        metavar="NAME,...",
        help="run these candidates, for example jax,numpyro,pyro,torch (default: all)",
    )
    parser.add_argument(
        "--settled",
        action="store_true",
        help="spare every candidate the page faults of fresh memory (see settle_allocator); by default each process "
        "allocates as it would for a user",
    )
    parser.add_argument("--json", metavar="PATH", help="also write every figure of every round to this file")
    return parser.parse_args()


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1; got {number}")
    return number


def candidate_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CANDIDATES]:
        expected = ", ".join(CANDIDATES)
        raise argparse.ArgumentTypeError(f"expected names among {expected}; got {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    main()
