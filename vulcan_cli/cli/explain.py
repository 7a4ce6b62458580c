"""What a person reads when something went wrong: one sentence, what is safe, what to type next.

Each class in `vulcan_cli.errors` has its entry in `_ADVICE`; a test holds that.
"""

from __future__ import annotations

import datetime
import errno
import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from vulcan_cli import errors
from vulcan_cli.errors import VulcanError
from vulcan_cli.quantities import counted
from vulcan_cli.settings import token_place

EXIT_STATUSES: Mapping[int, str] = {
    0: "done, or nothing to do",
    1: "a fault of ours",
    2: "wrong usage",
    3: "data refused in this run: bad input, rejected or failed entries, conflicts, bad shards",
    4: "not allowed or not set up: token, permission, repo, missing setting",
    5: "later: Hub unreachable, rate limit, server error; shards are safe in pending",
    6: "the local disk: full, read-only, unreadable",
    7: "another sync is at work",
    130: "interrupted",
}
"""What scripts read from the exit status."""

MOST_PROBLEMS = 50
"""How many problems of an input are told one by one."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An error as a person reads it.

    Attributes:
        kind: Class of the error, for scripts.
        exit_code: What the process ends with.
        sentence: What happened.
        safe: What is safe, or what was not changed.
        next: Commands to type next, ready to paste; capitals stand for what only people know.
        details: More lines, such as the problems of an input.
        facts: The error's own fields, for scripts.
    """

    kind: str
    exit_code: int
    sentence: str
    safe: str
    next: tuple[str, ...]
    details: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The explanation for a person, a line each, after `vulcan: ` and the sentence."""
        return [
            *(f"  {detail}" for detail in self.details),
            *([f"  safe: {self.safe}"] if self.safe else []),
            *(f"  next: {command}" for command in self.next),
        ]

    def document(self) -> dict[str, object]:
        """The explanation for a script."""
        return {
            "error": {
                "kind": self.kind,
                "exit_code": self.exit_code,
                "message": self.sentence,
                "safe": self.safe,
                "next": list(self.next),
                **self.facts,
            }
        }


class _Advice(NamedTuple):
    safe: str
    next: tuple[str, ...]


_MOST_KEPT = 5
_OF_STREAMS = ("--format", "--max-age")
_UNSAID = ("--healthcheck-url",)
"""Options whose values are secrets; what is to type next leaves them out."""

_STAGING = "--staging-dir"
_GIVES = {
    "there is no geometry": "--geometry h11=N,h12=N,ks_id=N",
    "required column is missing, and no value is given": "--tadpole-charge N",
}
"""How a finding begins, and the option that answers it."""

_COMMAND = "{command}"
_NOTHING_CHANGED = "nothing was changed"
_IN_PENDING = "every shard that is not yet confirmed is still in pending/"


def _not_set_up(error: errors.NotSetUp, typed: Sequence[str]) -> _Advice:
    package_cure = str(error).partition(" is not installed: ")[2]
    if package_cure:
        return _Advice(_NOTHING_CHANGED, (package_cure, _typed(typed) or f"{_COMMAND} --help"))
    commands = {
        "staging_dir": (
            "export VULCAN_STAGING_DIR=/shared/folder",
            _typed(typed) or "vulcan status",
        ),
        "repo": ("export VULCAN_REPO=owner/name", _typed(typed) or "vulcan sync --dry-run"),
        "token": ("hf auth login", _typed(typed) or "vulcan sync"),
        "vulcan.toml": ("vulcan help settings",),
    }
    return _Advice(_NOTHING_CHANGED, commands.get(error.setting, (f"{_COMMAND} --help",)))


def _staging_missing(error: errors.StagingMissing, typed: Sequence[str]) -> _Advice:
    make = shlex.join(["vulcan", "init", str(error.root)])
    return _Advice(_NOTHING_CHANGED, (make, _typed(typed) or "vulcan status"))


def _later(error: errors.TryLater, typed: Sequence[str]) -> _Advice:
    again = _typed(typed) or "vulcan sync"
    if error.retry_at is None:
        return _Advice(_IN_PENDING, (again,))
    moment = datetime.datetime.fromtimestamp(error.retry_at, datetime.UTC)
    return _Advice(_IN_PENDING, (f"{again}  # after {moment:%Y-%m-%d %H:%M:%S} UTC",))


def _refused(error: errors.InputRefused, typed: Sequence[str]) -> _Advice:
    if typed and typed[0] in {"card", "split"}:
        return _Advice("nothing was committed", (f"vulcan {typed[0]} --help",))
    if list(typed[:1]) != ["stage"]:
        return _Advice("nothing was staged", ("vulcan stage INPUT --dry-run",))
    lacking = {option for problem in error.problems for option in _lacking(problem)}
    again = _typed(typed, "--dry-run") if not lacking else _typed(typed)
    return _Advice("nothing was staged", (" ".join([again, *sorted(lacking)]),))


def _lacking(problem: errors.Problem) -> list[str]:
    """Options that give what an input has not."""
    return [option for start, option in _GIVES.items() if problem.message.startswith(start)]


def _clash(error: errors.ColumnClash, typed: Sequence[str]) -> _Advice:
    tell = "vulcan catalog --columns path_in_repo,columns"
    option = {"query": "--columns", "split": "--features"}.get(next(iter(typed), ""))
    if option is None or {option, "--sql"} & set(typed):
        return _Advice(_NOTHING_CHANGED, (tell,))
    without = shlex.join([option, ",".join(error.others)])
    fewer = f"{_typed(typed)} --run-id RUN_ID"
    return _Advice(_NOTHING_CHANGED, (f"{_typed(typed)} {without}", fewer, tell))


def _rows_refused(error: errors.RowsRefused, typed: Sequence[str]) -> _Advice:
    if not error.kept:
        return _Advice("rows already staged stay so", (_typed(typed) or f"{_COMMAND} --help",))
    names = " ".join(str(path) for path in error.kept[:_MOST_KEPT])
    more = len(error.kept) - _MOST_KEPT
    others = f" and {counted(more, 'more file')}" if more > 0 else ""
    safe = f"rows already staged stay so; the refused ones are kept in {names}{others}"
    return _Advice(safe, (_again_from(error.kept[0], typed),))


def _again_from(file: Path, typed: Sequence[str]) -> str:
    """The command line that checks rows of a stream again, from the file that holds them."""
    rest = [each for each in _without(typed[1:], _OF_STREAMS) if each not in ("-", "--dry-run")]
    return shlex.join(["vulcan", "stage", str(file), *rest, "--dry-run"])


def _without(words: Sequence[str], options: Collection[str]) -> list[str]:
    """A command line without some options and what they take."""
    left: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in options:
            next(rest, None)
        elif word.partition("=")[0] not in options:
            left.append(word)
    return left


def _repo_missing(error: errors.RepoMissing, typed: Sequence[str]) -> _Advice:
    if error.revision is not None:
        return _Advice(_IN_PENDING, (f"{_COMMAND} --help",))
    create = f"vulcan sync --repo {shlex.quote(error.repo)} --create-repo"
    if list(typed[:1]) == ["sync"]:
        create = _typed(typed, "--create-repo")
    is_folder = error.repo.startswith("file:")
    who = _here(f"vulcan doctor --repo {shlex.quote(error.repo)}", typed)
    return _Advice(_IN_PENDING, (create,) if is_folder else (who, create))


def _denied(_: errors.Denied, typed: Sequence[str]) -> _Advice:
    return _Advice(_IN_PENDING, (_new_token(), _typed(typed) or "vulcan sync"))


def _new_token() -> str:
    """Put another token where the one that was used came from: that place would win again."""
    place = token_place()
    if isinstance(place, Path):
        return f"install -m 600 NEW_TOKEN {shlex.quote(str(place))}"
    return "hf auth login" if place is None else f"unset {place} && hf auth login"


def _repo_refuses(error: errors.RepoRefuses, typed: Sequence[str]) -> _Advice:
    if error.hidden_in is None:
        return _Advice(_IN_PENDING, ("vulcan sync --repo OWNER/NAME",))
    # Without it nothing is hidden; what else it held can be uploaded again.
    cure = f"hf repos delete-files {shlex.quote(error.hidden_in)} .gitignore --type dataset"
    return _Advice(_IN_PENDING, (cure, _typed(typed) or "vulcan sync"))


def _at_work(_: errors.SyncAtWork, typed: Sequence[str]) -> _Advice:
    status = _here("vulcan status", typed)
    return _Advice("that sync goes on, and so do the workers", (status,))


def _lease_lost(_: errors.LeaseLost, typed: Sequence[str]) -> _Advice:
    return _Advice(_IN_PENDING, (_here("vulcan status", typed), _typed(typed) or "vulcan sync"))


_IN_THE_WAY = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
"""What is there is not for us, or not what it should be."""


def _disk(error: errors.DiskTrouble, typed: Sequence[str]) -> _Advice:
    safe = "what was already staged or confirmed stays so; nothing half-written counts"
    # Made now, it may not be there; cron was started in another folder.
    folder = next(path for path in (error.path, *error.path.parents, Path()) if path.is_dir())
    place = shlex.quote(str(folder))
    if error.errno == errno.ENOENT and not error.path.parent.exists():
        make = shlex.join(["mkdir", "-p", str(error.path.parent)])
        return _Advice(safe, (make, _typed(typed) or _here("vulcan status", typed)))
    if error.errno in _IN_THE_WAY:
        what = error.path if os.path.lexists(error.path) else folder
        look = f"ls -ld {shlex.quote(str(what))}"
        return _Advice(safe, (look, _here("vulcan doctor", typed)))
    return _Advice(safe, (f"df -h {place} && df -i {place}", _here("vulcan status", typed)))


def _here(command: str, typed: Sequence[str]) -> str:
    """A command for the staging directory that was typed, if one was."""
    place = ""
    for word, value in zip_longest(typed, typed[1:], fillvalue=""):
        if word == _STAGING:
            place = value
        elif word.startswith(f"{_STAGING}="):
            place = word.partition("=")[2]
    return f"{command} {_STAGING} {shlex.quote(place)}" if place else command


def _typed(words: Sequence[str], option: str | None = None) -> str:
    """A command line as it was typed, or with one option more; empty where nothing is known."""
    if not words:
        return ""
    command, *rest = _without(words, _UNSAID)
    more = [option] if option is not None and option not in rest else []
    return shlex.join(["vulcan", command, *more, *rest])


_ADVICE: Mapping[type[VulcanError], _Advice | Callable[[Any, Sequence[str]], _Advice]] = {
    errors.VulcanError: _Advice(
        "shards already staged are not touched by this", (f"VULCAN_DEBUG=1 {_COMMAND} ...",)
    ),
    errors.UsageError: _Advice(_NOTHING_CHANGED, (f"{_COMMAND} --help",)),
    errors.TemplateError: _Advice(
        _NOTHING_CHANGED, ("vulcan stage INPUT --template '{date}_{project}_seed-{seed?}'",)
    ),
    errors.MissingTemplateValue: _Advice(
        _NOTHING_CHANGED, ("vulcan stage INPUT --set NAME=VALUE",)
    ),
    errors.UnknownColumn: _Advice(_NOTHING_CHANGED, ("vulcan query --limit 1 --json",)),
    errors.InputRefused: _refused,
    errors.ColumnClash: _clash,
    errors.RowsRefused: _rows_refused,
    errors.NothingToDraw: _Advice(_NOTHING_CHANGED, ("vulcan query --limit 1 --json",)),
    errors.BadShard: _Advice(
        "the file is left as it is, and other shards are not concerned", ("vulcan status",)
    ),
    errors.Conflict: _Advice(
        "the content that was there first is not touched", ("vulcan stage INPUT --run-id NAME",)
    ),
    errors.NotSetUp: _not_set_up,
    errors.StagingMissing: _staging_missing,
    errors.Denied: _denied,
    errors.RepoMissing: _repo_missing,
    errors.RepoRefuses: _repo_refuses,
    errors.TryLater: _later,
    errors.Unreachable: _later,
    errors.RateLimited: _later,
    errors.ServerTrouble: _later,
    errors.DiskTrouble: _disk,
    errors.SyncAtWork: _at_work,
    errors.LeaseLost: _lease_lost,
}


def advised_errors() -> frozenset[type[VulcanError]]:
    """The classes of errors that have advice of their own."""
    return frozenset(_ADVICE)


def explain(
    error: BaseException,
    command: str = "vulcan",
    typed: Sequence[str] = (),
    *,
    safe: str | None = None,
) -> Explanation:
    """Say what happened, what is safe, and what to type next.

    Args:
        error: What was raised.
        command: The command that was typed, without its options.
        typed: The whole command line behind `vulcan`, where the next one can be made from it.
        safe: What is safe, where that is known better than the error alone tells.
    """
    known = as_ours(error)
    advice = next(_ADVICE[kind] for kind in type(known).__mro__ if kind in _ADVICE)
    if callable(advice):
        advice = advice(known, typed)
    problems = known.problems if isinstance(known, errors.InputRefused) else ()
    return Explanation(
        kind=type(known).__name__,
        exit_code=known.exit_code,
        sentence=_sentence(known),
        safe=advice.safe if safe is None else safe,
        next=tuple(text.replace(_COMMAND, command) for text in advice.next),
        details=_details(problems, least=1 if isinstance(known, errors.RowsRefused) else 2),
        facts=_facts(known),
    )


def as_ours(error: BaseException) -> VulcanError:
    """An error of ours for any exception: the disk's for `OSError`, else a fault of ours."""
    if isinstance(error, VulcanError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return errors.DiskTrouble(Path(error.filename or "the system"), error)
    return VulcanError(f"a fault in vulcan: {type(error).__name__}: {error}")


def usage(sentence: str, command: str) -> Explanation:
    """Say that a command line is wrong; `command` is the one whose help tells more."""
    return explain(errors.UsageError(sentence), command)


def interrupted() -> Explanation:
    """Say that the person stopped it."""
    return Explanation(
        kind="Interrupted",
        exit_code=130,
        sentence="interrupted",
        safe="what was done so far stands; the same command goes on from there",
        next=("vulcan status",),
    )


def _sentence(error: VulcanError) -> str:
    if isinstance(error, errors.RowsRefused):
        return str(error)
    if isinstance(error, errors.InputRefused) and len(error.problems) > 1:
        return f"the input is refused: {len(error.problems)} problems"
    if isinstance(error, errors.InputRefused):
        return f"the input is refused: {error}"
    return str(error)


def _details(problems: tuple[errors.Problem, ...], least: int) -> tuple[str, ...]:
    if len(problems) < least:
        return ()
    shown = [str(problem) for problem in problems[:MOST_PROBLEMS]]
    more = len(problems) - len(shown)
    return (*shown, f"and {more} more") if more else tuple(shown)


def _facts(error: VulcanError) -> dict[str, object]:
    """The public fields of an error, as JSON takes them."""
    return {name: _plain(value) for name, value in vars(error).items() if name[0] != "_"}


def _plain(value: object) -> object:
    if isinstance(value, errors.Problem):
        return value._asdict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | None) else str(value)
