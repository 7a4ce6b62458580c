"""What is safe and what to type next, for each class of errors.

Each class in `vulcan_cli.errors` has its entry in `_ADVICE`; a test holds that.
"""

from __future__ import annotations

import datetime
import errno
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vulcan_cli import errors
from vulcan_cli.cli.options.names import join_names
from vulcan_cli.cli.typed import (
    STAGING,
    again,
    here,
    only,
    there,
    values,
    with_options,
    without,
)
from vulcan_cli.environment import token_place
from vulcan_cli.errors import VulcanError
from vulcan_cli.quantities import counted


class Advice(NamedTuple):
    """What a person is told after an error.

    Attributes:
        safe: What is safe, or what was not changed.
        next: Commands to type next, ready to paste; capitals stand for what only people know.
    """

    safe: str
    next: tuple[str, ...]


_MOST_KEPT = 5
_OF_STREAMS = ("--format", "--max-age")
_OF_FILES = ("-o", "--output", "--format")
_OF_ROWS = ("--columns", "--sort", "--limit")
_RUN_ID = "--run-id"
_PROPOSE = "--create-pr"
_CHANGES_STAGING = {"stage", "sync", "retry-failed", "trim-synced", "unlock"}

_GIVES = {
    "there is no geometry": "--geometry h11=N,h12=N,ks_id=N",
    "required column is missing, and no value is given": "--tadpole-charge N",
}
"""How a finding begins, and the option that answers it."""

_WRITTEN = ("--out-dir", "--scheduler")
"""Options of a push whose files are there by then, and are not written over."""

_ANOTHER_FORMAT = "looks like "
"""How a finding begins where the bytes are of another format than the one that was typed."""

_COMMAND = "{command}"
_NOTHING_CHANGED = "nothing was changed"
_IN_PENDING = "every shard that is not yet confirmed is still in pending/"


def _not_set_up(error: errors.NotSetUp, typed: Sequence[str]) -> Advice:
    package_cure = str(error).partition(" is not installed: ")[2]
    if package_cure:
        return Advice(_NOTHING_CHANGED, (package_cure, again(typed) or f"{_COMMAND} --help"))
    commands = {
        "staging_dir": (
            "export VULCAN_STAGING_DIR=/shared/folder",
            # The option would win over the variable.
            again(without(typed, (STAGING,))) or "vulcan status",
        ),
        "repo": ("export VULCAN_REPO=owner/name", again(typed) or "vulcan sync --dry-run"),
        "token": ("hf auth login", again(typed) or "vulcan sync"),
        "vulcan.toml": ("vulcan help settings",),
    }
    return Advice(_NOTHING_CHANGED, commands.get(error.setting, (f"{_COMMAND} --help",)))


def _staging_missing(error: errors.StagingMissing, typed: Sequence[str]) -> Advice:
    make = shlex.join(["vulcan", "init", str(error.root)])
    return Advice(_NOTHING_CHANGED, (make, again(typed) or "vulcan status"))


def _later(error: errors.TryLater, typed: Sequence[str]) -> Advice:
    line = again(typed) or "vulcan sync"
    if error.retry_at is None:
        return Advice(_IN_PENDING, (line,))
    moment = datetime.datetime.fromtimestamp(error.retry_at, datetime.UTC)
    return Advice(_IN_PENDING, (f"{line}  # after {moment:%Y-%m-%d %H:%M:%S} UTC",))


def _home_not_set(error: errors.HomeNotSet, typed: Sequence[str]) -> Advice:
    were, they, them = ("was", "it", "it") if error.n_shards == 1 else ("were", "they", "them")
    had = "that repo" if len(error.keys) == 1 else "those repos"
    safe = f"{they} {were} deleted here because {had} had {them}"
    # An option takes the place of what is set elsewhere.
    named = () if any(only(typed, ("--repo",))) else error.repos
    more = [word for repo in (*named, *("REPO" for _ in error.keys)) for word in ("--repo", repo)]
    return Advice(safe, (again(with_options(typed or ["query"], more)),))


def _out_of_threads(_: errors.OutOfThreads, typed: Sequence[str]) -> Advice:
    return Advice(
        "what was done so far stands", (f"POLARS_MAX_THREADS=1 {again(typed) or _COMMAND}",)
    )


