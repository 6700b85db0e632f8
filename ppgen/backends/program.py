"""A program: a function with `sample` statements, and what is known about it once it has been looked at."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppgen.backends.support import Support, describe
from ppgen.errors import DataError, ProgramError


@dataclass(frozen=True)
class Site:
    """One `sample` (or `factor`) statement as an inspection found it.

    Attributes:
        name: the site's name.
        event_shape: shape of one independent draw.
        batch_shape: shape of the distribution's batch, plates included.
        plates: plate name to (dimension, size), dimensions counted from the right.
        support: the values the site can take.
        reparameterised: whether a draw carries a gradient to the distribution's parameters.
        observed: whether the program itself observes the site (`obs=`).
        kind: `"sample"`, `"factor"` or `"auxiliary"`.
        scaled: whether the program scales its log density.
        has_mean: whether the distribution has a mean.
        has_density: whether it has a log density; an implicit one can only be drawn from.
        estimated: whether it has an unbiased estimate in place of its log density.
    """

    name: str
    event_shape: tuple[int, ...]
    batch_shape: tuple[int, ...]
    plates: Mapping[str, tuple[int, int]]
    support: Support
    reparameterised: bool
    observed: bool
    kind: str = "sample"
    scaled: bool = False
    has_mean: bool = True
    has_density: bool = True
    estimated: bool = False

    @property
    def rank(self) -> int:
        """How many batch axes the plates give the site."""
        return max((-dim for dim, _ in self.plates.values()), default=0)


@dataclass(frozen=True)
class Parameter:
    """One learnable array (or, in native programs, a tree of them): where it came from and what it may be."""

    name: str
    shape: tuple[int, ...] | None
    constraint: Any = None
    source: Any = None

    @property
    def support(self) -> Support:
        """The values it can take."""
        return Support("real") if self.constraint is None else describe(self.constraint)

    def agrees(self, other: "Parameter") -> bool:
        """True when both have one shape and take the same values."""
        return self.shape == other.shape and self.support.same(other.support)

    def __str__(self) -> str:
        return f"shape {self.shape} in {self.support}"


@dataclass
class Program:
    """A model, a guide or a critic under one backend.

    `sites`, `parameters` and the fields after them are filled by `backend.inspect`.
    """

    fn: Callable[..., Any]
    role: str
    backend: Any
    rows_plate: str | None = None
    sites: dict[str, Site] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    native: bool = False
    nesting: int = 1
    vectorises: bool = True
    observes: dict[str, str] = field(default_factory=dict)  # native: observed site -> argument it observes
    idle: frozenset[str] = frozenset()  # native: parameters that it registers but does not use
    borrow_arguments: tuple[str, ...] = ()  # for fn(*args, **kwargs): the model's names

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise ProgramError(f"expected the {self.role} to be a function with sample statements; got {self.fn!r}.")
        try:
            found = inspect.signature(getattr(self.fn, "forward", self.fn)).parameters.values()
        except (TypeError, ValueError):
            found = ()
        named = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.names = tuple(p.name for p in named)
        self.required = tuple(p.name for p in named if p.default is p.empty)
        self.variadic = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in found)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names the program looks up in a batch."""
        return self.names or (self.borrow_arguments if self.variadic else ())

    def bind(self, available: Mapping[str, Any], rows: int | None) -> dict[str, Any]:
        """The program's arguments, taken from `available` by name; `rows` is the number of rows."""
        kwargs = {}
        for name in self.arguments:
            if name in available:
                kwargs[name] = available[name]
            elif name == "rows" and rows is not None:
                kwargs[name] = rows
            elif name in self.required:
                raise DataError(
                    f"the {self.role} takes an argument {name!r} that the batch does not have; "
                    f"expected one of its entries {sorted(available)}. "
                    f"Add {name!r} to the data, rename the argument, or give it a default."
                )
        return kwargs

    def call(self, available: Mapping[str, Any], rows: int | None) -> Any:
        """Run the function itself; whoever calls has set up the handlers."""
        return self.fn(**self.bind(available, rows))

    # the site table ------------------------------------------------------------------------------------------

    def latent(self, given: Any = ()) -> list[Site]:
        """Sites that are neither observed by the program nor in `given`, in program order."""
        return [s for s in self.sites.values() if s.kind != "factor" and not s.observed and s.name not in given]

    def observed(self, given: Any = ()) -> list[Site]:
        """Sites that the program observes or that are in `given`."""
        return [s for s in self.sites.values() if s.kind != "factor" and (s.observed or s.name in given)]

    def is_local(self, site: Site) -> bool:
        """True for sites inside the plate of rows."""
        return self.rows_plate in site.plates

    def has_global(self, given: Any = ()) -> bool:
        """True when a latent site lies outside the plate of rows, so that weights belong to the whole data."""
        return not all(self.is_local(site) for site in self.latent(given))


@dataclass(frozen=True)
class Initialiser:
    """Random numbers for initial values: a NumPy generator per name, the same on both backends."""

    seed: int

    def generator(self, name: str) -> np.random.Generator:
        """A generator that depends on the seed and the parameter's full name only."""
        digest = hashlib.sha256(name.encode()).digest()
        return np.random.default_rng([self.seed, *np.frombuffer(digest[:16], np.uint32).tolist()])


@dataclass(frozen=True)
class Ask:
    """What one run of a program is to do.

    Attributes:
        draw: draw the sites that have no value (otherwise a missing value is an error).
        pathwise: let gradients flow through reparameterised draws.
        density: compute log densities of drawn sites.
        fresh: ignore what the program itself observes, so that those sites are drawn too.
        emit: sites whose draw is replaced by the distribution's mean.
        distributions: hand back the distributions of drawn sites (for closed-form KL).
        returned: hand back what the program returns (an array).
        by_site: file log densities under the names of their sites, to find out which one went wrong.
    """

    draw: bool = True
    pathwise: bool = True
    density: bool = True
    fresh: bool = False
    emit: frozenset[str] = frozenset()
    distributions: bool = False
    returned: bool = False
    by_site: bool = False


@dataclass
class Outcome:
    """What a run gave: `[particles, ...]` everywhere.

    `local[k]` has shape [particles, rows] and `shared[k]` [particles], for k in `drawn` (sites drawn in this run),
    `score` (those of them whose draw carries no gradient), `given` (sites with a value) and `kl`
    (closed-form divergences, see `Joint.log_weight`).
    """

    values: dict[str, Any]
    local: dict[str, Any]
    shared: dict[str, Any]
    returned: Any = None
    deterministic: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, Any] = field(default_factory=dict)


def check_names(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, np.ndarray]) -> None:
    """Given parameter values belong to parameters of the same name and shape."""
    if unknown := sorted(set(given) - set(wanted)):
        raise ProgramError(
            f"values were given for parameters {unknown} that the programs do not have; expected some of "
            f"{sorted(wanted)}. Check the programs, and the name of each module."
        )
    for name, value in given.items():
        if tuple(np.shape(value)) != tuple(wanted[name]):
            raise ProgramError(
                f"parameter {name!r}: expected shape {tuple(wanted[name])}; got {tuple(np.shape(value))}. "
                "Build the network with the sizes it was saved with."
            )
