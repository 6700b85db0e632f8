"""The densities of NumPyro: MAF, as an inverse autoregressive flow run backwards. Its network stands for a MADE."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions.flows import InverseAutoregressiveTransform
from numpyro.distributions.transforms import PermuteTransform
from numpyro.nn import AutoregressiveNN

from benchmarks.densities import bits
from benchmarks.densities.task import ROWS, TRANSFORMS, Task

MODELS = ("MAF", "MADE")


def start(task: Task):
    rows, key = jnp.asarray(task.rows), jax.random.key(0)
    if task.model == "MADE":
        init, net = AutoregressiveNN(task.dim, list(task.hidden), param_dims=[1])
        params = init(key, (task.dim,))[1]
        return *bits.in_jax(lambda params, x: net(params, x), params, rows), learned(params)

    init, net = AutoregressiveNN(task.dim, list(task.hidden))
    params = [init(key, (task.dim,))[1] for key in jax.random.split(key, TRANSFORMS)]
    back = jnp.arange(task.dim)[::-1]

    def flow(params):
        layers = [InverseAutoregressiveTransform(lambda x, own=own: net(own, x)).inv for own in params]
        steps = [step for layer in layers for step in (layer, PermuteTransform(back))][:-1]
        base = dist.Normal(jnp.zeros(task.dim), 1.0).to_event(1)
        return dist.TransformedDistribution(base, steps, validate_args=False)

    log_prob = jax.jit(lambda params, rows: flow(params).log_prob(rows))
    sample = jax.jit(lambda params, key: flow(params).sample(key, (ROWS,)))
    return (
        lambda: log_prob(params, rows).block_until_ready(),
        lambda: sample(params, key).block_until_ready(),
        learned(params),
    )


def learned(params: object) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
