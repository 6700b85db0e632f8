"""What the sites of a Pyro program depend on, found by running it again with other numbers."""

import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyro
import torch

from ppgen.backends.dependence import ENDS, Dependence, Dependences, example_outside, limited, unwrapped
from ppgen.backends.protocol import Inspected, Request
from ppgen.backends.pyro.sites import _Recorder, _Sites

Values = dict[str, torch.Tensor]
_TRIALS = 4  # values of the parameters at which distributions are looked at


class _Keeping(_Recorder):
    """Keeps what happened at each site."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, particles=None, **kwargs)
        self.kept: dict[str, tuple[Any, torch.Tensor]] = {}

    def after(self, msg: dict[str, Any]) -> None:
        super().after(msg)
        if msg["name"] in self.terms:
            self.kept[msg["name"]] = msg["fn"], msg["value"]


class Runs:
    """Runs of one program on one batch, with some numbers changed.

    Args:
        backend: the backend.
        program: the inspected program.
        parameters: its parameters.
        entries: the batch.
        rows: its number of rows.
    """

    def __init__(self, backend: Any, program: Inspected, parameters: Values, entries: Values, rows: int) -> None:
        self.backend, self.program, self.entries, self.rows = backend, program, entries, rows
        self.parameters = parameters

    @cached_property
    def first(self) -> _Keeping:
        """The run on the batch as it is."""
        return self.run(self.entries, self.entries)

    @cached_property
    def values(self) -> Values:
        """The values of its sites."""
        return {name: value for name, (_, value) in self.first.kept.items()}

    @cached_property
    def scores(self) -> Values:
        """Their log densities."""
        return self.score(self.first, self.values)

    def run(self, arguments: Values, given: Values, seed: int = 0) -> _Keeping:
        """One run on arguments, with the sites of `given` given."""
        torch.default_generator.manual_seed(seed)
        recorder = _Keeping(self.program, self.backend, self.parameters, given, Request())
        with recorder.listening(), pyro.get_param_store().scope(), _Sites(recorder):
            recorder.returned = self.program.call(arguments, self.rows)
        return recorder

    @staticmethod
    def score(run: _Keeping, values: Values) -> Values:
        """Log densities of values under the distributions of a run, a number a row for local sites."""
        return {name: run.summed({"name": name}, run.kept[name][0].log_prob(value)) for name, value in values.items()}

    def with_rows(self, order: torch.Tensor) -> Values:
        """Log densities where entries and local values have their rows in another order."""
        entries = {name: value[order] for name, value in self.entries.items()}
        values = {name: self.moved(name, value, order) for name, value in self.values.items()}
        return self.score(self.run(entries, {**entries, **values}), values)

    def moved(self, name: str, value: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """A site's value with its rows in another order."""
        dim, site = self.first.row_dims[name], self.program.sites[name]
        if dim is None:
            return value
        axis = value.ndim - len(site.event_shape) + dim
        return value if value.shape[axis] != self.rows else value.index_select(axis, order)

    def reads(self, entry: str) -> set[str]:
        """Sites whose distribution changes with an entry that the program takes as an argument."""
        other = self.entries[entry][torch.tensor([1, *range(1, self.rows)])]  # a mean over rows changes too
        arguments = self.entries | {entry: other}
        now = self.score(self.run(arguments, {**self.entries, **self.values}), self.values)
        return {name for name in now if not same(now[name], self.scores[name])}

    def noisy(self) -> set[str]:
        """Sites whose distribution changes from run to run."""
        now = self.score(self.run(self.entries, {**self.entries, **self.values}, seed=1), self.values)
        return {name for name in now if not same(now[name], self.scores[name])}

    def fixed(self) -> bool:
        """Whether the program sets torch's seed: then its stream is at one place after any run."""
        after = []
        for seed in range(2):
            self.run(self.entries, self.entries, seed)
            after.append(torch.get_rng_state())
        return bool((after[0] == after[1]).all())


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two results agree up to rounding."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True)


