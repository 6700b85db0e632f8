"""NumPyro on JAX: programs run under `vmap` over particles, training inside one compiled loop."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as nd
import optax
from jax import random
from numpyro import handlers
from numpyro.distributions.transforms import biject_to
from numpyro.primitives import Messenger

from ppgen import ops
from ppgen.backends import modules
from ppgen.backends.program import Ask, Outcome, Program, check_names
from ppgen.backends.recorder import _MARK, Recorder
from ppgen.errors import ProgramError


class BernoulliLogits(nd.BernoulliLogits):
    """Bernoulli by log-odds l: log p(x) = x l - softplus(l), with the right gradient (x - 1/2) at l = 0."""

    def log_prob(self, value: Any) -> Any:
        """Log probability of `value` (0 or 1)."""
        return value * self.logits - jax.nn.softplus(self.logits)


def Bernoulli(probs: Any = None, logits: Any = None, *, validate_args: bool | None = None) -> nd.Distribution:
    """NumPyro's Bernoulli, by `probs` or `logits`; the latter with ppgen's log density."""
    if logits is not None and probs is None:
        return BernoulliLogits(logits, validate_args=validate_args)
    return nd.Bernoulli(probs=probs, logits=logits, validate_args=validate_args)


OVERRIDES = {"Bernoulli": Bernoulli}


class _Native(Exception):
    """Ends a trace on shapes at a native program's first statement; an autoguide, say, would keep what is traced."""


class _Sites(Messenger):
    """Passes NumPyro's messages to a `Recorder`; `on_shapes`, only those of ppgen's language."""

    def __init__(self, recorder: "_Recorder", *, on_shapes: bool) -> None:
        super().__init__()
        self.recorder, self.on_shapes = recorder, on_shapes

    def process_message(self, msg: Any) -> None:
        native = self.recorder.is_native(msg) if msg["type"] == "sample" else msg["type"] in ("param", "prng_key")
        if self.on_shapes and native:
            raise _Native
        if msg["type"] == "sample":
            self.recorder.before(msg)
        elif msg["type"] == "param":
            self.recorder.native_parameter(msg)
        elif msg["type"] == "plate":
            size, subsample_size = msg["args"]
            self.recorder.whole_plate(msg["name"], size, subsample_size or size)
        elif msg["type"] == "control_flow":
            raise ProgramError(
                f"the {self.recorder.program.role} uses numpyro's scan or cond; expected plain sample sites. "
                "Write the loop in Python; it is unrolled when the program is compiled."
            )
        elif msg["type"] == "mutable":
            raise ProgramError(
                f"the {self.recorder.program.role} keeps mutable state {msg['name']!r} (batch normalisation?); "
                "expected networks without state. Use layer normalisation instead."
            )

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] == "sample":
            self.recorder.after(msg)
        elif msg["type"] == "deterministic":
            self.recorder.deterministic[msg["name"]] = msg["value"]


class _Recorder(Recorder):
    """The sites of one particle; `vmap` adds the particle axis outside."""

    def native_parameter(self, msg: Any) -> None:
        """Answer a `numpyro.param` (also those that flax, equinox and stax modules make)."""
        name, constraint = msg["name"], msg["kwargs"].get("constraint")
        if msg["args"] == (None,) and name not in self.parameters and name not in self.created:
            return  # a module asking whether it has been made yet
        self.program.native = True

        def make(_: np.random.Generator) -> Any:
            value = msg["fn"](*msg["args"], **msg["kwargs"])
            value = jax.tree.map(jnp.asarray, value)
            return value if constraint is None else self.backend.unconstrain(constraint, value)

        msg["value"] = self.parameter(name, None if msg["args"] == (None,) else make, constraint)

    def shape(self, raw: Any) -> Any:
        return jax.tree.map(jnp.shape, raw)

    def reparameterised(self, fn: Any) -> bool:
        return bool(fn.has_rsample)

    def is_scaled(self, msg: Any) -> bool:
        return msg.get("scale") is not None

    def scaled_log_density(self, msg: Any) -> Any:
        fn, intermediates = msg["fn"], msg.get("intermediates")
        log_density = fn.log_prob(msg["value"], intermediates) if intermediates else fn.log_prob(msg["value"])
        scale = msg.get("scale")
        return log_density if scale is None else scale * log_density

    def divergence(self, q: Any, p: Any) -> Any | None:
        try:
            return nd.kl_divergence(q, p)
        except NotImplementedError:
            return None

    def total(self, log_density: Any) -> Any:
        return jnp.sum(log_density)

    def per_row(self, log_density: Any, row_dim: int) -> Any:
        axis = jnp.ndim(log_density) + row_dim
        return jnp.sum(log_density, axis=[a for a in range(jnp.ndim(log_density)) if a != axis])

    def outcome(self, returned: Any) -> Outcome:
        local = {kind: sum(terms) for kind, terms in self.local.items()}
        shared = {kind: sum(terms) for kind, terms in self.shared.items()}
        returned = returned if self.ask.returned else None
        return Outcome(self.values, local, shared, returned, self.deterministic, self.distributions)


jax.tree_util.register_dataclass(
    Outcome, ["values", "local", "shared", "returned", "deterministic", "distributions"], []
)


