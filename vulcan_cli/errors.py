"""Every error that vulcan raises, each with the exit status that scripts see.

An error says in one plain sentence what happened and carries the facts as fields.
What is safe, and which command to type next, is added where a person reads it
(`vulcan_cli.cli.explain`), never here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

WORST_FIRST = (1, 6, 4, 5, 3, 7, 2, 0)
"""Which exit status counts where several apply."""


class VulcanError(Exception):
    """Base of all our errors; raised itself only for a fault of ours."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with the message, as if that were all that it takes.
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[VulcanError], args: tuple[Any, ...], fields: dict[str, Any]) -> VulcanError:
    """An error as it was in another process, or before it was copied."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class UsageError(VulcanError, ValueError):
    """What was asked for makes no sense: an option, an argument, a combination."""

    exit_code = 2


class TemplateError(UsageError):
    """A run-id template, or what it renders to, is not allowed."""


class MissingTemplateValue(TemplateError, KeyError):
    """A run-id template needs a value that nobody gave.

    Attributes:
        name: What the template calls it.
    """

    # KeyError would print the repr of its argument.
    __str__ = Exception.__str__

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"run-id template needs a value for {{{name}}}")


class UnknownColumn(UsageError, KeyError):
    """A column is asked for that no shard in question has.

    Attributes:
        of_result: Whether it is asked of the result of a statement in SQL.
    """

    __str__ = Exception.__str__

    def __init__(self, message: str, *, of_result: bool = False) -> None:
        self.of_result = of_result
        super().__init__(message)


class UnevenLists(UsageError):
    """Arrays are asked for of lists that have no length in common.

    Attributes:
        columns: All columns that are arrays where lists have one length, in their order.
        longest: How many elements the longest of their lists has; None where that is not known.
        file_format: The format that holds arrays; None where none is written.
        left_out: Columns beside them that no length makes arrays.
    """

    def __init__(
        self,
        message: str,
        columns: Sequence[str],
        *,
        longest: int | None = None,
        file_format: str | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        self.columns = tuple(columns)
        self.longest = longest
        self.file_format = file_format
        self.left_out = tuple(left_out)
        super().__init__(message)


class NotForTerminal(UsageError):
    """Rows are asked for on a terminal in a format that is not text.

    Attributes:
        file_format: The format.
    """

    def __init__(self, file_format: str) -> None:
        self.file_format = file_format
        super().__init__(f"{file_format} is not for a terminal: it goes to a file or into a pipe")


class Problem(NamedTuple):
    """One thing wrong with an input: where it stands and what is wrong with it.

    Attributes:
        message: What is wrong, in a few words.
        column: The column, or None where it concerns the whole input.
        row: Row number, counted from 1 at the first row of data; None for a whole column.
        value: The value found there, as text, shortened.
        source: The input's name as the person gave it, or None.
    """

    message: str
    column: str | None = None
    row: int | None = None
    value: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        places = [
            self.source,
            None if self.column is None else f"column {self.column}",
            None if self.row is None else f"row {self.row}",
        ]
        where = ", ".join(place for place in places if place)
        found = "" if self.value is None else f" (found {self.value})"
        return f"{where}: {self.message}{found}" if where else f"{self.message}{found}"


class InputRefused(VulcanError, ValueError):
    """An input does not hold what a shard needs.

    Attributes:
        problems: All of them, in the order of the input.
    """

    exit_code = 3

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class ColumnClash(VulcanError, ValueError):
    """Shards hold values in a column that no one type holds.

    Attributes:
        column: Its name.
        types: Two of its types, which tell themselves as text.
        shards: A shard of each, by their paths in the repo.
        others: Columns of the same shards that can be read together.
    """

    exit_code = 3

    def __init__(
        self,
        column: str,
        types: Sequence[Any],  # (the types of Polars, which is not loaded for an error)
        shards: Sequence[str],
        others: Sequence[str] = (),
    ) -> None:
        self.column = column
        self.types = tuple(types)
        self.shards = tuple(shards)
        self.others = tuple(others)
        (one, other), (here, there) = self.types, self.shards
        super().__init__(f"column {column} is {one} in {here} and {other} in {there}")


class RowsRefused(InputRefused):
    """Some rows of a stream do not hold what a shard needs; the others are staged.

    Attributes:
        n_staged: How many rows are staged.
        n_refused: How many are not.
        kept: The files that hold those, as they came.
    """

    def __init__(
        self, *problems: Problem, n_staged: int, n_refused: int, kept: tuple[Path, ...]
    ) -> None:
        super().__init__(*problems)
        self.n_staged = n_staged
        self.n_refused = n_refused
        self.kept = kept

    def __str__(self) -> str:
        return f"of the stream {self.n_staged} rows are staged, {self.n_refused} refused"


class NothingToDraw(VulcanError):
    """No row has what a picture needs."""

    exit_code = 3


class BadShard(VulcanError):
    """A file that should be a shard is not one.

    Attributes:
        path: The file.
        reason: What is wrong with it.
    """

    exit_code = 3

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{_name_of(path)} is not a shard: {reason}")


def _name_of(path: Path) -> str:
    """The name of a file; in a repo its path there, as the same run may stand under several."""
    *_, h12, h11, bucket, name = ("", "", "", *path.parts)
    in_repo = h12.startswith("h12_") and h11.startswith("h11_") and bucket.startswith("bucket_")
    return "/".join((h12, h11, bucket, name)) if in_repo else path.name


class Conflict(VulcanError):
    """The name of a shard is taken by other content.

    Attributes:
        path_in_repo: The name both want.
        where: What holds the other content: a file, or a repo.
    """

    exit_code = 3

    def __init__(self, path_in_repo: str, where: str) -> None:
        self.path_in_repo = path_in_repo
        self.where = where
        super().__init__(f"{path_in_repo} exists with other content in {where}")


class NotSetUp(VulcanError, ValueError):
    """Something must be set up first.

    Attributes:
        setting: The name of what is missing, such as `staging_dir`.
    """

    exit_code = 4

    def __init__(self, setting: str, message: str) -> None:
        self.setting = setting
        super().__init__(message)


class StagingMissing(NotSetUp):
    """There is no such staging directory, or a folder of it is missing.

    Attributes:
        root: The staging directory.
    """

    def __init__(self, root: Path, missing: Path) -> None:
        self.root = root
        super().__init__("staging_dir", f"there is no folder {missing}")


class TokenUnfit(NotSetUp):
    """What should hold the token holds none, or others can read it.

    Attributes:
        place: The variable, or the file that `VULCAN_TOKEN_FILE` names; None for that of the login.
        too_open: Whether it is a file of ours that others can use too.
    """

    def __init__(self, place: str | Path | None, message: str, *, too_open: bool = False) -> None:
        self.place = place
        self.too_open = too_open
        super().__init__("token", message)


class TokenInSettings(NotSetUp):
    """A settings file holds a token, or what looks like one.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__("token", message)


