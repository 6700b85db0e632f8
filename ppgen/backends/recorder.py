"""What happens at each site while a program runs: the part that both backends share."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.backends.entries import Entries
from ppgen.backends.protocol import KEPT, REAL, SEEN, Inspected, Request, Term
from ppgen.backends.sites import Initialiser, Parameter, Site
from ppgen.backends.support import support_of
from ppgen.errors import DataError, IllegalPairing, PpgenError, ProgramError

MARK = "_ppgen"  # in a message's `infer`: the site was written with ppgen.sample

_running: ContextVar["Recorder | None"] = ContextVar("ppgen_running", default=None)


def running() -> "Recorder | None":
    """The recorder of the program that is running, or None."""
    return _running.get()


def training() -> "Recorder | None":
    """The recorder of the program that is running, if it runs in a step of training."""
    run = running()
    return run if run is not None and run.request.training else None


class Recorder(ABC):
    """Stands under a running program: gives each site its value, keeps its log density, looks up parameters.

    Both backends pass messages as dicts with the same keys (`name`, `fn`, `value`, `is_observed`,
    `cond_indep_stack`, `infer`), so `before` and `after` are written once. A subclass says how to evaluate a
    log density and how plates and particles lie in its arrays.

    Args:
        program: the program that runs.
        backend: whose program it is.
        parameters: unconstrained parameters by name.
        given: values by site or argument name; `seen:y` beside `y` says in which rows `y` is given.
        request: what to do at sites without a value.
        create: makes initial values, in an inspection.
    """

    def __init__(
        self,
        program: Inspected,
        backend: Any,
        parameters: Mapping[str, Any],
        given: Mapping[str, Any],
        request: Request,
        *,
        create: Initialiser | None = None,
    ) -> None:
        self.program, self.backend = program, backend
        self.parameters, self.given, self.request, self.create = parameters, given, request, create
        self.terms: dict[str, Term] = {}
        self.row_dims: dict[str, int | None] = {}  # where the rows lie at each site
        self.slopes: dict[str, Any] = {}  # log-determinants of the sites that are given by unconstrained values
        self.returned: Any = None
        self.computed: dict[str, Any] = {}  # values of deterministic sites
        self.local: dict[str, bool] = {}  # whether they lie in plates: by name
        # what an inspection finds
        self.sites: dict[str, Site] = {}
        self.found: dict[str, Parameter] = {}
        self.created: dict[str, Any] = {}
        self.observations: dict[str, Any] = {}
        self.modules: dict[str, Any] = {}
        self.native = program.native
        self.idle: frozenset[str] = frozenset()
        self.trouble: Exception | None = None  # why a given value has no log density
        self.settled: dict[str, bool] = {}  # sites that got their values in a compiled branch or (True) loop
        self.parts: dict[str, tuple[int, int]] = {}  # plates that hold a part of their rows: size, and that of the part
        self.interventions: Mapping[str, Any] = {}  # values that stand in place of sites
        self.intervened: set[str] = set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, the language's statements come to this recorder."""
        token = _running.set(self)
        try:
            with ops.activate(self.backend):
                yield
        finally:
            _running.reset(token)

    @contextmanager
    def intervening(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Inside, these sites are no random variables: they have the given values, and no log density."""
        before, self.interventions = self.interventions, {**values, **self.interventions}  # the outer `do` decides
        try:
            yield
        finally:
            self.interventions = before
        if missed := sorted(values.keys() - self.intervened):
            raise ProgramError(
                f"do: the {self.program.role} has no sample site {missed} to intervene on; expected some of "
                f"{sorted({*self.terms, *self.intervened})}. Correct the name."
            )

    # parameters ----------------------------------------------------------------------------------------------

    def parameter(
        self,
        name: str,
        make: Callable[[np.random.Generator], Any] | None,
        constraint: Any = None,
        source: Any = None,
    ) -> Any:
        """The value of a parameter; while inspecting, `make` makes a new one (unconstrained).

        Without `make`, a native program asks again for a parameter that it has made.
        """
        if make is None:
            known = self.found.get(name) or self.program.parameters.get(name)
            constraint = None if known is None else known.constraint
        if name in self.parameters:
            raw = self.parameters[name]
        elif name in self.created:
            raw = self.created[name]
        elif make is None:
            raise self.unknown(name)
        else:
            start = make(self.generator(name))
            if self.backend.double() and isinstance(start, np.ndarray):  # networks draw in single precision
                start = start.astype(self.precision)
            raw = self.created[name] = self.backend.parameter(start)
        if self.create is not None:
            self.note(Parameter(name, self.shape(raw), constraint, source), make)
        raw = self.mark(f"parameter:{name}", raw)
        return raw if constraint is None else self.backend.constrain(constraint, raw)

    def mark(self, name: str, value: Any) -> Any:
        """`value`, which a backend that reads traces can tell from others by its name."""
        return value

    @property
    def precision(self) -> type[np.floating]:
        """The type of new parameters."""
        return np.float64 if self.backend.double() else np.float32

    def generator(self, name: str) -> np.random.Generator:
        """Random numbers for the initial value of a parameter, which only an inspection makes."""
        if self.create is None:
            raise self.unknown(name)
        return self.create.generator(name)

    def unknown(self, name: str) -> ProgramError:
        """The error of a parameter that the inspection did not meet."""
        return ProgramError(
            f"the {self.program.role} asks for a parameter {name!r} that it did not have on the first batch; "
            f"expected one of {sorted(self.parameters)}. Make the same parameters whatever the data."
        )

    def note(self, parameter: Parameter, make: Callable[[np.random.Generator], Any] | None) -> None:
        """Enter a parameter in the table; one name that is used twice means one thing."""
        name, known = parameter.name, self.found.setdefault(parameter.name, parameter)
        if known is parameter or make is None or None not in (known.source, parameter.source):
            return  # new; asked for again without an initial value; or of networks, which `register` compares
        made, first = make(self.generator(name)), self.created[name]
        parameter = replace(parameter, shape=self.shape(made))
        same_start = self.native or np.array_equal(self.backend.numpy(made), self.backend.numpy(first))
        if not (known.agrees(parameter) and same_start):
            raise ProgramError(
                f"the {self.program.role} uses the parameter name {name!r} with two meanings: expected {known}, as at its "
                f"first use; got {parameter}{'' if same_start else ', starting elsewhere'}. Give each its own name."
            )

    def register(self, name: str, net: Any) -> dict[str, Any] | None:
        """Remember which network a module name stands for; two different ones under a name are an error.

        Returns the values of its parameters by path; None for a network of another library, which does not list them.
        """
        known = self.modules.setdefault(name, net)
        if known is not net and not self.backend.same_network(known, net):
            raise ProgramError(
                f"the {self.program.role} uses the name {name!r} for two different networks:\n  {known!r}\n  {net!r}\n"
                "Give each its own name; a network that is used twice is built once, outside the program."
            )
        if not hasattr(net, "specs"):
            return None
        return {path: self.parameter(f"{name}.{path}", spec.draw, source=net) for path, spec in net.specs().items()}

    # sites ---------------------------------------------------------------------------------------------------

    def before(self, msg: dict[str, Any]) -> None:
        """Before a site draws: hand it its value, if it has one."""
        name, infer = msg["name"], msg["infer"] or {}
        if infer.get("_deterministic"):
            return
        if self.create is not None and name in self.sites:
            raise ProgramError(
                f"the {self.program.role} has two sites called {name!r}; expected a name for each. "
                "Number them inside a loop: sample(f'z_{t}', ...)."
            )
        if self.is_factor(msg):
            return
        if name in self.interventions:
            self.intervene(msg)
            return
        natively = msg["is_observed"] and REAL + name not in self.given  # by `obs=`, which follows from the arguments
        if natively and not self.request.fresh:
            if self.create is not None:
                self.observations[name] = self.extract(msg, self.backend.array(msg["value"]))
        elif REAL + name in self.given:
            onto = Onto(self.backend.bijection(msg["fn"]), msg["fn"])
            real = self.place(REAL + name, onto.event_dim)
            msg["value"], msg["is_observed"] = onto(real), True
            self.slopes[name] = onto.log_slope(real, msg["value"])
        elif name in self.given and not natively and SEEN + name not in self.given:
            msg["value"], msg["is_observed"] = self.place(name, len(msg["fn"].event_shape)), True
        elif name in self.settled:
            pass  # drawn where it runs
        elif self.request.draw is None and infer.get("is_auxiliary"):
            raise IllegalPairing(
                f"the {self.program.role} goes by an auxiliary site {name!r}, which only its own draws have, so the "
                "density of a dream cannot be computed; expected a guide of the model's latent sites alone. "
                "Write the guide out, or learn it without a sleep phase."
            )
        elif self.request.draw is None:
            raise DataError(
                f"the {self.program.role} has a site {name!r} without a value; expected it among {sorted(self.given)}. "
                f"Pass {name!r} with the data, or sample it in the guide."
            )
        else:
            msg["value"], msg["is_observed"] = None, False
            self.prepare(msg)
            if name in self.request.mean:
                msg["value"] = msg["fn"].mean

    def after(self, msg: dict[str, Any]) -> None:
        """After a site has its value: keep the value and its log density."""
        name, fn, infer = msg["name"], msg["fn"], msg["infer"] or {}
        if infer.get("_deterministic"):
            self.compute(msg)
            return
        msg["value"] = self.mark(f"site:{name}", msg["value"])
        reparameterised = self.reparameterised(fn)
        self.row_dims[name] = self.row_dim(msg)
        if self.create is not None:
            self.sites[name] = self.describe(msg, reparameterised)
        how = self.how(msg, reparameterised)
        if how == "held":
            msg["value"] = self.backend.stop_gradient(msg["value"])
            msg["intermediates"] = None  # what the draw knows of its density still carries the draw's gradient
        real = None
        if self.request.reals and how in ("pathwise", "held") and not support_of(fn).discrete:
            real = self.extract(msg, self.backend.bijection(fn).inv(msg["value"]))
        if how != "given" and SEEN + name in self.given and self.create is None:
            msg["value"], msg["intermediates"] = self.merge(msg), None
        value = None if how == "given" else self.extract(msg, msg["value"])  # whoever gave it has it
        self.terms[name] = Term(value, self.log_density(msg, how), fn, how, real)

    def intervene(self, msg: dict[str, Any]) -> None:
        """Make a site a constant, which the rest of the program reads."""
        name, fn, value = msg["name"], msg["fn"], np.asarray(self.interventions[msg["name"]])
        self.intervened.add(name)
        if self.is_native(msg):
            self.native = True
        support, shape = support_of(fn), (*fn.batch_shape, *fn.event_shape)
        if self.create is not None and (support.outside(value).any() or not fits(value.shape, shape)):
            raise ProgramError(
                f"do: expected a value in {support} of shape {tuple(shape)} for site {name!r} of the {self.program.role}; got "
                f"{value!r}. Set it to one that it can take."
            )
        whole = support.discrete and support.name != "Boolean"  # classes and counts index; bits are computed with
        value = self.backend.array(value.astype(np.int32 if whole else self.precision))
        msg["value"], msg["is_observed"] = ops.broadcast_to(value, tuple(shape)), True
        msg["infer"] = {**(msg["infer"] or {}), "_deterministic": True}

    def compute(self, msg: dict[str, Any]) -> None:
        """After a deterministic site: keep its value."""
        if msg["name"] in self.intervened:
            return  # a constant from outside
        self.computed[msg["name"]] = msg["value"]
        self.local[msg["name"]] = bool(msg["cond_indep_stack"])

    def how(self, msg: dict[str, Any], reparameterised: bool) -> str:
        """How a site got its value."""
        if msg["name"] in self.slopes:
            return "mapped"
        if msg["is_observed"]:
            return "given"
        if msg["name"] in self.request.mean:
            return "mean"
        return "pathwise" if reparameterised and self.request.draw == "pathwise" else "held"

    def merge(self, msg: dict[str, Any]) -> Any:
        """The value of a site that is observed in some rows: given there, drawn elsewhere."""
        event_dim = len(msg["fn"].event_shape)
        given, seen = self.place(msg["name"], event_dim), self.given[SEEN + msg["name"]]
        row_dim = self.row_dims[msg["name"]] or 0  # in the plate of rows, as preflight has seen
        shape = [1] * msg["value"].ndim
        shape[row_dim - event_dim] = len(seen)
        return ops.where(seen.reshape(shape), given, msg["value"])

    def log_density(self, msg: dict[str, Any], how: str) -> Any | None:
        """A site's log density, summed over everything but rows; None where none was asked for or can be had."""
        if how == "mean" or (how != "given" and not self.request.density):
            return None
        if how == "mapped":
            return self.summed(msg, self.scaled_log_density(msg) + self.slope(msg))
        if not has_density(msg["fn"]):
            return None
        kept = self.given.get(KEPT + self.program.observes.get(msg["name"], msg["name"]))
        if kept is not None and how == "given":
            msg = msg | {"fn": Entries(msg["name"], msg["fn"], kept)}
        if self.create is not None and how == "given":
            return self.try_log_density(msg)
        log_density = self.scaled_log_density(msg)
        if self.create is None and msg["name"] in self.program.transformed and support_of(msg["fn"]).bounded:
            log_density = ops.where(self.inside(msg), log_density, -np.inf)
        return self.summed(msg, log_density)

    def slope(self, msg: dict[str, Any]) -> Any:
        """Log |d value / d unconstrained value| of a mapped site; 0 in rows that have the data's value."""
        slope, seen = self.slopes[msg["name"]], self.given.get(SEEN + msg["name"])
        if seen is None:
            return slope
        shape = [1] * slope.ndim
        shape[self.row_dims[msg["name"]]] = len(seen)
        return ops.where(seen.reshape(shape), ops.zeros((), slope), slope)

    def try_log_density(self, msg: dict[str, Any]) -> Any | None:
        """The log density of a given value while inspecting; one that has none is for preflight to look at."""
        try:
            with warnings.catch_warnings(action="ignore"):
                return self.summed(msg, self.scaled_log_density(msg))
        except PpgenError:
            raise
        except Exception as error:
            self.trouble = self.trouble or error
            return None

    def summed(self, msg: dict[str, Any], log_density: Any) -> Any:
        """A log density summed over everything but rows."""
        if self.program.one_row:
            return self.total(log_density)[..., None]
        row_dim = self.row_dims[msg["name"]]
        return self.total(log_density) if row_dim is None else self.per_row(log_density, row_dim)

    def row_dim(self, msg: dict[str, Any]) -> int | None:
        """The dimension of the plate of rows at a site, counted from the right; None outside it."""
        return {frame.name: frame.dim for frame in msg["cond_indep_stack"]}.get(self.program.rows_plate)

    def describe(self, msg: dict[str, Any], reparameterised: bool) -> Site:
        """The site table's line for a site."""
        fn = msg["fn"]
        infer = msg["infer"] or {}
        kind = "factor" if self.is_factor(msg) else "auxiliary" if infer.get("is_auxiliary") else "sample"
        if self.is_native(msg):
            self.native = True
        if msg["name"] in self.observations:
            self.all_rows_at_once(msg)
        batch_shape = tuple(fn.batch_shape)
        plates = {f.name: (f.dim, frame_size(f, batch_shape)) for f in msg["cond_indep_stack"] if f.dim is not None}
        weighed = self.parts.keys() & plates.keys() - {
            self.program.rows_plate
        }  # by the program: its density is an estimate
        if self.program.one_row:
            batch_shape = (1, *batch_shape)
            plates[self.program.rows_plate] = (-len(batch_shape), 1)
        return Site(
            name=msg["name"],
            event_shape=tuple(fn.event_shape),
            batch_shape=batch_shape,
            plates=plates,
            support=support_of(fn),
            reparameterised=reparameterised,
            observed=msg["name"] in self.observations,
            kind=kind,
            scaled=self.is_scaled(msg),
            has_mean=has_mean(fn),
            has_density=has_density(fn),
            estimated=any(part.estimates for part in learnables(fn))
            or (bool(weighed) and self.program.role == "model"),
            real_shape=self.real_shape(fn, batch_shape),
            looped=self.settled.get(msg["name"], False),
        )

    def real_shape(self, fn: Any, batch_shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Shape of a site's unconstrained value."""
        try:
            return tuple(self.backend.bijection(fn).inverse_shape((*batch_shape, *fn.event_shape)))
        except NotImplementedError:
            return None

    def all_rows_at_once(self, msg: dict[str, Any]) -> None:
        """Pyro can also loop over a plate; looping over rows would take each row for all the data."""
        loops = [frame.name for frame in msg["cond_indep_stack"] if frame.dim is None]
        if loops and len(loops) == len(msg["cond_indep_stack"]):
            raise ProgramError(
                f"site {msg['name']!r} of the {self.program.role} is observed inside a loop over the plate "
                f"{loops[0]!r}; expected all rows at once, in one site. Write `with plate({loops[0]!r}, rows):` in "
                "place of `for ... in`."
            )

    def part_of_rows(self, name: str, size: int, part: int) -> None:
        """A plate holds so many of its rows, and weighs them as all."""
        if size != part:
            self.parts[name] = (size, part)

    def plate_weight(self, msg: dict[str, Any], *plates: str) -> float:
        """What these plates (all, by default) multiply a site's log density by, since they hold a part of their rows."""
        inside = {f.name for f in msg["cond_indep_stack"]} & set(plates or self.parts)
        return math.prod(self.parts[name][0] / self.parts[name][1] for name in inside & self.parts.keys())

    def is_native(self, msg: dict[str, Any]) -> bool:
        """True for a site that was not written with ppgen.sample."""
        return not (msg["infer"] or {}).get(MARK) and not self.is_factor(msg)

    @staticmethod
    def is_factor(msg: dict[str, Any]) -> bool:
        """Both libraries write a factor as an observed site whose events are empty."""
        return tuple(msg["fn"].event_shape[-1:]) == (0,)

    # what a backend says -------------------------------------------------------------------------------------

    @abstractmethod
    def reparameterised(self, fn: Any) -> bool:
        """Whether a draw carries a gradient to the distribution's parameters."""

    @abstractmethod
    def is_scaled(self, msg: dict[str, Any]) -> bool:
        """Whether the program scales a site's log density."""

    @abstractmethod
    def scaled_log_density(self, msg: dict[str, Any]) -> Any:
        """A site's log density over its batch shape, scaled and masked as the program says."""

    @abstractmethod
    def inside(self, msg: dict[str, Any]) -> Any:
        """Whether a site's value is in its support, over its batch shape; true where it is masked."""

    @abstractmethod
    def uniform(self, shape: tuple[int, ...]) -> Any:
        """Fresh uniform numbers in [0, 1) for a network's own noise, from the key of the run."""

    @abstractmethod
    def total(self, log_density: Any) -> Any:
        """A log density summed over all plates, a number a particle."""

    @abstractmethod
    def per_row(self, log_density: Any, row_dim: int) -> Any:
        """A log density summed over all plates but the one of rows."""

    def shape(self, raw: Any) -> Any:
        """Shape of a parameter's array."""
        return tuple(raw.shape)

    def place(self, entry: str, event_dim: int) -> Any:
        """A given entry as it lies inside the program (particle axis included); its last axes are those of an event."""
        return self.given[entry][0] if self.program.one_row else self.given[entry]

    def extract(self, msg: dict[str, Any], value: Any) -> Any:
        """The inverse of `place`, of a value at a site."""
        return value[None] if self.program.one_row else value

    def prepare(self, msg: dict[str, Any]) -> None:
        """Make the site draw one value per particle, where its arrays have a particle axis."""
        return


def frame_size(frame: Any, batch_shape: tuple[int, ...]) -> int:
    """How many copies a plate makes; one without a size of its own (Pyro) makes as many as the batch has."""
    if frame.size != -1:
        return int(frame.size)
    return batch_shape[frame.dim] if -frame.dim <= len(batch_shape) else 1


class Onto:
    """The map from the reals onto the support of a site, with its log-determinant.

    Args:
        bijection: the framework's.
        fn: the site's distribution.
    """

    def __init__(self, bijection: Any, fn: Any) -> None:
        self.bijection = bijection
        self.extra = len(fn.event_shape) - bijection.codomain.event_dim  # event axes that it takes one by one

    @property
    def event_dim(self) -> int:
        """Event axes of an unconstrained value."""
        return self.bijection.domain.event_dim + self.extra

    def __call__(self, real: Any) -> Any:
        return self.bijection(real)

    def log_slope(self, real: Any, value: Any) -> Any:
        """Log |d value / d real|, summed over the event."""
        slope = self.bijection.log_abs_det_jacobian(real, value)
        return ops.sum(slope, tuple(range(-self.extra, 0))) if self.extra else slope


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether an array of a shape can be repeated to another shape."""
    try:
        return np.broadcast_shapes(shape, wanted) == tuple(wanted)
    except ValueError:
        return False


def has_mean(fn: Any) -> bool:
    """Whether a distribution knows its mean."""
    try:
        return fn.mean is not None
    except (NotImplementedError, AttributeError):
        return False


def has_density(fn: Any) -> bool:
    """Whether a distribution has a log density: all do but implicit learnable ones."""
    return all(part.has_density for part in learnables(fn))


def learnables(fn: Any) -> Iterator[Any]:
    """The learnable distributions that a native one is made of: an event of independent ones, a mixture."""
    if hasattr(fn, "learnable"):
        yield fn.learnable
    inner = (getattr(fn, name, None) for name in ("base_dist", "component_distribution", "component0", "component1"))
    for part in [*inner, *getattr(fn, "component_distributions", ())]:
        if part is not None:
            yield from learnables(part)
