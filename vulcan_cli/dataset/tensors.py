"""Frames as arrays and tensors of NumPy, PyTorch and `datasets`, which are loaded when asked for.

Arrays of one length share the memory of the frame where they have no null and stand in one piece;
so they are read-only. A complex feature is one array of complex128.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import polars as pl

from vulcan_cli.dataset.array_files import array_problem, even, is_number, refusal
from vulcan_cli.errors import UsageError

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import torch


def as_numpy(frame: pl.DataFrame, complex_columns: frozenset[str]) -> dict[str, np.ndarray]:
    """Each column as an array; emptied of its columns, the frame frees what is copied.

    Lists of one length have one axis more. Floats have NaN for null, texts are objects with None.

    Args:
        frame: The columns; do not use it any more.
        complex_columns: Those that hold `[re, im]`.

    Raises:
        UnevenLists: Lists of several lengths, or null in place of a list.
        UsageError: Nulls where NumPy has none.
    """
    names = frame.columns
    for place, name in enumerate(names):
        frame.replace_column(place, even(frame[name]))
    problems = {c.name: found for c in frame if (found := array_problem(c))}
    if problems:
        raise refusal("no arrays", problems, frame, cure=": give list_max_len")
    return {name: _array(frame.drop_in_place(name), name in complex_columns) for name in names}


def as_torch(frame: pl.DataFrame, complex_columns: frozenset[str]) -> dict[str, torch.Tensor]:
    """Each column as a tensor, as `as_numpy` has it.

    Raises:
        UsageError: As `as_numpy`; or a column holds what no tensor does, such as text.
    """
    import torch  # noqa: PLC0415

    arrays = as_numpy(frame, complex_columns)
    strange = [name for name, array in arrays.items() if array.dtype.kind not in "biufc"]
    if strange:
        raise UsageError(f"no tensors: {', '.join(strange)} holds no numbers; leave it out")
    with warnings.catch_warnings():
        # It warns of read-only memory; the tensors are the only ones that hold this.
        warnings.simplefilter("ignore", UserWarning)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def as_hf_dataset(frame: pl.DataFrame) -> datasets.Dataset:
    """The frame as a `datasets.Dataset`, which shares its memory; lists have 32-bit offsets."""
    import datasets  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415 - workers that only write must not wait for it

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    narrow = pa.schema([field.with_type(_narrow(field.type)) for field in table.schema])
    return datasets.Dataset(table.cast(narrow))


def numbers_only(schema: pl.Schema) -> list[str]:
    """The columns of a schema that tensors hold."""
    return [name for name, dtype in schema.items() if is_number(dtype)]


def _array(column: pl.Series, is_complex: bool) -> np.ndarray:
    import numpy as np  # noqa: PLC0415

    pieces = [piece.to_numpy() for piece in column.get_chunks()]
    array = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if is_complex:
        array = array.view(np.complex128)[..., 0]
    array.flags.writeable = False
    return array


def _narrow(dtype: Any) -> Any:  # noqa: ANN401 (types of pyarrow, which has no annotations)
    """The type that readers of the peer expect: `list` and `string`, not the large ones."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_large_string(dtype):
        return pa.string()
    if pa.types.is_large_list(dtype):
        return pa.list_(_narrow(dtype.value_type))
    return dtype
