"""Primitives, and running programs."""

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyro
import pyro.distributions as pd
import torch

from ppgen import ops
from ppgen.backends import modules
from ppgen.backends.program import Ask, Outcome, Program
from ppgen.backends.pyro.sites import _Recorder, _Sites
from ppgen.backends.pyro.watch import watching
from ppgen.backends.recorder import Recorder

_SEVERAL = 3  # particles of a trial
_WANT_TENSORS = frozenset(
    {
        "Categorical",
        "Delta",
        "Dirichlet",
        "LowRankMultivariateNormal",
        "MultivariateNormal",
        "RelaxedBernoulli",
        "ZeroInflatedPoisson",
    }
)


class Programs:
    """Runs programs: their primitives, one run for all particles, and the first look at them."""

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
                returned, recorder = self._once(program, parameters, values, rows, ask, particles=None, against=alone)
                outcomes.append(recorder.outcome(returned, rows))
        return outcomes[0] if particles == 1 else _stack(outcomes)

    def watching(self) -> AbstractContextManager[dict[int, torch.nn.Parameter]]:
        """Notes the torch parameters that a program uses, by id."""
        return watching()

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


def _idle(recorder: _Recorder) -> frozenset[str]:
    """Parameters of modules that a program registers but that nothing it computes depends on."""
    owners = {name: p.source for name, p in recorder.found.items() if isinstance(p.source, torch.nn.Parameter)}
    terms = itertools.chain(*recorder.local.values(), *recorder.shared.values(), recorder.values.values())
    outputs = [x.sum() for x in (*terms, recorder.returned) if isinstance(x, torch.Tensor) and x.requires_grad]
    if not owners or not outputs:
        return frozenset()
    grads = torch.autograd.grad(sum(outputs), list(owners.values()), allow_unused=True)
    return frozenset(name for name, grad in zip(owners, grads, strict=True) if grad is None)


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
