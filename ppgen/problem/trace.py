"""A trace: what happened at each site in one run of a program. Everything an algorithm asks of a run is a filter on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ppgen import ops
from ppgen.backends.protocol import REAL, Term
from ppgen.backends.sites import Site
from ppgen.errors import NoLikelihoodError
from ppgen.problem.batch import Batch
from ppgen.problem.program import Program


@dataclass(frozen=True)
class Trace(Mapping[str, Term]):
    """The sites of one run: name to (value, log_prob, distribution, how), in program order.

    `trace["z"].log_prob` is [particles, rows] in the plate of rows and [particles] outside it. Filters give traces of fewer
    sites: `trace.drawn`, `trace.latent`, `trace.observed`, `trace.held`, `trace.local`, `trace.shared`, `trace.only("z")`.
    Terms of global sites are shared by the N rows of the data: in `log_prob` each row carries 1/N of them, so that the sum
    over all rows is the joint log density and the mean over a minibatch estimates 1/N of it.

    Attributes:
        program: what ran.
        terms: by site.
        batch: what the run was given.
        particles: number of particles K.
        rows: number of rows in the run.
        size: number of rows N of the whole data.
        returned: what the program returned, if that was an array.
        counted: for sites observed in some rows, the rows [rows] whose log densities this trace holds.
        computed: values of `deterministic` sites, [particles, ...].
        also: drawn values that go by another name, as the arguments of a native program do.

    Example:
        >>> import numpy as np, ppgen
        >>> model, guide = ppgen.models.ppca(features=3, latents=1)
        >>> problem = ppgen.Problem(model, guide, data={"x": np.ones((4, 3), np.float32)})
        >>> p = problem.joints()["model"]
        >>> trace = p.draw(rows=4, particles=2)
        >>> list(trace), trace["z"].how, trace.log_prob.shape
        (['z', 'x'], 'pathwise', (2, 4))
    """

    program: Program
    terms: Mapping[str, Term]
    batch: Batch
    particles: int
    rows: int
    size: int
    returned: Any = None
    counted: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Term:
        return self.terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def site(self, name: str) -> Site:
        """The site table's line for a site."""
        return self.program.sites[name]

    # values --------------------------------------------------------------------------------------------------

    @property
    def values(self) -> Batch:
        """What was drawn, or mapped from the reals: site name to value, [particles, rows, ...] ([particles, ...] if global)."""
        drawn = {name: term.value for name, term in self.terms.items() if term.how != "given"}
        drawn = {**drawn, **self.also}
        return Batch(drawn, rows=self.rows, drawn=drawn, particles=self.particles)

    def first(self, name: str) -> Any:
        """The distribution of a site in the run of the first particle."""
        return self.program.backend.first(self.terms[name].distribution)

    def replaced(self, name: str, log_prob: ops.Array) -> "Trace":
        """The trace with another log density of a site."""
        return replace(self, terms={**self.terms, name: replace(self.terms[name], log_prob=log_prob)})

    @property
    def reals(self) -> Batch:
        """The unconstrained values of continuous draws, `real:z` for a site `z`, where the draw was asked for them."""
        reals = {REAL + name: term.real for name, term in self.terms.items() if term.real is not None}
        return Batch(reals, rows=self.rows, drawn=reals, particles=self.particles)

    # log densities -------------------------------------------------------------------------------------------

    @property
    def log_prob(self) -> ops.Array:
        """The sum of all log densities, [particles, rows]; global ones count 1/N in each row."""
        local, shared = self._sums
        if shared is None:
            return self._zeros(self.particles, self.rows) if local is None else local
        share = shared[:, None] / self.size
        return ops.broadcast_to(share, (self.particles, self.rows)) if local is None else local + share

    @property
    def parts(self) -> tuple[ops.Array, ops.Array]:
        """The sum in two parts: sites in the plate of rows [particles, rows], global ones [particles]."""
        local, shared = self._sums
        return (
            self._zeros(self.particles, self.rows) if local is None else local,
            self._zeros(self.particles) if shared is None else shared,
        )

    def density(self, name: str) -> ops.Array:
        """The log density of one site, [particles, rows] or [particles].

        Raises:
            NoLikelihoodError: a site without one.
        """
        term, site, role = self.terms[name], self.site(name), self.program.role
        if term.log_prob is not None:
            return term.log_prob
        if not site.has_density:
            raise NoLikelihoodError(
                f"expected a log density of site {name!r} of the {role}; it is implicit ({term.distribution!r}), so it has "
                "draws only. Use an algorithm that needs no densities, such as ppgen.GAN."
            )
        reason = "it sent its mean" if term.how == "mean" else "it was drawn without one"
        raise NoLikelihoodError(
            f"expected a log density of site {name!r} of the {role}; {reason}. Draw with density=True, or leave the site out: "
            f"trace.without({name!r})."
        )

    # filters -------------------------------------------------------------------------------------------------

    def where(self, keep: Callable[[str, Term], bool]) -> "Trace":
        """The sites for which `keep(name, term)` holds."""
        return replace(self, terms={name: term for name, term in self.terms.items() if keep(name, term)})

    def only(self, *names: str) -> "Trace":
        """The sites with these names, those of them that are here."""
        return self.where(lambda name, _: name in names)

    def without(self, *names: str) -> "Trace":
        """The other sites."""
        return self.where(lambda name, _: name not in names)

    @property
    def drawn(self) -> "Trace":
        """Sites that this run drew."""
        return self._in_rows(self.where(lambda _, term: term.how not in ("given", "mapped")), seen=False)

    @property
    def observed(self) -> "Trace":
        """Sites that the data give; the others are `latent`."""

        def from_data(name: str, term: Term) -> bool:
            return self.batch.seen(name) is not None or (term.how == "given" and name not in self.batch.drawn)

        return self._in_rows(self.where(from_data), seen=True)

    @property
    def latent(self) -> "Trace":
        """Sites that the data do not give: drawn in this run, or given a value that was drawn elsewhere."""
        hidden = self.where(lambda name, term: term.how != "given" or name in self.batch.drawn)
        return self._in_rows(hidden, seen=False)

    @property
    def held(self) -> "Trace":
        """Draws that carry no gradient: those that the score function needs."""
        return self.drawn.where(lambda _, term: term.how == "held")

    @property
    def local(self) -> "Trace":
        """Sites in the plate of rows."""
        return self.where(lambda name, _: self.program.is_local(self.site(name)))

    @property
    def shared(self) -> "Trace":
        """Sites outside the plate of rows, which all rows share."""
        return self.where(lambda name, _: not self.program.is_local(self.site(name)))

    # ---------------------------------------------------------------------------------------------------------

    def _in_rows(self, trace: "Trace", *, seen: bool) -> "Trace":
        """A trace that holds sites observed in some rows only for those rows, or only for the others."""
        partial = {name: rows for name in trace if (rows := self.batch.seen(name)) is not None}
        if not partial:
            return trace
        return replace(trace, counted={name: rows if seen else ~rows for name, rows in partial.items()})

    def _zeros(self, *shape: int) -> ops.Array:
        with ops.activate(self.program.backend):
            return ops.zeros(shape)

    @property
    def _sums(self) -> tuple[Any, Any]:
        """Local and global log densities, each summed over sites; None where there are none."""
        local, shared = [], []
        for name in self.terms:
            log_prob = self.density(name)
            if name in self.counted:
                log_prob = ops.where(self.counted[name], log_prob, ops.zeros((), log_prob))
            (local if self.program.is_local(self.site(name)) else shared).append(log_prob)
        return _sum(local), _sum(shared)


def _sum(arrays: Iterable[Any]) -> Any | None:
    total = None
    for x in arrays:
        total = x if total is None else total + x
    return total
