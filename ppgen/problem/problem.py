"""A problem: programs, the shapes of the data, a backend, N, and who owns which parameter. It never changes."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppgen import arguments, backends
from ppgen.backends.protocol import Backend, bare
from ppgen.backends.sites import Initialiser, Parameter
from ppgen.errors import DataError, ProgramError
from ppgen.problem.arrays import cast, check_shapes, check_values, to_host
from ppgen.problem.automatic import Automatic
from ppgen.problem.batch import rows_of
from ppgen.problem.checks import plates, sites
from ppgen.problem.constants import prepared
from ppgen.problem.joint import Joint
from ppgen.problem.one_row import in_one_row
from ppgen.problem.preflight import inspect, preflight, whole
from ppgen.problem.program import Program


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Problem:
    """A model (and a guide) that met a first batch: what the trainer, evaluation and samplers all take.

    The programs are run once, without compiling them, and checked: mistakes that would pass in silence are errors here.

    Args:
        model: p(x, z), a function with `sample` statements; or a native Pyro or NumPyro program.
        guide: q(z | x), if there is one; or one that is made of the model, `ppgen.guides.MeanField()`.
        data: a first batch: arrays by site or argument name, their first axis counting rows. A masked array of NumPy gives
            a site in some rows; in the others it is latent. One that masks single numbers drops their terms.
        backend: "numpyro" or "pyro".
        size: number of rows N of the whole data, which weighs global sites; by default that of this batch.
        rows: name of the plate of rows in a native program, where it is in doubt.
        full_batch: whether all batches have N rows; by default, whether this one has.
        seed: seed of the initial parameters.
        constants: arguments of the programs that are no rows of data, by name; `ppgen.schedule` for one that follows the step.
        missing: "nan" where NaN stands for a missing number, whose term is dropped; by default NaN is an error.

    Attributes:
        programs: the inspected programs by role.
        backend: the backend.
        size: N.
        full_batch: whether algorithms see all N rows at once.
        entries: the shape of one row of each entry of the data.
        data: names of the entries that are given in every row.
        start: initial parameters, unconstrained, by name.
        owned: the parameters of each role; one that two programs use belongs to the first.
        specs: what is known of each parameter.
        owners: parameters that live in a user's torch network.
        example: the batch it met, on the host, as it came.
        seed: the seed of `start`.
        constants: arguments that are no rows of data.
        missing: what stands for a missing number.
        compiled: what was made of this problem and is kept: compiled functions, problems of other entries.

    Raises:
        ProgramError: programs that do not fit each other.
        DataError: a batch that does not fit them.

    Example:
        >>> import numpy as np, ppgen
        >>> model, guide = ppgen.models.vae(6, latents=(2,), hidden=(8,))
        >>> problem = ppgen.Problem(model, guide, data={"x": np.eye(6, dtype=np.float32)}, size=600)
        >>> problem.model.latent(problem.data)[0].name, problem.size, problem.full_batch
        ('z', 600, False)
    """

    programs: Mapping[str, Program]
    backend: Backend
    size: int
    full_batch: bool
    entries: Mapping[str, tuple[int, ...]]
    data: frozenset[str]
    start: Mapping[str, Any]
    owned: Mapping[str, tuple[str, ...]]
    specs: Mapping[str, Parameter]
    owners: Mapping[str, Any]
    example: Mapping[str, np.ndarray]
    seed: int
    constants: Mapping[str, Any]
    missing: str | None
    compiled: dict[Any, Any]

    def __init__(
        self,
        model: Callable[..., Any],
        guide: "Callable[..., Any] | Automatic | None" = None,
        *,
        data: Mapping[str, Any],
        backend: str | Backend = "numpyro",
        size: int | None = None,
        rows: str | None = None,
        full_batch: bool | None = None,
        seed: int = 0,
        constants: Mapping[str, Any] | None = None,
        missing: str | None = None,
    ) -> None:
        library: Backend = backends.get(backend)
        arrays = to_host(data, double=library.double(), missing=missing, one_row=True)
        count = rows_of(arrays)
        size = None if size is None else _size(size, count)
        seed = arguments.seed("ppgen.Problem", seed)
        full_batch = size in (None, count) if full_batch is None else full_batch
        if isinstance(guide, Automatic):
            about = {"backend": library, "size": size, "rows": rows, "full_batch": full_batch, "seed": seed}
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # the second look says it again
                alone = Problem(model, data=data, constants=constants, missing=missing, **about)
            guide = guide.program(alone)
        fixed = prepared(constants, library)
        programs, start = preflight(
            model, guide, library, arrays, seed=seed, rows_plate=rows, full_batch=full_batch, constants=fixed
        )
        p = programs["model"]
        self._set(
            backend=library,
            size=1 if p.one_row else plates.all_rows(p, count, size),
            full_batch=full_batch,
            entries={name: value.shape if p.one_row else value.shape[1:] for name, value in arrays.items()},
            data=whole(arrays),
            example=arrays,
            seed=seed,
            constants=fixed,
            missing=missing,
            start=start,
            **_shared_out(programs, library),
        )

    @property
    def model(self) -> Program:
        """The model."""
        return self.programs["model"]

    @property
    def guide(self) -> Program | None:
        """The guide, if there is one."""
        return self.programs.get("guide")

    @property
    def points(self) -> tuple[str, ...]:
        """Latent sites to which the guide gives one value (a Delta): they have no density to weigh draws by.

        A Delta that passes on an auxiliary draw, as an autoguide's, is no such point.
        """
        guide = self.guide
        if guide is None or any(site.kind == "auxiliary" for site in guide.sites.values()):
            return ()
        return tuple(site.name for site in guide.latent(self.data) if site.support.kind == "point")

    @property
    def rows(self) -> str:
        """The name of the plate of rows."""
        return self.model.rows_plate

    # other problems made of this one -------------------------------------------------------------------------

    def playing(self, roles: Iterable[str], brought: Mapping[str, Callable[..., Any]] | None = None) -> "Problem":
        """The problem of these roles alone.

        Args:
            roles: who plays; a guide of a model without latent sites may be missing.
            brought: programs of the other roles (a critic, a baseline, a kernel).
        """
        create = Initialiser(self.seed)
        programs, start = {role: p for role, p in self.programs.items() if role in roles}, dict(self.start)
        data = self.host(self.example)
        arrays = data | _placeholders(self.model) | data  # the data first, in which rows are counted
        for role, fn in (brought or {}).items():
            program, seen = inspect(self._program(fn, role), arrays, create)
            arrays = arrays | _placeholders(program) | arrays  # for those that look at what it draws
            if not program.sites:  # a critic or a baseline, and no kernel
                plates.one_number_a_row(program, seen.returned, arrays)
            programs[role] = self._like_the_model(program)
            start |= seen.created
        for role in roles:
            if role not in programs:
                programs[role] = self._like_the_model(self._program(_nothing, role))
        mine = {name for program in programs.values() for name in program.parameters}
        start = {name: value for name, value in start.items() if name in mine}
        return copy(self)._set(start=start, **_shared_out(programs, self.backend))

    def observing(self, names: Iterable[str]) -> "Problem":
        """The same problem for batches with other entries: a site that they leave out is latent.

        Raises:
            DataError: an entry that no program knows, or one left out that the programs cannot do without.
        """
        names = frozenset(names)
        if names == frozenset(self.entries):
            return self
        if names in self.compiled:
            return self.compiled[names]
        first = sorted(self.entries)
        known = {*self.model.sites, *self._defaults}
        if unknown := sorted(n for n in names - set(first) if bare(n) not in known):
            raise DataError(
                f"expected the entries of the first batch, {first}; got {sorted(names)}, with {unknown}, which no program "
                "takes. Correct the names, or leave them out."
            )
        missing = [n for n in first if n not in names and n not in self.model.sites and bare(n) == n]
        if missing or (self.model.observed(self.data) and not self.model.observed(whole(names))):
            raise DataError(
                f"expected the entries of the first batch, {first}; got {sorted(names)}"
                + (f", without {missing}" if missing else "")
                + ". Correct the names, or add what is missing."
            )
        if self.guide is not None:
            sites.match(self.model, self.guide, whole(names))
        return self.compiled.setdefault(names, copy(self)._set(data=whole(names)))

    @property
    def _defaults(self) -> set[str]:
        """Arguments that a batch may have or not."""
        return {n for p in self.programs.values() for n in p.arguments if n not in p.required} - {"rows"}

    # data ----------------------------------------------------------------------------------------------------

    def host(self, batch: Mapping[str, Any], where: str = "the batch") -> dict[str, np.ndarray]:
        """A batch as NumPy arrays of the types that its sites compute with.

        Raises:
            DataError: NaN, infinity, a value outside the support of its site, or a shape unlike the first batch's.
        """
        whole = self.model.one_row
        arrays = to_host(batch, double=self.backend.double(), missing=self.missing, one_row=whole)
        arrays = cast(in_one_row(arrays) if whole else arrays, self.model)
        check_shapes(arrays, self.entries, where)
        check_values(arrays, self.model, where)
        return arrays

    def device(self, batch: Mapping[str, Any], where: str = "the batch") -> dict[str, Any]:
        """A batch as the backend's arrays; from the host, it is checked and cast first, see `host`.

        Args:
            batch: arrays by name; arrays of the backend are taken as they are.
            where: what error messages call the batch.
        """
        if all(self.backend.is_array(value) for value in batch.values()):
            return dict(batch)
        return self.put(self.host(batch, where))

    def put(self, host: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """A batch of `host` as the backend's arrays."""
        return {name: self.backend.array(value) for name, value in host.items()}

    # parameters and joints -----------------------------------------------------------------------------------

    def initial(self, seed: int | None = None) -> dict[str, Any]:
        """Initial parameters (unconstrained) of a seed; by default of the problem's own."""
        if seed is None or seed == self.seed:
            return dict(self.start)
        arrays, create = self.host(self.example), Initialiser(seed)
        found: dict[str, Any] = {}
        for program in self.programs.values():
            found = {**inspect(program, arrays, create, self.specs)[1].created, **found}
        return {name: found[name] for name in self.start}

    def parameters(self, given: Any = None, seed: int | None = None) -> dict[str, Any]:
        """Unconstrained parameters: the initial ones, with given values in place of theirs.

        Args:
            given: constrained values by full name; or a `Fit`, whose parameters are taken where these programs have them.
            seed: seed of the initial ones; by default the problem's own.
        """
        start = self.initial(seed)
        if given is not None and not isinstance(given, Mapping):  # a Fit
            mine = self.export(start)
            theirs, given = given.params, {name: value for name, value in given.params.items() if name in mine}
            if not given:
                raise ProgramError(
                    f"expected a fit that shares parameters with these programs, some of {sorted(mine)}; got one with "
                    f"{sorted(theirs)}, so nothing would be taken from it. Check the names, or leave params out."
                )
        return self.backend.load(start, given, self.specs) if given else start

    def export(self, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Constrained parameters by full name, on the host: the inverse of `parameters`."""
        return self.backend.export(parameters, self.specs)

    def joints(
        self, parameters: Mapping[str, Any] | None = None, key: Any = None, step: Any = 0, training: bool = False
    ) -> dict[str, Joint]:
        """The programs bound to parameters (the initial ones by default), by role.

        Args:
            parameters: unconstrained parameters by name.
            key: randomness; by default that of the problem's seed.
            step: the number of the training step.
            training: whether networks are in training (dropout).
        """
        parameters = self.start if parameters is None else parameters
        key = self.backend.key(self.seed) if key is None else key
        minibatch = self.backend.fold_in(key, len(self.programs))
        return {
            role: Joint(program, parameters, self.backend.fold_in(key, i), self.size, step, training, minibatch)
            for i, (role, program) in enumerate(self.programs.items())
        }

    # ---------------------------------------------------------------------------------------------------------

    def _program(self, fn: Callable[..., Any], role: str) -> Program:
        return Program(fn, role, self.backend, self.rows, constants=self.constants)

    def _like_the_model(self, program: Program) -> Program:
        """Particles lie in a critic as they do in the model."""
        return replace(program, nesting=self.model.nesting, vectorises=self.model.vectorises)

    def _set(self, **values: Any) -> "Problem":
        """Fill in a problem while it is made; what an earlier one compiled is not its own."""
        vars(self).update(values, compiled={})
        return self

    def __repr__(self) -> str:
        programs = "; ".join(f"{role}: {', '.join(p.sites) or 'no sites'}" for role, p in self.programs.items())
        return f"Problem({programs}; data: {', '.join(sorted(self.entries))}; {self.size} rows; {self.backend.name})"


def _size(size: Any, count: int) -> int:
    """The number of rows N; whether it is enough, a look at the model tells."""
    if not arguments.is_size(size):
        raise DataError(
            f"expected size to be the number of rows of the whole data, at least the {count} of this batch; got {size!r}. "
            "Correct it, or leave it out where the data are all there are."
        )
    return int(size)


def _shared_out(programs: Mapping[str, Program], backend: Backend) -> dict[str, Any]:
    """The programs, and whose their parameters are: each belongs to the first role that has it."""
    owned: dict[str, tuple[str, ...]] = {}
    specs: dict[str, Parameter] = {}
    owners: dict[str, Any] = {}
    for role, program in programs.items():
        owned[role] = tuple(name for name in program.parameters if name not in specs)
        for name in owned[role]:
            specs[name] = program.parameters[name]
            if program.native and backend.owns(specs[name].source):
                owners[name] = specs[name].source
    return {"programs": programs, "owned": owned, "specs": specs, "owners": owners}


def _placeholders(program: Program) -> dict[str, np.ndarray]:
    """Values of a program's sites, for a look at what reads them: shapes and types count, numbers do not."""
    return {
        site.name: np.full(
            (*site.batch_shape, *site.event_shape),
            site.support.low or 0,
            np.int32 if site.support.name == "IntegerInterval" else np.float32,
        )
        for site in program.latent()
    }


def _nothing() -> None:
    """The guide of a model that has no latent sites."""
