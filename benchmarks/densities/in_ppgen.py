"""The densities of ppgen, on either backend."""

import dataclasses
from functools import partial

import numpy as np

from benchmarks.densities.task import BINS, BOUND, ROWS, TRANSFORMS, Task
from benchmarks.densities.task import MODELS as MODELS
from ppgen.distributions import MADE, Flow, Learnable, StandardNormal, flows
from ppgen.nn import Spec


def start(task: Task, backend: str):
    density = density_of(task)
    generator = np.random.default_rng(0)
    params = {path: drawn(spec, generator) for path, spec in density.specs().items()}
    parameters = sum(value.size for value in params.values())
    return *{"numpyro": compiled, "pyro": eager}[backend](density, params, task.rows), parameters


start_numpyro = partial(start, backend="numpyro")
start_pyro = partial(start, backend="pyro")


def drawn(spec: Spec, generator: np.random.Generator) -> np.ndarray:
    """A start as PyTorch's layers have it where the weights start at zero: the identity would be too easy to draw from."""
    if len(spec.shape) == 2 and not spec.bound:
        spec = dataclasses.replace(spec, bound=spec.shape[0] ** -0.5)
    return spec.draw(generator)


def density_of(task: Task) -> Learnable:
    if task.model == "MADE":
        return MADE(task.dim, task.hidden)
    back = tuple(reversed(range(task.dim)))
    spline = flows.RationalQuadraticSpline(BINS, BOUND)
    transform = {
        "MAF": lambda i: flows.AutoregressiveTransform(task.dim, hidden=task.hidden, order=back if i % 2 else None),
        "coupling": lambda i: flows.Coupling(task.dim, hidden=task.hidden[:1], swap=bool(i % 2)),
        "NSF": lambda i: flows.Coupling(task.dim, spline, hidden=task.hidden[:1], swap=bool(i % 2)),
    }[task.model]
    return Flow(StandardNormal(task.dim), [transform(i) for i in range(TRANSFORMS)])


def compiled(density: Learnable, params: dict[str, np.ndarray], rows: np.ndarray):
    import jax

    params, rows = jax.tree.map(jax.numpy.asarray, (params, rows))
    key = jax.random.key(0)
    log_prob = jax.jit(lambda params, rows: density.apply(params).log_prob(rows))
    sample = jax.jit(lambda params, key: density.apply(params).sample(key, (ROWS,)))
    return lambda: log_prob(params, rows).block_until_ready(), lambda: sample(params, key).block_until_ready()


def eager(density: Learnable, params: dict[str, np.ndarray], rows: np.ndarray):
    import torch

    params, rows = {path: torch.from_numpy(value) for path, value in params.items()}, torch.from_numpy(rows)
    distribution = density.apply(params)
    return torch.no_grad()(lambda: distribution.log_prob(rows)), lambda: distribution.sample((ROWS,))
