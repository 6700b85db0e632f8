"""Gradients by role, optimisers and the training loop."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ppgen.backends.numpyro.arrays import Arrays, is_finite
from ppgen.backends.optimizers import no_optimizer
from ppgen.backends.roles import by_loss


class Training(Arrays):
    """Gradients by role, optimisers and the training loop."""

    def optimizer(self, spec: Any) -> "_Optimizer":
        """An optimiser from `ppgen.Adam` or the like, or from optax."""
        if isinstance(spec, optax.GradientTransformation):
            return _Optimizer(spec)
        if not hasattr(spec, "optax") or isinstance(spec, type):
            raise no_optimizer(spec, "NumPyro", "optax's, optax.adam(1e-3)")
        return _Optimizer(spec.optax())

    def compile_loop(
        self, step: Callable[..., Any], metrics: tuple[str, ...], losses: tuple[str, ...]
    ) -> Callable[..., Any]:
        """`step`, which gives the scalars `metrics`, repeated inside one compiled loop for as long as `losses` are finite.

        Where to begin and to end is an argument of the compiled code, so a shorter run does not compile again.
        """

        @jax.jit
        def compiled(state: Any, data: Mapping[str, Any], index: Any, first: Any, last: Any) -> Any:
            def unfinished(carry: Any) -> Any:
                i, ok, _, _ = carry
                return (i < last) & ok

            def body(carry: Any) -> Any:
                i, _, state, kept = carry
                rows = index[i]
                state, new = step(state, {k: v[rows] for k, v in data.items()})
                ok = jnp.isfinite(sum(jnp.sum(new[name]) for name in losses))
                return i + 1, ok, state, {name: values.at[i].set(new[name]) for name, values in kept.items()}

            kept = {name: jnp.zeros(len(index)) for name in metrics}
            i, ok, state, kept = jax.lax.while_loop(unfinished, body, (first, True, state, kept))
            return state, kept, jnp.where(ok, i, i - 1), ok & is_finite(state.parameters)

        longest: dict[int, int] = {}  # steps compiled for, by batch size

        def run(state: Any, data: Mapping[str, Any], index: np.ndarray, first: int, last: int) -> Any:
            steps, size = index.shape
            longest[size] = max(steps, longest.get(size, 0))
            index = np.concatenate([index, np.zeros((longest[size] - steps, size), index.dtype)])
            after, kept, good, fine = compiled(state, data, index, first, last)
            kept = {name: values[first:last] for name, values in kept.items()}
            good = int(good)
            while not fine:  # go again from the start, to the last state that was whole
                after, _, _, fine = compiled(state, data, index, first, good)
                good -= not fine
                if good < first:
                    return state, kept, 0
            return after, kept, good - first

        return run

    def repeat(self, step: Callable[..., Any], finished: Callable[[Any], Any]) -> Callable[..., Any]:
        """`step` many times inside one compiled loop; the number of turns is an argument of the compiled code."""
        step = jax.jit(step)  # traced once, though a loop looks at its body more than once

        @partial(jax.jit, static_argnames="most")
        def compiled(state: Any, batch: Any, key: Any, first: Any, turns: Any, most: int) -> Any:
            def unfinished(carry: Any) -> Any:
                turn, state, _ = carry
                return (turn < turns) & jnp.logical_not(finished(state))

            def body(carry: Any) -> Any:
                turn, state, kept = carry
                state, info = step(state, batch, self.fold_in(key, first + turn))
                return turn + 1, state, jax.tree.map(lambda all, new: all.at[turn].set(new), kept, info)

            _, info = jax.eval_shape(step, state, batch, key)
            kept = jax.tree.map(lambda x: jnp.zeros((most, *x.shape), x.dtype), info)
            return jax.lax.while_loop(unfinished, body, (0, state, kept))

        def run(state: Any, batch: Any, key: Any, first: int, turns: int, most: int) -> Any:
            done, state, kept = compiled(state, batch, key, first, turns, most)
            return state, int(done), jax.tree.map(lambda x: np.asarray(x)[: int(done)], kept)

        return run

    def gradients(
        self,
        losses: Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], Any]],
        parameters: Mapping[str, Any],
        owned: Mapping[str, tuple[str, ...]],
        owners: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """Each role's loss, the gradient of each parameter under the loss of the role that owns it, and what else there is.

        Roles that return the same object share one backward pass.

        Args:
            losses: from parameters to (a loss per role, anything else).
            parameters: all parameters by name.
            owned: names that each moving role owns.
            owners: not used here; see the Pyro backend.
        """
        groups: list[tuple[Any, list[str], list[str]]] = []

        def distinct(parameters: Mapping[str, Any]) -> tuple[list[Any], Any]:
            by_role, more = losses(parameters)
            groups[:] = by_loss(by_role, owned)
            return [loss for loss, _, _ in groups], more

        values, pullback, more = jax.vjp(distinct, dict(parameters), has_aux=True)
        grads: dict[str, Any] = {}
        for position, (_, _, names) in enumerate(groups):
            if names:
                cotangent = [jnp.ones_like(v) if i == position else jnp.zeros_like(v) for i, v in enumerate(values)]
                (gradient,) = pullback(cotangent)
                grads |= {name: gradient[name] for name in names}
        return {role: value for value, (_, roles, _) in zip(values, groups, strict=True) for role in roles}, grads, more

    def climb(self, objective: Callable[[Any], Any], parameters: Mapping[str, Any], steps: int) -> dict[str, Any]:
        """Parameters where `objective` is larger, by so many iterations of L-BFGS; never where it is lower."""
        optimizer, start = optax.lbfgs(), dict(parameters)

        def loss(values: Mapping[str, Any]) -> Any:
            return -objective(values)

        value_and_grad = optax.value_and_grad_from_state(loss)

        def iteration(_: Any, carry: Any) -> Any:
            values, state = carry
            value, grad = value_and_grad(values, state=state)
            updates, state = optimizer.update(grad, state, values, value=value, grad=grad, value_fn=loss)
            return optax.apply_updates(values, updates), state

        found, _ = jax.lax.fori_loop(0, steps, iteration, (start, optimizer.init(start)))
        better = loss(found) <= loss(start)
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), found, start)


class _Optimizer:
    """An optax transformation on the parameters of one role."""

    def __init__(self, transformation: Any) -> None:
        self.transformation = transformation

    def init(self, parameters: dict[str, Any]) -> Any:
        return self.transformation.init(parameters)

    def update(self, grads: dict[str, Any], state: Any, parameters: dict[str, Any]) -> tuple[Any, Any]:
        updates, state = self.transformation.update(grads, state, parameters)
        return optax.apply_updates(parameters, updates), state