def _out_of_memory(_: errors.OutOfMemory, typed: Sequence[str]) -> Advice:
    return Advice("what was done so far stands", ("ulimit -a", again(typed) or _COMMAND))


def _refused(error: errors.InputRefused, typed: Sequence[str]) -> Advice:
    if typed and typed[0] in {"card", "split"}:
        return Advice("nothing was committed", (f"vulcan {typed[0]} --help",))
    if list(typed[:1]) != ["stage"]:
        return Advice("nothing was staged", ("vulcan stage INPUT --dry-run",))
    if any(problem.message.startswith(_ANOTHER_FORMAT) for problem in error.problems):
        typed = without(typed, ("--format",))
    lacking = {option for problem in error.problems for option in _lacking(problem)}
    given = [word for option in sorted(lacking) for word in option.split()]
    line = again(with_options(typed, given)) if given else again(typed, "--dry-run")
    return Advice("nothing was staged", (line,))


def _lacking(problem: errors.Problem) -> list[str]:
    """Options that give what an input has not."""
    return [option for start, option in _GIVES.items() if problem.message.startswith(start)]


def _bad_template(_: errors.TemplateError, typed: Sequence[str]) -> Advice:
    if values(typed, (_RUN_ID,)):
        return Advice(_NOTHING_CHANGED, (_under_another_name(typed),))
    option, usual = "--template", "{date}_{project}_seed-{seed?}"
    return Advice(_NOTHING_CHANGED, (_staged_with(option, usual, without(typed, (option,))),))


def _missing_value(error: errors.MissingTemplateValue, typed: Sequence[str]) -> Advice:
    return Advice(_NOTHING_CHANGED, (_staged_with("--set", f"{error.name}=VALUE", typed),))


def _conflict(_: errors.Conflict, typed: Sequence[str]) -> Advice:
    safe = "the content that was there first is not touched"
    if list(typed[:1]) == ["split"]:
        rest = without(typed[1:], ("--push", *_WRITTEN))
        return Advice(safe, (again(["split", "--push", "OWNER/NAME", *rest]),))
    return Advice(safe, (_under_another_name(typed),))


def _under_another_name(typed: Sequence[str]) -> str:
    return _staged_with(_RUN_ID, "NAME", without(typed, (_RUN_ID,)))


def _staged_with(option: str, value: str, typed: Sequence[str]) -> str:
    """The command line that stages with one option more."""
    rest = typed[1:] if list(typed[:1]) == ["stage"] else ["INPUT"]
    return again(["stage", option, value, *rest])


def _clash(error: errors.ColumnClash, typed: Sequence[str]) -> Advice:
    tell = f"{there('vulcan catalog', typed)} --columns path_in_repo,columns"
    command = next(iter(typed), "")
    option = {"query": "--columns", "split": "--features"}.get(command)
    if option is None and command != "plot":
        return Advice(_NOTHING_CHANGED, (tell,))
    filters = " ".join(values(typed, ("--where", "--sort", "--sql")))
    is_filtered = re.search(rf"(?<!\w){re.escape(error.column)}(?!\w)", filters) is not None
    around: tuple[str, ...] = ()
    if option and not is_filtered and not values(typed, (option, "--sql")):
        around = (again(with_options(typed, [option, join_names(error.others)])),)
    alone = _one_run(error, typed, is_text=is_filtered and "'" in filters)
    return Advice(_NOTHING_CHANGED, (*around, *alone, tell))


def _one_run(error: errors.ColumnClash, typed: Sequence[str], *, is_text: bool) -> tuple[str, ...]:
    """The command line for one of two shards, of text or not; none where no run id parts them."""
    from vulcan_cli.vacua.geometry import SHARD_PATH  # noqa: PLC0415

    found = [SHARD_PATH.fullmatch(path) for path in error.shards]
    run_ids = [match["run_id"] for match in found if match]
    if len(set(run_ids)) < 2:
        return ()
    texts = [str(dtype) == "String" for dtype in error.types]
    chosen = run_ids[texts.index(is_text) if is_text in texts else 0]
    return (again(with_options(without(typed, (_RUN_ID,)), [_RUN_ID, chosen])),)


