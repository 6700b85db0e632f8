"""Joints: a program bound to parameters, a backend and a key. Algorithms see nothing else."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ppgen import ops
from ppgen.backends.protocol import KEPT, Request, Run, bare
from ppgen.backends.sites import Site
from ppgen.errors import ProgramError
from ppgen.problem.batch import Batch
from ppgen.problem.program import Program
from ppgen.problem.trace import Trace


class Joint:
    """A program bound to parameters: p(x, z), q(z | x), or a critic.

    A joint owns its randomness: each draw uses fresh noise derived from its key, also a draw from `frozen`. Inside a loop
    (`ppgen.ops.scan`), whose body is compiled once, a draw needs a key that the loop changes: `joint.at(i).draw(...)`.

    Args:
        program: the inspected program.
        parameters: unconstrained parameters by name.
        key: randomness.
        size: number of rows N of the whole data.
        step: the number of the training step.
        training: whether networks are in training (dropout).
        minibatch: the key by which programs draw their own minibatches, one for all joints of a step.
    """

    def __init__(
        self,
        program: Program,
        parameters: Mapping[str, Any],
        key: Any,
        size: int,
        step: Any = 0,
        training: bool = False,
        minibatch: Any = None,
    ) -> None:
        self.program, self.parameters, self.size, self.step = program, parameters, size, step
        self.training, self._minibatch = training, minibatch
        self.backend = program.backend
        self._key, self._turns, self._depth = key, itertools.count(), ops.depth()

    # runs ----------------------------------------------------------------------------------------------------

    def draw(
        self,
        batch: Batch | None = None,
        particles: int = 1,
        rows: int | None = None,
        *,
        pathwise: bool = True,
        density: bool = True,
        reals: bool = False,
    ) -> Trace:
        """Draw the sites that `batch` does not give.

        Args:
            batch: observed values and arguments.
            particles: number of independent draws K per row.
            rows: number of rows, where there is no batch.
            pathwise: let gradients flow through reparameterised draws.
            density: compute log densities of what is drawn.
            reals: also find the unconstrained values of continuous draws, `trace.reals`.
        """
        batch = Batch(rows=rows) if batch is None else batch
        return self._run(batch, Request("pathwise" if pathwise else "held", density=density, reals=reals), particles)

    def trace(self, values: Batch) -> Trace:
        """The run that gives these values to the sites.

        An entry `real:z` gives the site `z` by an unconstrained value, as those of `trace.reals`: the site's value is the
        image of that under the bijection onto its support, and its log density that of the unconstrained value.
        """
        return self._run(values, Request(draw=None), values.particles)

    def log_prob(self, values: Batch) -> ops.Array:
        """Log density of `values`, [particles, rows]; event axes and inner plates are summed."""
        return self.trace(values).log_prob

    def dream(
        self, batch: Batch, particles: int = 1, emit: Iterable[str] = (), *, density: bool = False, reals: bool = False
    ) -> Trace:
        """Draw every site afresh, the observed ones too, for as many rows as `batch` has.

        The program keeps the arguments that are not sites of its own (covariates, labels), and sites that were drawn
        elsewhere (global ones, from a guide).

        Args:
            batch: gives the number of rows and the covariates.
            particles: number of independent dreams.
            emit: sites replaced by their mean.
            density: compute the log density of the dream too.
            reals: also find the unconstrained values of continuous draws, `trace.reals`.
        """
        program = self.program
        shaping = program.observes.values()  # arguments that a native program observes; it needs their shapes
        natively = {
            site.name for site in program.sites.values() if site.observed
        }  # their names may be arguments' as well
        covariates = {k for k in program.arguments if k not in program.sites or k in shaping or k in natively}
        kept = {k: v for k, v in batch.items() if k in covariates | batch.drawn}
        given = Batch(kept, rows=batch.rows, drawn=batch.drawn, particles=particles)
        dream = self._run(given, Request(fresh=True, density=density, mean=frozenset(emit), reals=reals), particles)
        return _with_arguments(dream, batch)

    def __call__(self, values: Batch) -> ops.Array:
        """What the program returns (a critic's score), [particles, rows]."""
        return self.trace(values).returned

    def uniform(self, shape: tuple[int, ...]) -> ops.Array:
        """Fresh uniform numbers in [0, 1), from the joint's supply of noise."""
        return self.backend.uniform(self._fresh(), shape)

    # the same joint, otherwise -------------------------------------------------------------------------------

    @property
    def frozen(self) -> "Joint":
        """The same joint with its parameters behind a stop-gradient; the two share one supply of noise."""
        constants = {name: self.backend.stop_gradient(value) for name, value in self.parameters.items()}
        return self._with(parameters=constants)

    def at(self, key: Any) -> "Joint":
        """The same joint with a key of its own.

        Two joints at one key draw the same noise, whatever was drawn before.

        Args:
            key: a number, such as the counter of a loop, or a key of the backend; both are mixed with the joint's key.
        """
        return self._with(key=self.backend.fold_in(self.backend.fold_in(self._key, _LOOPS), key))

    @property
    def one_by_one(self) -> "Joint":
        """The same joint, whose particles run one after another where its deterministic sites need that; see `Run.computed`."""
        other = self._with()
        other.program = replace(self.program, vectorises=self.program.vectorises and not self.program.computed)
        return other

    def bound(self, parameters: Mapping[str, Any]) -> "Joint":
        """The same joint with other parameters."""
        return self._with(parameters=parameters)

    def _with(self, parameters: Mapping[str, Any] | None = None, key: Any = None) -> "Joint":
        other = Joint(
            self.program,
            self.parameters if parameters is None else parameters,
            self._key if key is None else key,
            self.size,
            self.step,
            self.training,
            self._minibatch,
        )
        if key is None:
            other._turns, other._depth = self._turns, self._depth
        return other

    # weights -------------------------------------------------------------------------------------------------

    def log_weight(self, batch: Batch, z: Trace) -> ops.Array:
        """Log p(x, z) - log q(z | x) for draws z ~ q, [particles, rows]."""
        return self.log_prob(batch | z.values) - z.latent.log_prob

    def pool(self, log_weight: ops.Array, batch: Batch) -> ops.Array:
        """One weight per row where all latents are local; one for the whole data where some are global.

        [particles, rows] stays so, or becomes [particles, 1] (the sum over rows).
        """
        return ops.sum(log_weight, 1, keepdims=True) if self.program.has_global(batch.observed) else log_weight

    # what is known -------------------------------------------------------------------------------------------

    def reparameterised(self, given: Iterable[str] = ()) -> bool:
        """True when every draw of a latent site carries a gradient."""
        return all(site.reparameterised for site in self.program.latent(given))

    def sites(self, batch: Iterable[str] = ()) -> list[Site]:
        """The site table, with what `batch` observes marked."""
        return [replace(s, observed=s.observed or s.name in batch) for s in self.program.sites.values()]

    # ---------------------------------------------------------------------------------------------------------

    def _run(self, values: Batch, request: Request, particles: int) -> Trace:
        key = self._key if request.draw is None else self._fresh()
        fixed, drawn = values.split()
        step = self.step if self.training else None
        request = replace(request, training=self.training, step=step, minibatch=self._minibatch)
        fixed = {name: value for name, value in fixed.items() if bare(name) not in drawn}  # whole by now
        run: Run = self.backend.run(self.program, self.parameters, key, fixed, drawn, values.rows, particles, request)
        return Trace(
            self.program,
            run.terms,
            values,
            particles,
            1 if values.rows is None else values.rows,
            self.size,
            run.returned,
            computed=run.computed,
        )

    def _fresh(self) -> Any:
        """A key that was not used before."""
        if ops.depth() > self._depth:
            raise ProgramError(
                f"the {self.program.role} draws inside a loop, whose body is compiled once, so that every turn would "
                "draw the same noise; expected a joint with a key of its own for each turn. Write p.at(i).draw(...) "
                "with the counter of the loop, as in ops.scan(step, start, ops.arange(n))."
            )
        return self.backend.fold_in(self._key, next(self._turns))

    def __repr__(self) -> str:
        return f"Joint(the {self.program.role}: {', '.join(self.program.sites)})"


_LOOPS = 0x5EED  # folded into the keys of loops, which are then none of those of draws outside them


def _with_arguments(dream: Trace, batch: Batch) -> Trace:
    """A dream that also has what the data call by the name of an argument: in their shape and their type of number.

    What was drawn elsewhere stays with it.
    """
    also, drawn = {}, dream.values
    for site in dream.program.observed(batch.observed):
        argument = dream.program.observes.get(site.name) if site.observed else site.name
        if argument is not None and argument in batch:
            data = batch[argument]
            value = drawn[site.name].reshape(dream.particles, *data.shape) + 0 * data
            kept = batch.get(KEPT + argument)  # a dream lacks what the data lack
            also[argument] = value if kept is None else ops.where(kept, value, data)
    return replace(dream, also=also | {name: batch[name] for name in batch.drawn})
