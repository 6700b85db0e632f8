"""What happens at the sites of a Pyro program."""

import weakref
import zlib
from typing import Any

import numpy as np
import pyro
import pyro.distributions as pd
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch.distributions import constraints

from ppgen.backends.protocol import Run, Term
from ppgen.backends.recorder import Recorder
from ppgen.errors import ProgramError


class _Sites(Messenger):
    """Passes Pyro's messages to a `Recorder`."""

    def __init__(self, recorder: "_Recorder") -> None:
        super().__init__()
        self.recorder = recorder

    def _pyro_sample(self, msg: Any) -> None:
        if isinstance(msg["fn"], _Subsample):  # a plate drawing its indices is no site
            self.recorder.enter_plate(msg)
            return
        if _stands_for_a_deterministic_site(msg):
            msg["infer"] = {**(msg["infer"] or {}), "_deterministic": True}
        self.recorder.before(msg)

    def _pyro_post_sample(self, msg: Any) -> None:
        if isinstance(msg["fn"], _Subsample):
            self.recorder.part_of_rows(msg["name"], int(msg["fn"].size), len(msg["value"]))
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
        self.native = True
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

    def origin(self, msg: Any) -> tuple[Any, Any, torch.Tensor | None]:
        """What makes a parameter's first (unconstrained) value, its constraint, and the tensor a module holds it in."""
        name, store = msg["name"], pyro.get_param_store()
        source, constraint = (*msg["args"], None)[1], msg["kwargs"]["constraint"]
        if source is None and name in store._constraints:  # a PyroParam, which its module has just put there
            owner, constraint = store._params[name], store._constraints[name]
            return lambda _: owner.detach().clone(), _constrained(constraint), owner
        constraint = _constrained(constraint)
        if source is None:
            return None, constraint, None
        owner = source if isinstance(source, torch.nn.Parameter) and constraint is None else None

        def make(_: np.random.Generator) -> torch.Tensor:
            value = source if isinstance(source, torch.Tensor) else source()
            value = value.detach().clone()
            return value if constraint is None else self.backend.unconstrain(constraint, value)

        return make, constraint, owner

    def enter_plate(self, msg: Any) -> None:
        """A plate that is to draw some of its rows draws them by the step's own key, the same for model and guide."""
        size, part = msg["fn"].size, msg["fn"].subsample_size
        if msg["value"] is None and part not in (None, size) and self.request.minibatch is not None:
            key = self.backend.fold_in(self.request.minibatch, zlib.crc32(msg["name"].encode()))
            generator = torch.Generator().manual_seed(key)
            msg["value"], msg["done"] = torch.randperm(size, generator=generator)[:part], True

    def prepare(self, msg: Any) -> None:
        fn, k = msg["fn"], self.particles
        if k is not None and len(fn.batch_shape) <= self.nesting:
            missing = self.nesting - len(fn.batch_shape)
            msg["fn"] = fn.expand(torch.Size((k, *(1,) * missing, *fn.batch_shape)))

    def place(self, entry: str, event_dim: int) -> torch.Tensor:
        value = self.given[entry]
        if self.particles is None or entry not in self.particled:
            return super().place(entry, event_dim)
        if self.program.one_row:
            value = value[:, 0]
        rank = value.ndim - 1 - event_dim
        return value.reshape(value.shape[:1] + (1,) * (self.nesting - rank) + value.shape[1:])

    def extract(self, msg: Any, value: torch.Tensor) -> torch.Tensor:
        if self.particles is None:
            return super().extract(msg, value)
        if self.program.one_row:  # batch axes may lie outside plates there
            rank = len(self.program.sites[msg["name"]].batch_shape) - 1
        else:
            rank = max((-f.dim for f in msg["cond_indep_stack"] if f.dim is not None), default=0)
        value = value.reshape(value.shape[:1] + value.shape[1 + self.nesting - rank :])
        return value[:, None] if self.program.one_row else value

    def reparameterised(self, fn: Any) -> bool:
        return bool(fn.has_rsample)

    def is_scaled(self, msg: Any) -> bool:
        return not np.allclose(torch.as_tensor(msg["scale"]).detach(), self.plate_weight(msg))

    def scaled_log_density(self, msg: Any) -> torch.Tensor:
        log_density = msg["fn"].log_prob(msg["value"])
        scale, mask = msg["scale"], msg["mask"]
        if mask is not None:
            log_density = (
                log_density.new_zeros(())
                if mask is False
                else torch.where(torch.as_tensor(mask), log_density, log_density.new_zeros(()))
            )
        if isinstance(scale, float | int) and scale == 1:
            return log_density
        return log_density * (scale / self.plate_weight(msg, self.program.rows_plate))  # the trace weighs rows itself

    def inside(self, msg: Any) -> torch.Tensor:
        inside, mask = msg["fn"].support.check(msg["value"]), msg["mask"]
        return inside if mask is None else inside | ~torch.as_tensor(mask)

    def uniform(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.rand(shape)

    def total(self, log_density: torch.Tensor) -> torch.Tensor:
        if self.particles is None:
            return log_density.sum()
        extra = min(log_density.ndim, self.nesting)
        return log_density.sum(tuple(range(-extra, 0))) if extra else log_density

    def per_row(self, log_density: torch.Tensor, row_dim: int) -> torch.Tensor:
        return per_row(log_density, row_dim, log_density.ndim if self.particles is None else self.nesting)

    def outcome(self, rows: int | None) -> Run:
        """The run of all particles: log densities brought to [particles, rows] and [particles]."""
        k, alone = self.particles or 1, self.particles is None

        def full(name: str, log_prob: torch.Tensor | None) -> torch.Tensor | None:
            shared = self.row_dims[name] is None and not self.program.one_row
            shape = (k,) if shared else (k, -1 if rows is None else rows)
            return None if log_prob is None else log_prob.expand(*shape)

        terms = {
            name: Term(
                term.value.unsqueeze(0) if alone and term.value is not None else term.value,
                full(name, term.log_prob),
                [term.distribution] if alone else term.distribution,
                term.how,
                term.real.unsqueeze(0) if alone and term.real is not None else term.real,
            )
            for name, term in self.terms.items()
        }
        returned = self.returned if isinstance(self.returned, torch.Tensor) else None
        computed = {n: torch.as_tensor(x).unsqueeze(0) for n, x in self.computed.items()} if alone else {}
        return Run(terms, returned.unsqueeze(0) if alone and returned is not None else returned, computed)


def per_row(log_density: torch.Tensor, row_dim: int, plates: int) -> torch.Tensor:
    """The sum over all plates but one; plates are the last axes, `plates` of them at most."""
    others = [dim for dim in range(-min(log_density.ndim, plates), 0) if dim != row_dim]
    return log_density.sum(others) if others else log_density


def _stands_for_a_deterministic_site(msg: Any) -> bool:
    """A site that Pyro's reparameterisations have replaced: it observes a point, and its density is masked."""
    fn = msg["fn"]
    return bool(msg["is_observed"]) and getattr(fn, "_mask", None) is False and isinstance(fn.base_dist, pd.Delta)


def _constrained(constraint: Any) -> Any:
    return None if isinstance(constraint, type(constraints.real)) else constraint