def _uneven_lists(error: errors.UnevenLists, typed: Sequence[str]) -> Advice:
    if not typed:
        return Advice(_NOTHING_CHANGED, (f"{_COMMAND} --help",))
    length = str(error.longest or "N")
    features = ["--features", join_names(error.columns)]
    if typed[0] == "split":
        cured = [*typed]
        if error.left_out:
            cured = with_options(without(typed, ("--features",)), features)
        line = again(with_options(cured, ["--list-max-len", length]))
        return Advice(_NOTHING_CHANGED, (line,))
    other = _into_file(typed, "parquet")
    if typed[0] != "query" or [*only(typed, ("--sql",))]:
        return Advice(_NOTHING_CHANGED, (other,))
    filters = without(typed[1:], (*_OF_FILES, *_OF_ROWS))
    cut = [*features, "--list-max-len", length, "--out-dir", "FOLDER"]
    form = ["--format", error.file_format or "npz"]
    into_split = ["vulcan", "split", *with_options(filters, [*cut, *form])]
    return Advice(_NOTHING_CHANGED, (other, shlex.join(into_split)))


def _not_for_terminal(error: errors.NotForTerminal, typed: Sequence[str]) -> Advice:
    line = _into_file(typed, error.file_format) if typed else f"{_COMMAND} --help"
    return Advice(_NOTHING_CHANGED, (line,))


def _into_file(typed: Sequence[str], ending: str) -> str:
    """The command line that writes its rows into a file of this format."""
    into = with_options(without(typed, _OF_FILES), ["-o", f"FILE.{ending}"])
    return shlex.join(["vulcan", *into])


def _rows_refused(error: errors.RowsRefused, typed: Sequence[str]) -> Advice:
    if not error.kept:
        return Advice("rows already staged stay so", (again(typed) or f"{_COMMAND} --help",))
    names = " ".join(str(path) for path in error.kept[:_MOST_KEPT])
    more = len(error.kept) - _MOST_KEPT
    others = f" and {counted(more, 'more file')}" if more > 0 else ""
    safe = f"rows already staged stay so; the refused ones are kept in {names}{others}"
    return Advice(safe, (_again_from(error.kept[0], typed),))


def _again_from(file: Path, typed: Sequence[str]) -> str:
    """The command line that checks rows of a stream again, from the file that holds them."""
    rest = [each for each in without(typed[1:], _OF_STREAMS) if each not in ("-", "--dry-run")]
    return shlex.join(["vulcan", "stage", *with_options([str(file), *rest], ["--dry-run"])])


def _repo_missing(error: errors.RepoMissing, typed: Sequence[str]) -> Advice:
    if error.revision is not None:
        return Advice(_IN_PENDING, (f"{_COMMAND} --help",))
    find = _find_repo(error.repo, typed)
    if list(typed[:1]) == ["sync"]:
        ask = () if error.repo.startswith("file:") else find
        return Advice(_IN_PENDING, (*ask, again(typed, "--create-repo")))
    if list(typed[:1]) == ["split"] and _is_pushed_to(error.repo, typed):
        line = again(without(typed, _WRITTEN), "--create-repo")
        return Advice("nothing was committed", (line,))
    return Advice(_NOTHING_CHANGED, (*find, "vulcan config"))


def _is_pushed_to(repo: str, typed: Sequence[str]) -> bool:
    """Whether a repo is the one that `--push` names."""
    from vulcan_cli.hub.open import key_without_client  # noqa: PLC0415

    named = values(typed, ("--push",))
    return bool(named) and key_without_client(named[0]) == key_without_client(repo)


def _find_repo(repo: str, typed: Sequence[str]) -> tuple[str, ...]:
    """What shows which repo was meant, and writes nothing; empty where doctor itself asks."""
    from vulcan_cli.hub.open import folder_of  # noqa: PLC0415

    folder = folder_of(repo)
    if folder is not None:
        return (shlex.join(["ls", str(_nearest(folder))]),)
    if list(typed[:1]) == ["doctor"]:
        return ()
    return (here(f"vulcan doctor --repo {shlex.quote(repo)}", typed),)


def _denied(error: errors.Denied, typed: Sequence[str]) -> Advice:
    cure = _new_token(token_place()) if error.path is None else _whose(error.path)
    return Advice(_IN_PENDING, (cure, again(typed) or "vulcan sync"))


