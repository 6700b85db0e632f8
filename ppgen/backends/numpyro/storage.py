"""Parameters and training states as arrays by name."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from ppgen.backends.numpyro.arrays import Arrays
from ppgen.backends.sites import check_names


class Storage(Arrays):
    """Parameters and training states as arrays by name, and back."""

    def export(self, parameters: Mapping[str, Any], specs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Constrained parameters by full name; a tree of arrays (a flax or stax network) gives a name to each leaf."""
        flat = {}
        for name, value in parameters.items():
            constraint = specs[name].constraint
            value = value if constraint is None else self.constrain(constraint, value)
            flat.update({full: np.asarray(leaf) for full, leaf in _leaves(name, value)})
        return flat

    def load(
        self, like: Mapping[str, Any], given: Mapping[str, np.ndarray], specs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The inverse of `export`: parameters shaped like `like`, with the numbers of `given` where it has them."""
        check_names({full: value.shape for full, value in self.export(like, specs).items()}, given)
        loaded = {}
        for name, value in like.items():
            leaves = [jnp.asarray(given.get(full, leaf)) for full, leaf in _leaves(name, value)]
            constraint = specs[name].constraint
            if constraint is not None and name in given:
                leaves = [self.unconstrain(constraint, leaves[0])]
            loaded[name] = jax.tree.unflatten(jax.tree.structure(value), leaves)
        return loaded

    def pack(self, state: Any) -> dict[str, np.ndarray]:
        """Everything in a training state as arrays by path."""
        return {full: np.asarray(_plain(leaf)) for full, leaf in _leaves("state", state)}

    def unpack(self, like: Any, arrays: Mapping[str, np.ndarray], optimizers: bool = True) -> Any:
        """A state like `like` with the numbers of `arrays`; the optimisers' only if asked for."""
        leaves = []
        for full, leaf in _leaves("state", like):
            if full.startswith("state.optimizers.") and not optimizers:
                leaves.append(leaf)
                continue
            value = jnp.asarray(arrays[full])
            leaves.append(random.wrap_key_data(value) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else value)
        return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    """The arrays of a tree under their full names."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(value)
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return [(f"{name}.{path}" if path else name, leaf) for path, (_, leaf) in zip(paths, leaves, strict=True)]


def _plain(leaf: Any) -> Any:
    """A key as its numbers; other arrays as they are."""
    return random.key_data(leaf) if jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key) else leaf
