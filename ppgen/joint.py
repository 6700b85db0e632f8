"""Joints: a program bound to parameters, a backend and a key. Algorithms see nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ppgen import ops
from ppgen.backends.program import Ask, Outcome, Program, Site
from ppgen.errors import DataError


class Batch(dict):
    """Named arrays over rows.

    Entries named in `drawn` were sampled by a program and carry a leading particle axis; the others are data,
    [rows, ...]. `batch | draw.values` keeps track of which is which.
    """

    def __init__(
        self,
        entries: Mapping[str, Any] = (),
        *,
        rows: int | None = None,
        drawn: Iterable[str] = (),
        particles: int = 1,
    ) -> None:
        super().__init__(entries)
        self.drawn = frozenset(drawn)
        self.particles = particles
        self.rows = rows if rows is not None else self._count()

    def _count(self) -> int | None:
        lengths = {name: value.shape[0] for name, value in self.items() if name not in self.drawn and value.ndim}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"expected one number of rows in a batch; got {lengths}. Every entry's first axis counts the rows."
            )
        return next(iter(lengths.values()), None)

    def __or__(self, other: Mapping[str, Any]) -> "Batch":
        drawn = self.drawn - set(other) | getattr(other, "drawn", frozenset())
        counts = {b.particles for b in (self, other) if getattr(b, "drawn", None)}
        if len(counts) > 1:
            raise DataError(f"expected values with one number of particles; got {sorted(counts)}. Draw them together.")
        return Batch({**self, **other}, rows=self.rows, drawn=drawn, particles=counts.pop() if counts else 1)

    def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Entries without and with a particle axis."""
        fixed = {name: value for name, value in self.items() if name not in self.drawn}
        return fixed, {name: self[name] for name in self.drawn}


@dataclass(frozen=True)
class Draw:
    """Values of the sites a joint drew, with their log densities.

    Attributes:
        values: site name to value, [particles, rows, ...] ([particles, ...] for global sites).
        log_prob: log density of the drawn values, [particles, rows].
        score: the part of it that belongs to draws without a gradient, [particles, rows].
        terms: the log density in two parts, as `Joint.terms` gives it.
        distributions: the sites' distributions, where they were asked for.
    """

    values: Batch
    log_prob: Any = None
    score: Any = None
    terms: tuple[Any, Any] | None = None
    distributions: Mapping[str, Any] = field(default_factory=dict)