def _only_proposals(error: errors.OnlyProposals, typed: Sequence[str]) -> Advice:
    if list(typed[:1]) not in ([], ["sync"]) or _PROPOSE in typed:
        return _denied(error, typed)
    # A pull request is to the default branch.
    line = again(without(typed, ("--revision",)), _PROPOSE)
    return Advice(_IN_PENDING, (line or f"vulcan sync {_PROPOSE}",))


def _token_unfit(error: errors.TokenUnfit, typed: Sequence[str]) -> Advice:
    place = error.place
    cure = _new_token(place)
    if error.too_open:
        cure = f"chmod 600 {shlex.quote(str(place))}"
    elif isinstance(place, Path) and not (_is_folder(place.parent) and _may_become_file(place)):
        cure = _new_token("VULCAN_TOKEN_FILE")
    return Advice(_NOTHING_CHANGED, (cure, again(typed) or "vulcan sync"))


def _token_in_settings(error: errors.TokenInSettings, typed: Sequence[str]) -> Advice:
    edit = f"${{EDITOR:-vi}} {shlex.quote(str(error.path))}  # take the token out"
    return Advice(_NOTHING_CHANGED, (edit, "hf auth login", again(typed) or "vulcan sync"))


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (it may be denied us)


def _may_become_file(path: Path) -> bool:
    return os.path.isfile(path) or not os.path.lexists(path)  # noqa: PTH113 (it may be denied us)


def _new_token(place: str | Path | None) -> str:
    """Put another token where the one that was used came from: that place would win again."""
    if isinstance(place, Path):
        return f"install -m 600 NEW_TOKEN {shlex.quote(str(place))}"
    return "hf auth login" if place is None else f"unset {place} && hf auth login"


def _repo_refuses(error: errors.RepoRefuses, typed: Sequence[str]) -> Advice:
    if error.hidden_in is None:
        return Advice(_IN_PENDING, ("vulcan sync --repo OWNER/NAME",))
    # Without it nothing is hidden; what else it held can be uploaded again.
    cure = f"hf repos delete-files {shlex.quote(error.hidden_in)} .gitignore --type dataset"
    return Advice(_IN_PENDING, (cure, again(typed) or "vulcan sync"))


def _at_work(_: errors.SyncAtWork, typed: Sequence[str]) -> Advice:
    status = here("vulcan status", typed)
    if list(typed[:1]) == ["unlock"]:
        # It may be dead: that is what the person wants to know.
        force = f"{again(typed, '--force')}  # where it is known to be dead"
        return Advice("the lock stays with it, and workers stage all the same", (status, force))
    return Advice("that sync goes on, and so do the workers", (status,))


def _lease_lost(_: errors.LeaseLost, typed: Sequence[str]) -> Advice:
    return Advice(_IN_PENDING, (here("vulcan status", typed), again(typed) or "vulcan sync"))


_LACKS = {errno.EMFILE: "ulimit -n", errno.ENOMEM: "free -h"}
"""What shows how much there is of that which the system has no more of."""

_IN_THE_WAY = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
"""What is there is not for us, or not what it should be."""


def _disk(error: errors.DiskTrouble, typed: Sequence[str]) -> Advice:
    safe = "what was already staged or confirmed stays so; nothing half-written counts"
    place = shlex.quote(str(_nearest(error.path)))
    if error.errno == errno.ENOENT and not error.path.parent.exists():
        make = shlex.join(["mkdir", "-p", str(error.path.parent)])
        return Advice(safe, (make, again(typed) or here("vulcan status", typed)))
    if error.errno in _LACKS:
        return Advice(safe, (_LACKS[error.errno], again(typed) or here("vulcan status", typed)))
    if error.errno in _IN_THE_WAY:
        return Advice(safe, (_whose(error.path), here("vulcan doctor", typed)))
    if error.errno == errno.EROFS:
        return Advice(safe, (f"findmnt -T {place}", again(typed) or here("vulcan status", typed)))
    return Advice(safe, (f"df -h {place} && df -i {place}", here("vulcan status", typed)))


def _whose(path: Path) -> str:
    """What shows whose a path is and who may write to it, or to the folder it would stand in."""
    what = path if os.path.lexists(path) else _nearest(path)
    return f"ls -ld {shlex.quote(str(what))}"


