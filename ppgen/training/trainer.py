"""The trainer: one step of an algorithm on a batch, the same code for both backends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppgen import ops
from ppgen.errors import DataError, ProgramError
from ppgen.inference import ELBO, EVERYTHING
from ppgen.inference.algorithm import Algorithm, Played, Turn
from ppgen.inference.procedure import Procedure
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem
from ppgen.training.optimizers import by_role

_TAKEN = {"step", "epoch", "seconds", "rows"}  # by the lines of the history


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All that changes while training.

    Attributes:
        parameters: unconstrained parameters by name.
        optimizers: optimiser state by role.
        key: the key of the run.
        step: steps taken.
        carry: what the algorithm carries from step to step; None for most.
    """

    parameters: dict[str, Any]
    optimizers: dict[str, Any]
    key: Any
    step: Any
    carry: Any = None


class Trainer:
    """Trains the programs of a problem by an algorithm, step by step; `ppgen.fit` is a loop around it.

    On the Pyro backend a step updates the arrays of the given state in place; where a loss or gradient is not finite it
    leaves them as they were, and the losses it gives are NaN.

    Args:
        problem: the programs and the data they met.
        algorithm: what is optimised.
        optimizer: `ppgen.Adam(...)`, a native optimiser (optax; or a function from parameters to a torch optimiser), or
            a dict of them by role.
        train: roles that learn; the others keep their parameters. All by default.

    Attributes:
        problem: with the roles of the algorithm (a critic's too), and no others.

    Raises:
        IllegalPairing: an algorithm that cannot learn these programs; the message lists those that can.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, param, plate, sample
        >>> def model(rows):
        ...     loc = param("loc", 0.0)
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> batch = {"x": np.ones(4, np.float32)}
        >>> trainer = ppgen.Trainer(ppgen.Problem(model, data=batch), ppgen.MaximumLikelihood())
        >>> state = trainer.init(seed=0)
        >>> state, metrics = trainer.step(state, batch)
        >>> round(float(metrics["loss/model"]), 4)
        1.4189
    """

    def __init__(
        self,
        problem: Problem,
        algorithm: Algorithm | None = None,
        optimizer: Any = None,
        *,
        train: tuple[str, ...] | None = None,
    ) -> None:
        algorithm = chosen(algorithm)
        if not isinstance(problem, Problem):
            raise ProgramError(
                f"expected a problem, programs that met a first batch; got {problem!r}. Write "
                "ppgen.Trainer(ppgen.Problem(model, guide, data=batch), algorithm)."
            )
        if isinstance(algorithm, Procedure):
            raise ProgramError(
                f"expected a game of losses such as ppgen.ELBO(); got {algorithm!r}, which makes its own steps. Run it by "
                "ppgen.fit."
            )
        self.train = tuple(algorithm.roles if train is None else train)
        if unknown := set(self.train) - set(algorithm.roles):
            raise ProgramError(
                f"expected train to name roles of {algorithm!r}, {algorithm.roles}; got {sorted(unknown)}."
            )
        if not self.train:
            raise ProgramError(
                f"expected train to name at least one role of {algorithm!r}, {algorithm.roles}; got none, so nothing would be "
                "learned. Leave train out to learn all; ppgen.evaluate judges programs as they are."
            )
        if taken := sorted(_TAKEN & set(algorithm.reports)):
            raise ProgramError(
                f"{algorithm!r}: expected reports under names of their own; the history has {taken}. Rename them."
            )
        algorithm.check(problem, EVERYTHING)
        self.algorithm, self.problem, self.backend = algorithm, algorithm.cast(problem), problem.backend
        self._someone_learns()
        specs = by_role(optimizer, algorithm.roles)
        self.optimizers = {role: self.backend.optimizer(specs[role]) for role in self.train}
        self.schedule = tuple(
            turn for roles in algorithm.schedule if (turn := tuple(r for r in roles if r in self.train))
        )
        self.loss_names = tuple(dict.fromkeys(f"loss/{role}" for roles in self.schedule for role in roles))
        self.metrics = (*self.loss_names, *algorithm.reports)
        self._met = {frozenset(problem.entries)}
        self._step = self.backend.compile(self._raw_step)
        self._loop = self.backend.compile_loop(self._raw_step, self.metrics, self.loss_names)
        self._losses = self.backend.without_gradients(self._raw_losses)
        self._gradients = self.backend.compile(self._raw_gradients)

    # the public loop -----------------------------------------------------------------------------------------

    def init(self, seed: int | None = None, parameters: Any = None) -> State:
        """The state to begin with.

        Args:
            seed: seed of initial parameters and of all noise; that of the problem by default.
            parameters: values to start from instead, by full name, constrained as in `Fit.params`; or a `Fit`, whose
                parameters are taken where these programs have them too.
        """
        problem, backend = self.problem, self.backend
        start = {name: backend.leaf(value) for name, value in problem.parameters(parameters, seed).items()}
        optimizers = {
            role: optimizer.init({n: start[n] for n in problem.owned[role]})
            for role, optimizer in self.optimizers.items()
            if problem.owned[role]  # a guide may have none of its own
        }
        carry = jax.tree.map(backend.array, self.algorithm.start(problem))
        key = backend.key(problem.seed if seed is None else seed)
        return State(start, optimizers, key, backend.counter(), carry)

    def step(self, state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        """One step on a batch: the new state, and the loss of each role in nats per row."""
        return self._step(state, self.device(batch))

    def run(
        self, state: State, data: Mapping[str, Any], index: np.ndarray, first: int = 0, last: int | None = None
    ) -> tuple[State, dict[str, Any], int]:
        """Many steps on minibatches of arrays.

        Args:
            state: where to start.
            data: arrays that hold all rows (on the device, see `device`, or on the host).
            index: row numbers of each minibatch, [steps, batch size].
            first: the minibatch to begin with.
            last: the one to end before; by default all are taken. Parts of one index share what was compiled for it.

        Returns:
            The state after the last good step, the losses [steps], and how many steps were good: fewer than asked
            when a loss or gradient stopped being finite.
        """
        return self._loop(state, self.device(data), index, first, len(index) if last is None else last)

    def losses(self, state: State, batch: Mapping[str, Any], key: Any = None) -> dict[str, Any]:
        """The loss of each role on a batch, without an update."""
        return self._losses(state, self.device(batch), state.key if key is None else key)

    def gradients(self, state: State, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The gradients that the next step would follow, by parameter, without an update."""
        return self._gradients(state, self.device(batch))

    def device(self, batch: Mapping[str, Any], where: str = "the batch") -> dict[str, Any]:
        """A batch as the backend's arrays, checked; see `Problem.device`.

        A batch may leave out the values of a site that the first batch had, or bring some that it had not, where the
        algorithm is legal either way.
        """
        arrays = self.problem.device(batch, where)
        if (names := frozenset(arrays)) not in self._met:
            try:
                self.algorithm.check(self.problem.observing(names), EVERYTHING)
            except DataError as error:
                raise DataError(f"{where}: {error}") from None
            self._met.add(names)
        return arrays

    def joints(
        self, parameters: Mapping[str, Any], key: Any, step: Any = 0, training: bool = False
    ) -> dict[str, Joint]:
        """The programs bound to parameters, by role."""
        return self.problem.joints(parameters, key, step, training)

    # ---------------------------------------------------------------------------------------------------------

    def _someone_learns(self) -> None:
        owned = self.problem.owned
        pair = [role for role in self.train if role in ("model", "guide")]  # one of the two may be fixed
        for team in filter(None, [pair, *([role] for role in self.train if role not in pair)]):
            if not any(owned[role] for role in team):
                raise ProgramError(
                    f"expected the {' or the '.join(team)} to have parameters to learn; got none. "
                    "Register networks with module(...), or declare a param(...)."
                )

    def _play(
        self, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any, step: Any, carry: Any,
        training: bool = False,
    ) -> Played:  # fmt: skip
        with ops.activate(self.backend):
            joints = self.joints(parameters, key, step, training)
            brought = {role: joint for role, joint in joints.items() if role not in ("model", "guide")}
            return self.algorithm.played(joints, Batch.of_data(batch), Turn(step, brought, carry))

    def _raw_losses(self, state: State, batch: Mapping[str, Any], key: Any) -> dict[str, Any]:
        return dict(self._play(state.parameters, batch, key, state.step, state.carry).losses)

    def _raw_gradients(self, state: State, batch: Mapping[str, Any]) -> dict[str, Any]:
        step_key, found, carry = self.backend.fold_in(state.key, state.step), {}, state.carry
        for turn, roles in enumerate(self.schedule):
            key = self.backend.fold_in(step_key, turn)
            _, grads, carry, _ = self._turn(state.parameters, batch, roles, key, state.step, carry)
            found |= grads
        return found

    def _turn(
        self, parameters: Any, batch: Any, roles: tuple[str, ...], key: Any, step: Any = 0, carry: Any = None
    ) -> tuple[dict, dict, Any, dict]:
        """Losses by role, gradients by parameter of the roles that move in a turn, the new carry, and the report."""

        def losses(values: Mapping[str, Any]) -> tuple[Any, Any]:
            played = self._play(values, batch, key, step, carry, training=True)
            return played.losses, (played.carry, dict(played.report))

        owned = {role: self.problem.owned[role] for role in roles}
        by_role, grads, (carry, report) = self.backend.gradients(losses, parameters, owned, self.problem.owners)
        return by_role, grads, carry, report

    def _raw_step(self, state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        backend, owned = self.backend, self.problem.owned
        parameters, optimizers, carry = dict(state.parameters), dict(state.optimizers), state.carry
        step_key = backend.fold_in(state.key, state.step)
        metrics: dict[str, Any] = {}
        early = {role for roles in self.schedule[:-1] for role in roles if owned[role]}
        undo = [backend.undo({n: parameters[n] for n in owned[role]}, optimizers[role]) for role in early]
        for turn, roles in enumerate(self.schedule):
            key = backend.fold_in(step_key, turn)
            losses, grads, carry, report = self._turn(parameters, batch, roles, key, state.step, carry)
            metrics |= {f"loss/{role}": losses[role] for role in roles} | report
            if not backend.usable(losses, grads):
                for restore in undo:  # what the turns before this one changed
                    restore()
                return state, dict.fromkeys(self.metrics, losses[roles[0]] * float("nan"))
            for role in roles:
                if names := owned[role]:
                    mine, optimizers[role] = self.optimizers[role].update(
                        {n: grads[n] for n in names}, optimizers[role], {n: parameters[n] for n in names}
                    )
                    parameters |= mine
        return State(parameters, optimizers, state.key, state.step + 1, carry), metrics


def chosen(algorithm: Any) -> Algorithm:
    """An algorithm, `ELBO()` where none is given; ProgramError for what is none."""
    algorithm = ELBO() if algorithm is None else algorithm
    if not isinstance(algorithm, Algorithm):
        raise ProgramError(f"expected an algorithm such as ppgen.ELBO(); got {algorithm!r}.")
    return algorithm
