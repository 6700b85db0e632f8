"""What a backend provides: the one file to read before writing a third.

A backend is one object (`ppgen.backends.get(name)`) with the six parts below. Everything above this folder (problems,
algorithms, the trainer, evaluation) is written against them and imports no framework. Most of what happens at a site is
shared by all backends in `ppgen.backends.recorder`: a backend stands a `Recorder` under the running program (a handler of
its framework passes each message to `before` and `after`) and says how a log density is evaluated and where plates and
particles lie in its arrays (the abstract methods there).

Arrays of a backend are written `Array`, its distributions `Distribution`, its random keys `Key`: each is whatever the
framework has. K is the number of particles, N that of rows.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ppgen.backends.dependence import Dependences
from ppgen.backends.sites import Initialiser, Parameter, Site

Array = Any
Distribution = Any
Key = Any
Parameters = Mapping[str, Any]
"""Unconstrained parameters by full name: arrays, or (of native networks) trees of arrays."""

SEEN = "seen:"
"""Begins the name of an entry that says in which rows a site is observed: `seen:y` [rows], booleans, beside `y`."""

KEPT = "kept:"
"""Begins the name of an entry that says which numbers of a site are known: `kept:x`, booleans shaped like `x`. The others count
in no density: `x` has a value of its support there, which nothing depends on."""

REAL = "real:"
"""Begins the name of an entry that gives a site by its unconstrained value: `real:z` is mapped onto the support of `z`."""


def bare(name: str) -> str:
    """The name of the entry that an entry `seen:y` or `kept:y` tells of; of other entries, their own."""
    return name.removeprefix(SEEN).removeprefix(KEPT)


@dataclass(frozen=True)
class Request:
    """What one run does at the sites that were given no value.

    Attributes:
        draw: "pathwise" lets gradients flow through reparameterised draws, "held" through none; None makes a missing value
            an error.
        fresh: ignore what the program itself observes, so that those sites are drawn too.
        mean: sites that take their distribution's mean in place of a draw.
        density: compute log densities of drawn sites.
        reals: also find the unconstrained values of continuous draws.
        training: networks are in training: those that are then noisy (dropout) are so.
        step: the number of the step, in training; None elsewhere.
        minibatch: the key by which a program that draws its own minibatch draws it, one for all programs of a step.
    """

    draw: str | None = "pathwise"
    fresh: bool = False
    mean: frozenset[str] = frozenset()
    density: bool = True
    reals: bool = False
    training: bool = False
    step: Any = None
    minibatch: Key | None = None


@dataclass(frozen=True)
class Term:
    """What happened at one site.

    Attributes:
        value: the site's value, [K, ...]; None where it was given.
        log_prob: its log density, summed over events and inner plates: [K, N] in the plate of rows, [K] outside it;
            None where it has none, or none was asked for. Of a "mapped" site it is the density of the unconstrained value.
        distribution: what it came from, with the particle axis.
        how: "given", "pathwise" (a draw that carries its gradient), "held" (one that does not), "mean", or "mapped" (from
            an unconstrained value that was given).
        real: the unconstrained value of a draw, where it was asked for.
    """

    value: Array
    log_prob: Array | None
    distribution: Distribution
    how: str
    real: Array | None = None


@dataclass(frozen=True)
class Run:
    """What one run of a program gave.

    Attributes:
        terms: by site, in program order.
        returned: what the program returned, if that is an array (a critic's score), [K, N].
        computed: values of `deterministic` sites, [K, ...]; none where the particles ran at once without an axis of their own
            in every value (see `vectorises`).
    """

    terms: dict[str, Term]
    returned: Array | None = None
    computed: dict[str, Array] = field(default_factory=dict)


@runtime_checkable
class Inspected(Protocol):
    """A program as a backend sees it: a function, and what inspection found (`ppgen.problem.program.Program`)."""

    @property
    def role(self) -> str:
        """Whose program it is, for messages."""
        ...

    @property
    def rows_plate(self) -> str:
        """The name of the plate of rows; empty in the first look, which is to find it."""
        ...

    @property
    def sites(self) -> Mapping[str, Site]:
        """What inspection found, by name in program order."""
        ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Likewise."""
        ...

    @property
    def native(self) -> bool:
        """Whether it was written in the framework's own language."""
        ...

    @property
    def lent(self) -> frozenset[str]:
        """Parameters that it uses and only another program registers."""
        ...

    @property
    def nesting(self) -> int:
        """Number of plate dimensions, at least one, that particles leave free."""
        ...

    @property
    def vectorises(self) -> bool:
        """Whether its particles can run at once, as `arrange` found."""
        ...

    @property
    def transformed(self) -> frozenset[str]:
        """Sites that observe what the program computes of its arguments."""
        ...

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names that the program looks up in a batch."""
        ...

    @property
    def one_row(self) -> bool:
        """Whether it has no plate of rows: it takes entries and values without the axis of rows, which has length 1."""
        ...

    @property
    def observes(self) -> Mapping[str, str]:
        """In a native program, the argument that each observed site observes."""
        ...

    def call(self, available: Mapping[str, Any], rows: int | None, step: Any = None) -> Any:
        """Run the function itself; whoever calls has set up the handlers."""
        ...

    def latent(self, given: Any = ()) -> list[Site]:
        """Sites that are neither observed by the program nor in `given`."""
        ...


@runtime_checkable
class Looked(Protocol):
    """What one look at a program found: a `Recorder` after an inspection."""

    sites: dict[str, Site]
    found: dict[str, Parameter]
    created: dict[str, Any]
    observations: dict[str, Any]
    native: bool
    idle: frozenset[str]
    parts: dict[str, tuple[int, int]]
    trouble: Exception | None
    returned: Any
    local: dict[str, bool]


@runtime_checkable
class Arrays(Protocol):
    """Keys, arrays, constraints and compilation."""

    name: str
    library: str
    compiles: bool

    def key(self, seed: int) -> Key:
        """The key of a seed."""
        ...

    def fold_in(self, key: Key, data: Any) -> Key:
        """A new key from a key and a number; the same two give the same one. `data` may itself be a key."""
        ...

    def array(self, x: Any) -> Array:
        """NumPy's numbers as an array, of the same type."""
        ...

    def numpy(self, x: Array) -> np.ndarray:
        """An array on the host."""
        ...

    def is_array(self, x: Any) -> bool:
        """Whether `x` is an array of this backend."""
        ...

    def double(self) -> bool:
        """Whether the framework computes in double precision."""
        ...

    def stop_gradient(self, x: Any) -> Any:
        """`x`, an array or a tree of arrays, as a constant."""
        ...

    def constraint(self, name: str) -> Any:
        """The framework's constraint of a name in `ppgen.language.CONSTRAINTS`."""
        ...

    def constrain(self, constraint: Any, value: Array) -> Array:
        """From the reals onto a constraint."""
        ...

    def unconstrain(self, constraint: Any, value: Array) -> Array:
        """The inverse of `constrain`."""
        ...

    def parameter(self, value: Any) -> Any:
        """A new parameter with this value."""
        ...

    def leaf(self, value: Any) -> Any:
        """A parameter's own copy of a value, to begin training with."""
        ...

    def compile(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn`, compiled where the framework compiles; argument checks are off inside."""
        ...

    def without_gradients(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`compile`, for a function that nobody differentiates."""
        ...

    def unchecked(self) -> AbstractContextManager[Any]:
        """Inside, the framework checks no arguments of distributions."""
        ...

    def all_finite(self, parameters: Parameters) -> bool:
        """True when no parameter is NaN or infinite."""
        ...


@runtime_checkable
class Programs(Protocol):
    """The primitives of the language, running programs, and the first look at them."""

    def sample(self, name: str, fn: Distribution, infer: dict[str, Any]) -> Array:
        """The framework's `sample`."""
        ...

    def plate(self, name: str, size: int, dim: int | None) -> AbstractContextManager[Any]:
        """The framework's `plate`."""
        ...

    def deterministic(self, name: str, value: Array) -> Array:
        """The framework's `deterministic`."""
        ...

    def factor(self, name: str, log_factor: Array) -> None:
        """The framework's `factor`."""
        ...

    def distribution(self, name: str, **arguments: Any) -> Distribution:
        """The distribution called `ppgen.dist.<name>`, of arguments by name; see `ppgen.backends.catalogue`."""
        ...

    def module(self, run: Any, name: str, net: Any) -> Callable[..., Any]:
        """A network of the framework as a function of its inputs, its parameters asked of the recorder `run`."""
        ...

    def same_network(self, a: Any, b: Any) -> bool:
        """Whether two network objects describe one network (and do not hold arrays of their own)."""
        ...

    def run(
        self, program: Inspected, parameters: Parameters, key: Key, fixed: Mapping[str, Array],
        drawn: Mapping[str, Array], rows: int | None, particles: int, request: Request,
    ) -> Run:  # fmt: skip
        """Run a program once per particle.

        Args:
            program: what to run.
            parameters: its parameters.
            key: randomness of this run.
            fixed: values without a particle axis (data, covariates).
            drawn: values with one, [K, ...].
            rows: number of rows.
            particles: number of particles K.
            request: what to do at sites without a value.
        """
        ...

    def divergence(
        self, program: Inspected, site: Site, q: Distribution, p: Distribution, particles: int
    ) -> Array | None:
        """KL(q || p) of two distributions of a site's terms, shaped like their log densities; None without a closed form."""
        ...

    def first(self, distribution: Distribution) -> Distribution:
        """The distribution of a term for the first particle, without the particle axis."""
        ...

    def bijection(self, distribution: Distribution) -> Any:
        """The framework's map from the reals onto a distribution's support; NotImplementedError where it has none.

        It is called on unconstrained values, and has `inv`, `log_abs_det_jacobian(u, value)`, `inverse_shape(shape)`,
        `domain.event_dim` and `codomain.event_dim`.
        """
        ...

    def watching(self) -> AbstractContextManager[dict[int, Any]]:
        """Inside, parameters of the framework's own networks that meet an operation are noted, by id."""
        ...

    def inspect(
        self, program: Inspected, values: Mapping[str, np.ndarray], rows: int | None, create: Initialiser, key: Key
    ) -> Looked:
        """Run a program once without compiling it, to learn its sites and make its parameters."""
        ...

    def dependences(
        self, program: Inspected, seen: Any, parameters: Parameters, values: Mapping[str, np.ndarray], rows: int
    ) -> Dependences:
        """What the sites of an inspected program depend on: read off its trace, or found by running it with other numbers.

        Where that cannot be told, nothing is claimed.

        Args:
            program: the program, with its sites and its plate of rows.
            seen: what `inspect` gave.
            parameters: its initial parameters.
            values: the batch.
            rows: its number of rows.
        """
        ...

    def arrange(
        self, programs: Mapping[str, Any], parameters: Parameters, values: Mapping[str, np.ndarray], rows: int
    ) -> dict[str, Any]:
        """The programs with what only a look at all of them tells: whose parameters are whose, how particles run."""
        ...


@runtime_checkable
class Densities(Protocol):
    """Learnable distributions as the framework's own."""

    def density(self, learnable: Any, params: Parameters, context: Array | None = None) -> Distribution:
        """A native distribution of a `ppgen.distributions.Learnable`; gradients reach its parameters and its context."""
        ...


@runtime_checkable
class Training(Protocol):
    """Gradients by role, optimisers and the training loop."""

    def optimizer(self, spec: Any) -> Any:
        """An object with `init(parameters)` and `update(gradients, state, parameters)`, of a spec or a native optimiser."""
        ...

    def gradients(
        self, losses: Callable[[Parameters], Any], parameters: Parameters, owned: Mapping[str, tuple[str, ...]],
        owners: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:  # fmt: skip
        """Each role's loss, the gradient of each parameter under the loss of the role that owns it, and what else there is.

        Args:
            losses: from parameters to (a loss per role, anything else). Roles with one loss object share a backward pass.
            parameters: all parameters.
            owned: names that each moving role owns.
            owners: parameters that live in a user's network, where their gradients arrive.
        """
        ...

    def compile_loop(
        self, step: Callable[..., Any], metrics: tuple[str, ...], losses: tuple[str, ...]
    ) -> Callable[..., Any]:
        """`step(state, batch) -> state, metrics` over minibatches, `run(state, data, index, first, last)`; see `Trainer.run`.

        It stops where one of the metrics named in `losses` is not finite.
        """
        ...

    def repeat(self, step: Callable[..., Any], finished: Callable[[Any], Any]) -> Callable[..., Any]:
        """`step(state, batch, key) -> state, info` many times: `run(state, batch, key, first, turns, most)`.

        The i-th step of a run has the key `fold_in(key, i)`; a call takes `turns` of them from `first` on (`most` in any
        call), or fewer where `finished(state)` holds. It gives the state, how many steps it took, and their infos, on the
        host, with an axis of steps in front.
        """
        ...

    def climb(self, objective: Callable[[Parameters], Array], parameters: Parameters, steps: int) -> dict[str, Any]:
        """Parameters where `objective` is larger, by so many iterations of L-BFGS; never where it is lower."""
        ...

    def usable(self, losses: Mapping[str, Array], grads: Mapping[str, Array]) -> bool:
        """False where an update must not be made, because a loss or gradient is not finite (where that is known)."""
        ...

    def undo(self, parameters: Parameters, optimizer: Any) -> Callable[[], None]:
        """A function that puts parameters and their optimiser back to what they are now."""
        ...

    def snapshot(self, tree: Any) -> Any:
        """A copy that later steps leave alone."""
        ...

    def counter(self) -> Any:
        """The number of steps before the first."""
        ...

    def owns(self, source: Any) -> bool:
        """Whether a parameter's source is a tensor inside a user's network, which computes with it."""
        ...


@dataclass(frozen=True)
class Kernel:
    """Settings of a Hamiltonian Monte Carlo kernel.

    Attributes:
        name: "NUTS" or "HMC".
        warmup: steps at the start that adapt step size and mass matrix.
        target_accept: acceptance rate that the step size aims at.
        dense_mass: whether the mass matrix has entries off its diagonal.
        max_tree_depth: of NUTS: a trajectory has at most 2 to this power steps.
        trajectory_length: of HMC: step size times number of steps.
    """

    name: str
    warmup: int
    target_accept: float = 0.8
    dense_mass: bool = False
    max_tree_depth: int = 10
    trajectory_length: float = 1.0


@dataclass(frozen=True)
class Moved:
    """Where some chains are after a step.

    Attributes:
        positions: [chains, n].
        statistics: numbers of each chain's step [chains], under ArviZ's names: acceptance_rate, diverging, energy, lp,
            n_steps, tree_depth, step_size.
    """

    positions: Array
    statistics: dict[str, Array]


@runtime_checkable
class Sampling(Protocol):
    """The framework's own Markov chains, and noise to build others."""

    def normal(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Standard normal numbers of a key."""
        ...

    def uniform(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Numbers of a key, uniform in [0, 1)."""
        ...

    def chains(self, kernel: Kernel, potential: Callable[[Array], Array], positions: Array, key: Key) -> Any:
        """The state of chains that start at `positions`.

        Args:
            kernel: settings.
            potential: from a position [n] to minus its log density.
            positions: one a chain, [chains, n].
            key: randomness.
        """
        ...

    def move(self, kernel: Kernel, potential: Callable[[Array], Array], state: Any, key: Key) -> tuple[Any, Moved]:
        """One step of every chain: the next state, and where the chains are."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Parameters and training states as arrays by name, and back."""

    def export(self, parameters: Parameters, specs: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
        """Constrained parameters by full name, on the host."""
        ...

    def load(self, like: Parameters, given: Mapping[str, np.ndarray], specs: Mapping[str, Parameter]) -> dict[str, Any]:
        """The inverse of `export`: parameters like `like`, with the numbers of `given` where it has them."""
        ...

    def pack(self, state: Any) -> dict[str, np.ndarray]:
        """Everything in a training state as arrays by path."""
        ...

    def unpack(self, like: Any, arrays: Mapping[str, np.ndarray], optimizers: bool = True) -> Any:
        """A state like `like` with the numbers of `arrays`; the optimisers' only if asked for."""
        ...


@runtime_checkable
class Backend(Arrays, Programs, Densities, Training, Sampling, Storage, Protocol):
    """All six parts."""
