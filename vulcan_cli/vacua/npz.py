"""What JAXVacua's cluster jobs write: `results/result_0007.npz`, beside a `config.json` above.

For n vacua of a geometry: `fluxes` (n, 4 (h12 + 1)), integers as any kind of number; `moduli`
(n, h12) and `taus` (n), complex. Other arrays of n rows are columns too, and single values are
columns that say the same in every row.

Such a file says no tadpole. A flux is `[f1 | f2 | h1 | h2]`, blocks of h12 + 1 entries, and
N_flux = f1 · h2 - f2 · h1: the order and the sign that give the tadpole charge of all vacua in
`tests/data/vacua`, which the same solver made.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.extras import require
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.vacua.findings import MOST_ROWS_SHOWN

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 2**31
"""What the arrays of one file may take in memory together: millions of vacua."""

CONFIG_BYTES = 2**16
"""The longest `config.json` that goes into a shard's footer."""

_MOST_ARRAYS = 1000
_ENDING = ".npy"
_REQUIRED = ("fluxes", "moduli", "taus")
_LONGEST = {"f": 8, "c": 16}
_TWICE = "two arrays give this column"
# Beyond this, sums of products may leave 64 bits; Python's integers never end.
_SMALL = 2**24


def read_npz(file: IO[bytes]) -> tuple[pl.DataFrame, tuple[Problem, ...]]:
    """The vacua in an npz file, and which of its arrays are no columns and so are left out.

    There is no row and no column where the file holds no vacuum, which is normal.

    Raises:
        InputRefused: It is no npz of this kind, it needs pickle, two of its arrays are for one
            column, or it is larger than it says or than `MOST_BYTES`.
        NotSetUp: NumPy is not installed.
        OSError: It cannot be read.
    """
    require("numpy")
    arrays = _arrays(file)
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise InputRefused(*(Problem("the npz has no such array", name) for name in missing))
    if not any(arrays[name].size for name in _REQUIRED):
        return pl.DataFrame(), ()
    _check_shapes(arrays)
    fluxes = _integers(arrays.pop("fluxes"))
    columns: dict[str, pl.Series] = {"flux": _column("flux", fluxes)}
    for name, ours in (("moduli", "moduli"), ("taus", "tau")):
        columns |= _parts(ours, arrays.pop(name))
    left_out, twice = [], []
    for name, values in arrays.items():
        if _is_column(values, len(fluxes)):
            others = _other(name, values, len(fluxes))
            twice += [Problem(_TWICE, column) for column in others if column in columns]
            columns |= others
        else:
            found = f"{values.dtype} of shape {values.shape}"
            left_out.append(Problem(f"is left out: {found} is no column", name))
    if twice:
        raise InputRefused(*twice)
    if "tadpole_charge" not in columns:
        columns["tadpole_charge"] = _column("tadpole_charge", tadpole(fluxes))
    return pl.DataFrame(columns), tuple(left_out)


def tadpole(fluxes: np.ndarray) -> np.ndarray:
    """N_flux = f1 · h2 - f2 · h1 of each flux `[f1 | f2 | h1 | h2]`, shape (n, 4 (h12 + 1))."""
    import numpy as np  # noqa: PLC0415 - only npz needs it

    exact = fluxes.astype(object) if np.abs(fluxes).max(initial=0) > _SMALL else fluxes
    f1, f2, h1, h2 = np.split(exact, 4, axis=1)
    charges: np.ndarray = (f1 * h2 - f2 * h1).sum(axis=1)
    return charges


def config_above(path: Path) -> Mapping[str, Any] | None:
    """What `config.json` says in the folder above that of an npz; None where there is none.

    Raises:
        InputRefused: It is no JSON object, or longer than `CONFIG_BYTES`.
        OSError: It cannot be read.
    """
    config = path.absolute().parent.parent / "config.json"
    if not config.is_file():
        return None
    with config.open("rb") as file:
        data = file.read(CONFIG_BYTES + 1)
    if len(data) > CONFIG_BYTES:
        raise InputRefused(Problem(f"is longer than {CONFIG_BYTES} bytes", source=str(config)))
    try:
        found = parse_json(data)
    except ValueError as error:
        raise InputRefused(Problem(f"is no JSON: {error}", source=str(config))) from error
    if not isinstance(found, dict):
        raise InputRefused(Problem("is no JSON object", source=str(config)))
    return found


