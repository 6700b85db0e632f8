"""Draws, statistics and data as ArviZ lays them out, in the container of the ArviZ that is installed."""

import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numpy as np

from ppgen.backends.protocol import KEPT, SEEN, bare
from ppgen.backends.sites import Site
from ppgen.problem.batch import rows_of
from ppgen.problem.problem import Problem
from ppgen.problem.program import Program

Variable = tuple[tuple[str, ...], np.ndarray]  # names of dimensions, values


def arviz() -> ModuleType:
    """ArviZ, without what it says of itself when it is imported."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        import arviz
    return arviz


def dataset(tree: Any, group: str) -> Any:
    """A group as an `xarray.Dataset`."""
    found = tree[group]
    return found.to_dataset() if hasattr(found, "to_dataset") else found


def tree(
    problem: Problem,
    arrays: Mapping[str, np.ndarray],
    groups: Mapping[str, Mapping[str, np.ndarray]],
    about: Mapping[str, Any],
) -> Any:
    """Groups and data under the names of ArviZ's schema: a `DataTree`, or with ArviZ 0.x its `InferenceData`.

    Args:
        problem: the programs.
        arrays: the data, on the host.
        groups: arrays by group and site, chains and draws first, then the site's own axes; `sample_stats` by name.
        about: attributes.
    """
    model = problem.model
    names = _Names(model, {*model.sites, *arrays})
    rows = rows_of(arrays)
    laid: dict[str, dict[str, Variable]] = {group: {} for group in groups}
    for group, values in groups.items():
        for name, value in values.items():
            if group in ("sample_stats", "log_likelihood"):
                laid[group][name] = ("chain", "draw", names.rows)[: value.ndim], value
            elif name in model.sites:
                dims = "chain", "draw", *names.of(model.sites[name])
                laid[group][name] = dims, rows_first(value, model, model.sites[name], 2)
            else:
                laid[group][name] = _of_computed(name, value, names, rows if model.computed[name] else None)
    observed, constant = laid.setdefault("observed_data", {}), laid.setdefault("constant_data", {})
    observes = {entry: site for site, entry in model.observes.items()}
    for entry, array in arrays.items():
        if bare(entry) != entry:
            continue
        for mark in (SEEN, KEPT):  # missing values are NaN, as ArviZ has it
            if mark + entry in arrays:
                array = np.where(arrays[mark + entry].T, array.T, np.nan).T
        name = observes.get(entry, entry)
        if entry in model.sites:
            observed[name] = names.of(model.sites[entry]), rows_first(array, model, model.sites[entry])
        else:
            group = observed if entry in observes else constant
            group[name] = (names.rows, *names.events(name, array.ndim - 1)), array
    attrs = {
        "inference_library": "ppgen",
        "inference_library_version": _version(),
        "backend": problem.backend.name,
        **about,
    }
    return _container({group: _named(variables) for group, variables in laid.items() if variables}, attrs)


def rows_first(value: np.ndarray, program: Program, site: Site, start: int = 0) -> np.ndarray:
    """Move the axis of rows in front of the inner plates; `start` axes come before the site's own."""
    if not program.is_local(site):
        return value
    return np.moveaxis(value, start + program.row_axis(site), start)


def _of_computed(name: str, value: np.ndarray, names: "_Names", rows: int | None) -> Variable:
    """A deterministic value [chains, draws, ...] and its dimensions: in plates, its first axis of so many rows is theirs."""
    axis = next((i for i, n in enumerate(value.shape) if i > 1 and n == rows), None)
    others = names.events(name, value.ndim - 2 - (axis is not None))
    if axis is None:
        return ("chain", "draw", *others), value
    return ("chain", "draw", names.rows, *others), np.moveaxis(value, axis, 2)


def _named(variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """Variables under names that a tree can hold: it takes a slash for a branch."""
    return {n.replace("/", "."): (tuple(d.replace("/", ".") for d in dims), x) for n, (dims, x) in variables.items()}


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


def _container(groups: Mapping[str, Mapping[str, Variable]], attrs: Mapping[str, Any]) -> Any:
    """One dataset a group, whose dimensions all count from 0."""
    import xarray as xr

    made = {}
    for group, variables in groups.items():
        sizes = {dim: size for dims, value in variables.values() for dim, size in zip(dims, value.shape, strict=True)}
        made[group] = xr.Dataset(variables, {dim: np.arange(size) for dim, size in sizes.items()}, attrs)
    if version("arviz").startswith("0."):  # whose functions know no DataTree
        return arviz().InferenceData(attrs=dict(attrs), **made)
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **made})


def _version() -> str:
    try:
        return version("ppgen")
    except PackageNotFoundError:
        return "unknown"
