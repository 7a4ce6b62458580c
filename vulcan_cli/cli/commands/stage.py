"""`vulcan stage`: from a solver's output to shards in `pending/`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.feed import Feed
from vulcan_cli.cli.options.everywhere import DryRun, Json, Quiet, StagingDir, UnaskedRepos, Verbose
from vulcan_cli.cli.options.staging import (
    GeometryTexts,
    InputFormat,
    Inputs,
    MaxAge,
    MaxRows,
    Project,
    Provenance,
    RunId,
    SetValue,
    Solver,
    Strict,
    TadpoleCharge,
    TemplateText,
    format_of,
    longest_wait,
    one_geometry,
    pairs,
    put_once,
)
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.streaming import NAME, Streaming
from vulcan_cli.cli.tree import Example
from vulcan_cli.environment import read_job, spare_processors
from vulcan_cli.errors import Problem, UsageError

if TYPE_CHECKING:
    from vulcan_cli.staging.intake import Intake, Read, StagedShard
    from vulcan_cli.vacua.geometry import Geometry
    from vulcan_cli.vacua.inputs import Format
    from vulcan_cli.vacua.prepare import Run

EXAMPLES = (
    Example(
        "One solver call of one geometry",
        "vulcan stage results.parquet --geometry h11=3,h12=2,ks_id=384564,triang_id=0",
    ),
    Example(
        "From a pipe, in any language",
        "solver --json | vulcan stage - --format ndjson -g h11=3,h12=2,ks_id=384564",
    ),
    Example(
        "While the solver works, a shard every 5000 rows and at least every 10 minutes",
        "solver --json | vulcan stage -g h11=3,h12=2,ks_id=384564 --max-rows 5000 --max-age 10m",
    ),
    Example(
        "The results of JAXVacua's cluster jobs",
        "vulcan stage results/*.npz -g h11=3,h12=2,ks_id=384564",
    ),
    Example(
        "Check everything, write nothing",
        "vulcan stage results.csv -g h11=3,h12=2,ks_id=384564 --dry-run",
    ),
)
EXIT_CODES = (3, 4, 5, 6)


def stage(
    inputs: Inputs = None,
    *,
    geometry: GeometryTexts = None,
    tadpole_charge: TadpoleCharge = None,
    solver: Solver = None,
    provenance: Provenance = None,
    set_: SetValue = None,
    project: Project = None,
    template: TemplateText = None,
    run_id: RunId = None,
    max_rows: MaxRows = None,
    max_age: MaxAge = None,
    strict: Strict = False,
    format_: InputFormat = "auto",
    staging_dir: StagingDir = None,
    repo: UnaskedRepos = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check the vacua of a solver and put them into pending/ as shards.

    Needs neither network nor token. Either every input is staged or none is; what is wrong is told
    for all columns and rows at once. The path of each shard is printed. The same rows staged again
    under the same run id are one shard; leave the date out of --template where jobs may run twice.
    In a job of Slurm, PBS or HTCondor, its ids go into the provenance.

    With --max-rows or --max-age, NDJSON, CSV and Arrow streams are staged while they come through
    a pipe, a shard at a time; a file is still all or nothing. SIGTERM and the end of the stream
    stage what is there; so does Ctrl-C, and a second one does not. Rows that are refused stop
    nothing: they are kept in a file of the working directory, named on stderr, and the exit status
    is 3 in the end. Only a stream whose first rows are refused for what no row can help, such as a
    missing column, ends at once.
    """
    spare_processors()
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.staging.intake import stage as stage_inputs  # noqa: PLC0415
    from vulcan_cli.staging.intake import validate  # noqa: PLC0415
    from vulcan_cli.vacua.prepare import Run  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(
        out, staging_dir=staging_dir, repo=repo, project=project, template=template
    )
    values = _values(set_)
    if run_id is None:
        out.notices(_unused(values, settings.template))
    area = StagingArea(settings.require_staging_dir())
    known, wrong = _geometry(one_geometry(geometry))
    run = Run(
        geometry=known,
        geometry_problems=wrong,
        tadpole_charge=tadpole_charge,
        solver=pairs("--solver", solver),
        provenance={**read_job(), **pairs("--provenance", provenance)},
        project=settings.project,
        template=settings.template,
        template_values=values,
        run_id=run_id,
        max_rows=max_rows,
        strict=strict,
    )
    names = inputs or ["-"]
    if names.count("-") > 1:
        raise UsageError("standard input can be read only once")
    input_format = format_of(format_)
    tell = partial(_tell, out)
    if max_age is not None or (max_rows is not None and run_id is None and _fills(names)):
        max_age_s = _seconds(max_age, names, run)
        with _stream(names) as feed:
            if feed is not None:
                streaming = Streaming(area, run, out, tell, dry_run=dry_run)
                streaming.stage(feed, input_format, max_age_s)
                return
    reads = [_reader(name, input_format) for name in names]
    work = validate if dry_run else stage_inputs
    tell(work(area, reads, run, now=datetime.now(UTC)))


