"""Data on the host: NumPy arrays over rows, checked and cast before they go to a device."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.backends.protocol import KEPT, SEEN
from ppgen.backends.sites import Site
from ppgen.backends.support import Support
from ppgen.errors import DataError, tell
from ppgen.problem.program import Program
from ppgen.problem.reading import entries_of, read

_RESOLUTION = 1e-3  # the largest rounding, in standard deviations, that leaves data their meaning


class DataWarning(UserWarning):
    """Data were changed in a way that keeps their meaning but not every digit."""


def to_host(
    batch: Mapping[str, Any], *, double: bool = False, missing: str | None = None, one_row: bool = False
) -> dict[str, np.ndarray]:
    """Arrays of any library as NumPy arrays over rows.

    A masked array of NumPy gives two entries: its numbers, and under `seen:<name>` the rows [rows] that are not masked; or,
    where it masks single numbers of a row, under `kept:<name>` the numbers that are known.

    Args:
        batch: entries by name, or a frame of pandas or polars; lists, NumPy, torch and JAX arrays will do.
        double: keep float64 (otherwise it is cut to float32, with a `DataWarning`).
        one_row: they are for a program that takes them as a whole: arrays of any lengths, single numbers too.
        missing: "nan" to take NaN for a missing number, as if it were masked by itself.
    """
    if missing not in (None, "nan"):
        raise DataError(
            f"expected missing to be None or 'nan'; got {missing!r}. Mask other values: numpy.ma.masked_equal."
        )
    arrays, cut = {}, []
    for name, value in entries_of(batch).items():
        if isinstance(value, np.ma.MaskedArray):
            value, marks = _unmasked(name, value)
            arrays |= marks
        array = read(name, value)
        if array.dtype.kind == "f" and not (array.dtype == np.float64 and double):
            with np.errstate(over="ignore"):  # too large for float32: infinite, which is an error of its own
                single = array.astype(np.float32, copy=False)
            if array.dtype == np.float64 and not np.array_equal(single, array, equal_nan=True):
                _keeps_differences(name, array, single)
                cut.append(name)
            array = single
        elif array.dtype.kind in "iu" and not double:
            array = _whole_numbers(name, array)
        if missing == "nan" and array.dtype.kind == "f" and np.isnan(array).any():
            arrays[KEPT + name] = ~np.isnan(array) & arrays.get(KEPT + name, True)
            array = np.where(arrays[KEPT + name], array, array.dtype.type(0))
        arrays[name] = array
    if empty := {name: len(array) for name, array in arrays.items() if array.ndim and not len(array)}:
        raise DataError(f"expected at least one row; got an empty batch {empty}. Leave empty batches out.")
    if not one_row:
        same_rows(arrays)
    if cut:
        tell(
            f"float64 entries {cut} are used in float32; pass float32 to be silent, or switch the backend to float64.",
            DataWarning,
        )
    return arrays


def same_rows(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise `DataError` unless every entry has as many rows as the others, and at least one."""
    for name, array in arrays.items():
        if array.ndim == 0:
            raise DataError(
                f"entry {name!r}: expected an array of numbers with one row per datum; got shape (). Every entry's first "
                f"axis counts the rows; an argument that is no row of data goes into constants={{{name!r}: ...}}."
            )
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        raise DataError(
            f"expected the same number of rows in every entry; got {rows}. The first axis counts the rows; arguments that are "
            "no rows of data go into constants=."
        )


def _whole_numbers(name: str, array: np.ndarray) -> np.ndarray:
    """Integers that fit in 32 bits; JAX would wrap others."""
    if array.dtype.itemsize > 4 or array.dtype == np.uint32:
        limits = np.iinfo(np.int32)
        if (array > limits.max).any() or (array < limits.min).any():
            raise DataError(
                f"entry {name!r}: expected whole numbers that fit in 32 bits; got values up to {array.max()}. Subtract an "
                "offset, number the categories from 0, or switch the backend to float64."
            )
    return array


def _keeps_differences(name: str, array: np.ndarray, single: np.ndarray) -> None:
    """Rounding to float32 is small beside the differences between rows; it is not for time stamps."""
    if not (len(array) and np.isfinite(single).all()):
        return  # errors of their own
    error, spread = np.abs(single - array).max(0), array.std(0)
    if np.any((error > _RESOLUTION * spread) & (np.ptp(array, 0) > 0)):
        raise DataError(
            f"entry {name!r}: expected numbers that differ by more than float32 can tell; got values near "
            f"{np.abs(array).max():.9g}, rounded by up to {np.max(error):.3g}. Subtract an offset and scale them, "
            "(t - t.mean()) / t.std(), or switch the backend to float64."
        )


