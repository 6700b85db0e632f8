"""What the sites of a NumPyro program depend on, read off its trace on shapes: nothing is computed.

Each intermediate result of the trace carries a `Fact`. Rules for axes (`axes`) and for ranges (`ranges`) lead from the facts
of operands to those of results; where there is no rule, nothing is claimed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import numpyro
from jax.ad_checkpoint import checkpoint_name

from ppgen.backends.dependence import ENDS, Dependence, Dependences, example_outside, limited, unwrapped
from ppgen.backends.numpyro.axes import LOST, MIXED, carried
from ppgen.backends.numpyro.ranges import ANYTHING, Range, range_of
from ppgen.backends.protocol import Inspected, Request
from ppgen.backends.support import Support

SITE, PARAMETER = "site:", "parameter:"
KEY, CONSTANT = "the key", "a constant"
_DRAWS = ("random_bits", "threefry2x32")
_TRIALS = 4  # values of the parameters at which doubtful ranges are looked at
_CUTS = ("slice", "dynamic_slice")
_CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint")


@dataclass(frozen=True)
class Fact:
    """What is known of one array.

    Attributes:
        sources: entries, parameters, the key: what its numbers come from.
        rows: the axis that counts the rows; MIXED or LOST; None for what has no rows.
        varies: axes along which it differs though it has no rows: of parameters and constants.
        places: what made rows differ by their place in the batch.
        range: its smallest and largest number, at any parameters.
    """

    sources: frozenset[str] = frozenset()
    rows: Any = None
    varies: frozenset[int] = frozenset()
    places: frozenset[str] = frozenset()
    range: Range = ANYTHING


def mark(name: str, value: Any) -> Any:
    """`value`, under a name that the trace keeps."""
    return jax.tree.map(lambda x: checkpoint_name(x, name), value)


def parts_of(distribution: Any) -> dict[str, Any]:
    """The arrays that a distribution is made of: those whose range it knows by name, and all others."""
    base = unwrapped(distribution)
    named = {name: vars(base)[name] for name in getattr(base, "arg_constraints", {}) if name in vars(base)}
    others = {f"[{i}]": leaf for i, leaf in enumerate(jax.tree.leaves(distribution))}
    arrays = {name: x for name, x in (others | named).items() if isinstance(x, float | int | np.ndarray | jax.Array)}
    return {name: jax.numpy.asarray(x) for name, x in arrays.items()}


class Reading:
    """Facts about all results of a trace, from those of its arguments.

    Args:
        program: the program that was traced, with its sites.
        rows: number of rows of its batch.
    """

    def __init__(self, program: Inspected, rows: int) -> None:
        self.program, self.rows, self.fixed = program, rows, False

    def sites(
        self, trace: Any, parts: Mapping[str, Mapping[str, Any]], arguments: list[Fact]
    ) -> dict[str, dict[str, Fact]]:
        """Facts about the arrays of each site's distribution.

        Args:
            trace: a closed jaxpr whose results are `parts`.
            parts: the shapes of the arrays of each site's distribution, by site and name.
            arguments: facts about the arguments of the trace.
        """
        facts = self.read(trace.jaxpr, [*map(_constant, trace.consts), *arguments])
        return jax.tree.unflatten(jax.tree.structure(parts), facts)

    def dependence(self, name: str, facts: Mapping[str, Fact], shapes: Mapping[str, Any]) -> Dependence:
        """What one site depends on."""
        site = self.program.sites[name]
        sources = frozenset().union(*(fact.sources for fact in facts.values()))
        places = frozenset().union(*(fact.places for fact in facts.values()))
        row_dim = site.row_dim(self.program.rows_plate)
        for part, fact in facts.items() if row_dim is not None and self.rows > 1 else ():
            ends = {len(shapes[part].shape) + (row_dim or 0) - event for event in (0, len(site.event_shape))}
            if any(axis in fact.varies and shapes[part].shape[axis] == self.rows for axis in ends):
                places |= _names(fact)
        entries = frozenset(s for s in sources if not s.startswith((PARAMETER, SITE)) and s not in (KEY, CONSTANT))
        learned = {part for part, fact in facts.items() if any(s.startswith(PARAMETER) for s in fact.sources)}
        mixes = any(fact.rows == MIXED for fact in facts.values())
        return Dependence(entries, mixes, places, frozenset(learned.intersection(ENDS)))

    def read(self, jaxpr: Any, arguments: list[Fact]) -> list[Fact]:
        """Facts about the results of a jaxpr."""
        known: dict[Any, Fact] = dict(zip((*jaxpr.constvars, *jaxpr.invars), arguments, strict=True))

        def look(atom: Any) -> Fact:
            if hasattr(atom, "val"):  # a literal
                return Fact(range=range_in(atom.val))
            return known.get(atom, Fact())

        for equation in jaxpr.eqns:
            known.update(zip(equation.outvars, self.results(equation, [look(v) for v in equation.invars]), strict=True))
        return [look(v) for v in jaxpr.outvars]

    def results(self, equation: Any, facts: list[Fact]) -> list[Fact]:
        """Facts about the results of one equation."""
        name, params = equation.primitive.name, equation.params
        inner = params.get("jaxpr") or params.get("call_jaxpr") or params.get("fun_jaxpr")
        if inner is not None and name in _CALLS:
            return self.read(getattr(inner, "jaxpr", inner), [*map(_constant, getattr(inner, "consts", ())), *facts])
        sources = frozenset().union(*(fact.sources for fact in facts))
        if name in _DRAWS and KEY not in sources:
            self.fixed = True
        shapes = [v.aval.shape for v in equation.invars]
        return [self.result(name, params, shapes, v.aval.shape, facts, sources) for v in equation.outvars]

    def result(
        self, name: str, params: Any, shapes: list[tuple], out: tuple, facts: list[Fact], sources: frozenset[str]
    ) -> Fact:
        """The fact about a result of a primitive."""
        if name == "name" and params["name"].startswith(SITE):
            return self.drawn(params["name"].removeprefix(SITE), out, facts[0])
        if name == "name" and params["name"].startswith(PARAMETER):
            return Fact(frozenset({params["name"]}), None, frozenset(range(len(out))), range=facts[0].range)
        if name == "iota":
            return Fact(frozenset({CONSTANT}), None, frozenset({params["dimension"]}), range=(0, math.inf))
        places = frozenset().union(*(fact.places for fact in facts))
        rows, varies = set(), set()
        for i, fact in enumerate(facts):
            if fact.rows in (MIXED, LOST):
                rows.add(fact.rows)
            elif fact.rows is not None:
                rows.add(carried(name, params, shapes, out, i, fact.rows))
            else:
                varies |= {
                    (axis, i)
                    for before in fact.varies
                    if isinstance(
                        axis := before if name in _CUTS else carried(name, params, shapes, out, i, before), int
                    )
                }
        if MIXED in rows or len(rows - {LOST}) > 1:
            return Fact(sources, MIXED, places=places, range=range_of(name, params, [f.range for f in facts]))
        row = LOST if LOST in rows else next(iter(rows), None)
        if isinstance(row, int) and self.rows > 1 and row < len(out) and out[row] == self.rows:
            places = places.union(*(_names(facts[i]) for axis, i in varies if axis == row))
        free = frozenset(axis for axis, _ in varies) if row is None and KEY not in sources else frozenset()
        return Fact(sources, row, free, places, range_of(name, params, [f.range for f in facts]))

    def drawn(self, name: str, out: tuple, fact: Fact) -> Fact:
        """A site's value: one number a row where it lies in the plate of rows, whatever it was drawn from."""
        site = self.program.sites.get(name)
        row_dim = None if site is None else site.row_dim(self.program.rows_plate)
        axis = None if site is None or row_dim is None else len(out) - len(site.event_shape) + row_dim
        return Fact(frozenset({SITE + name, KEY}), axis, range=fact.range)


