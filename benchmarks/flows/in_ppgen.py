"""The flows of ppgen, on its NumPyro backend."""

from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np

import ppgen
from benchmarks.flows.task import BINS, BOUND, CLIP, HIDDEN, RNADE_UNITS, TRANSFORMS, Task
from ppgen.distributions import RNADE, Learnable, flows


def start(task: Task, train: np.ndarray):
    trainer = trainer_of(replace(task, seed=0), train.shape)
    state = trainer.init(task.seed)
    data = trainer.device({"x": train})

    def advance(index: np.ndarray) -> None:
        nonlocal state
        state, _, good = trainer.run(state, data, index)
        if good < len(index):
            raise FloatingPointError(f"the loss stopped being finite at step {int(state.step)} of {task}")

    def log_prob(rows: np.ndarray) -> np.ndarray:
        return ppgen.evaluation.likelihood(trainer.problem, state.parameters, {"x": rows}).per_row

    return advance, log_prob, sum(np.size(value) for value in state.parameters.values())


@cache  # of what is compiled, for all seeds
def trainer_of(task: Task, shape: tuple[int, int]) -> ppgen.Trainer:
    rows, columns = shape
    net = net_of(task.flow, columns)

    def model(rows: int) -> None:
        p = ppgen.module("p", net)
        with ppgen.plate("data", rows):
            ppgen.sample("x", p())

    optimizer = ppgen.Adam(lambda step: task.learning_rate(step, jnp.cos), clip=CLIP)
    problem = ppgen.Problem(model, data={"x": np.zeros((7, columns), np.float32)}, size=rows)
    return ppgen.Trainer(problem, ppgen.MaximumLikelihood(), optimizer)


def net_of(flow: str, columns: int) -> Learnable:
    size = columns, TRANSFORMS
    block = (44,)  # couplings: it has as many numbers as the peers' two layers of 64, in three layers
    return {
        "MAF": lambda: flows.MAF(*size, HIDDEN),
        "NSF": lambda: flows.NSF(*size, HIDDEN, bins=BINS, bound=BOUND, autoregressive=True),
        "NSF, couplings": lambda: flows.NSF(*size, block, bins=BINS, bound=BOUND),
        "RealNVP": lambda: flows.RealNVP(*size, block),
        "RNADE": lambda: RNADE(columns, hidden=RNADE_UNITS),
    }[flow]()
