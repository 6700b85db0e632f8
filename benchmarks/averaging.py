"""Averaged parameters: an optimiser that also remembers the exponential mean of where it has been."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Averaged(NamedTuple):
    """State of `averaged`: that of the optimiser, steps taken, and the mean of the parameters."""

    inner: Any
    steps: Any
    mean: Any


def averaged(optimizer: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """The optimiser, unchanged, with mean <- d mean + (1 - d) parameters after each step, d = min(decay, t / (t + 9)).

    The early d forgets the start soon (Polyak & Juditsky, 1992, with an exponential window).
    """

    def init(parameters: Any) -> Averaged:
        return Averaged(optimizer.init(parameters), jnp.zeros((), jnp.int32), parameters)

    def update(gradients: Any, state: Averaged, parameters: Any) -> tuple[Any, Averaged]:
        updates, inner = optimizer.update(gradients, state.inner, parameters)
        d = jnp.minimum(decay, state.steps / (state.steps + 9.0))
        mean = jax.tree.map(
            lambda old, new: d * old + (1 - d) * new, state.mean, optax.apply_updates(parameters, updates)
        )
        return updates, Averaged(inner, state.steps + 1, mean)

    return optax.GradientTransformation(init, update)
