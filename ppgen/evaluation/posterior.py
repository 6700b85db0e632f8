"""Draws of the latent sites, laid out as ArviZ expects them."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from ppgen.backends.protocol import KEPT, SEEN, bare
from ppgen.backends.sites import Site
from ppgen.errors import DataError, NoLikelihoodError
from ppgen.evaluation.diagnostics import agreement
from ppgen.evaluation.enumerated import Table
from ppgen.evaluation.inputs import guide_of, is_enumerated, needs_densities, prepare
from ppgen.evaluation.weights import Chunks
from ppgen.inference.algorithm import positive
from ppgen.problem.problem import Problem
from ppgen.problem.program import Program

if TYPE_CHECKING:  # 0.2 seconds that an import of ppgen can do without
    import xarray as xr

_Variable = tuple[tuple[str, ...], np.ndarray]  # names of dimensions, values


def posterior(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, Any],
    draws: int = 500,
    seed: int = 0,
    chains: int = 1,
    about: Mapping[str, Any] | None = None,
) -> "xr.DataTree":
    """Draws of the latent sites given data: from the guide, or exactly where the latent sites can be summed out.

    Groups, in ArviZ's schema:

    - `posterior`: each latent site, dimensions (chain, draw, rows, inner plates, `<site>_dim_0`, ...); global sites
      have no rows. The rows' dimension is called like their plate ("data").
    - `sample_stats`: `log_weight` = log p(x, z) - log q(z | x), for (chain, draw, rows), or (chain, draw) where some
      latent site is global and all rows share a weight. Exact draws have the constant weight log p(x).
    - `observed_data`: the observed sites; `constant_data`: other arrays, such as covariates.

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name, as in its state.
        arrays: data by name.
        draws: draws per chain; they are independent.
        seed: seed of the draws.
        chains: number of chains, which ArviZ compares.
        about: what to note in the attributes of the tree.

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: nothing is latent, or nothing is known about what is.

    Example:
        >>> import arviz as az, numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         z = sample("z", dist.Bernoulli(0.5))
        ...         sample("x", dist.Normal(ppgen.param("loc", 3.0) * z, 1.0))
        >>> data = {"x": np.array([0.0, 3.0], np.float32)}
        >>> problem = ppgen.Problem(model, data=data)
        >>> tree = posterior(problem, problem.start, data, draws=1000)
        >>> tree["posterior"]["z"].sizes
        Frozen({'chain': 1, 'draw': 1000, 'data': 2})
    """
    positive("draws", draws, "posterior")
    positive("chains", chains, "posterior")
    problem, arrays = prepare(problem, arrays)
    model: Program = problem.model
    latent = model.latent(problem.data)
    if not latent:
        raise NoLikelihoodError(
            f"the model has no latent sites given {sorted(arrays)}, so there is no posterior. fit.sample draws from "
            "the model, and fit.params holds its parameters."
        )
    needs_densities(problem)
    if is_enumerated(problem):
        values, log_weight = _exact(problem, parameters, arrays, chains * draws, seed)
    else:
        values, log_weight = _guided(problem, guide_of(problem), parameters, arrays, chains * draws, seed)

    values = {name: _split(value, chains) for name, value in values.items()}
    return _tree(problem, arrays, values, {"log_weight": _split(log_weight, chains)}, {**(about or {}), "seed": seed})


def sampled(
    problem: Problem,
    draws: Mapping[str, np.ndarray],
    statistics: Mapping[str, np.ndarray],
    arrays: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> "xr.DataTree":
    """The draws of a sampler, laid out as those of `posterior`; `sample_stats` holds its statistics.

    The attributes say how well the chains agree: the largest R-hat, the smallest effective sample size, and how many draws
    diverged.

    Args:
        problem: the model and the data that it was given, see `ppgen.Problem`.
        draws: values of latent sites, by site [chains, draws, ...].
        statistics: numbers of each draw, by name [chains, draws].
        arrays: the data; those of the problem by default, and no others.
        about: what to note in the attributes of the tree.

    Raises:
        DataError: other data than those the draws are given.
    """
    given = problem.host(problem.example, "the data")
    if arrays is not None:
        others = problem.host(arrays, "the data")
        same = others.keys() == given.keys() and all(np.array_equal(others[n], given[n]) for n in given)
        if not same:
            raise DataError(
                "the draws are from the posterior given the data of the run; expected those data, or none; got others. Fit "
                "again to draw given these."
            )
    model = problem.model
    values = {name: _rows_first(value, model, model.sites[name], 2) for name, value in draws.items()}
    tree = _tree(problem, given, values, statistics, about or {})
    if statistics:  # of chains
        tree.attrs |= agreement(tree, statistics)
    return tree


def _tree(
    problem: Problem,
    arrays: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    statistics: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
) -> "xr.DataTree":
    """Draws, statistics and data under the names of ArviZ's schema; values have rows first, behind chains and draws."""
    model = problem.model
    names = _Names(model, {*model.sites, *arrays})
    groups: dict[str, dict[str, _Variable]] = {
        "posterior": {name: (("chain", "draw", *names.of(model.sites[name])), value) for name, value in values.items()},
        "sample_stats": {n: (("chain", "draw", names.rows)[: value.ndim], value) for n, value in statistics.items()},
        "observed_data": {},
        "constant_data": {},
    }
    observes = {entry: site for site, entry in model.observes.items()}
    for entry, array in arrays.items():
        if bare(entry) != entry:
            continue
        for mark in (SEEN, KEPT):  # missing values are NaN, as ArviZ has it
            if mark + entry in arrays:
                array = np.where(arrays[mark + entry].T, array.T, np.nan).T
        name = observes.get(entry, entry)
        if entry in model.sites:
            groups["observed_data"][name] = names.of(model.sites[entry]), _rows_first(array, model, model.sites[entry])
        else:
            group = "observed_data" if entry in observes else "constant_data"
            groups[group][name] = (names.rows, *names.events(name, array.ndim - 1)), array
    attrs = {
        "inference_library": "ppgen",
        "inference_library_version": _version(),
        "backend": problem.backend.name,
        **about,
    }
    return _datasets({group: variables for group, variables in groups.items() if variables}, attrs)


