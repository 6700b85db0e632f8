"""Pyro on PyTorch: programs run eagerly, with particles as an outermost batch axis."""

import contextlib
import copy
import itertools
import math
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyro
import pyro.distributions as pd
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch.distributions import biject_to, constraints, kl_divergence, transform_to

from ppgen import ops
from ppgen.backends import modules
from ppgen.backends.program import Ask, Outcome, Program, check_names
from ppgen.backends.recorder import _MARK, Recorder
from ppgen.errors import ProgramError


class _Sites(Messenger):
    """Passes Pyro's messages to a `Recorder`."""

    def __init__(self, recorder: "_Recorder") -> None:
        super().__init__()
        self.recorder = recorder

    def _pyro_sample(self, msg: Any) -> None:
        if not isinstance(msg["fn"], _Subsample):  # a plate drawing its indices is no site
            self.recorder.before(msg)

    def _pyro_post_sample(self, msg: Any) -> None:
        if isinstance(msg["fn"], _Subsample):
            self.recorder.whole_plate(msg["name"], msg["fn"].size, len(msg["value"]))
        else:
            self.recorder.after(msg)

    def _pyro_param(self, msg: Any) -> None:
        self.recorder.native_parameter(msg)


class _Recorder(Recorder):
    """The sites of all particles at once, or of one (`particles=None`), in which case there is no particle axis."""

    def __init__(self, *args: Any, particles: int | None, drawn: Any = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.particles, self.particled = particles, frozenset(drawn)
        self.nesting = self.program.nesting

    def native_parameter(self, msg: Any) -> None:
        """Answer a `pyro.param`: from the fit's own parameters, never from Pyro's global store."""
        name, msg["done"] = msg["name"], True
        self.program.native = True
        make, constraint, owner = self.origin(msg)
        known = (self.found if self.create else self.program.parameters).get(name)
        if known is not None and owner is not known.source:
            if None not in (owner, known.source):
                raise ProgramError(
                    f"the {self.program.role} has two torch parameters under the name {name!r}; expected one. "
                    "Build each network once, outside the program, and give each its own name."
                )
            owner = None
        if owner is not None and known is None and name not in self.parameters and not owner.requires_grad:
            msg["value"] = owner  # a layer that is to stay as it is
            return
        value = self.parameter(name, make, constraint, owner)
        raw = self.parameters.get(name, self.created.get(name))
        if owner is None:
            value.unconstrained = weakref.ref(raw)  # as Pyro's own parameters have it
        else:  # the module computes with its own tensor: lend it ours
            value = self.backend.lend(owner, raw)
            value = value if constraint is None else self.backend.constrain(constraint, value)
        msg["value"] = value

    def origin(self, msg: Any) -> tuple[Any, Any, torch.nn.Parameter | None]:
        """What makes a parameter's first (unconstrained) value, its constraint, and the tensor a module holds it in."""
        name, store = msg["name"], pyro.get_param_store()
        source, constraint = (*msg["args"], None)[1], msg["kwargs"]["constraint"]
        if source is None and name in store._constraints:  # a PyroParam, which its module has just put there
            owner, constraint = store._params[name], store._constraints[name]
            return lambda _: owner.detach().clone(), _constrained(constraint), owner
        constraint = _constrained(constraint)
        owner = source if isinstance(source, torch.nn.Parameter) and constraint is None else None

        def make(_: np.random.Generator) -> torch.Tensor:
            value = source if isinstance(source, torch.Tensor) else source()
            value = value.detach().clone()
            return value if constraint is None else self.backend.unconstrain(constraint, value)

        return None if source is None else make, constraint, owner

    def prepare(self, msg: Any) -> None:
        fn, k = msg["fn"], self.particles
        if k is not None and len(fn.batch_shape) <= self.nesting:
            missing = self.nesting - len(fn.batch_shape)
            msg["fn"] = fn.expand(torch.Size((k, *(1,) * missing, *fn.batch_shape)))

    def place(self, msg: Any, value: torch.Tensor) -> torch.Tensor:
        if self.particles is None or msg["name"] not in self.particled:
            return value
        rank = value.ndim - 1 - len(msg["fn"].event_shape)
        return value.reshape(value.shape[:1] + (1,) * (self.nesting - rank) + value.shape[1:])

    def extract(self, msg: Any) -> torch.Tensor:
        value = msg["value"]
        if self.particles is None:
            return value
        rank = max((-f.dim for f in msg["cond_indep_stack"] if f.dim is not None), default=0)
        return value.reshape(value.shape[:1] + value.shape[1 + self.nesting - rank :])

    def reparameterised(self, fn: Any) -> bool:
        return bool(fn.has_rsample)

    def is_scaled(self, msg: Any) -> bool:
        return not (isinstance(msg["scale"], float | int) and msg["scale"] == 1)

    def scaled_log_density(self, msg: Any) -> torch.Tensor:
        log_density = msg["fn"].log_prob(msg["value"])
        scale, mask = msg["scale"], msg["mask"]
        if mask is not None:
            log_density = (
                log_density.new_zeros(())
                if mask is False
                else torch.where(torch.as_tensor(mask), log_density, log_density.new_zeros(()))
            )
        return log_density * scale if self.is_scaled(msg) else log_density

    def divergence(self, q: Any, p: Any) -> torch.Tensor | None:
        try:
            return kl_divergence(q, p)
        except NotImplementedError:
            return None

    def total(self, log_density: torch.Tensor) -> torch.Tensor:
        if self.particles is None:
            return log_density.sum()
        extra = min(log_density.ndim, self.nesting)
        return log_density.sum(tuple(range(-extra, 0))) if extra else log_density

    def per_row(self, log_density: torch.Tensor, row_dim: int) -> torch.Tensor:
        plates = log_density.ndim if self.particles is None else min(log_density.ndim, self.nesting)
        others = [dim for dim in range(-plates, 0) if dim != row_dim]
        return log_density.sum(others) if others else log_density

    def outcome(self, returned: Any, rows: int | None) -> Outcome:
        """Sums over sites, brought to [particles, rows] and [particles]."""
        k = self.particles or 1

        def full(terms: list, *shape: int) -> torch.Tensor:
            return sum(terms[1:], terms[0]).expand(*shape)

        local = {kind: full(terms, k, rows) for kind, terms in self.local.items()}
        shared = {kind: full(terms, k) for kind, terms in self.shared.items()}
        values = self.values
        if self.particles is None:
            values = {name: value.unsqueeze(0) for name, value in values.items()}
            returned = returned.unsqueeze(0) if self.ask.returned else None
        return Outcome(values, local, shared, returned, self.deterministic, self.distributions)


class Backend:
    """The Pyro backend; see `ppgen.backends` for what a backend provides."""

    name = "pyro"
    library = "torch"
    compiles = False
    MARK = _MARK

    def __init__(self) -> None:
        self.backend = self
        self._lent: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._borrowing = False

    # primitives ----------------------------------------------------------------------------------------------

    def sample(self, name: str, fn: Any, infer: dict[str, Any]) -> Any:
        return pyro.sample(name, fn, infer=infer)

    def plate(self, name: str, size: int, dim: int | None) -> Any:
        return pyro.plate(name, size, dim=dim)

    def deterministic(self, name: str, value: Any) -> Any:
        return pyro.deterministic(name, value)

    def factor(self, name: str, log_factor: Any) -> None:
        pyro.factor(name, log_factor, has_rsample=True)

    def distribution(self, name: str) -> Any:
        found = getattr(pd, name)

        def build(*args: Any, **kwargs: Any) -> Any:  # torch wants tensors where JAX takes numbers
            return found(*map(_tensor, args), **{k: _tensor(v) for k, v in kwargs.items()})

        return build if name in _WANT_TENSORS else found

    def module(self, run: Recorder, name: str, net: Any) -> Callable[..., Any]:
        return modules.torch_module(run, name, net)

    def same_network(self, a: Any, b: Any) -> bool:
        return hasattr(a, "specs") and type(a) is type(b) and repr(a) == repr(b)  # a torch module holds its arrays

    # constraints ---------------------------------------------------------------------------------------------

    def constraint(self, name: str) -> Any:
        return getattr(constraints, name)

    def constrain(self, constraint: Any, value: Any) -> Any:
        return _transform(constraint)(value)

    def unconstrain(self, constraint: Any, value: Any) -> Any:
        return _transform(constraint).inv(value)

    def parameter(self, value: Any) -> torch.Tensor:
        return torch.as_tensor(value).detach().clone().requires_grad_(True)

    # keys and arrays -----------------------------------------------------------------------------------------

    def key(self, seed: int) -> int:
        return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])

    def fold_in(self, key: int, data: int) -> int:
        """Splitmix64: a new key from a key and a number."""
        x = (key + (int(data) + 1) * 0x9E3779B97F4A7C15) & _MASK
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
        return x ^ (x >> 31)

    def array(self, x: Any) -> torch.Tensor:
        return torch.as_tensor(x) if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x))

    def numpy(self, x: Any) -> np.ndarray:
        return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)

    def is_array(self, x: Any) -> bool:
        return isinstance(x, torch.Tensor)

    def double(self) -> bool:
        return torch.get_default_dtype() == torch.float64

    def leaf(self, value: torch.Tensor) -> torch.Tensor:
        return value.detach().clone().requires_grad_(True)

    def counter(self) -> int:
        return 0

    def owns(self, source: Any) -> bool:
        """True for a parameter that lives in a user's torch module."""
        return isinstance(source, torch.nn.Parameter)

    def usable(self, losses: Mapping[str, torch.Tensor], grads: Mapping[str, torch.Tensor]) -> bool:
        """False when a loss or a gradient is not finite; then no update is made."""
        norms = torch.stack(
            [*torch._foreach_norm(list(grads.values())), *(loss.abs() for loss in losses.values())]
        )
        return math.isfinite(float(norms.sum()))

    def stop_gradient(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()

    def compile(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn` with torch's argument checks off (preflight made them) and lent parameters given back after."""

        def eager(*args: Any) -> Any:
            with self.unchecked(), self.borrowing():
                return fn(*args)

        return eager

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[None]:
        """Inside, torch checks no arguments."""
        checks = torch.distributions.Distribution._validate_args
        torch.distributions.Distribution.set_default_validate_args(False)
        try:
            yield
        finally:
            torch.distributions.Distribution.set_default_validate_args(checks)

    def without_gradients(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return torch.no_grad()(self.compile(fn))

    def all_finite(self, parameters: Mapping[str, torch.Tensor]) -> bool:
        """True when no parameter is NaN or infinite."""
        return all(bool(torch.isfinite(p).all()) for p in parameters.values())

    def snapshot(self, tree: Any) -> Any:
        return copy.deepcopy(tree)

    def export(self, parameters: Mapping[str, torch.Tensor], specs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Constrained parameters by full name."""
        constraints_of = {name: specs[name].constraint for name in parameters}
        with torch.no_grad():
            return {
                name: np.array(self.numpy(value if constraints_of[name] is None else self.constrain(constraints_of[name], value)))
                for name, value in parameters.items()
            }

    def load(self, like: Mapping[str, Any], given: Mapping[str, np.ndarray], specs: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `export`: parameters like `like`, with the numbers of `given` where it has them."""
        check_names({name: value.shape for name, value in self.export(like, specs).items()}, given)
        loaded = dict(like)
        for name, value in given.items():
            tensor = torch.from_numpy(np.array(value)).to(like[name].dtype)
            constraint = specs[name].constraint
            loaded[name] = tensor if constraint is None else self.unconstrain(constraint, tensor)
        return loaded

    def pack(self, state: Any) -> dict[str, np.ndarray]:
        """Everything in a training state as arrays by path."""
        arrays = {f"parameters.{name}": self.numpy(value) for name, value in state.parameters.items()}
        arrays |= {"key": np.array(state.key, np.uint64), "step": np.array(state.step, np.int64)}
        for role, optimizer in state.optimizers.items():
            packed = optimizer.state_dict()
            arrays[f"optimizers.{role}.{type(optimizer).__name__}.count"] = np.array(packed["param_groups"][0].get("count", 0), np.int64)
            for position, moments in packed["state"].items():
                for name, value in moments.items():
                    if value is not None:
                        arrays[f"optimizers.{role}.{position}.{name}"] = self.numpy(torch.as_tensor(value))
        return arrays

    def unpack(self, like: Any, arrays: Mapping[str, np.ndarray], optimizers: bool = True) -> Any:
        """A state like `like` with the numbers of `arrays`; the optimisers' only if asked for."""
        for name, value in like.parameters.items():
            value.data.copy_(torch.from_numpy(np.array(arrays[f"parameters.{name}"])))
        for role, optimizer in like.optimizers.items() if optimizers else ():
            start, count = f"optimizers.{role}.", f"optimizers.{role}.{type(optimizer).__name__}.count"
            groups = optimizer.state_dict()["param_groups"]
            groups[0]["count"] = int(arrays[count])
            moments: dict[int, dict[str, Any]] = {}
            for path, value in arrays.items():
                if path.startswith(start) and path != count:
                    position, name = path.removeprefix(start).split(".", 1)
                    moments.setdefault(int(position), {})[name] = torch.from_numpy(np.array(value))
            optimizer.load_state_dict({"state": moments, "param_groups": groups})
        return replace(like, key=int(arrays["key"]), step=int(arrays["step"]))

    def lend(self, owner: torch.nn.Parameter, value: torch.Tensor) -> torch.nn.Parameter:
        """Make a module's own parameter show `value`; gradients then arrive at `owner`, unless `value` is frozen."""
        self._lent.setdefault(owner, owner.data)
        if owner.data_ptr() != value.data_ptr():
            owner.data = value.detach()
        return owner.requires_grad_(value.requires_grad)

    @contextlib.contextmanager
    def borrowing(self) -> Iterator[None]:
        """Inside the outermost of these blocks modules and torch's random stream are the fit's, after it the user's.

        That is a whole step, since its gradients need the modules' tensors.
        """
        if self._borrowing:
            yield
            return
        self._borrowing, stream = True, torch.get_rng_state()
        try:
            yield
        finally:
            torch.set_rng_state(stream)
            for owner, data in self._lent.items():
                owner.data = data
            self._lent.clear()
            self._borrowing = False

    # running a program ---------------------------------------------------------------------------------------

    def _once(
        self,
        program: Program,
        parameters: Any,
        values: Any,
        rows: int | None,
        ask: Ask,
        *,
        particles: int | None,
        drawn: Any = (),
        against: Any = None,
        create: Any = None,
    ) -> tuple[Any, _Recorder]:
        recorder = _Recorder(
            program, parameters, values, ask, create=create, against=against, particles=particles, drawn=drawn
        )
        with ops.activate(recorder), pyro.get_param_store().scope(), _Sites(recorder):
            try:
                recorder.returned = program.call(values, rows)
            finally:
                for owner in self._lent:  # frozen or not while it ran
                    owner.requires_grad_(True)
        return recorder.returned, recorder

    def run(
        self,
        program: Program,
        parameters: Mapping[str, Any],
        key: int,
        fixed: Mapping[str, Any],
        drawn: Mapping[str, Any],
        rows: int | None,
        particles: int,
        ask: Ask,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Run a program for all particles; see the NumPyro backend for the arguments.

        One particle runs without a particle axis. Several run at once along an outermost axis, unless the program
        was found not to broadcast or takes drawn values as arguments: then it runs once per particle.
        """
        with self.borrowing():
            torch.default_generator.manual_seed(key)  # for every run: a program may draw by itself (dropout)
            if particles > 1 and program.vectorises and not set(drawn) & set(program.arguments):
                returned, recorder = self._once(
                    program,
                    parameters,
                    {**fixed, **drawn},
                    rows,
                    ask,
                    particles=particles,
                    drawn=drawn,
                    against=against,
                )
                return recorder.outcome(returned, rows)
            outcomes = []
            for k in range(particles):
                values = {**fixed, **{name: value[k] for name, value in drawn.items()}}
                alone = against if particles == 1 else {name: q[k] for name, q in (against or {}).items()}
                returned, recorder = self._once(
                    program, parameters, values, rows, ask, particles=None, against=alone
                )
                outcomes.append(recorder.outcome(returned, rows))
        return outcomes[0] if particles == 1 else _stack(outcomes)

    def inspect(self, program: Program, values: Any, rows: int | None, create: Any, key: int) -> _Recorder:
        """Run the program once to learn its sites and make its parameters."""
        tensors = {name: self.array(value) for name, value in values.items()}
        with self.borrowing():
            torch.default_generator.manual_seed(self.fold_in(key, create.seed))
            recorder = self._once(program, {}, tensors, rows, Ask(), particles=None, create=create)[1]
        program.idle = _idle(recorder)
        return recorder

    def settle(
        self, programs: Iterable[Program], parameters: Mapping[str, Any], values: Mapping[str, Any], rows: int
    ) -> None:
        """Settle what needs all programs: whose parameters are whose, and whether particles can run at once.

        A parameter that several programs register belongs to those that use it. Particles run at once if that gives
        the numbers that one at a time gives, in every program; a program may reshape its latent values or multiply
        them by a matrix in a way that knows of no particles.

        Args:
            programs: the inspected programs.
            parameters: their initial parameters.
            values: a batch on the host.
            rows: its number of rows.
        """
        programs = list(programs)
        used = {name for program in programs for name in program.parameters if name not in program.idle}
        for program in programs:
            for name in program.idle & used:
                del program.parameters[name]
        tensors = {name: self.array(value) for name, value in values.items()}
        with torch.no_grad(), self.borrowing(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numbers decide
            together = all(
                self._broadcasts(program, parameters, tensors, rows) for program in programs if program.latent(values)
            )
        for program in programs:
            program.vectorises = together

    def _broadcasts(self, program: Program, parameters: Any, values: Any, rows: int) -> bool:
        def run(drawn: Any, draw: bool, vectorises: bool) -> Outcome:
            program.vectorises = vectorises
            return self.run(program, parameters, 0, values, drawn, rows, _SEVERAL, Ask(draw=draw))

        try:
            drawn = run({}, draw=True, vectorises=True).values
            together, alone = (run(drawn, draw=False, vectorises=v) for v in (True, False))
        except Exception:  # shapes that do not fit, raised by the program itself
            return False
        return all(
            torch.allclose(one, at_once, rtol=1e-4, atol=1e-4, equal_nan=True)
            for terms, others in ((alone.local, together.local), (alone.shared, together.shared))
            for one, at_once in zip(terms.values(), others.values(), strict=True)
        )

    # training ------------------------------------------------------------------------------------------------

    def optimizer(self, spec: Any) -> "_Optimizer":
        """An optimiser from `ppgen.Adam` or the like, or a function from parameters to a torch optimiser."""
        return _Optimizer(spec)

    def compile_loop(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """`step` repeated; see `Trainer.run`. A step whose loss or gradient is not finite changes nothing."""
        step = self.compile(step)

        def run(state: Any, data: Mapping[str, torch.Tensor], index: np.ndarray) -> Any:
            kept: list[dict[str, torch.Tensor]] = []
            for rows in torch.as_tensor(index):
                state, metrics = step(state, {name: value[rows] for name, value in data.items()})
                kept.append(metrics)
                if not metrics_finite(metrics):
                    break
            good = len(kept) - (not metrics_finite(kept[-1]))
            return state, {name: torch.stack([m[name] for m in kept]) for name in kept[0]}, good

        return run

    def gradients(
        self,
        losses: Callable[[Mapping[str, Any]], dict[str, Any]],
        parameters: Mapping[str, Any],
        owned: Mapping[str, tuple[str, ...]],
        owners: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Each role's loss, and the gradient of each parameter under the loss of the role that owns it.

        Args:
            losses: from parameters to a loss per role.
            parameters: all parameters by name.
            owned: names that each moving role owns.
            owners: parameters that live in a user's torch module, where their gradients arrive (see `lend`).
        """
        by_role = losses(parameters)
        groups: list[tuple[torch.Tensor, list[str]]] = []
        for role, loss in by_role.items():
            for known, names in groups:
                if known is loss:
                    names.extend(owned.get(role, ()))
                    break
            else:
                groups.append((loss, list(owned.get(role, ()))))
        groups = [(loss, names) for loss, names in groups if names]
        grads: dict[str, Any] = {}
        for position, (loss, names) in enumerate(groups):
            leaves = [owners.get(n, parameters[n]) for n in names]
            found = torch.autograd.grad(
                loss, leaves, retain_graph=position + 1 < len(groups), allow_unused=True
            )
            grads.update(
                {
                    n: torch.zeros_like(p) if g is None else g
                    for n, p, g in zip(names, leaves, found, strict=True)
                }
            )
        return {role: loss.detach() for role, loss in by_role.items()}, grads


class _Optimizer:
    """A torch optimiser on the parameters of one role; it works in place."""

    def __init__(self, spec: Any) -> None:
        named = hasattr(spec, "torch")
        self.make = spec.torch if named else spec
        self.rate = spec.learning_rate if named and callable(spec.learning_rate) else None
        self.clip = spec.clip if named else None

    def init(self, parameters: dict[str, torch.Tensor]) -> torch.optim.Optimizer:
        return self.make(list(parameters.values()) or [torch.zeros(0, requires_grad=True)])

    def update(self, grads: dict[str, Any], state: Any, parameters: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        for name, parameter in parameters.items():
            parameter.grad = grads[name]
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters.values(), self.clip)
        if self.rate is not None:
            for group in state.param_groups:
                group["count"] = group.get("count", -1) + 1
                group["lr"] = float(self.rate(group["count"]))
        state.step()
        return parameters, state


def metrics_finite(metrics: Mapping[str, torch.Tensor]) -> bool:
    """True when every loss is a finite number."""
    return all(math.isfinite(float(m)) for m in metrics.values())


_SEVERAL = 3  # particles of a trial
_MASK = (1 << 64) - 1
_WANT_TENSORS = frozenset(
    {"MultivariateNormal", "Dirichlet", "Categorical", "OneHotCategorical", "LowRankMultivariateNormal"}
)


def _idle(recorder: _Recorder) -> frozenset[str]:
    """Parameters of modules that a program registers but that nothing it computes depends on."""
    owners = {name: p.source for name, p in recorder.found.items() if isinstance(p.source, torch.nn.Parameter)}
    terms = itertools.chain(*recorder.local.values(), *recorder.shared.values(), recorder.values.values())
    outputs = [x.sum() for x in (*terms, recorder.returned) if isinstance(x, torch.Tensor) and x.requires_grad]
    if not owners or not outputs:
        return frozenset()
    grads = torch.autograd.grad(sum(outputs), list(owners.values()), allow_unused=True)
    return frozenset(name for name, grad in zip(owners, grads, strict=True) if grad is None)


def _constrained(constraint: Any) -> Any:
    return None if isinstance(constraint, type(constraints.real)) else constraint


def _transform(constraint: Any) -> Any:
    """From the reals onto a constraint; torch has a bijection for most, and only a transform for Cholesky factors."""
    try:
        return biject_to(constraint)
    except NotImplementedError:
        return transform_to(constraint)


def _tensor(x: Any) -> Any:
    return torch.as_tensor(x) if isinstance(x, float | int | list | tuple | np.ndarray) else x


def _stack(outcomes: list[Outcome]) -> Outcome:
    """Join the outcomes of single particles along the particle axis."""

    def joined(field: str) -> dict[str, Any]:
        dicts = [getattr(o, field) for o in outcomes]
        return {name: torch.cat([d[name] for d in dicts]) for name in dicts[0]}

    returned = outcomes[0].returned
    if returned is not None:
        returned = torch.cat([o.returned for o in outcomes])
    distributions = {name: [o.distributions[name] for o in outcomes] for name in outcomes[0].distributions}
    return Outcome(joined("values"), joined("local"), joined("shared"), returned, distributions=distributions)
