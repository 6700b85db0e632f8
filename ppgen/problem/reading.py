"""Data from the libraries that people keep them in: dicts, data frames, arrays of any framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.errors import DataError

_NARROW = ("int8", "uint8", "int16", "uint16")  # an image of bytes would wrap at 255


def is_frame(data: Any) -> bool:
    """Whether data are a table with named columns (pandas, polars), whose columns are entries."""
    return not isinstance(data, Mapping) and hasattr(data, "columns") and hasattr(data, "to_numpy")


def entries_of(batch: Any) -> Mapping[str, Any]:
    """The entries of a batch by name: a dict as it is, or the columns of a frame.

    Raises:
        DataError: anything else, arrays without names above all.
    """
    if is_frame(batch):
        return {str(name): batch[name].to_numpy() for name in batch.columns}
    if isinstance(batch, Mapping):
        return batch
    if isinstance(batch, tuple | list):
        names = ", ".join(f"'{name}'" for name in "xyzuvw"[: len(batch)])
        raise DataError(
            f"expected a dict of arrays by site or argument name; got {type(batch).__name__} of {len(batch)} values without "
            f"names, as a DataLoader of tuples gives them. Let its data set return dicts, or name them: "
            f"DataLoader(..., collate_fn=lambda rows: dict(zip(({names},), default_collate(rows))))."
        )
    raise DataError(
        f"expected a dict of arrays by site or argument name; got {type(batch).__name__}. Write data={{'x': images}}."
    )


def read(name: str, value: Any) -> np.ndarray:
    """One entry as a NumPy array: a torch tensor without its graph, half precision as float32, bytes as integers.

    Raises:
        DataError: a sparse array, rows of several lengths, or what is no array.
    """
    if hasattr(value, "detach"):  # torch
        value = value.detach().cpu()
        if not value.is_sparse and value.is_floating_point() and value.element_size() < 4:
            value = value.float()
    if getattr(value, "is_sparse", False) or hasattr(value, "toarray") or hasattr(value, "todense"):
        raise DataError(
            f"entry {name!r}: expected an array of numbers; got a sparse {type(value).__name__}. Make it dense: "
            f"{'.to_dense()' if hasattr(value, 'to_dense') else '.todense()'}."
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(
            f"entry {name!r}: expected an array of numbers; got a {type(value).__name__} whose rows differ in "
            "length. Pad the rows to one length."
        ) from error
    if array.dtype.name.startswith(("bfloat16", "float8")):
        array = array.astype(np.float32)
    if array.dtype.name in _NARROW:
        array = array.astype(np.int32)
    if array.dtype.kind not in "fiub":
        encode = " Encode its categories as numbers." if array.ndim and array.dtype.kind in "OUSMm" else ""
        raise DataError(
            f"entry {name!r}: expected an array of numbers with one row per datum; got shape {array.shape}, "
            f"dtype {array.dtype}. Every entry's first axis counts the rows.{encode}"
        )
    return array
