"""What a person reads when something went wrong: one sentence, what is safe, what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vulcan_cli import errors
from vulcan_cli.cli.advice import advise, after_interrupt
from vulcan_cli.errors import VulcanError
from vulcan_cli.other_errors import is_out_of_threads

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
    advice = advise(known, command, typed)
    problems = known.problems if isinstance(known, errors.InputRefused) else ()
    return Explanation(
        kind=type(known).__name__,
        exit_code=known.exit_code,
        sentence=_sentence(known),
        safe=advice.safe if safe is None else safe,
        next=advice.next,
        details=_details(problems, least=1 if isinstance(known, errors.RowsRefused) else 2),
        facts=_facts(known),
    )


def as_ours(error: BaseException) -> VulcanError:
    """An error of ours for any exception: the disk's for `OSError`, mostly a fault of ours else."""
    if isinstance(error, VulcanError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return errors.DiskTrouble.of(error)
    if is_out_of_threads(error):
        return errors.OutOfThreads()
    if isinstance(error, MemoryError):
        return errors.OutOfMemory()
    return VulcanError(f"a fault in vulcan: {type(error).__name__}: {error}")


def usage(sentence: str, command: str) -> Explanation:
    """Say that a command line is wrong; `command` is the one whose help tells more."""
    return explain(errors.UsageError(sentence), command)


def interrupted(typed: Sequence[str] = ()) -> Explanation:
    """Say that the person stopped it; `typed` is the whole command line behind `vulcan`."""
    advice = after_interrupt(typed)
    return Explanation(
        kind="Interrupted",
        exit_code=130,
        sentence="interrupted",
        safe=advice.safe,
        next=advice.next,
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
