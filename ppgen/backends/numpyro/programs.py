"""Primitives, and running programs."""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as nd
from jax import random
from numpyro import handlers
from numpyro.distributions.transforms import biject_to

from ppgen.backends import modules
from ppgen.backends.numpyro.arrays import Arrays
from ppgen.backends.numpyro.dependence import Depending, parts
from ppgen.backends.numpyro.distributions import make
from ppgen.backends.numpyro.sites import _Native, _Recorder, _Sites, per_row
from ppgen.backends.protocol import Inspected, Request, Run
from ppgen.backends.recorder import Recorder
from ppgen.backends.sites import Initialiser, Site


class Programs(Arrays, Depending):
    """Runs programs: their primitives, one run for all particles, and the first look at them."""

    def sample(self, name: str, fn: Any, infer: dict[str, Any]) -> Any:
        return numpyro.sample(name, fn, infer=infer)

    def plate(self, name: str, size: int, dim: int | None) -> Any:
        return numpyro.plate(name, size, dim=dim)

    def deterministic(self, name: str, value: Any) -> Any:
        return numpyro.deterministic(name, value)

    def factor(self, name: str, log_factor: Any) -> None:
        numpyro.factor(name, log_factor)

    def distribution(self, name: str, **arguments: Any) -> Any:
        return make(name, **arguments)

    def module(self, run: Recorder, name: str, net: Any) -> Callable[..., Any]:
        return modules.jax_module(run, name, net)

    def same_network(self, a: Any, b: Any) -> bool:
        described = hasattr(a, "specs") or hasattr(a, "init")  # ppgen.nn or flax; an equinox module holds its arrays
        return described and type(a) is type(b) and repr(a) == repr(b)

    def _one(
        self,
        program: Inspected,
        parameters: Mapping[str, Any],
        key: Any,
        values: Mapping[str, Any],
        rows: int | None,
        request: Request,
        create: Initialiser | None = None,
        on_shapes: bool = False,
        marks: bool = False,
    ) -> _Recorder:
        recorder = _Recorder(program, self, parameters, values, request, create=create)
        recorder.marks = marks or on_shapes
        with recorder.listening(), handlers.seed(rng_seed=key), _Sites(recorder, on_shapes=on_shapes):
            recorder.returned = program.call(values, rows, request.step)
        return recorder

    def run(
        self,
        program: Inspected,
        parameters: Mapping[str, Any],
        key: Any,
        fixed: Mapping[str, Any],
        drawn: Mapping[str, Any],
        rows: int | None,
        particles: int,
        request: Request,
    ) -> Run:
        def one(key: Any, drawn: Mapping[str, Any]) -> Run:
            return self._one(program, parameters, key, {**fixed, **drawn}, rows, request).outcome()

        run = self._over_particles(one, particles)(random.split(key, particles) if particles > 1 else key, dict(drawn))
        order = dict.fromkeys((*program.sites, *run.terms))  # JAX sorts the keys of a dict
        return Run({name: run.terms[name] for name in order if name in run.terms}, run.returned, run.computed)

    def divergence(self, program: Inspected, site: Site, q: Any, p: Any, particles: int) -> Any | None:
        def one(q: Any, p: Any) -> Any:
            kl, row_dim = nd.kl_divergence(q, p), site.row_dim(program.rows_plate)
            if program.one_row:
                return jnp.sum(kl)[None]
            return jnp.sum(kl) if row_dim is None else per_row(kl, row_dim)

        try:
            return self._over_particles(one, particles)(q, p)
        except NotImplementedError:
            return None

    def first(self, distribution: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[0], distribution)

    def bijection(self, distribution: Any) -> Any:
        return biject_to(distribution.support)

    @staticmethod
    def _over_particles(one: Callable[..., Any], particles: int) -> Callable[..., Any]:
        """`one`, of arguments and results with a particle axis; a key that comes alone is that of the only particle."""
        if particles > 1:
            return jax.vmap(one)

        def alone(*args: Any) -> Any:
            first = [x if _is_key(x) else jax.tree.map(lambda leaf: leaf[0], x) for x in args]
            return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], one(*first))

        return alone

    def watching(self) -> AbstractContextManager[dict[int, Any]]:
        """Notes nothing: JAX's arrays do not tell which network they came from."""
        return contextlib.nullcontext({})

    def inspect(
        self, program: Inspected, values: Mapping[str, np.ndarray], rows: int | None, create: Initialiser, key: Any
    ) -> _Recorder:
        """Run the program once without compiling it, to learn its sites and make its parameters.

        Programs written in ppgen's language are traced on shapes alone; native ones on the arrays themselves.
        """
        arrays = {name: jnp.asarray(value) for name, value in values.items()}
        key = self.fold_in(key, create.seed)

        seen: list[_Recorder] = []
        limits: dict[str, Any] = {}

        def look(arrays: Mapping[str, Any], key: Any) -> Any:
            seen.append(self._one(program, {}, key, arrays, rows, Request(), create, on_shapes=True))
            return parts(seen[0], limits)

        try:
            trace, shapes = jax.make_jaxpr(look, return_shape=True)(arrays, key)
        except _Native:
            return self._one(program, {}, key, arrays, rows, Request(), create)
        seen[0].traced = trace, shapes, limits
        return seen[0]

    def arrange(
        self, programs: Mapping[str, Any], parameters: Any, values: Mapping[str, np.ndarray], rows: int
    ) -> dict[str, Any]:
        """As they are: `vmap` runs any program for many particles. See the Pyro backend."""
        return dict(programs)


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