def _seconds(max_age: str | None, names: Sequence[str], run: Run) -> float | None:
    """The longest that a row of a stream waits."""
    if max_age is None:
        return None
    if run.run_id is not None:
        raise UsageError("one run id cannot name the shards of a stream; leave out --run-id")
    if not _is_piped(names):
        raise UsageError("--max-age is for rows that come through a pipe, not for files")
    return longest_wait(max_age)


def _is_piped(names: Sequence[str]) -> bool:
    return len(names) == 1 and (names[0] == "-" or Path(names[0]).is_fifo())


def _fills(names: Sequence[str]) -> bool:
    """Whether the one input is a pipe, and no file that is there already."""
    if not _is_piped(names):
        return False
    if names[0] != "-":
        return True
    try:
        return not stat.S_ISREG(os.fstat(_standard_input().fileno()).st_mode)
    except UnsupportedOperation:
        # No descriptor: somebody gave bytes for standard input.
        return False


@contextmanager
def _stream(names: Sequence[str]) -> Iterator[Feed | None]:
    """The one input as it fills; None where there are files, which are there already."""
    if not _is_piped(names):
        yield None
    elif names[0] == "-":
        yield Feed(_standard_input().fileno())
    else:
        with Path(names[0]).open("rb", buffering=0) as pipe:
            yield Feed(pipe.fileno())


def _standard_input() -> BinaryIO:
    # It is None where the process was started with that descriptor closed.
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("there is no input: name a file, or pipe one in")
    return sys.stdin.buffer


def _tell(out: Output, taken: Intake) -> None:
    for doubt in taken.doubts:
        out.warn(str(doubt))
    for name in taken.empty:
        out.say(f"{name} holds no rows: nothing to stage")
    for shard in taken.shards:
        if out.as_json:
            out.json(_document(shard))
        else:
            out.line(str(shard.parquet_path))
        if shard.status == "already-staged":
            place = "the repo" if shard.where == "repo" else f"{shard.where}/"
            out.say(f"{shard.run_id} is in {place} already")
    if taken.conflicts:
        *others, last = taken.conflicts
        for conflict in others:
            out.warn(str(conflict))
        raise last


def _document(shard: StagedShard) -> dict[str, object]:
    return {
        "run_id": shard.run_id,
        "path_in_repo": shard.path_in_repo,
        "path": str(shard.parquet_path),
        "n_rows": shard.n_rows,
        "digest": shard.digest,
        "status": shard.status,
    }


def _reader(name: str, input_format: Format) -> tuple[str, Read]:
    """What to call an input, and how to read it; standard input is read at once."""
    from vulcan_cli.vacua import inputs  # noqa: PLC0415

    if name == "-":
        data = _standard_input().read()
        return NAME, partial(inputs.read_bytes, data, input_format, name=NAME)
    if not name:
        raise UsageError("the name of an input is empty")
    path = Path(name)
    # Also a pipe is a file, such as the shell's <(...).
    if path.is_dir():
        raise UsageError(f"{name} is a folder; name the files in it")
    if not path.exists():
        raise UsageError(f"there is no file {name}")
    return name, partial(inputs.read_file, path, input_format)


def _geometry(text: str | None) -> tuple[Geometry | None, tuple[Problem, ...]]:
    from vulcan_cli.vacua.geometry import Geometry, attempted  # noqa: PLC0415

    if text is None:
        return None, ()
    geometry, problems = attempted(lambda: Geometry.parse(text))
    return geometry, tuple(problem._replace(source="--geometry") for problem in problems)


def _values(texts: Sequence[str] | None) -> dict[str, str]:
    """Read `NAME=VALUE`, where the value may hold anything."""
    values: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--set is written NAME=VALUE, not {text!r}")
        put_once(values, "--set", name, value)
    return values


def _unused(values: Mapping[str, str], template: str) -> Iterator[str]:
    """A warning of each value that the template does not ask for.

    Only a warning: jobs of several templates may share a line, and their rows wait in a pipe.
    """
    from vulcan_cli.vacua.run_id import template_names  # noqa: PLC0415

    names = template_names(template)
    for name in values:
        if name not in names:
            held = ", ".join(f"{{{each}}}" for each in names)
            has = f"; it has {held}" if held else ""
            yield f"--set {name} counts for nothing: the run-id template has no {{{name}}}{has}"