class Backend:
    """The NumPyro backend; see `ppgen.backends` for what a backend provides."""

    name = "numpyro"
    library = "jax"
    compiles = True
    MARK = _MARK

    def __init__(self) -> None:
        if jax.lib.__version__ == "0.10.2" and jax.default_backend() == "cpu":
            raise ImportError(
                "jaxlib 0.10.2 computes wrong sums on CPUs without a word (fused multiply and reduce beyond 32768 "
                "elements). Install another one: pip install 'jax!=0.10.2' 'jaxlib!=0.10.2'."
            )
        self.backend = self

    # primitives ----------------------------------------------------------------------------------------------

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

    # constraints ---------------------------------------------------------------------------------------------

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
        return bool(jax.config.jax_enable_x64)

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
        return bool(_finite(parameters))

    def snapshot(self, tree: Any) -> Any:
        return tree  # arrays never change

    def export(self, parameters: Mapping[str, Any], specs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Constrained parameters by full name; a tree of arrays (a flax or stax network) gives a name to each leaf."""
        flat = {}
        for name, value in parameters.items():
            constraint = specs[name].constraint
            value = value if constraint is None else self.constrain(constraint, value)
            flat.update({full: np.asarray(leaf) for full, leaf in _leaves(name, value)})
        return flat

    def load(self, like: Mapping[str, Any], given: Mapping[str, np.ndarray], specs: Mapping[str, Any]) -> dict[str, Any]:
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

    # running a program ---------------------------------------------------------------------------------------

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

    # training ------------------------------------------------------------------------------------------------

    def optimizer(self, spec: Any) -> "_Optimizer":
        """An optimiser from `ppgen.Adam` or the like, or from optax."""
        return _Optimizer(spec.optax() if hasattr(spec, "optax") else spec)

    def compile_loop(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """`step` repeated inside one compiled loop; see `Trainer.run`.

        The number of steps is an argument of the compiled code, so a shorter run does not compile again.
        """

        @jax.jit
        def compiled(state: Any, data: Mapping[str, Any], index: Any, steps: Any) -> Any:
            shapes = jax.eval_shape(lambda: step(state, {k: v[index[0]] for k, v in data.items()})[1])
            metrics = jax.tree.map(lambda m: jnp.zeros((index.shape[0], *m.shape), m.dtype), shapes)

            def unfinished(carry: Any) -> Any:
                i, ok, _, _ = carry
                return (i < steps) & ok

            def body(carry: Any) -> Any:
                i, _, state, metrics = carry
                rows = index[i]
                state, new = step(state, {k: v[rows] for k, v in data.items()})
                ok = jnp.isfinite(sum(jnp.sum(m) for m in new.values()))
                return i + 1, ok, state, jax.tree.map(lambda m, n: m.at[i].set(n), metrics, new)

            i, ok, state, metrics = jax.lax.while_loop(unfinished, body, (0, True, state, metrics))
            return state, metrics, jnp.where(ok, i, i - 1), ok & _finite(state.parameters)

        def run(state: Any, data: Mapping[str, Any], index: np.ndarray) -> Any:
            after, metrics, good, fine = compiled(state, data, index, len(index))
            good = int(good)
            while not fine:  # go again from the start, to the last state that was whole
                after, _, _, fine = compiled(state, data, index, good)
                good -= not fine
                if good < 0:
                    return state, metrics, 0
            return after, metrics, good

        return run

    def gradients(
        self,
        losses: Callable[[Mapping[str, Any]], dict[str, Any]],
        parameters: Mapping[str, Any],
        owned: Mapping[str, tuple[str, ...]],
        owners: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Each role's loss, and the gradient of each parameter under the loss of the role that owns it.

        Roles that return the same object share one backward pass.

        Args:
            losses: from parameters to a loss per role.
            parameters: all parameters by name.
            owned: names that each moving role owns.
            owners: not used here; see the Pyro backend.
        """
        order: dict[str, int] = {}

        def distinct(parameters: Mapping[str, Any]) -> tuple[list[Any], None]:
            by_role = losses(parameters)
            unique: list[Any] = []
            for role, loss in by_role.items():
                for position, known in enumerate(unique):
                    if known is loss:
                        order[role] = position
                        break
                else:
                    order[role] = len(unique)
                    unique.append(loss)
            return unique, None

        values, pullback, _ = jax.vjp(distinct, dict(parameters), has_aux=True)
        grads: dict[str, Any] = {}
        for position in range(len(values)):
            mine = [n for role, names in owned.items() if order.get(role) == position for n in names]
            if mine:
                cotangent = [
                    jnp.ones_like(v) if i == position else jnp.zeros_like(v) for i, v in enumerate(values)
                ]
                (gradient,) = pullback(cotangent)
                grads.update({n: gradient[n] for n in mine})
        return {role: values[position] for role, position in order.items()}, grads


class _Optimizer:
    """An optax transformation on the parameters of one role."""

    def __init__(self, transformation: Any) -> None:
        self.transformation = transformation

    def init(self, parameters: dict[str, Any]) -> Any:
        return self.transformation.init(parameters)

    def update(
        self, grads: dict[str, Any], state: Any, parameters: dict[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        updates, state = self.transformation.update(grads, state, parameters)
        return optax.apply_updates(parameters, updates), state


@jax.jit
def _finite(tree: Any) -> Any:
    """Whether every number in a tree of arrays is finite."""
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    """The arrays of a tree under their full names."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(value)
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return [(f"{name}.{path}" if path else name, leaf) for path, (_, leaf) in zip(paths, leaves, strict=True)]


def _plain(leaf: Any) -> Any:
    """A key as its numbers; other arrays as they are."""
    return random.key_data(leaf) if jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key) else leaf
