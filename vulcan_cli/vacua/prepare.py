"""From an input to shards: split by geometry, conform, digest, name. Nothing is written here."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl

from vulcan_cli.errors import Problem, UsageError
from vulcan_cli.vacua.conform import (
    check_lengths,
    conform,
    doubt_geometry,
    doubt_lengths,
    list_lengths,
    with_constants,
)
from vulcan_cli.vacua.described import (
    as_json,
    check_names,
    checked_integer,
    typed_provenance,
)
from vulcan_cli.vacua.digest import CIRCUMSTANCES, content_digest
from vulcan_cli.vacua.findings import Findings
from vulcan_cli.vacua.geometry import ABSENT, KEYS, Geometry
from vulcan_cli.vacua.run_id import (
    DEFAULT_TEMPLATE,
    DIGEST_DIGITS,
    Template,
    check_run_id,
    named_by_content,
    render,
)
from vulcan_cli.vacua.schema import SCHEMA_VERSION
from vulcan_cli.vacua.shard import Shard

RowNumbers = Callable[[], pl.Series]
"""Gives the numbers that rows have in their input, counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of a run beside its rows.

    Attributes:
        geometry: The geometry of all rows; None where the input's columns tell.
        geometry_problems: What is wrong with the geometry that was meant. The rows are looked at
            nevertheless, so that all is told at once.
        tadpole_charge: For inputs without such a column.
        solver: `name`, `config_hash` and whatever else.
        provenance: `git_sha`, `seed`, `wall_clock_s` and whatever else.
        project: What `{project}` stands for.
        template: How the run id is made.
        template_values: More names for the template; they win.
        run_id: The run id itself; then nothing is rendered, and the digest not appended.
        max_rows: Cut the rows into shards of at most so many; None for one shard.
        strict: Refuse what is merely odd.
    """

    geometry: Geometry | None = None
    geometry_problems: tuple[Problem, ...] = ()
    tadpole_charge: int | None = None
    solver: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    project: str = ""
    template: Template = DEFAULT_TEMPLATE
    template_values: Mapping[str, object] = field(default_factory=dict)
    run_id: str | None = None
    max_rows: int | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The shards of one input.

    Attributes:
        shards: In the order in which their geometries first appear.
        doubts: What is odd, but allowed.
    """

    shards: tuple[Shard, ...]
    doubts: tuple[Problem, ...]


def check_run(run: Run) -> tuple[Problem, ...]:
    """What is wrong with the description of a run, whatever its rows are."""
    findings = Findings()
    _described(run, findings)
    return tuple(findings.problems)


def check_template(run: Run, *, now: datetime) -> None:
    """Make sure that a run id can be rendered, whatever the rows are.

    Raises:
        TemplateError: It cannot, or is not allowed.
    """
    geometry = run.geometry or Geometry(**dict.fromkeys(KEYS, 0))
    _run_id(geometry, run, now.astimezone(UTC), "0" * DIGEST_DIGITS)


def prepare(frame: pl.DataFrame, run: Run, *, now: datetime) -> Prepared:
    """Make shards of an input.

    Args:
        frame: The rows of the input.
        run: What else is known of them.
        now: The moment, with a time zone: for `{date}`, and for `created_at` where it lacks.

    Raises:
        InputRefused: With everything that is wrong with the rows or the run's description.
        UsageError: One run id was given where several shards would come.
        TemplateError: The run id cannot be rendered, or is not allowed.
    """
    if run.max_rows is not None and run.max_rows < 1:
        raise UsageError(f"a shard has at least one row, not {run.max_rows}")
    now = now.astimezone(UTC)
    findings, doubts = Findings(), Findings()
    run = _described(run, findings)
    parts = _checked_parts(frame, run, now, findings, doubts)
    findings.refuse()
    pieces = [
        (geometry, piece)
        for geometry, part in parts
        if geometry is not None
        for piece in part.iter_slices(run.max_rows or part.height)
    ]
    if run.run_id is not None and len(pieces) > 1:
        raise UsageError(f"one run id cannot name {len(pieces)} shards")
    circumstances = CIRCUMSTANCES - set(frame.columns)
    shards = (_shard(geometry, piece, run, now, circumstances) for geometry, piece in pieces)
    return Prepared(shards=tuple(shards), doubts=tuple(doubts.problems))


def check_rows(frame: pl.DataFrame, run: Run, *, now: datetime) -> tuple[Problem, ...]:
    """What is wrong with rows and with the description of their run; no shard is made of them."""
    findings = Findings()
    run = _described(run, findings)
    _checked_parts(frame, run, now.astimezone(UTC), findings, Findings())
    return tuple(findings.problems)