def _unmasked(name: str, value: np.ma.MaskedArray) -> tuple[np.ndarray, dict[str, Any]]:
    """A masked array as its numbers, and what tells which are known: whole rows, or single numbers."""
    if np.ma.getmask(value) is np.ma.nomask or value.ndim == 0:
        return value.data, {}
    known = ~np.ma.getmaskarray(value)
    by_row = known.reshape(len(known), -1)
    whole_rows = (by_row.all(1) == by_row.any(1)).all()
    return value.filled(0), {SEEN + name: by_row.all(1)} if whole_rows else {KEPT + name: known}


def cast(arrays: Mapping[str, np.ndarray], model: Program) -> dict[str, np.ndarray]:
    """Give each observed entry the type its site computes with: floats for binary and real sites, integers for classes.

    Classes that are no whole numbers stay as they are, for `check_values` to find. Missing numbers get one of the support.
    """
    result = dict(arrays)
    for name, site in observed_by(model).items():
        if (kept := arrays.get(KEPT + name)) is not None:
            array = arrays[name]
            result[name] = np.where(kept, array, array.dtype.type(site.support.inside[0]))
    for name, site in model.sites.items():
        array = result.get(name)
        if array is None:
            continue
        classes = site.support.kind == "integer" and site.support.name == "IntegerInterval"
        if array.dtype.kind in "iub" and not classes:
            result[name] = array.astype(np.float64 if model.backend.double() else np.float32)
        elif classes and array.dtype.kind in "fub" and np.array_equal(array, np.trunc(array)):
            result[name] = array.astype(np.int32)
    return result


def check_shapes(arrays: Mapping[str, np.ndarray], rows: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raise `DataError` where a row has not the shape that preflight saw; broadcasting would mix rows."""
    for name, array in arrays.items():
        if (expected := rows.get(name, array.shape[1:])) != array.shape[1:]:
            raise DataError(
                f"entry {name!r} of {where}: expected rows of shape {expected}, as in the first batch; "
                f"got {array.shape[1:]}. Reshape it."
            )


def check_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raise `DataError` for NaN or infinity, naming entry and rows."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            rows = _rows(~np.isfinite(array))
            raise DataError(
                f"entry {name!r} of {where} has NaN or infinite values in {rows}; expected finite numbers. "
                "Drop or impute these rows."
            )


def observed_by(model: Program) -> dict[str, Site]:
    """The site that each entry of the data gives."""
    return {model.observes.get(name, name): site for name, site in model.sites.items()}


def check_values(arrays: Mapping[str, np.ndarray], model: Program, where: str = "the data") -> None:
    """Raise `DataError` for NaN, infinity, or values outside the support of their site, naming entry and rows."""
    check_finite(arrays, where)
    sites = observed_by(model)
    for name, array in arrays.items():
        site = sites.get(name)
        if site is None:
            continue
        outside = site.support.outside(array)
        if SEEN + name in arrays:
            outside = (outside.T & arrays[SEEN + name]).T
        if outside.any():
            example = array[tuple(np.argwhere(outside)[0])].tolist()
            raise DataError(
                f"entry {name!r} of {where} has values outside the support of site {site.name!r}: expected "
                f"{site.support}; got {example} in {_rows(outside)}. {_advice(site.support)}"
            )


def _advice(support: Support) -> str:
    if (support.low, support.high) == (0, 1) and support.discrete:
        return "Recode the labels as 0 and 1, or binarise the pixels."
    if support.values:
        return f"Number the classes {support.values[0]} to {support.values[-1]}, or give the site more of them."
    return "Rescale or round the data, or use a likelihood with this support."


def _rows(bad: np.ndarray) -> str:
    return listed(np.flatnonzero(bad.reshape(len(bad), -1).any(1)))


def listed(rows: np.ndarray) -> str:
    """Row numbers in words."""
    first = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    return f"row{'s' if len(rows) > 1 else ''} {first}" + (f" ({len(rows)} rows)" if len(rows) > 5 else "")
