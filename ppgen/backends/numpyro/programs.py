"""Primitives, and running programs."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as nd
from jax import random
from numpyro import handlers

from ppgen import ops
from ppgen.backends import modules
from ppgen.backends.numpyro.sites import OVERRIDES, _Native, _Recorder, _Sites
from ppgen.backends.program import Ask, Outcome, Program
from ppgen.backends.recorder import Recorder


class Programs:
    """Runs programs: their primitives, one run for all particles, and the first look at them."""

    def sample(self, name: str, fn: Any, infer: dict[str, Any]) -> Any:
        return numpyro.sample(name, fn, infer=infer)

    def plate(self, name: str, size: int, dim: int | None) -> Any:
        return numpyro.plate(name, size, dim=dim)

    def deterministic(self, name: str, value: Any) -> Any:
        return numpyro.deterministic(name, value)

    def factor(self, name: str, log_factor: Any) -> None:
        numpyro.factor(name, log_factor)

    def distribution(self, name: str) -> Any:
        return OVERRIDES.get(name) or getattr(nd, name)

    def module(self, run: Recorder, name: str, net: Any) -> Callable[..., Any]:
        return modules.jax_module(run, name, net)

    def same_network(self, a: Any, b: Any) -> bool:
        described = hasattr(a, "specs") or hasattr(a, "init")  # ppgen.nn or flax; an equinox module holds its arrays
        return described and type(a) is type(b) and repr(a) == repr(b)

    def _one(
        self,
        program: Program,
        parameters: Mapping[str, Any],
        key: Any,
        values: Mapping[str, Any],
        rows: int | None,
        ask: Ask,
        against: Mapping[str, Any] | None = None,
        create: Any = None,
        on_shapes: bool = False,
    ) -> tuple[Outcome, _Recorder]:
        recorder = _Recorder(program, parameters, values, ask, create=create, against=against)
        with ops.activate(recorder), handlers.seed(rng_seed=key), _Sites(recorder, on_shapes=on_shapes):
            returned = recorder.returned = program.call(values, rows)
        return recorder.outcome(returned), recorder

    def run(
        self,
        program: Program,
        parameters: Mapping[str, Any],
        key: Any,
        fixed: Mapping[str, Any],
        drawn: Mapping[str, Any],
        rows: int | None,
        particles: int,
        ask: Ask,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Run a program once per particle.

        Args:
            program: what to run.
            parameters: its parameters by name, unconstrained.
            key: randomness of this run.
            fixed: values without a particle axis (data, covariates).
            drawn: values with one, [particles, ...].
            rows: number of rows.
            particles: number of particles.
            ask: what is wanted.
            against: distributions of drawn sites, for closed-form divergences.

        Returns:
            An `Outcome` whose arrays start with a particle axis.
        """

        def one(key: Any, drawn: Mapping[str, Any], against: Mapping[str, Any]) -> Outcome:
            return self._one(program, parameters, key, {**fixed, **drawn}, rows, ask, against)[0]

        if particles == 1:
            alone = jax.tree.map(lambda x: x[0], (dict(drawn), dict(against or {})))
            return jax.tree.map(lambda x: jnp.asarray(x)[None], one(key, *alone))
        return jax.vmap(one)(random.split(key, particles), dict(drawn), dict(against or {}))

    def watching(self) -> AbstractContextManager[dict[int, Any]]:
        """Notes nothing: JAX's arrays do not tell which network they came from."""
        return contextlib.nullcontext({})

    def inspect(
        self, program: Program, values: Mapping[str, Any], rows: int | None, create: Any, key: Any
    ) -> _Recorder:
        """Run the program once without compiling it, to learn its sites and make its parameters.

        Programs written in ppgen's language are traced on shapes alone; native ones on the arrays themselves.
        """
        arrays = {name: jnp.asarray(value) for name, value in values.items()}
        key = self.fold_in(key, create.seed)

        def look(arrays: Mapping[str, Any], on_shapes: bool) -> _Recorder:
            return self._one(program, {}, key, arrays, rows, Ask(), create=create, on_shapes=on_shapes)[1]

        seen: list[_Recorder] = []
        try:
            jax.eval_shape(lambda arrays: seen.append(look(arrays, on_shapes=True)), arrays)
        except _Native:
            seen = [look(arrays, on_shapes=False)]
        return seen[0]

    def settle(
        self, programs: Iterable[Program], parameters: Mapping[str, Any], values: Mapping[str, Any], rows: int
    ) -> None:
        """Nothing is left to settle: `vmap` runs any program for many particles. See the Pyro backend."""
