"""The flows of flowjax (JAX); they permute the columns at random between transforms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax
from flowjax import flows
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal

from benchmarks.flows.task import BINS, BOUND, CLIP, HIDDEN, TRANSFORMS, Learner, Task


def start(task: Task, train: np.ndarray) -> Learner:
    make = flows.masked_autoregressive_flow if task.model in ("MAF", "NSF") else flows.coupling_flow
    spline = RationalQuadraticSpline(knots=BINS - 1, interval=BOUND)  # it counts inner knots
    flow = make(
        jax.random.key(task.seed),
        base_dist=Normal(jnp.zeros(train.shape[1])),
        transformer=spline if task.model.startswith("NSF") else None,
        flow_layers=TRANSFORMS,
        nn_width=HIDDEN[0],
        nn_depth=len(HIDDEN),
    )
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(lambda step: task.learning_rate(step, jnp.cos)))
    learned, fixed = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    rows = jnp.asarray(train)

    def density(learned, rows):
        return paramax.unwrap(eqx.combine(learned, fixed)).log_prob(rows)

    @jax.jit
    def many(state, index):
        def step(state, batch):
            learned, moments = state
            gradient = jax.grad(lambda learned: -density(learned, rows[batch]).mean())(learned)
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(learned, updates), moments), None

        return jax.lax.scan(step, state, index)[0]

    state, compiled = (learned, optimizer.init(learned)), jax.jit(density)

    def advance(index: np.ndarray) -> None:
        nonlocal state
        state = jax.block_until_ready(many(state, index))

    def log_prob(rows: np.ndarray) -> np.ndarray:
        return np.asarray(compiled(state[0], rows))

    return Learner(advance, log_prob, sum(leaf.size for leaf in jax.tree.leaves(learned)))
