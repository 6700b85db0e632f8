"""Keys, arrays, constraints and compilation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as nd
from jax import random
from numpyro.distributions.transforms import biject_to


class Arrays:
    """Keys, arrays, constraints and compilation of the backend."""

    def constraint(self, name: str) -> Any:
        return getattr(nd.constraints, name)

    def constrain(self, constraint: Any, value: Any) -> Any:
        return biject_to(constraint)(value)

    def unconstrain(self, constraint: Any, value: Any) -> Any:
        with jax.ensure_compile_time_eval():
            return biject_to(constraint).inv(value)

    def parameter(self, value: Any) -> Any:
        return jax.tree.map(self.array, value)

    # keys, arrays, compilation -------------------------------------------------------------------------------

    def key(self, seed: int) -> Any:
        return random.key(seed)

    def fold_in(self, key: Any, data: Any) -> Any:
        return random.fold_in(key, data)

    def array(self, x: Any) -> Any:
        with jax.ensure_compile_time_eval():  # numbers stay numbers while a program is traced
            return jnp.asarray(x)

    def numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def is_array(self, x: Any) -> bool:
        return isinstance(x, jax.Array)

    def double(self) -> bool:
        return jnp.result_type(float) == jnp.float64

    def leaf(self, value: Any) -> Any:
        return jax.tree.map(jnp.asarray, value)

    def counter(self) -> Any:
        return jnp.zeros((), jnp.int32)

    def owns(self, source: Any) -> bool:
        return False

    def usable(self, losses: Any, grads: Any) -> bool:
        return True  # the compiled loop checks the losses, see compile_loop

    def stop_gradient(self, x: Any) -> Any:
        return jax.tree.map(jax.lax.stop_gradient, x)

    def compile(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(fn)

    def without_gradients(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(fn)

    def unchecked(self) -> Any:
        """A context with NumPyro's argument checks off."""
        return numpyro.validation_enabled(False)

    def all_finite(self, parameters: Any) -> bool:
        """True when no parameter is NaN or infinite."""
        return bool(is_finite(parameters))

    def undo(self, parameters: Any, optimizer: Any) -> Callable[[], None]:
        return lambda: None  # arrays never change

    def snapshot(self, tree: Any) -> Any:
        return tree  # arrays never change


@jax.jit
def is_finite(tree: Any) -> Any:
    """Whether every number in a tree of arrays is finite."""
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