def _nearest(path: Path) -> Path:
    """The nearest folder that is there."""
    # Made now, it may not be there; cron was started in another folder.
    return next(each for each in (path, *path.parents, Path()) if _is_folder(each))


def _show_one(error: VulcanError, typed: Sequence[str]) -> Advice:
    """Look at one row, or one line of the catalog: it has every column."""
    one = "vulcan catalog" if list(typed[:1]) == ["catalog"] else "vulcan query"
    # A statement that itself names no column would fail again.
    of_result = isinstance(error, errors.UnknownColumn) and error.of_result
    statement = [*only(typed, ("--sql",))] if of_result else []
    line = shlex.join([*shlex.split(there(one, typed)), *statement])
    return Advice(_NOTHING_CHANGED, (f"{line} --limit 1 --json",))


def _bad_shard(_: errors.BadShard, typed: Sequence[str]) -> Advice:
    safe = "the file is left as it is, and other shards are not concerned"
    return Advice(safe, (here("vulcan status", typed),))


_ADVICE: Mapping[type[VulcanError], Advice | Callable[[Any, Sequence[str]], Advice]] = {
    errors.VulcanError: Advice(
        "shards already staged are not touched by this", (f"VULCAN_DEBUG=1 {_COMMAND} ...",)
    ),
    errors.UsageError: Advice(_NOTHING_CHANGED, (f"{_COMMAND} --help",)),
    errors.TemplateError: _bad_template,
    errors.MissingTemplateValue: _missing_value,
    errors.UnknownColumn: _show_one,
    errors.InputRefused: _refused,
    errors.ColumnClash: _clash,
    errors.UnevenLists: _uneven_lists,
    errors.NotForTerminal: _not_for_terminal,
    errors.RowsRefused: _rows_refused,
    errors.NothingToDraw: _show_one,
    errors.BadShard: _bad_shard,
    errors.Conflict: _conflict,
    errors.NotSetUp: _not_set_up,
    errors.StagingMissing: _staging_missing,
    errors.TokenUnfit: _token_unfit,
    errors.TokenInSettings: _token_in_settings,
    errors.Denied: _denied,
    errors.OnlyProposals: _only_proposals,
    errors.RepoMissing: _repo_missing,
    errors.RepoRefuses: _repo_refuses,
    errors.TryLater: _later,
    errors.HomeNotSet: _home_not_set,
    errors.OutOfThreads: _out_of_threads,
    errors.OutOfMemory: _out_of_memory,
    errors.Unreachable: _later,
    errors.RateLimited: _later,
    errors.ServerTrouble: _later,
    errors.DiskTrouble: _disk,
    errors.SyncAtWork: _at_work,
    errors.LeaseLost: _lease_lost,
}


def advise(error: VulcanError, command: str, typed: Sequence[str]) -> Advice:
    """What is safe after an error, and what to type next.

    Args:
        error: What happened.
        command: The command that was typed, without its options.
        typed: The whole command line behind `vulcan`, empty where it is not known.
    """
    advice = next(_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE)
    if callable(advice):
        advice = advice(error, typed)
    return advice._replace(next=tuple(text.replace(_COMMAND, command) for text in advice.next))


def after_interrupt(typed: Sequence[str]) -> Advice:
    """What is safe after Ctrl-C, and what to type next.

    Args:
        typed: As for `advise`.
    """
    if typed and typed[0] == "demo":
        return _after_demo(typed)
    safe = "what was done so far stands; the same command goes on from there"
    status = here("vulcan status", typed)
    # Others may be typed where there is no staging directory.
    changes_staging = bool(typed) and typed[0] in _CHANGES_STAGING
    return Advice(safe, (status if changes_staging else again(typed) or status,))


def _after_demo(typed: Sequence[str]) -> Advice:
    # It goes on in no folder: a temporary one is gone, and the one that stays is there already.
    keep = ("--keep",)
    kept = "".join(f"{folder} holds what was done so far" for folder in values(typed, keep)[-1:])
    return Advice(kept or _NOTHING_CHANGED, (again(without(typed, keep)),))


def advised_errors() -> frozenset[type[VulcanError]]:
    """The classes of errors that have advice of their own."""
    return frozenset(_ADVICE)