class Depending:
    """The part of the backend that says what sites depend on."""

    array: Callable[[Any], torch.Tensor]
    borrowing: Callable[[], Any]
    unchecked: Callable[[], Any]

    def dependences(
        self, program: Any, seen: Any, parameters: Mapping[str, Any], values: Mapping[str, np.ndarray], rows: int
    ) -> Dependences:
        """What the sites of an inspected program depend on; see the protocol."""
        entries = {name: self.array(value) for name, value in values.items()}
        try:
            with torch.no_grad(), self.borrowing(), self.unchecked(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._compared(program, parameters, entries, rows)
        except Exception:  # a program that does not run on other numbers claims nothing
            return Dependences()

    def _compared(self, program: Any, parameters: Mapping[str, Any], entries: Values, rows: int) -> Dependences:
        outside = _outside(self, program, parameters, entries, rows)
        runs = Runs(self, program, tried(parameters, 0), entries, rows)
        noisy, local = runs.noisy(), {name for name, dim in runs.first.row_dims.items() if dim is not None}
        reads = {entry: runs.reads(entry) for entry in program.arguments if entry in entries} if rows > 1 else {}
        mixes: set[str] = set()
        placed: set[str] = set()
        if rows > 2:
            for kept, order in ((0, [0, *range(rows - 1)]), (-1, [*range(1, rows), rows - 1])):  # beside other rows
                now = runs.with_rows(torch.tensor(order))
                mixes |= {n for n in local - noisy if now[n].ndim and not same(now[n][kept], runs.scores[n][kept])}
            rolled = runs.with_rows(torch.arange(rows).roll(1))
            placed = {n for n in local - noisy - mixes if not same(rolled[n], runs.scores[n].expand(rows).roll(1))}
        long = frozenset(n for n, p in parameters.items() if isinstance(p, torch.Tensor) and rows in p.shape)
        other = Runs(self, program, tried(parameters, 1), entries, rows).first
        noisy |= runs.noisy()  # and after all runs: a clock has gone on
        mixes, placed = mixes - noisy, placed - noisy
        sites = {
            name: Dependence(
                frozenset(entry for entry, sites in reads.items() if name in sites - noisy),
                name in mixes,
                (long or frozenset({"a constant"})) if name in placed else frozenset(),
                frozenset(e for e in ENDS if not same(_end(runs.first, name, e), _end(other, name, e))),
                outside.get(name, {}),
            )
            for name in runs.values
        }
        return Dependences(sites, runs.fixed())


def _end(run: _Keeping, name: str, end: str) -> torch.Tensor:
    """An end of a site's interval, if its distribution has one of its own."""
    return torch.as_tensor(vars(unwrapped(run.kept[name][0])).get(end, 0.0))


def tried(parameters: Mapping[str, Any], seed: int) -> Values:
    """Other values of the parameters, so that those that start alike differ."""
    rng = np.random.default_rng(seed)
    moved = {
        n: p.detach() + torch.as_tensor(rng.normal(size=tuple(p.shape)), dtype=p.dtype) for n, p in parameters.items()
    }
    return {n: p.requires_grad_(True) for n, p in moved.items()}  # as a module's own have it


def _outside(backend: Any, program: Any, parameters: Any, entries: Values, rows: int) -> dict[str, dict[str, float]]:
    """Parameters of distributions that leave their range, at a few values of the program's own."""
    found: dict[str, dict[str, float]] = {}
    for turn in range(_TRIALS):
        runs = Runs(backend, program, tried(parameters, turn), entries, rows)
        limits = {name: (fn, limited(fn)) for name, (fn, _) in runs.run(entries, entries, seed=turn).kept.items()}
        if not any(parts for _, parts in limits.values()):
            break
        for name, (fn, parts) in limits.items():
            for part, limit in parts.items():
                if (example := example_outside(limit, np.asarray(vars(unwrapped(fn))[part]), rows)) is not None:
                    found.setdefault(name, {})[part] = example
    return found
