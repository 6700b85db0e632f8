"""Primitives, and running programs."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import pyro
import torch
from torch.distributions import kl_divergence

from ppgen.backends import modules
from ppgen.backends.protocol import SEEN, Inspected, Request, Run, Term, bare
from ppgen.backends.pyro.arrays import Arrays
from ppgen.backends.pyro.bijections import bijection
from ppgen.backends.pyro.dependence import Depending
from ppgen.backends.pyro.distributions import make
from ppgen.backends.pyro.sites import _Recorder, _Sites, per_row
from ppgen.backends.pyro.watch import watching
from ppgen.backends.recorder import Recorder
from ppgen.backends.sites import Initialiser, Site

_SEVERAL = 3  # particles of a trial


class Programs(Arrays, Depending):
    """Runs programs: their primitives, one run for all particles, and the first look at them."""

    def sample(self, name: str, fn: Any, infer: Any) -> Any:
        return pyro.sample(name, fn, infer=infer)

    def plate(self, name: str, size: int, dim: int | None) -> Any:
        return pyro.plate(name, size, dim=dim)

    def deterministic(self, name: str, value: Any) -> Any:
        return pyro.deterministic(name, value)

    def factor(self, name: str, log_factor: Any) -> None:
        pyro.factor(name, log_factor, has_rsample=True)

    def distribution(self, name: str, **arguments: Any) -> Any:
        return make(name, **arguments)

    def module(self, run: Recorder, name: str, net: Any) -> Callable[..., Any]:
        return modules.torch_module(run, name, net)

    def same_network(self, a: Any, b: Any) -> bool:
        return hasattr(a, "specs") and type(a) is type(b) and repr(a) == repr(b)  # a torch module holds its arrays

    def _once(
        self,
        program: Inspected,
        parameters: Mapping[str, Any],
        values: Mapping[str, Any],
        rows: int | None,
        request: Request,
        *,
        particles: int | None = None,
        drawn: Iterable[str] = (),
        create: Initialiser | None = None,
    ) -> _Recorder:
        recorder = _Recorder(
            program, self, parameters, values, request, create=create, particles=particles, drawn=drawn
        )
        for name in program.lent & parameters.keys():
            self.lend(program.parameters[name].source, parameters[name])
        with recorder.listening(), pyro.get_param_store().scope(), _Sites(recorder):
            try:
                recorder.returned = program.call(values, rows, request.step)
            finally:
                for owner in self._lent:  # frozen or not while it ran
                    owner.requires_grad_(True)
        return recorder

    def run(
        self,
        program: Inspected,
        parameters: Mapping[str, Any],
        key: int,
        fixed: Mapping[str, Any],
        drawn: Mapping[str, Any],
        rows: int | None,
        particles: int,
        request: Request,
    ) -> Run:
        """One particle runs without a particle axis.

        Several run at once along an outermost axis, unless the program was found not to broadcast or takes drawn values as
        arguments: then it runs once per particle.
        """
        with self.borrowing():
            torch.default_generator.manual_seed(key)  # for every run: a program may draw by itself (dropout)
            if particles > 1 and program.vectorises and not set(drawn) & set(program.arguments):
                values = {**fixed, **drawn}
                at_once = self._once(program, parameters, values, rows, request, particles=particles, drawn=drawn)
                return at_once.outcome(rows)
            runs = []
            for k in range(particles):
                values = {**fixed, **{name: value[k] for name, value in drawn.items()}}
                runs.append(self._once(program, parameters, values, rows, request).outcome(rows))
        return runs[0] if particles == 1 else _stack(runs)

    def divergence(self, program: Inspected, site: Site, q: Any, p: Any, particles: int) -> torch.Tensor | None:
        row_dim = site.row_dim(program.rows_plate)
        if isinstance(q, list) != isinstance(p, list):
            return None

        def one(q: Any, p: Any, plates: int | None) -> torch.Tensor:
            kl = kl_divergence(q, p)
            plates = kl.ndim if plates is None else plates
            if row_dim is not None and not program.one_row:
                return per_row(kl, row_dim, plates)
            total = kl.sum(tuple(range(-plates, 0))) if plates else kl
            return total[..., None] if program.one_row else total

        try:
            if isinstance(q, list):
                return torch.stack([one(*pair, None) for pair in zip(q, p, strict=True)])
            kl = one(q, p, program.nesting)
        except NotImplementedError:
            return None
        return kl.expand(particles, *kl.shape[1:])

    def first(self, distribution: Any) -> Any:
        if isinstance(distribution, list):
            return distribution[0]
        raise NotImplementedError("a distribution of particles that ran at once; run one particle to see one alone.")

    def bijection(self, distribution: Any) -> Any:
        return bijection(distribution.support)

    def watching(self) -> AbstractContextManager[dict[int, torch.nn.Parameter]]:
        """Notes the torch parameters that a program uses, by id."""
        return watching()

    def inspect(
        self, program: Inspected, values: Mapping[str, np.ndarray], rows: int | None, create: Initialiser, key: int
    ) -> _Recorder:
        """Run the program once to learn its sites and make its parameters."""
        tensors = {name: self.array(value) for name, value in values.items()}
        with self.borrowing():
            torch.default_generator.manual_seed(self.fold_in(key, create.seed))
            recorder = self._once(program, {}, tensors, rows, Request(), create=create)
        recorder.idle = _idle(recorder)
        return recorder

    def arrange(
        self, programs: Mapping[str, Any], parameters: Mapping[str, Any], values: Mapping[str, np.ndarray], rows: int
    ) -> dict[str, Any]:
        """Find out what needs all programs: whose parameters are whose, and whether particles can run at once.

        A parameter that several programs register belongs to those that use it. Particles run at once if that gives
        the numbers that one at a time gives, in every program; a program may reshape its latent values or multiply
        them by a matrix in a way that knows of no particles.
        """
        used = {name for program in programs.values() for name in program.parameters if name not in program.idle}
        programs = {
            role: replace(
                program,
                parameters={n: p for n, p in program.parameters.items() if n not in program.idle & used},
            )
            for role, program in programs.items()
        }
        fixed = {name for program in programs.values() for name in program.arguments}
        drawn = {site.name for site in programs["guide"].latent()} if "guide" in programs else set()
        drawn = (drawn | {name.removeprefix(SEEN) for name in values if name.startswith(SEEN)}) - fixed  # in some rows
        tensors = {n: self.array(value) for n, value in values.items() if bare(n) not in drawn}
        with torch.no_grad(), self.borrowing(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numbers decide
            together = all(
                self._broadcasts(program, parameters, tensors, rows)
                for program in programs.values()
                if program.latent(tensors)
            )
        return {role: replace(program, vectorises=together) for role, program in programs.items()}

    def _broadcasts(self, program: Any, parameters: Any, values: Any, rows: int) -> bool:
        def run(drawn: Any, draw: str | None, vectorises: bool) -> Run:
            program_ = replace(program, vectorises=vectorises)
            return self.run(program_, parameters, 0, values, drawn, rows, _SEVERAL, Request(draw=draw))

        try:
            drawn = {n: t.value for n, t in run({}, "held", True).terms.items() if t.value is not None}
            together, alone = (run(drawn, None, vectorises).terms for vectorises in (True, False))
        except Exception:  # shapes that do not fit, raised by the program itself
            return False
        pairs: list[tuple[Any, Any]] = [(alone[name].log_prob, together[name].log_prob) for name in alone]
        return all(
            torch.allclose(one, at_once, rtol=1e-4, atol=1e-4, equal_nan=True)
            for one, at_once in pairs
            if one is not None
        )


def _idle(recorder: _Recorder) -> frozenset[str]:
    """Parameters of modules that a program registers but that nothing it computes depends on."""
    owners = {name: p.source for name, p in recorder.found.items() if isinstance(p.source, torch.nn.Parameter)}
    terms = [x for term in recorder.terms.values() for x in (term.value, term.log_prob)]
    outputs = [x.sum() for x in (*terms, recorder.returned) if isinstance(x, torch.Tensor) and x.requires_grad]
    if not owners or not outputs:
        return frozenset()
    grads = torch.autograd.grad(outputs, list(owners.values()), allow_unused=True)
    return frozenset(name for name, grad in zip(owners, grads, strict=True) if grad is None)


def _stack(runs: list[Run]) -> Run:
    """Join the runs of single particles along the particle axis; distributions become a list of them."""

    def joined(parts: list[Any]) -> Any:
        return None if parts[0] is None else torch.cat(parts)

    terms = {}
    for name, first in runs[0].terms.items():
        mine = [run.terms[name] for run in runs]
        terms[name] = Term(
            joined([term.value for term in mine]),
            joined([term.log_prob for term in mine]),
            [q for term in mine for q in term.distribution],
            first.how,
            joined([term.real for term in mine]),
        )
    computed = {name: joined([run.computed[name] for run in runs]) for name in runs[0].computed}
    return Run(terms, joined([run.returned for run in runs]), computed)