def _arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            return dict(_members(archive))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise InputRefused(Problem(f"is no npz: {error}")) from error
    except RuntimeError as error:
        # An encrypted member.
        raise InputRefused(Problem(f"cannot be read as npz: {error}")) from error


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays by name; their sizes are checked before anything is unpacked."""
    members = [each for each in archive.infolist() if each.filename.endswith(_ENDING)]
    if len(members) > _MOST_ARRAYS:
        raise InputRefused(Problem(f"holds {len(members)} arrays, {_MOST_ARRAYS} are read"))
    size = sum(each.file_size for each in members)
    if size > MOST_BYTES:
        raise InputRefused(Problem(f"takes {size} bytes unpacked, {MOST_BYTES} are read"))
    names = [each.filename for each in members]
    if len(set(names)) < len(names):
        raise InputRefused(Problem("holds two arrays of one name"))
    for member in members:
        with archive.open(member) as stream:
            name = member.filename.removesuffix(_ENDING)
            yield name, _array(name, stream)


def _array(name: str, stream: IO[bytes]) -> np.ndarray:
    """One array, where its header promises no more than the member holds; never by pickle."""
    import numpy as np  # noqa: PLC0415

    try:
        shape, by_columns, dtype = _header(stream)
        data = stream.read()
    except (ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputRefused(Problem(f"the array cannot be read: {error}", name)) from error
    if dtype.hasobject:
        raise InputRefused(Problem("it holds Python objects, which are never unpickled", name))
    # Python's integers: a hostile shape must not overflow.
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > len(data):
        raise InputRefused(Problem(f"its shape {shape} is more than it holds", name))
    array = np.frombuffer(data, dtype, count)
    return array.reshape(shape, order="F" if by_columns else "C")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, as the file says them."""
    from numpy.lib import format as npy  # noqa: PLC0415

    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in read:
        raise ValueError(f"version {version} of the format is not known here")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read[version](stream)
    return header


def _check_shapes(arrays: Mapping[str, np.ndarray]) -> None:
    fluxes, moduli, taus = (arrays[name] for name in _REQUIRED)
    problems = []
    for name, dimensions in (("fluxes", 2), ("moduli", 2), ("taus", 1)):
        shape = arrays[name].shape
        if len(shape) != dimensions:
            wanted = "one row" if dimensions == 2 else "one number"
            problems.append(Problem(f"must have {wanted} a vacuum, not shape {shape}", name))
        elif arrays[name].dtype.kind not in "iufcb":
            problems.append(Problem(f"must hold numbers, not {arrays[name].dtype}", name))
        elif _is_long(arrays[name].dtype):
            message = f"must hold numbers of 64 bits at most, not {arrays[name].dtype}"
            problems.append(Problem(message, name))
    if not problems and not len(fluxes) == len(moduli) == len(taus):
        found = f"{len(fluxes)} fluxes, {len(moduli)} moduli, {len(taus)} taus"
        problems.append(Problem(f"must be of the same vacua, not {found}"))
    if not problems and (fluxes.shape[1] % 4 or not fluxes.shape[1]):
        message = f"must have 4 (h12 + 1) entries a vacuum, not {fluxes.shape[1]}"
        problems.append(Problem(message, "fluxes"))
    if problems:
        raise InputRefused(*problems)


def _integers(fluxes: np.ndarray) -> np.ndarray:
    """The fluxes as integers; refused, with row and value, where one is none of 32 bits."""
    import numpy as np  # noqa: PLC0415

    limits = np.iinfo(np.int32)
    real = fluxes.real
    with np.errstate(invalid="ignore"):
        good = (real == np.round(real)) & (fluxes.imag == 0)
        good &= (real >= limits.min) & (real <= limits.max)
    bad = np.flatnonzero(~good.all(axis=1))
    if not len(bad):
        return real.astype(np.int64)
    problems = [
        Problem(
            "must be integers of 32 bits", "fluxes", int(row) + 1, str(fluxes[row][~good[row]][0])
        )
        for row in bad[:MOST_ROWS_SHOWN]
    ]
    if len(bad) > MOST_ROWS_SHOWN:
        problems.append(Problem(f"{len(bad) - MOST_ROWS_SHOWN} more rows like these", "fluxes"))
    raise InputRefused(*problems)


def _parts(name: str, values: np.ndarray) -> dict[str, pl.Series]:
    """A complex array as two columns."""
    both = ((f"{name}_re", values.real), (f"{name}_im", values.imag))
    return {part: _column(part, numbers) for part, numbers in both}


def _is_column(values: np.ndarray, n_rows: int) -> bool:
    """Whether an array has a value or a list of values for each vacuum, or one for all."""
    is_for_all = values.ndim == 0
    is_for_each = values.ndim in (1, 2) and len(values) == n_rows
    is_of_kind = values.dtype.kind in "iufcbU" and not _is_long(values.dtype)
    return is_of_kind and (is_for_all or is_for_each)


def _is_long(dtype: np.dtype[Any]) -> bool:
    """Whether these are floats beyond 64 bits, or complex numbers of such."""
    return dtype.itemsize > _LONGEST.get(dtype.kind, dtype.itemsize)


def _other(name: str, values: np.ndarray, n_rows: int) -> dict[str, pl.Series]:
    import numpy as np  # noqa: PLC0415

    if not values.ndim:
        values = np.broadcast_to(values, n_rows)
    return _parts(name, values) if values.dtype.kind == "c" else {name: _column(name, values)}


def _column(name: str, values: np.ndarray) -> pl.Series:
    """One or two dimensions as a column of numbers or of lists."""
    import numpy as np  # noqa: PLC0415

    if values.dtype.kind == "O":
        return pl.Series(name, values.tolist(), dtype=pl.Int128)
    native = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="))
    if native.ndim == 1:
        return pl.Series(name, native.tolist() if native.dtype.kind == "U" else native)
    return pl.Series(name, native).arr.to_list()