def _checked_parts(
    frame: pl.DataFrame, run: Run, now: datetime, findings: Findings, doubts: Findings
) -> list[tuple[Geometry | None, pl.DataFrame]]:
    """The rows of each geometry, good only for as long as nothing was found."""
    fill = {**_row_values(run), "created_at": now}
    rows = conform(frame, keys=_keys(run), fill=fill, findings=findings)
    odd = findings if run.strict else doubts
    if run.geometry is not None:
        doubt_geometry(frame, run.geometry, odd)
    parts = _by_geometry(rows, run)
    for geometry, numbers, part in parts:
        lengths = list_lengths(part)
        check_lengths(part, lengths, geometry, numbers, findings)
        doubt_lengths(lengths, geometry, odd)
    return [(geometry, part) for geometry, _, part in parts]


def _described(run: Run, findings: Findings) -> Run:
    """The run with its solver and provenance checked and typed."""
    findings.problems += run.geometry_problems
    provenance = typed_provenance(run.provenance, findings)
    solver = as_json("solver", run.solver, findings)
    provenance = as_json("provenance", provenance, findings)
    check_names([run.project, run.run_id, run.template, *run.template_values.values()], findings)
    charge = run.tadpole_charge
    if charge is not None:
        charge = checked_integer("tadpole_charge", charge, findings)
    return replace(run, solver=solver, provenance=provenance, tadpole_charge=charge)


def _keys(run: Run) -> dict[str, int] | None:
    """The keys that every row gets; none of a geometry that is wrong."""
    if run.geometry is not None:
        return run.geometry.as_dict()
    return {} if run.geometry_problems else None


def _row_values(run: Run) -> dict[str, object]:
    """What the run's description says of every row."""
    return {
        "tadpole_charge": run.tadpole_charge,
        "solver_name": _text(run.solver.get("name")),
        "solver_config_hash": _text(run.solver.get("config_hash")),
        "git_sha": _text(run.provenance.get("git_sha")),
        "seed": run.provenance.get("seed"),
        "wall_clock_s": run.provenance.get("wall_clock_s"),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _by_geometry(
    rows: pl.DataFrame, run: Run
) -> list[tuple[Geometry | None, RowNumbers, pl.DataFrame]]:
    """Geometries in order of appearance, with what tells their rows' numbers, and their rows.

    Rows without a valid geometry are left out: they are among the findings already. Where the
    geometry of all is wrong, it is None.
    """
    if rows.height == 0:
        return []
    if run.geometry is not None or run.geometry_problems:
        return [(run.geometry, lambda: pl.int_range(1, rows.height + 1, eager=True), rows)]
    valid = pl.all_horizontal(pl.col(KEYS) >= ABSENT) & pl.any_horizontal(pl.col(KEYS) != ABSENT)
    keys = rows.select(KEYS).with_row_index("row").filter(valid)
    groups = keys.group_by(KEYS, maintain_order=True).agg("row")
    pairs = zip(groups.select(KEYS).iter_rows(), groups["row"], strict=True)
    return [(Geometry(*of), partial(operator.add, row, 1), rows[row]) for of, row in pairs]


def _shard(
    geometry: Geometry, rows: pl.DataFrame, run: Run, now: datetime, circumstances: frozenset[str]
) -> Shard:
    digest = content_digest(rows, geometry, leave_out=circumstances)
    run_id = _run_id(geometry, run, now, digest)
    provenance = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "geometry": geometry.as_dict(),
        "solver": dict(run.solver),
        "provenance": dict(run.provenance),
        "n_rows": rows.height,
    }
    return Shard(
        run_id=run_id,
        geometry=geometry,
        digest=digest,
        circumstances=tuple(sorted(circumstances)),
        provenance=provenance,
        frame=with_constants(rows, {"run_id": run_id, "geometry_id": geometry.geometry_id}),
    )


def _run_id(geometry: Geometry, run: Run, now: datetime, digest: str) -> str:
    """The given run id, or the rendered one, which always tells its content."""
    if run.run_id is not None:
        return check_run_id(run.run_id)
    start = digest[:DIGEST_DIGITS]
    known = template_values(geometry, run)
    if isinstance(run.template, str):
        # Of these a text may require only keys of a geometry that lacks them.
        known = {name: value for name, value in known.items() if value is not None or name in KEYS}
    values = {**known, "digest": start, **run.template_values}
    rendered = render(run.template, project=run.project, now=now, values=values)
    # A template may cut {digest} short; then it no longer tells different rows apart.
    return check_run_id(rendered if start in rendered else named_by_content(rendered, digest))


def template_values(geometry: Geometry, run: Run) -> dict[str, object]:
    """What a template may ask for beside project, date and digest; None where it is absent."""
    keys = {key: None if value == ABSENT else value for key, value in geometry.as_dict().items()}
    return {**keys, "solver": run.solver.get("name"), "seed": run.provenance.get("seed")}
