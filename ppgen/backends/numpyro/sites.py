"""What happens at the sites of a NumPyro program."""

import zlib
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as nd
from jax import random
from jax.core import Tracer
from numpyro.primitives import Messenger

from ppgen.backends.numpyro import loops
from ppgen.backends.numpyro.dependence import mark
from ppgen.backends.protocol import Run, Term
from ppgen.backends.recorder import Recorder
from ppgen.errors import ProgramError

_NATIVE = ("param", "prng_key", "control_flow")


class _Native(Exception):
    """Ends a trace on shapes at a native program's first statement; an autoguide, say, would keep what is traced."""


class _Sites(Messenger):
    """Passes NumPyro's messages to a `Recorder`; `on_shapes`, only those of ppgen's language."""

    def __init__(self, recorder: "_Recorder", *, on_shapes: bool) -> None:
        super().__init__()
        self.recorder, self.on_shapes = recorder, on_shapes

    def process_message(self, msg: Any) -> None:
        native = self.recorder.is_native(msg) if msg["type"] == "sample" else msg["type"] in _NATIVE
        if self.on_shapes and native:
            raise _Native
        if msg["type"] == "sample":
            self.recorder.before(msg)
        elif msg["type"] == "param":
            self.recorder.native_parameter(msg)
        elif msg["type"] == "plate":
            self.recorder.enter_plate(msg)
        elif msg["type"] == "control_flow":
            loops.enter(self.recorder, msg)
        elif msg["type"] == "mutable":
            raise ProgramError(
                f"the {self.recorder.program.role} keeps mutable state {msg['name']!r} (batch normalisation?); "
                "expected networks without state. Use layer normalisation instead."
            )

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] == "sample":
            self.recorder.after(msg)
        elif msg["type"] == "control_flow":
            loops.leave(self.recorder, msg)
        elif msg["type"] == "deterministic":
            self.recorder.compute(msg)


class _Recorder(Recorder):
    """The sites of one particle; `vmap` adds the particle axis outside."""

    marks = False  # whether values and parameters keep their names in the trace
    traced: Any = None  # the trace of a look on shapes, see `dependence`

    def mark(self, name: str, value: Any) -> Any:
        return mark(name, value) if self.marks else value

    def native_parameter(self, msg: Any) -> None:
        """Answer a `numpyro.param` (also those that flax, equinox and stax modules make)."""
        name, constraint = msg["name"], msg["kwargs"].get("constraint")
        if msg["args"] == (None,) and name not in self.parameters and name not in self.created:
            return  # a module asking whether it has been made yet
        self.native = True

        def make(_: np.random.Generator) -> Any:
            value = msg["fn"](*msg["args"], **msg["kwargs"])
            value = jax.tree.map(jnp.asarray, value)
            return value if constraint is None else self.backend.unconstrain(constraint, value)

        msg["value"] = self.parameter(name, None if msg["args"] == (None,) else make, constraint)

    def shape(self, raw: Any) -> Any:
        return jax.tree.map(jnp.shape, raw)

    def reparameterised(self, fn: Any) -> bool:
        return bool(fn.has_rsample)

    def enter_plate(self, msg: Any) -> None:
        """A plate that holds a part of its rows draws them by the step's own key, the same for model and guide."""
        name, (size, part) = msg["name"], msg["args"]
        if part is None or part == size:
            return
        self.part_of_rows(name, size, part)
        if msg["value"] is None and self.request.minibatch is not None:
            key = random.fold_in(self.request.minibatch, zlib.crc32(name.encode()))
            msg["value"] = random.permutation(key, size)[:part]

    def is_scaled(self, msg: Any) -> bool:
        scale = msg.get("scale")
        return scale is not None and (isinstance(scale, Tracer) or not np.allclose(scale, self.plate_weight(msg)))

    def scaled_log_density(self, msg: Any) -> Any:
        fn, intermediates = msg["fn"], msg.get("intermediates")
        log_density = fn.log_prob(msg["value"], intermediates) if intermediates else fn.log_prob(msg["value"])
        scale = msg.get("scale")  # the trace weighs rows itself
        return log_density if scale is None else scale / self.plate_weight(msg, self.program.rows_plate) * log_density

    def inside(self, msg: Any) -> Any:
        fn = msg["fn"]
        inside = fn.support(msg["value"])
        return inside | jnp.logical_not(fn._mask) if isinstance(fn, nd.MaskedDistribution) else inside

    def uniform(self, shape: tuple[int, ...]) -> Any:
        return random.uniform(cast(jax.Array, numpyro.prng_key()), shape)  # a program runs under a seed

    def total(self, log_density: Any) -> Any:
        return jnp.sum(log_density)

    def per_row(self, log_density: Any, row_dim: int) -> Any:
        return per_row(log_density, row_dim)

    def outcome(self) -> Run:
        """The run of this particle."""
        returned = self.returned if isinstance(self.returned, jax.Array | np.ndarray) else None
        return Run(self.terms, returned, {name: jnp.asarray(value) for name, value in self.computed.items()})


def per_row(log_density: Any, row_dim: int) -> Any:
    """The sum over all axes but one, counted from the right."""
    axis = jnp.ndim(log_density) + row_dim
    return jnp.sum(log_density, axis=[a for a in range(jnp.ndim(log_density)) if a != axis])


jax.tree_util.register_dataclass(Term, ["value", "log_prob", "distribution", "real"], ["how"])
jax.tree_util.register_dataclass(Run, ["terms", "returned", "computed"], [])
