"""The densities of flowjax (JAX). Its masked network stands for a MADE.

Its flows permute the columns at random between transforms; as it does by default, they are built to be fastest at
`log_prob`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import paramax
from flowjax import flows
from flowjax.bijections import RationalQuadraticSpline
from flowjax.bijections.masked_autoregressive import masked_autoregressive_mlp
from flowjax.distributions import Normal

from benchmarks.densities import bits
from benchmarks.densities.task import BINS, BOUND, ROWS, TRANSFORMS, Task
from benchmarks.densities.task import MODELS as MODELS


def start(task: Task):
    key, rows = jax.random.key(0), jnp.asarray(task.rows)
    size = {"nn_width": task.width, "nn_depth": len(task.hidden)}
    if task.model == "MADE":
        ranks, hidden = jnp.arange(task.dim), jnp.arange(task.width) % (task.dim - 1)
        net = masked_autoregressive_mlp(ranks, hidden, ranks, depth=len(task.hidden), activation=jax.nn.relu, key=key)
        arrays, fixed = eqx.partition(net, eqx.is_array)

        def logits(arrays, x):
            return jax.vmap(paramax.unwrap(eqx.combine(arrays, fixed)))(x)

        return *bits.in_jax(logits, arrays, rows), learned(net)

    make = flows.masked_autoregressive_flow if task.model == "MAF" else flows.coupling_flow
    spline = RationalQuadraticSpline(knots=BINS - 1, interval=BOUND)  # it counts inner knots
    base = Normal(jnp.zeros(task.dim))
    transformer = spline if task.model == "NSF" else None
    flow = make(key, base_dist=base, transformer=transformer, flow_layers=TRANSFORMS, **size)
    log_prob = eqx.filter_jit(lambda flow, rows: flow.log_prob(rows))
    sample = eqx.filter_jit(lambda flow, key: flow.sample(key, (ROWS,)))
    return (
        lambda: log_prob(flow, rows).block_until_ready(),
        lambda: sample(flow, key).block_until_ready(),
        learned(flow.bijection),
    )


def learned(tree: object) -> int:
    """How many numbers are not marked as fixed."""
    is_fixed = lambda leaf: isinstance(leaf, paramax.NonTrainable)  # noqa: E731
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array, is_leaf=is_fixed))
    return sum(leaf.size for leaf in leaves)