def range_in(value: Any) -> Range:
    """The smallest and largest of known numbers."""
    known = np.asarray(value) if isinstance(value, np.ndarray | np.generic | float | int | jax.Array) else np.zeros(0)
    return (float(known.min()), float(known.max())) if known.dtype.kind in "fiub" and known.size else ANYTHING


def _constant(value: Any) -> Fact:
    return Fact(frozenset({CONSTANT}), None, frozenset(range(np.ndim(value))), range=range_in(value))


def _names(fact: Fact) -> frozenset[str]:
    """The parameters that a fact comes from; else, the constant."""
    names = frozenset(s.removeprefix(PARAMETER) for s in fact.sources if s.startswith(PARAMETER))
    return names or frozenset({CONSTANT})


class Depending:
    """The part of the backend that says what sites depend on."""

    def dependences(
        self, program: Inspected, seen: Any, parameters: Mapping[str, Any], values: Mapping[str, np.ndarray], rows: int
    ) -> Dependences:
        """What the sites of an inspected program depend on; see the protocol."""
        try:
            traced = seen.traced or self._traced(program, parameters, values, rows)
        except Exception:  # what cannot be traced as it stands claims nothing
            return Dependences()
        trace, parts, limits = traced
        entries = [Fact(frozenset({name}), 0, range=range_in(value)) for name, value in sorted(values.items())]
        reading = Reading(program, rows)
        facts = reading.sites(trace, parts, [*entries, Fact(frozenset({KEY}))])
        doubtful = {
            name: {part: limit for part, limit in limits[name].items() if not _inside(facts[name][part].range, limit)}
            for name in parts
        }
        outside = self._outside(program, parameters, values, rows, doubtful) if any(doubtful.values()) else {}
        sites = {
            name: replace(reading.dependence(name, facts[name], parts[name]), outside=outside.get(name, {}))
            for name in parts
        }
        own = {id(leaf) for leaf in jax.tree.leaves(dict(parameters))}
        return Dependences(sites, reading.fixed, [c for c in trace.consts if id(c) not in own])

    def _traced(self, program: Inspected, parameters: Any, values: Mapping[str, Any], rows: int) -> Any:
        """The trace of a native program, once it has made its parameters."""
        limits: dict[str, Any] = {}

        def look(arrays: Mapping[str, Any], key: Any) -> Any:
            recorder = self._one(program, parameters, key, arrays, rows, Request(), marks=True)  # pyright: ignore[reportAttributeAccessIssue]  # of Programs
            return parts(recorder, limits)

        arrays = {name: jax.numpy.asarray(value) for name, value in values.items()}
        trace, shapes = jax.make_jaxpr(look, return_shape=True)(arrays, jax.random.key(0))
        return trace, shapes, limits

    def _outside(
        self, program: Inspected, parameters: Any, values: Any, rows: int, doubtful: Mapping[str, Mapping[str, Support]]
    ) -> dict[str, dict[str, float]]:
        """Which of the doubtful parameters of distributions do leave their range, at a few values of the program's own."""
        arrays, found = {name: jax.numpy.asarray(value) for name, value in values.items()}, {}
        for turn in range(_TRIALS):
            rng = np.random.default_rng(turn)
            tried = jax.tree.map(lambda x, rng=rng: x + rng.normal(size=x.shape).astype(x.dtype), dict(parameters))
            with numpyro.validation_enabled(False):
                recorder = self._one(program, tried, jax.random.key(turn), arrays, rows, Request())  # pyright: ignore[reportAttributeAccessIssue]
            for name, limits in doubtful.items():
                parts = parts_of(recorder.terms[name].distribution)
                for part, limit in limits.items():
                    if (example := example_outside(limit, np.asarray(parts[part]), rows)) is not None:
                        found.setdefault(name, {})[part] = example
        return found


def parts(recorder: Any, limits: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The arrays of each site's distribution; their ranges go to `limits`."""
    terms = recorder.terms.items()
    limits.update({name: limited(term.distribution) for name, term in terms})
    return {name: parts_of(term.distribution) for name, term in terms}


def _inside(found: Range, limit: Support) -> bool:
    low, high = (-math.inf if limit.low is None else limit.low), (math.inf if limit.high is None else limit.high)
    return limit.kind != "simplex" and found[0] >= low and found[1] <= high