class Denied(VulcanError):
    """The repo or the file system does not let us.

    Attributes:
        path: The file or folder that is not ours; None where a token was refused.
    """

    exit_code = 4

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        self.path = path
        super().__init__(message)


class OnlyProposals(Denied):
    """The repo takes no commit of this token, but a pull request."""


class RepoMissing(VulcanError):
    """There is no such repo, or it is hidden from this token; or it has no such revision.

    Attributes:
        repo: The repo as it was given; a folder begins with `file:`.
        revision: The branch or commit that it has not; None where the repo itself is missing.
    """

    exit_code = 4

    def __init__(self, repo: str, revision: str | None = None) -> None:
        self.repo = repo
        self.revision = revision
        missing = f"there is no repo {repo}"
        if revision is not None:
            missing = f"{repo} has no branch or commit {revision}"
        elif not repo.startswith("file:"):
            missing += ", or this token may not see it"
        super().__init__(missing)


class RepoRefuses(VulcanError):
    """The repo refuses every shard for the same reason, so no shard is to blame.

    Attributes:
        hidden_in: The repo, where its `.gitignore` is the reason; else None.
    """

    exit_code = 4

    def __init__(self, message: str, *, hidden_in: str | None = None) -> None:
        self.hidden_in = hidden_in
        super().__init__(message)


class TryLater(VulcanError):
    """Not now: nothing is wrong with the shards.

    Attributes:
        retry_at: When to come back, unix seconds, where that is known.
    """

    exit_code = 5

    def __init__(self, message: str, *, retry_at: float | None = None) -> None:
        self.retry_at = retry_at
        super().__init__(message)


class HomeNotSet(TryLater):
    """Shards were trimmed, and the repo that has them is not among those that are set.

    Attributes:
        n_shards: How many.
        keys: What the ledger calls the repos that have them.
        repos: The repos that are set.
    """

    def __init__(self, n_shards: int, keys: Sequence[str], repos: Sequence[str]) -> None:
        self.n_shards = n_shards
        self.keys = tuple(keys)
        self.repos = tuple(repos)
        shards, them = ("shard", "it") if n_shards == 1 else ("shards", "them")
        known = " and ".join(keys)
        where = "repo that has" if len(keys) == 1 else "repos that have"
        which = "is not set: it is" if len(keys) == 1 else "are not set: they are"
        super().__init__(
            f"{n_shards:,} trimmed {shards} can only be read from the {where} {them}, "
            f"which {which} known here as {known}"
        )


class OutOfThreads(TryLater):
    """The system starts no more threads for this account."""

    def __init__(self) -> None:
        super().__init__("the system starts no more threads for this account on this node")


class OutOfMemory(TryLater):
    """The system gives this process no more memory."""

    def __init__(self) -> None:
        super().__init__("the system gives this process no more memory on this node")


class Unreachable(TryLater):
    """The Hub did not answer."""


class RateLimited(TryLater):
    """The Hub's own limit, HTTP 429."""


class ServerTrouble(TryLater):
    """The Hub answered with a fault of its own, HTTP 5xx."""


class DiskTrouble(VulcanError):
    """The local disk is full, read-only or unreadable.

    Attributes:
        path: What could not be read or written.
        errno: The system's error number, or None.
    """

    exit_code = 6

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.errno = error.errno
        super().__init__(f"{path}: {error.strerror or error}")

    @classmethod
    def of(cls, error: OSError) -> Self:
        """What the system said, about the file that it named, if it did."""
        return cls(Path(error.filename or "the system"), error)


class SyncAtWork(VulcanError):
    """Another sync holds the lock of this staging directory.

    Attributes:
        owner: Who holds it, as text.
    """

    exit_code = 7

    def __init__(self, owner: str) -> None:
        self.owner = owner
        super().__init__(f"another sync is at work: {owner}")


class LeaseLost(SyncAtWork):
    """Our lock was taken over while we were stopped; we must not touch anything more."""
