"""The columns of a shard: names, order and types. This is where a column's type is decided."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import polars as pl

from vulcan_cli.vacua.geometry import KEYS

SCHEMA_VERSION = 1
"""The version of these columns that shards carry in their footer."""

FLOATS = pl.List(pl.Float64())
CERT_STATUSES = ("certified", "provisional", "invalidated")
"""What `cert_status` may hold."""


class Column(NamedTuple):
    """One known column of a shard.

    Attributes:
        name: Its name.
        dtype: The Polars type it has in every shard.
        meaning: What it holds, in a few words.
        unit: Its unit; empty where it has none.
    """

    name: str
    dtype: pl.DataType
    meaning: str
    unit: str = ""


COLUMNS = (
    Column("flux", pl.List(pl.Int32()), "RR and NSNS flux quanta [f | h], 4 (h12 + 1) of them"),
    Column("moduli_re", FLOATS, "real parts of the complex-structure moduli, h12 of them"),
    Column("moduli_im", FLOATS, "imaginary parts of the complex-structure moduli, h12 of them"),
    Column("tau_re", pl.Float64(), "real part of the axio-dilaton"),
    Column("tau_im", pl.Float64(), "imaginary part of the axio-dilaton, 1 / g_s, positive"),
    Column("run_id", pl.String(), "the run that made the row"),
    Column("geometry_id", pl.String(), "the geometry, 16 hex digits over its six keys"),
    Column("tadpole_charge", pl.Int32(), "D3 charge of the flux, N_flux = f1.h2 - f2.h1"),
    Column("created_at", pl.Datetime("us", "UTC"), "when the row was made", "UTC"),
    *(Column(key, pl.Int32(), f"geometry key {key}; -1 where absent") for key in KEYS),
    Column("W_re", pl.Float64(), "real part of the superpotential", "solver's normalisation"),
    Column("W_im", pl.Float64(), "imaginary part of the superpotential", "solver's normalisation"),
    Column("F_terms_re", FLOATS, "real parts of the F-terms D_I W", "solver's normalisation"),
    Column("F_terms_im", FLOATS, "imaginary parts of the F-terms D_I W", "solver's normalisation"),
    Column("g_s", pl.Float64(), "string coupling"),
    Column("mass2", FLOATS, "eigenvalues of the mass matrix", "solver's normalisation"),
    Column("m_gravitino", pl.Float64(), "gravitino mass", "solver's normalisation"),
    Column("residual", pl.Float64(), "how far the solver's equations are from zero"),
    Column("n_iterations", pl.Int32(), "iterations the solver took"),
    Column("is_susy", pl.Boolean(), "whether all F-terms of the solver vanish"),
    Column("is_isd", pl.Boolean(), "whether the flux is imaginary self-dual"),
    Column("solver_name", pl.String(), "the solver"),
    Column("solver_config_hash", pl.String(), "its configuration"),
    Column("git_sha", pl.String(), "the commit of the solver's code"),
    Column("seed", pl.Int64(), "seed of the random numbers"),
    Column("wall_clock_s", pl.Float32(), "time the solver took", "s"),
    Column("tags", pl.String(), "free words"),
    Column("extra_data", pl.String(), "anything else, as JSON text"),
    Column("verifier_id", pl.String(), "who certified the row"),
    Column("cert_status", pl.String(), f"one of {', '.join(CERT_STATUSES)}"),
    Column("cert_checks", pl.String(), "the checks that were made"),
    Column("kahler_metric_min_eig", pl.Float64(), "smallest eigenvalue of the Kähler metric"),
    Column("hessian_min_eig", pl.Float64(), "smallest eigenvalue of the Hessian of the potential"),
    Column("mass_min_eig", pl.Float64(), "smallest eigenvalue of the mass matrix"),
    Column("record_id", pl.String(), "identifier of the row in a certification"),
)
"""All known columns, in the order they have in a shard."""

DTYPES = {column.name: column.dtype for column in COLUMNS}
"""Name to Polars type, in the order of `COLUMNS`."""

SOLUTION = ("flux", "moduli_re", "moduli_im", "tau_re", "tau_im")
"""What every input must bring."""

SOLUTION_LISTS = ("flux", "moduli_re", "moduli_im")
"""The lists among them: each of one length in a shard."""

REQUIRED = (*SOLUTION, "tadpole_charge", "created_at")
"""What we let no null into, beside what we write ourselves."""

NEVER_NULL = (*SOLUTION_LISTS, "created_at")
"""What is null in no shard, whoever wrote it: the peer takes nulls for `tau` and the charge."""

IDENTITY = ("run_id", "geometry_id", *KEYS)
"""What we write ourselves, whatever the input said."""


def in_order(names: Collection[str]) -> list[str]:
    """Known columns in their order, then the others as they came."""
    return [name for name in DTYPES if name in names] + [
        name for name in names if name not in DTYPES
    ]
