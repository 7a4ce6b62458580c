"""`vulcan split`: published vacua as train, val and test."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from vulcan_cli.cli.clusters import spread_splits
from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.commits import CommitBudget, CreateRepo, MaxRetries, Window
from vulcan_cli.cli.options.everywhere import DryRun, Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.filters import RowFilters
from vulcan_cli.cli.options.fit import refuse_typed
from vulcan_cli.cli.options.results import (
    OutputFile,
    OutputFormat,
    Revision,
    Scheduler,
    SourcePlace,
)
from vulcan_cli.cli.options.splits import (
    FeatureOptions,
    OutDir,
    PushSplits,
    Seed,
    SplitName,
    SplitOptions,
)
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.pushes import SplitPush, document_of, tell_sent
from vulcan_cli.cli.questions import BAD_SHARDS, computing, hand_over, tell_bad
from vulcan_cli.cli.repos import locate_shards
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import UsageError
from vulcan_cli.interrupts import sigterm_interrupts
from vulcan_cli.quantities import counted

if TYPE_CHECKING:
    from vulcan_cli.dataset.features import FeatureSpec
    from vulcan_cli.dataset.split_files import SplitFiles
    from vulcan_cli.dataset.split_view import SplitView
    from vulcan_cli.dataset.splits import Share
    from vulcan_cli.errors import BadShard
    from vulcan_cli.sync.send import Sent

EXAMPLES = (
    Example("Which geometry is in which split", "vulcan split"),
    Example(
        "All triangulations of a polytope in one split, written down once",
        "vulcan split --group-by polytope --freeze splits.json",
    ),
    Example(
        "Geometries that came since are dealt out, the rest stays",
        "vulcan split --frozen splits.json",
    ),
    Example("The training rows", "vulcan split train -o train.parquet"),
    Example(
        "All splits as files, lists cut to 12",
        "vulcan split --features flux,moduli_re,moduli_im --list-max-len 12 --out-dir ml",
    ),
    Example(
        'Publish them for datasets.load_dataset("owner/name-ml", split="train")',
        "vulcan split --features flux,tau --list-max-len 12 --push owner/name-ml --create-repo",
    ),
    Example(
        "Complex moduli and tau, shuffled, for NumPy",
        "vulcan split --features flux,moduli,tau --list-max-len 12 --format npz --seed 1 "
        "--out-dir ml",
    ),
)
EXIT_CODES = (3, 4, 5, 6)


def split(
    name: SplitName = None,
    *,
    how: SplitOptions,
    shaped: FeatureOptions,
    asked: RowFilters,
    source: SourcePlace = "auto",
    revision: Revision = "main",
    staging_dir: StagingDir = None,
    repo: Repos = None,
    out_dir: OutDir = None,
    push: PushSplits = None,
    create_repo: CreateRepo = False,
    budget: CommitBudget = None,
    window_s: Window = None,
    max_retries: MaxRetries = None,
    dry_run: DryRun = False,
    seed: Seed = None,
    output: OutputFile = None,
    format_: OutputFormat = None,
    scheduler: Scheduler = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Cut published vacua into splits, so that no geometry is in two of them.

    Without a name, the split of every geometry is printed. With one, the rows of that split. The
    split of a geometry depends on its id, the salt, and the names and fractions of the splits, and
    not on what else there is: it stays as shards come.
    `--freeze` writes the splits down; a later `--frozen` keeps them whatever else changes.
    `--push` publishes them, so that `datasets.load_dataset` reads each; the next one commits only
    what changed.
    """
    from vulcan_cli.dataset.split_view import SplitView  # noqa: PLC0415

    if push is None:
        of_push = {
            "--create-repo": create_repo,
            "--dry-run": dry_run,
            "--budget": budget,
            "--window-s": window_s,
            "--max-retries": max_retries,
        }
        refuse_typed("{} goes with --push", of_push)
    if dry_run:
        written = {"--out-dir": out_dir, "--freeze": how.freeze}
        refuse_typed("--dry-run writes nothing: leave out {}", written)
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(
        out,
        staging_dir=staging_dir,
        repo=repo,
        budget=budget,
        window_s=window_s,
        max_retries=max_retries,
    )
    chosen = how.read()
    if name is not None:
        chosen.check_name(name)
    files = _Files(out_dir, push, format_, seed, scheduler)
    spec = shaped.read()
    _check_target(name, output, files, spec)
    target = SplitPush.open(push, settings, create_repo=create_repo, dry_run=dry_run)
    # What is frozen or described is all of the catalog, whatever the filters leave of it.
    found = locate_shards(settings, source, revision, out)
    left_out: Sequence[BadShard] = ()
    with out.counting("shards") as progress, computing():
        view = SplitView(
            catalog=found.catalog,
            filters=asked.read(),
            splits=chosen,
            spec=spec,
            progress=progress,
        )
        if files.are_wanted:
            left_out = files.write(view, target, out)
        elif name is None:
            _tell_assignments(view, out)
        else:
            _print_rows(view, name, out, output, format_)
    if how.freeze is not None:
        _freeze(view, how.freeze, out)
    bad = {shard.path: shard for shard in (*view.bad, *left_out)}
    tell_bad(out, tuple(bad.values()))
    if bad:
        raise typer.Exit(BAD_SHARDS)


