"""A program: a function with `sample` statements, and what is known about it once it has been looked at."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ppgen.backends.protocol import SEEN, Backend
from ppgen.backends.sites import Parameter, Site
from ppgen.errors import DataError, ProgramError
from ppgen.problem.constants import schedule


@dataclass(frozen=True)
class Program:
    """A model, a guide or a critic under one backend.

    Attributes:
        fn: the function with `sample` statements.
        role: who it is in a game: "model", "guide" or the name of a critic.
        backend: what runs it.
        rows_plate: the name of the plate of rows; empty until a first look at the model has found it.
        sites: what inspection found, by name in program order.
        parameters: likewise.
        native: whether it was written in the backend's own language.
        nesting: number of plate dimensions, at least one, that particles leave free (Pyro).
        vectorises: whether its particles can run at once (Pyro).
        observes: in a native program, the argument that each observed site observes.
        idle: parameters that it registers but does not use (Pyro).
        lent: parameters that it uses and only another program registers (Pyro).
        computed: deterministic sites, and whether they lie in plates.
        mixed: sites whose distribution in one row depends on other rows.
        placed: in a program that sees all rows, the parameters (or "a constant") that have a value a row.
        borrowed: argument names for a function of `*args, **kwargs`: the model's.
        constants: arguments that are no rows of data, by name, see `ppgen.problem.constants`.
        parts: plates that hold a part of their rows, and weigh them as all: their size, and that of the part.
        one_row: it has no plate of rows, so that the data are one row for it, see `ppgen.problem.one_row`.
    """

    fn: Callable[..., Any]
    role: str
    backend: Backend
    rows_plate: str = ""
    sites: Mapping[str, Site] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    native: bool = False
    nesting: int = 1
    vectorises: bool = True
    observes: Mapping[str, str] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    lent: frozenset[str] = frozenset()
    computed: Mapping[str, bool] = field(default_factory=dict)
    mixed: frozenset[str] = frozenset()
    placed: frozenset[str] = frozenset()
    borrowed: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    one_row: bool = False

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise ProgramError(f"expected the {self.role} to be a function with sample statements; got {self.fn!r}.")

    @cached_property
    def _signature(self) -> tuple[inspect.Parameter, ...]:
        fn = self.fn
        while callable(inner := getattr(fn, "fn", None)):  # a handler of NumPyro around a program
            fn = inner
        try:
            return tuple(inspect.signature(getattr(fn, "forward", fn)).parameters.values())
        except (TypeError, ValueError):
            return ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its own arguments."""
        return tuple(p.name for p in self._signature if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The arguments that have no default and are no constants: a batch must have them."""
        open_ = (p.name for p in self._signature if p.name in self.names and p.default is p.empty)
        return tuple(name for name in open_ if name not in self.constants)

    @property
    def transformed(self) -> frozenset[str]:
        """Sites that observe what the program computes of its arguments, so that no look at the data has seen their values."""
        return frozenset(site.name for site in self.sites.values() if site.observed and site.name not in self.observes)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names the program looks up in a batch."""
        variadic = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in self._signature)
        return self.names or (self.borrowed if variadic else ())

    def bind(self, available: Mapping[str, Any], rows: int | None, step: Any = None) -> dict[str, Any]:
        """The program's arguments by name.

        Args:
            available: entries of a batch, and what was drawn.
            rows: the number of rows.
            step: the number of the step of training, if it is one, for constants that follow it.
        """
        kwargs = {}
        for name, value in self.constants.items():
            if name in self.arguments:
                kwargs[name] = value.at(step) if isinstance(value, schedule) else value
        for name in self.arguments:
            if name in kwargs:
                continue
            if SEEN + name in available:
                raise DataError(
                    f"the {self.role} takes an argument {name!r}, which is given in some rows only; expected a value in every "
                    f"row. Sample it in the {self.role} instead, sample({name!r}, ...): it has the data's value where they "
                    "have one."
                )
            if name in available:
                kwargs[name] = available[name][0] if self.one_row else available[name]
            elif name == "rows" and rows is not None:
                kwargs[name] = rows
            elif name in self.required:
                raise DataError(
                    f"the {self.role} takes an argument {name!r} that the batch does not have; "
                    f"expected one of its entries {sorted(available)}. "
                    f"Add {name!r} to the data, rename the argument, or give it a default; an argument that is no row of data "
                    f"(a size, a flag) is a constant, constants={{{name!r}: ...}}."
                )
        return kwargs

    def call(self, available: Mapping[str, Any], rows: int | None, step: Any = None) -> Any:
        """Run the function itself; whoever calls has set up the handlers."""
        return self.fn(**self.bind(available, rows, step))

    # the site table ------------------------------------------------------------------------------------------

    def latent(self, given: Iterable[str] = ()) -> list[Site]:
        """Sites that are neither observed by the program nor in `given`, in program order."""
        return [s for s in self.sites.values() if s.kind != "factor" and not s.observed and s.name not in given]

    def observed(self, given: Iterable[str] = ()) -> list[Site]:
        """Sites that the program observes or that are in `given`."""
        return [s for s in self.sites.values() if s.kind != "factor" and (s.observed or s.name in given)]

    def is_local(self, site: Site) -> bool:
        """True for sites inside the plate of rows."""
        return self.rows_plate in site.plates

    def row_axis(self, site: Site) -> int:
        """Which batch axis of a site counts the rows, from the left.

        Raises:
            ProgramError: a site outside the plate of rows.
        """
        dim = site.row_dim(self.rows_plate)
        if dim is None:
            raise ProgramError(
                f"expected the site {site.name!r} of the {self.role} in the plate of rows, {self.rows_plate!r}; got plates "
                f"{sorted(site.plates)}. Put it in `with plate({self.rows_plate!r}, rows):`."
            )
        return len(site.batch_shape) + dim

    def atoms(self, site: Site) -> int:
        """How many scalar variables one row of a site holds."""
        rows = site.plates[self.rows_plate][1] if self.rows_plate in site.plates else 1
        return math.prod(site.batch_shape) // max(rows, 1) * math.prod(site.event_shape)

    def has_global(self, given: Iterable[str] = ()) -> bool:
        """True when a latent site lies outside the plate of rows, so that weights belong to the whole data."""
        return not all(self.is_local(site) for site in self.latent(given))
