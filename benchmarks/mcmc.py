"""NUTS in ppgen against NumPyro called directly: `python -m benchmarks.mcmc --help`.

Both run NumPyro's kernel on the same model, 4 chains at once, in turn and each round from anew (so a run compiles). Ratios are
taken within each round: of wall time, of processor time (which other programs disturb less), and of the latter for one step of
a trajectory, which says more where runs are long (--draws 20000). Draws are compared with posteriordb's.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import arviz
import jax
import numpy as np
from numpyro.infer import MCMC
from numpyro.infer import NUTS as NumPyroNUTS
from rich.console import Console
from rich.table import Table

import ppgen
from benchmarks.posteriors import POSTERIORS, Posterior
from benchmarks.timing import describe_machine

CHAINS, WARMUP = 4, 1000


@dataclass(frozen=True)
class Run:
    """What one run took.

    Attributes:
        wall: seconds.
        processor: seconds of the processor.
        leaps: steps of trajectories, counted once for all chains: those that are through wait for the others.
        draws: by site [chains, draws, ...].
    """

    wall: float
    processor: float
    leaps: int
    draws: Mapping[str, np.ndarray]

    @property
    def leap(self) -> float:
        """Seconds of the processor for one step of a trajectory."""
        return self.processor / self.leaps


def timed(sample: Callable[[Posterior, int, int], tuple[Any, Any]], posterior: Posterior, seed: int, count: int) -> Run:
    """One run of so many draws a chain."""
    wall, processor = time.perf_counter(), time.process_time()
    n_steps, draws = sample(posterior, seed, count)
    return Run(time.perf_counter() - wall, time.process_time() - processor, int(n_steps.max(0).sum()), draws)


def in_ppgen(posterior: Posterior, seed: int, count: int) -> tuple[Any, Any]:
    algorithm = ppgen.NUTS(draws=count, warmup=WARMUP, chains=CHAINS)
    fit = ppgen.fit(posterior.model, data=posterior.data, algorithm=algorithm, seed=seed)
    return fit.statistics["n_steps"], fit.draws


def in_numpyro(posterior: Posterior, seed: int, count: int) -> tuple[Any, Any]:
    sampler = MCMC(
        NumPyroNUTS(posterior.native), num_warmup=WARMUP, num_samples=count, num_chains=CHAINS,
        chain_method="vectorized", progress_bar=False,
    )  # fmt: skip
    sampler.run(jax.random.key(seed), **posterior.data, extra_fields=("num_steps",))
    n_steps = np.asarray(sampler.get_extra_fields(group_by_chain=True)["num_steps"])
    return n_steps, {name: np.asarray(value) for name, value in sampler.get_samples(group_by_chain=True).items()}


CANDIDATES = {"ppgen": in_ppgen, "NumPyro": in_numpyro}


def measure(posterior: Posterior, rounds: int, count: int) -> dict[str, list[Run]]:
    """Every candidate once a round, in another order each time."""
    runs: dict[str, list[Run]] = {name: [] for name in CANDIDATES}
    for number in range(rounds):
        for name in random.Random(number).sample(list(CANDIDATES), len(CANDIDATES)):
            runs[name].append(timed(CANDIDATES[name], posterior, number, count))
    return runs


def ratio(runs: dict[str, list[Run]], what: str) -> float:
    """The median over rounds of ppgen's figure over NumPyro's."""
    pairs = zip(runs["ppgen"], runs["NumPyro"], strict=True)
    return statistics.median(getattr(mine, what) / getattr(theirs, what) for mine, theirs in pairs)


def distance(posterior: Posterior, draws: dict[str, np.ndarray]) -> tuple[float, float]:
    """From the reference draws: the largest difference of means in standard errors, and of sds as a share."""
    errors, shares = [], []
    for name, values in posterior.named(draws).items():
        reference = posterior.reference[name]
        ess = float(arviz.ess(values.astype(float)))
        error = np.sqrt(values.var() / ess + reference.var() / len(reference))
        errors.append(abs(values.mean() - reference.mean()) / error)
        shares.append(abs(values.std() / reference.std() - 1))
    return max(errors), max(shares)


def main() -> None:
    options = parse()
    console = Console()
    machine = describe_machine(("jax", "numpyro"))
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    table = Table("posterior", "wall", "processor", "a leap", "seconds", "means", "sds")
    for name in options.posteriors:
        posterior = POSTERIORS[name]()
        runs = measure(posterior, options.rounds, options.draws)
        ratios = [f"{ratio(runs, what):.2f}" for what in ("wall", "processor", "leap")]
        seconds = statistics.median(run.wall for run in runs["ppgen"])
        far = [distance(posterior, run.draws) for run in runs["ppgen"]] if posterior.reference else []
        worst = (f"{max(f[0] for f in far):.1f}", f"{max(f[1] for f in far):.0%}") if far else ("", "")
        table.add_row(name, *ratios, f"{seconds:.1f}", *worst)
    console.print(table)
    console.print(
        f"Medians of {options.rounds} rounds: ppgen / NumPyro in wall time, processor time, and the latter for one step of a "
        "trajectory; ppgen's wall time. Means and sds: the largest distance of any round from the reference draws, in standard "
        "errors and as a share."
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=1000, help="of each chain")
    parser.add_argument("--posteriors", nargs="+", choices=list(POSTERIORS), default=list(POSTERIORS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