def _check_target(
    name: str | None, output: Path | None, files: _Files, spec: FeatureSpec | None
) -> None:
    """Raise UsageError where options that say what to write do not fit together."""
    files.check()
    if files.are_wanted:
        if name is not None:
            raise UsageError(f"{files.option} holds all splits; leave the name out")
    elif files.seed is not None:
        raise UsageError("--seed shuffles the files of --out-dir or --push")
    elif name is None and files.format is not None:
        raise UsageError("--format is for the rows of one split, or for --out-dir")
    elif name is None and spec is not None:
        raise UsageError("features are of the rows of one split, or for --out-dir: name a split")
    if name is None and output is not None:
        raise UsageError("-o is for the rows of one split; name it")


class _Files(NamedTuple):
    """The options that say which files of all splits to make, as they were typed."""

    out_dir: Path | None
    push: str | None
    format: str | None
    seed: int | None
    scheduler: str | None

    @property
    def are_wanted(self) -> bool:
        """Whether there are to be any."""
        return self.out_dir is not None or self.push is not None

    @property
    def option(self) -> str:
        """The option that asks for them."""
        return "--out-dir" if self.push is None else "--push"

    def check(self) -> None:
        """Raise UsageError where they do not fit together."""
        if self.scheduler is not None and (self.out_dir is None or self.seed is not None):
            raise UsageError("--scheduler writes the files of --out-dir, and does not shuffle them")
        if self.push is not None and self.format not in {None, "parquet"}:
            raise UsageError("--push publishes parquet, which datasets reads")

    def write(self, view: SplitView, target: SplitPush | None, out: Output) -> Sequence[BadShard]:
        """Write them to a folder, of nobody's where none is given, and push them.

        Returns:
            Shards that were left out beside those of the view.
        """
        from vulcan_cli.dataset.split_files import write_splits  # noqa: PLC0415
        from vulcan_cli.dataset.splits import shares  # noqa: PLC0415

        form = self.format or "parquet"
        here = self._where_we_are()
        left_out: Sequence[BadShard] = ()
        with sigterm_interrupts(), _folder(self.out_dir) as folder:
            if self.scheduler is not None:
                written, left_out = spread_splits(self.scheduler, view, folder, out, form)
            else:
                written = write_splits(folder, view, file_format=form, seed=self.seed)
            sent = None if target is None else target.send(folder)
        _tell_written(written, self.out_dir, sent, out)
        if here is not None:
            # A shell that stands in an empty folder stays in it when another takes its name.
            out.say(f"next: {shlex.join(['cd', str(here)])}")
        if self.scheduler is None:
            _warn(view, shares(view.assigned(), view.splits), out)
        return left_out

    def _where_we_are(self) -> Path | None:
        """The folder of the files where it is the working directory, else None."""
        if self.out_dir is None or not self.out_dir.exists() or not self.out_dir.samefile("."):
            return None
        return self.out_dir.absolute()


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder that was given, else one that goes away again."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    if given is not None:
        yield given
        return
    with TemporaryDirectory(prefix="vulcan-") as made:
        yield Path(made) / "splits"