def _guided(
    problem: Problem, guide: Program, parameters: Any, arrays: Any, draws: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws from the guide and their log weights: sites with rows first, [draws, rows] or [draws]."""
    latent = problem.model.latent(problem.data)
    parts: list[dict[str, np.ndarray]] = []
    weights: list[np.ndarray] = []
    for local, shared, drawn in Chunks(problem, parameters, arrays, draws, None, seed).draws(0, values=True):
        parts.append({s.name: _rows_first(drawn[s.name], guide, guide.sites[s.name], 1) for s in latent})
        weights.append(local.sum(1) + shared if guide.has_global(problem.data) else local)
    return {s.name: np.concatenate([part[s.name] for part in parts]) for s in latent}, np.concatenate(weights)


def _exact(
    problem: Problem, parameters: Any, arrays: Any, draws: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws from the enumerated posterior, whose weights are all p(x)."""
    model = problem.model
    table = Table(problem, parameters, arrays)
    shared, local = table.draw(draws, np.random.default_rng(seed))
    values = {}
    for site in model.latent(problem.data):
        value = _rows_first(table.values[site.name], model, site, 1)
        values[site.name] = value[:, 0][local] if model.is_local(site) else value[shared]
    if model.has_global(problem.data):
        total = np.logaddexp.reduce(table.shared + table.given_global.sum(1))
        return values, np.full(draws, total)
    return values, np.tile(table.given_global, (draws, 1))


def _rows_first(value: np.ndarray, program: Program, site: Site, start: int = 0) -> np.ndarray:
    """Move the axis of rows in front of the inner plates; `start` axes come before the site's own."""
    if not program.is_local(site):
        return value
    return np.moveaxis(value, start + program.row_axis(site), start)


def _split(value: np.ndarray, chains: int) -> np.ndarray:
    return value.reshape(chains, -1, *value.shape[1:])


class _Names:
    """Names of dimensions."""

    def __init__(self, program: Program, taken: set[str]) -> None:
        self.program = program
        self.rows = program.rows_plate if program.rows_plate not in taken else f"{program.rows_plate}_row"

    def of(self, site: Site) -> tuple[str, ...]:
        """The dimensions of a site: rows, inner plates, event axes."""
        plates = {dim: name for name, (dim, _) in site.plates.items()}
        axes = [plates.get(dim, f"{site.name}_axis_{-dim}") for dim in range(-len(site.batch_shape), 0)]
        inner = [name for name in axes if name != self.program.rows_plate]
        rows = [self.rows] * self.program.is_local(site)
        return (*rows, *inner, *self.events(site.name, len(site.event_shape)))

    def events(self, name: str, count: int) -> tuple[str, ...]:
        """The event axes of a variable."""
        return tuple(f"{name}_dim_{i}" for i in range(count))


def _datasets(groups: Mapping[str, Mapping[str, _Variable]], attrs: Mapping[str, Any]) -> "xr.DataTree":
    """A tree with one dataset a group, whose dimensions all count from 0."""
    import xarray as xr

    datasets = {"/": xr.Dataset(attrs=attrs)}
    for group, variables in groups.items():
        sizes = {dim: size for dims, value in variables.values() for dim, size in zip(dims, value.shape, strict=True)}
        datasets[group] = xr.Dataset(variables, {dim: np.arange(size) for dim, size in sizes.items()}, attrs)
    return xr.DataTree.from_dict(datasets)


def _version() -> str:
    try:
        return version("ppgen")
    except PackageNotFoundError:
        return "unknown"