class Joint:
    """A program bound to parameters: p(x, z), q(z | x), or a critic.

    Log densities come as [particles, rows]. Terms of sites outside the plate of rows are shared by the N rows of the
    data: each row carries 1/N of them, so that the sum over all rows is the joint log density and the mean over a
    minibatch estimates 1/N of it.

    Args:
        program: the inspected program.
        parameters: unconstrained parameters by name.
        key: randomness; each draw uses fresh noise derived from it.
        size: number of rows N of the whole data.
    """

    def __init__(self, program: Program, parameters: Mapping[str, Any], key: Any, size: int) -> None:
        self.program, self.parameters, self.size = program, parameters, size
        self.backend = program.backend
        self._key, self._draws = key, 0

    def draw(
        self,
        batch: Batch | None = None,
        particles: int = 1,
        rows: int | None = None,
        *,
        pathwise: bool = True,
        distributions: bool = False,
    ) -> Draw:
        """Draw the sites that `batch` does not give.

        Args:
            batch: observed values and arguments.
            particles: number of independent draws K per row.
            rows: number of rows, where there is no batch.
            pathwise: let gradients flow through reparameterised draws.
            distributions: keep the sites' distributions.
        """
        batch = Batch(rows=rows) if batch is None else batch
        outcome = self._run(batch, Ask(pathwise=pathwise, distributions=distributions), particles)
        return self._draw(outcome, batch.rows, particles)

    def dream(self, batch: Batch, particles: int = 1, emit: Iterable[str] = (), *, density: bool = False) -> Draw:
        """Draw every site afresh, the observed ones too, for as many rows as `batch` has.

        The program keeps the arguments that are not sites of its own (covariates, labels), and sites that were drawn
        elsewhere (global ones, from a guide).

        Args:
            batch: gives the number of rows and the covariates.
            particles: number of independent dreams.
            emit: sites replaced by their mean.
            density: compute the log density of the dream too.
        """
        program = self.program
        shaping = program.observes.values()  # arguments that a native program observes; it needs their shapes
        covariates = {k for k in program.arguments if k not in program.sites or k in shaping}
        kept = {k: v for k, v in batch.items() if k in covariates | batch.drawn}
        given = Batch(kept, rows=batch.rows, drawn=batch.drawn, particles=particles)
        outcome = self._run(given, Ask(fresh=True, density=density, emit=frozenset(emit)), particles)
        for site in program.observed(batch.keys() - batch.drawn):
            argument = program.observes.get(site.name) if site.observed else site.name
            if argument in batch:  # in the data's shape and, where floats meet integers, their type
                data = batch[argument]
                outcome.values[argument] = outcome.values[site.name].reshape(particles, *data.shape) + 0 * data
        outcome.values.update({name: batch[name] for name in batch.drawn})
        return self._draw(outcome, batch.rows, particles)

    def log_prob(self, values: Batch) -> ops.Array:
        """Log density of `values`, [particles, rows]; event axes and inner plates are summed."""
        outcome = self._run(values, Ask(draw=False), values.particles)
        return self._total(outcome, "given", values.rows, values.particles)

    def terms(self, values: Batch) -> tuple[ops.Array, ops.Array]:
        """Log density of `values` in two parts: sites in the plate of rows [particles, rows], global ones [particles].

        The joint log density of all rows is the sum of the first over rows plus the second.
        """
        outcome = self._run(values, Ask(draw=False), values.particles)
        return self._terms(outcome, "given", values.rows, values.particles)

    def log_weight(self, batch: Batch, z: Draw, *, analytic_kl: bool = False) -> ops.Array:
        """Log p(x, z) - log q(z | x) for draws z ~ q, [particles, rows].

        With `analytic_kl`, sites for which KL(q || p) is known in closed form contribute minus that number in place of
        their two log densities; `z` must have been drawn with `distributions=True`.
        """
        values = batch | z.values
        if not analytic_kl:
            return self.log_prob(values) - z.log_prob
        outcome = self._run(values, Ask(draw=False), values.particles, z.distributions)
        return self._total(outcome, "given", values.rows, values.particles) - self._total(
            outcome, "kl", values.rows, values.particles
        )

    def pool(self, log_weight: ops.Array, batch: Batch) -> ops.Array:
        """One weight per row where all latents are local; one for the whole data where some are global.

        [particles, rows] stays so, or becomes [particles, 1] (the sum over rows).
        """
        return ops.sum(log_weight, 1, keepdims=True) if self.program.has_global(batch) else log_weight

    def reparameterised(self, batch: Iterable[str] = ()) -> bool:
        """True when every draw of a latent site carries a gradient."""
        return all(site.reparameterised for site in self.program.latent(batch))

    def sites(self, batch: Iterable[str] = ()) -> list[Site]:
        """The site table, with what `batch` observes marked."""
        return [replace(s, observed=s.observed or s.name in batch) for s in self.program.sites.values()]

    def __call__(self, values: Batch) -> ops.Array:
        """What the program returns (a critic's score), [particles, rows]."""
        return self._run(values, Ask(draw=False, returned=True), values.particles).returned

    @property
    def frozen(self) -> "Joint":
        """The same joint with its parameters behind a stop-gradient."""
        constants = {name: self.backend.stop_gradient(value) for name, value in self.parameters.items()}
        frozen = Joint(self.program, constants, self._key, self.size)
        frozen._draws = self._draws + 1000
        return frozen

    # ---------------------------------------------------------------------------------------------------------

    def _run(self, values: Batch, ask: Ask, particles: int, against: Mapping[str, Any] | None = None) -> Outcome:
        key = self._key
        if ask.draw:
            key = self.backend.fold_in(key, self._draws)
            self._draws += 1
        fixed, drawn = values.split()
        return self.backend.run(self.program, self.parameters, key, fixed, drawn, values.rows, particles, ask, against)

    def _draw(self, outcome: Outcome, rows: int | None, particles: int) -> Draw:
        values = Batch(outcome.values, rows=rows, drawn=outcome.values, particles=particles)
        log_prob = self._total(outcome, "drawn", rows, particles)
        score = self._total(outcome, "score", rows, particles)
        terms = self._terms(outcome, "drawn", rows, particles)
        return Draw(values, log_prob, score, terms, outcome.distributions)

    def _total(self, outcome: Outcome, kind: str, rows: int | None, particles: int) -> ops.Array:
        local, shared = outcome.local.get(kind), outcome.shared.get(kind)
        if local is None and shared is None:
            with ops.activate(self.backend):
                return ops.zeros((particles, rows or 1))
        if shared is None:
            return local
        share = shared[:, None] / self.size
        return ops.broadcast_to(share, (particles, rows or 1)) if local is None else local + share

    def _terms(self, outcome: Outcome, kind: str, rows: int | None, particles: int) -> tuple[ops.Array, ops.Array]:
        local, shared = outcome.local.get(kind), outcome.shared.get(kind)
        with ops.activate(self.backend):
            local = ops.zeros((particles, rows or 1)) if local is None else local
            return local, ops.zeros((particles,)) if shared is None else shared