def _freeze(view: SplitView, target: Path, out: Output) -> None:
    from vulcan_cli.dataset.frozen import freeze  # noqa: PLC0415

    number = freeze(target, view.splits, view.catalog.rows)
    what = "geometry" if view.splits.group_by == "geometry" else "group"
    out.say(f"{counted(number, what)} frozen in {target}")


def _tell_written(written: SplitFiles, folder: Path | None, sent: Sent | None, out: Output) -> None:
    for name, cut in written.cut_short.items():
        for column, number in cut.items():
            out.warn(f"{column}, {name}: {counted(number, 'list')} cut short")
    if out.as_json:
        pushed = {} if sent is None else {"pushed": document_of(sent)}
        out.json({**written.description, **pushed})
    else:
        rows = written.description["rows"]
        out.lines(f"{name}\t{number}" for name, number in rows.items())
    if sent is not None:
        tell_sent(sent, out)
    if folder is not None:
        out.say(f"written to {folder}")


def _print_rows(
    view: SplitView, name: str, out: Output, file: Path | None, wanted: str | None
) -> None:
    _tell_cut(view, name, out)
    rows, arrays, width = view.rows(name), view.complex_features, view.catalog.row_bytes
    try:
        hand_over(rows, out, file=file, wanted=wanted, complex_columns=arrays, row_bytes=width)
    except BrokenPipeError:
        # Who reads no further has not waived --freeze, which comes next.
        out.lost_reader()


def _tell_cut(view: SplitView, name: str, out: Output) -> None:
    for column, number in view.cut_short(name).items():
        out.warn(f"{column}, {name}: {counted(number, 'list')} cut short")


def _tell_assignments(view: SplitView, out: Output) -> None:
    from vulcan_cli.dataset.splits import shares  # noqa: PLC0415

    assigned = view.assigned()
    found = shares(assigned, view.splits)
    if out.as_json:
        out.json({"geometries": assigned.to_dicts(), "splits": [each._asdict() for each in found]})
    else:
        out.line("geometry_id\tsplit\tn_rows")
        out.lines("\t".join(map(str, row)) for row in assigned.iter_rows())
    for share in found:
        out.say(
            f"{share.name}: {counted(share.geometries, 'geometry')}, "
            f"{counted(share.n_rows, 'row')}, "
            f"{share.of_rows:.1%} of rows where {share.wanted:.1%} is wanted"
        )
    _warn(view, found, out)


def _warn(view: SplitView, found: tuple[Share, ...], out: Output) -> None:
    """Say which splits came out otherwise than wanted, and what to do."""
    from vulcan_cli.dataset.split_advice import better_salt, is_empty, off  # noqa: PLC0415

    wrong = off(found)
    for share in wrong:
        out.warn(f"{share.name} is {'empty' if is_empty(share) else 'far from what is wanted'}")
    if wrong and not view.splits.frozen:
        better = better_salt(view.counted(), view.splits)
        if better is not None:
            of_rows = ", ".join(f"{share.name} {share.of_rows:.1%}" for share in better[1])
            out.warn(f"--salt {better[0]} draws {of_rows}")
        # Of one geometry, no fold has rows to train on and rows to test.
        several = sum(share.geometries for share in found) > 1
        if several and len({*view.splits.fractions}) > 1:
            out.warn("--folds 5 uses every geometry, each once to test and otherwise to train")
    torn = view.torn() if view.splits.group_by == "geometry" else 0
    if torn:
        out.warn(
            f"triangulations of {counted(torn, 'polytope')} stand in more than one split: "
            "--group-by polytope keeps them together"
        )
