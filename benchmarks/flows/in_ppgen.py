"""The densities of ppgen, on its NumPyro backend."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

import ppgen
from benchmarks.flows.task import (
    BINS,
    BOUND,
    CLIP,
    HIDDEN,
    LATENTS,
    MADE_UNITS,
    PARTICLES,
    RNADE_UNITS,
    SCALE,
    TRANSFORMS,
    VAE_HIDDEN,
    Learner,
    Task,
)
from ppgen import nn
from ppgen.distributions import MADE, RNADE, Learnable, flows
from ppgen.models import vae


def start(task: Task, train: np.ndarray) -> Learner:
    trainer = trainer_of(replace(task, seed=0), train.shape)
    state = trainer.init(task.seed)
    data = trainer.device({"x": train})

    def advance(index: np.ndarray) -> None:
        nonlocal state
        state, _, good = trainer.run(state, data, index)
        if good < len(index):
            raise FloatingPointError(f"the loss stopped being finite at step {int(state.step)} of {task}")

    def log_prob(rows: np.ndarray) -> np.ndarray:
        return ppgen.evaluation.likelihood(
            trainer.problem, state.parameters, {"x": rows}, particles=PARTICLES, khat=False
        ).per_row

    def outside() -> float:
        z = jax.random.normal(jax.random.key(task.seed), (1000, LATENTS))
        means = decoder(train.shape[1]).apply(nn.part(state.parameters, "decoder"), z)
        return float(jnp.mean((means < 0) | (means > 1)))

    parameters = sum(np.size(value) for value in state.parameters.values())
    return Learner(advance, log_prob, parameters, **({"outside": outside} if task.model == "VAE" else {}))


@cache  # of what is compiled, for all seeds
def trainer_of(task: Task, shape: tuple[int, int]) -> ppgen.Trainer:
    rows, columns = shape
    model, guide, algorithm = program_of(task.model, columns)
    optimizer = ppgen.Adam(lambda step: task.learning_rate(step, jnp.cos), clip=CLIP)
    problem = ppgen.Problem(model, guide, data={"x": np.zeros((7, columns), np.float32)}, size=rows)
    return ppgen.Trainer(problem, algorithm, optimizer)


def program_of(model: str, columns: int) -> tuple[Callable, Callable | None, ppgen.Algorithm]:
    if model == "VAE":
        programs = vae(columns, (LATENTS,), VAE_HIDDEN, likelihood="gaussian", scale=SCALE)
        return *programs, ppgen.ELBO()
    net = net_of(model, columns)

    def rows_of(rows: int) -> None:
        p = ppgen.module("p", net)
        with ppgen.plate("data", rows):
            ppgen.sample("x", p())

    return rows_of, None, ppgen.MaximumLikelihood()


def decoder(columns: int) -> nn.MLP:
    """That of the VAE."""
    return nn.MLP(LATENTS, *VAE_HIDDEN, columns)


def net_of(model: str, columns: int) -> Learnable:
    size = columns, TRANSFORMS
    block = (44,)  # couplings: it has as many numbers as the peers' two layers of 64, in three layers
    return {
        "MADE": lambda: MADE(columns, hidden=(MADE_UNITS,)),
        "MAF": lambda: flows.MAF(*size, HIDDEN),
        "NSF": lambda: flows.NSF(*size, HIDDEN, bins=BINS, bound=BOUND, autoregressive=True),
        "NSF, couplings": lambda: flows.NSF(*size, block, bins=BINS, bound=BOUND),
        "RealNVP": lambda: flows.RealNVP(*size, block),
        "RNADE": lambda: RNADE(columns, hidden=RNADE_UNITS),
    }[model]()
