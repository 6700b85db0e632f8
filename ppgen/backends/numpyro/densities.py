"""A learnable distribution with its parameters and context, as a NumPyro distribution."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as nd
from jax import random
from jax.core import Tracer

from ppgen import ops
from ppgen.backends.shapes import expanded


class Densities:
    """Makes native distributions of learnable ones."""

    def density(self, learnable: Any, params: Mapping[str, Any], context: Any = None) -> nd.Distribution:
        """A `numpyro.distributions.Distribution`; see `ppgen.distributions.learnable`."""
        context = None if context is None else jnp.asarray(context)
        return Density(self, learnable, params, context, () if context is None else context.shape[:-1])


class Density(nd.Distribution):
    """Density and draws are the learnable's own; batches, expansion and keys are NumPyro's."""

    pytree_data_fields = ("params", "context")
    pytree_aux_fields = ("backend", "learnable")

    def __init__(self, backend: Any, learnable: Any, params: Any, context: Any, batch_shape: tuple[int, ...]) -> None:
        self.backend, self.learnable, self.params, self.context = backend, learnable, params, context
        super().__init__(tuple(batch_shape), tuple(learnable.event_shape), validate_args=False)

    @property
    def support(self) -> Any:
        kinds = {
            "real": nd.constraints.real,
            "positive": nd.constraints.positive,
            "unit_interval": nd.constraints.unit_interval,
            "boolean": nd.constraints.boolean,
        }
        kind = self.learnable.support
        if isinstance(kind, tuple):
            base = nd.constraints.interval(*kind)
        else:
            base = nd.constraints.integer_interval(0, kind - 1) if isinstance(kind, int) else kinds[kind]
        return nd.constraints.independent(base, len(self.event_shape))

    @property
    def has_rsample(self) -> bool:
        return self.learnable.reparameterised

    @property
    def mean(self) -> Any:
        with ops.activate(self.backend):
            mean = self.learnable.mean(self.params, self.context)
        return jnp.broadcast_to(mean, self.batch_shape + self.event_shape)

    def expand(self, batch_shape: tuple[int, ...]) -> "Density":
        batch_shape = expanded(self.batch_shape, batch_shape)
        return Density(self.backend, self.learnable, self.params, self.context, batch_shape)

    def log_prob(self, value: Any, intermediates: Any = None) -> Any:
        if intermediates:  # of a draw, which knows its density
            return intermediates[0]
        return _compiled(_log_prob, self, jnp.asarray(value))

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        return _compiled(_draw, self, key, tuple(sample_shape))

    rsample = sample

    def sample_with_intermediates(self, key: Any, sample_shape: tuple[int, ...] = ()) -> tuple[Any, list]:
        if not (self.has_rsample and self.learnable.has_density):
            return self.sample(key, sample_shape), []
        value, log_prob = _compiled(_draw_with_log_prob, self, key, tuple(sample_shape))
        return value, [log_prob]

    def _noise(self, key: Any) -> "Noise":
        floats = jax.tree.leaves((self.params, self.context))
        return Noise(key, jnp.result_type(float if not floats else floats[0]))

    def __repr__(self) -> str:
        return f"{self.learnable!r} with batch shape {self.batch_shape}"


# compiled where nothing is traced ------------------------------------------------------------------------------------


def _log_prob(density: Density, value: Any) -> Any:
    with ops.activate(density.backend):
        log_prob = density.learnable.log_prob(density.params, value, density.context)
    return jnp.broadcast_to(log_prob, jnp.broadcast_shapes(log_prob.shape, density.batch_shape))


def _draw(density: Density, key: Any, shape: tuple[int, ...]) -> Any:
    with ops.activate(density.backend):
        return density.learnable.draw(density.params, density._noise(key), shape + density.batch_shape, density.context)


def _draw_with_log_prob(density: Density, key: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    with ops.activate(density.backend):
        return density.learnable.draw_with_log_prob(
            density.params, density._noise(key), shape + density.batch_shape, density.context
        )


_COMPILED = {
    _log_prob: jax.jit(_log_prob),
    _draw: jax.jit(_draw, static_argnames="shape"),
    _draw_with_log_prob: jax.jit(_draw_with_log_prob, static_argnames="shape"),
}


def _compiled(fn: Callable[..., Any], density: Density, array: Any, *shape: tuple[int, ...]) -> Any:
    """`fn(density, array, *shape)`, compiled once for each learnable and all shapes.

    Not compiled as a whole, every loop inside would compile anew at every call: its body is a new function each time.
    """
    arrays = jax.tree.leaves((density.params, density.context, array))
    if any(isinstance(x, Tracer) for x in arrays) or not _hashable(density.learnable):
        return fn(density, array, *shape)
    return _COMPILED[fn](density, array, *shape)


def _hashable(x: Any) -> bool:
    """Whether a value has a hash; one that holds arrays looks as if it had, until it is asked."""
    try:
        hash(x)
    except TypeError:
        return False
    return True


class Noise:
    """Random numbers from a key, fresh ones at each call."""

    def __init__(self, key: Any, dtype: Any) -> None:
        self.key, self.dtype = key, dtype

    def uniform(self, shape: tuple[int, ...]) -> Any:
        return random.uniform(self._next(), shape, self.dtype)

    def normal(self, shape: tuple[int, ...]) -> Any:
        return random.normal(self._next(), shape, self.dtype)

    def _next(self) -> Any:
        self.key, key = random.split(self.key)
        return key
