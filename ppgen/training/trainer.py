"""The trainer: one step of an algorithm on a batch, the same code for both backends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppgen import backends, ops
from ppgen.errors import ProgramError
from ppgen.inference import ELBO
from ppgen.inference.algorithm import Algorithm
from ppgen.joint import Batch, Joint
from ppgen.training.arrays import cast, check_shapes, check_values, to_host
from ppgen.training.optimizers import Adam
from ppgen.training.preflight import Plan, preflight


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All that changes while training.

    Attributes:
        parameters: unconstrained parameters by name.
        optimizers: optimiser state by role.
        key: the key of the run.
        step: steps taken.
    """

    parameters: dict[str, Any]
    optimizers: dict[str, Any]
    key: Any
    step: Any


class Trainer:
    """Trains a model (and a guide) by an algorithm, step by step; `ppgen.fit` is a loop around it.

    On the Pyro backend a step updates the arrays of the given state in place; where a loss or gradient is not finite it
    leaves them as they were, and the losses it gives are NaN.

    Args:
        model: the model program.
        guide: the guide program, where the algorithm needs one.
        algorithm: what is optimised.
        optimizer: `ppgen.Adam(...)`, a native optimiser (optax; or a function from parameters to a torch optimiser), or
            a dict of them by role.
        backend: "numpyro" or "pyro".
        size: number of rows N of the whole data; by default that of the first batch.
        rows: name of the plate of rows in a native program, where it is in doubt.
        train: roles that learn; the others keep their parameters. All by default.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, param, plate, sample
        >>> def model(rows):
        ...     loc = param("loc", 0.0)
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> trainer = ppgen.Trainer(model, algorithm=ppgen.MaximumLikelihood())
        >>> batch = {"x": np.ones(4, np.float32)}
        >>> state = trainer.init(batch, seed=0)
        >>> state, metrics = trainer.step(state, batch)
        >>> round(float(metrics["loss/model"]), 4)
        1.4189
    """

    def __init__(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any] | None = None,
        algorithm: Algorithm | None = None,
        *,
        optimizer: Any = None,
        backend: str = "numpyro",
        size: int | None = None,
        rows: str | None = None,
        train: tuple[str, ...] | None = None,
    ) -> None:
        algorithm = ELBO() if algorithm is None else algorithm
        if not isinstance(algorithm, Algorithm):
            raise ProgramError(f"expected an algorithm such as ppgen.ELBO(); got {algorithm!r}.")
        self.model, self.guide, self.algorithm = model, guide, algorithm
        self.backend = backends.get(backend)
        self.size, self.rows = size, rows
        self.train = tuple(algorithm.roles if train is None else train)
        if unknown := set(self.train) - set(algorithm.roles):
            raise ProgramError(
                f"expected train to name roles of {algorithm!r}, {algorithm.roles}; got {sorted(unknown)}."
            )
        specs = optimizer if isinstance(optimizer, Mapping) else dict.fromkeys(self.train, optimizer)
        self.optimizers = {role: self.backend.optimizer(specs.get(role) or Adam()) for role in self.train}
        self.schedule = tuple(
            turn for roles in algorithm.schedule if (turn := tuple(r for r in roles if r in self.train))
        )
        self.metrics = tuple(dict.fromkeys(f"loss/{role}" for roles in self.schedule for role in roles))
        self._step = self.backend.compile(self._raw_step)
        self._loop = self.backend.compile_loop(self._raw_step, self.metrics)
        self._losses = self.backend.without_gradients(self._raw_losses)
        self._gradients = self.backend.compile(self._raw_gradients)

    # the public loop -----------------------------------------------------------------------------------------

    def init(
        self,
        batch: Mapping[str, Any],
        seed: int = 0,
        parameters: Any = None,
        *,
        full_batch: bool | None = None,
    ) -> State:
        """Check the programs against a first batch and make the initial state.

        Args:
            batch: arrays by name.
            seed: seed of initial parameters and of all noise.
            parameters: values to start from instead, by full name, constrained as in `Fit.params`; or a `Fit`, whose
                parameters are taken where these programs have them too.
            full_batch: whether each step will see all the data; by default, whether this batch has N rows.
        """
        arrays = to_host(batch, double=self.backend.double())
        rows = len(next(iter(arrays.values())))
        if self.size is None:
            self.size = rows
        self.plan = preflight(
            self.model, self.guide, self.algorithm, self.backend, arrays,
            seed=seed, rows_plate=self.rows,
            full_batch=rows == self.size if full_batch is None else full_batch,
        )  # fmt: skip
        self._own(self.plan)
        start = {**self.plan.parameters}
        if parameters:
            if not isinstance(parameters, Mapping):  # a Fit: what the two have in common
                parameters = {n: v for n, v in parameters.params.items() if n in self.backend.export(start, self.specs)}
            start = self.backend.load(start, parameters, self.specs)
        start = {name: self.backend.leaf(value) for name, value in start.items()}
        optimizers = {
            role: optimizer.init({n: start[n] for n in self.owned[role]})
            for role, optimizer in self.optimizers.items()
            if self.owned[role]  # a guide may have none of its own
        }
        return State(start, optimizers, self.backend.key(seed), self.backend.counter())

    def step(self, state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        """One step on a batch: the new state, and the loss of each role in nats per row."""
        return self._step(state, self.device(batch))

    def run(self, state: State, data: Mapping[str, Any], index: np.ndarray) -> tuple[State, dict[str, Any], int]:
        """Many steps on minibatches of arrays.

        Args:
            state: where to start.
            data: arrays that hold all rows (on the device, see `device`, or on the host).
            index: row numbers of each minibatch, [steps, batch size].

        Returns:
            The state after the last good step, the losses [steps], and how many steps were good: fewer than asked
            when a loss or gradient stopped being finite.
        """
        return self._loop(state, self.device(data), index)

    def losses(self, state: State, batch: Mapping[str, Any], key: Any = None) -> dict[str, Any]:
        """The loss of each role on a batch, without an update."""
        return self._losses(state.parameters, self.device(batch), state.key if key is None else key)

    def gradients(self, state: State, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The gradients that the next step would follow, by parameter, without an update."""
        return self._gradients(state, self.device(batch))

    def device(self, batch: Mapping[str, Any], where: str = "the batch") -> dict[str, Any]:
        """A batch as the backend's arrays; from the host, it is checked and cast to what its sites compute with.

        Args:
            batch: arrays by name; arrays of the backend are taken as they are.
            where: what error messages call the batch.

        Raises:
            DataError: NaN, infinity, a value outside the support of its site, or a shape unlike the first batch's.
        """
        if all(self.backend.is_array(value) for value in batch.values()):
            return dict(batch)
        return {name: self.backend.array(value) for name, value in self.host(batch, where).items()}

    def host(self, batch: Mapping[str, Any], where: str = "the batch") -> dict[str, np.ndarray]:
        """The batch that `device` gives the backend, as NumPy arrays; it takes and raises the same."""
        arrays = cast(to_host(batch, double=self.backend.double()), self.plan.model)
        check_shapes(arrays, self.plan.rows, where)
        check_values(arrays, self.plan.model, where)
        return arrays

    def joints(self, parameters: Mapping[str, Any], key: Any) -> dict[str, Joint]:
        """The programs bound to parameters, by role."""
        return {
            role: Joint(program, parameters, self.backend.fold_in(key, i), self.size)
            for i, (role, program) in enumerate(self.plan.programs.items())
        }

    # ---------------------------------------------------------------------------------------------------------

    def _own(self, plan: Plan) -> None:
        """Share out the parameters: each belongs to the first role that has it."""
        taken: set[str] = set()
        self.specs, self.owned, self.owners = {}, {}, {}
        for role, program in plan.programs.items():
            names = tuple(n for n in program.parameters if n not in taken)
            taken.update(names)
            self.owned[role] = names
            for name in names:
                self.specs[name] = program.parameters[name]
                if program.native and self.backend.owns(self.specs[name].source):
                    self.owners[name] = self.specs[name].source
        pair = [role for role in self.train if role in ("model", "guide")]  # one of the two may be fixed
        for team in filter(None, [pair, *([role] for role in self.train if role not in pair)]):
            if not any(self.owned[role] for role in team):
                raise ProgramError(
                    f"expected the {' or the '.join(team)} to have parameters to learn; got none. "
                    "Register networks with module(...), or declare a param(...)."
                )

    def _raw_losses(self, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> dict[str, Any]:
        with ops.activate(self.backend):
            joints = self.joints(parameters, key)
            played = [joints[role] for role in self.algorithm.roles if role in ("model", "guide")]
            brought = {role: joints[role] for role in self.algorithm.roles if role not in ("model", "guide")}
            found = self.algorithm.losses(*played, Batch(batch), **brought)
        if missing := set(self.algorithm.roles) - set(found):
            raise ProgramError(
                f"{self.algorithm!r}: expected losses() to give one for each role; missing {sorted(missing)}."
            )
        return dict(found)

    def _raw_gradients(self, state: State, batch: Mapping[str, Any]) -> dict[str, Any]:
        step_key, found = self.backend.fold_in(state.key, state.step), {}
        for turn, roles in enumerate(self.schedule):
            found |= self._turn(state.parameters, batch, roles, self.backend.fold_in(step_key, turn))[1]
        return found

    def _turn(self, parameters: Any, batch: Any, roles: tuple[str, ...], key: Any) -> tuple[dict, dict]:
        """Losses by role and gradients by parameter, of the roles that move in a turn."""
        owned = {role: self.owned[role] for role in roles}
        return self.backend.gradients(
            lambda values: self._raw_losses(values, batch, key), parameters, owned, self.owners
        )

    def _raw_step(self, state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        backend = self.backend
        parameters, optimizers = dict(state.parameters), dict(state.optimizers)
        step_key = backend.fold_in(state.key, state.step)
        metrics: dict[str, Any] = {}
        early = {role for roles in self.schedule[:-1] for role in roles if self.owned[role]}
        undo = [backend.undo({n: parameters[n] for n in self.owned[role]}, optimizers[role]) for role in early]
        for turn, roles in enumerate(self.schedule):
            losses, grads = self._turn(parameters, batch, roles, backend.fold_in(step_key, turn))
            metrics |= {f"loss/{role}": losses[role] for role in roles}
            if not backend.usable(losses, grads):
                for restore in undo:  # what the turns before this one changed
                    restore()
                return state, dict.fromkeys(self.metrics, losses[roles[0]] * float("nan"))
            for role in roles:
                if names := self.owned[role]:
                    mine, optimizers[role] = self.optimizers[role].update(
                        {n: grads[n] for n in names}, optimizers[role], {n: parameters[n] for n in names}
                    )
                    parameters |= mine
        return State(parameters, optimizers, state.key, state.step + 1), metrics
