"""What to commit next, decided without touching anything: batches, and the search for a culprit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from vulcan_cli.vacua.geometry import SHARD_PATH

MOST_REFUSALS = 12
"""After so many refused commits in a row it is the repo that refuses, not a shard."""

PROBES = 4
"""So many shards are tried alone when several commits in a row were refused."""

_SUSPICIOUS = 3
_NUMBERED = re.compile(r"\S*[0-9]\S*")

_Shard = TypeVar("_Shard")


def batches(shards: Sequence[_Shard], size: int) -> Iterator[tuple[_Shard, ...]]:
    """Cut shards into batches of at most `size`, in their order."""
    for start in range(0, len(shards), size):
        yield tuple(shards[start : start + size])


class Search(Generic[_Shard]):
    """Finds the shards for which a repo refuses batches, in few commits, blaming no innocent one.

    One search serves all batches of a run. After `begin`, ask `next_batch`, commit it, and tell
    what came back by `landed` or `refused`, until it gives None. What was refused is halved until
    one shard is refused alone; what was set aside on the way is then tried as one batch. So 500
    shards with one culprit take about a dozen commits.

    Nobody is blamed as long as it may be the repo that refuses everything, be it from the beginning
    or from some moment on: something must have landed after a batch was refused. So when a few
    commits in a row were refused, some single shards from all over the batch are tried.

    Attributes:
        verdict: The repo's words once it is clear that the repo refuses, whatever the shard.
    """

    def __init__(self) -> None:
        self.verdict: str | None = None
        self._blamed: list[tuple[_Shard, str]] = []
        self._tried: tuple[_Shard, ...] = ()
        # At least one of these is a culprit; of those that wait nothing is known.
        self._suspects: tuple[_Shard, ...] = ()
        self._waiting: tuple[_Shard, ...] = ()
        self._most: int | None = None
        # None until they were found worth while since something landed; empty when all are tried.
        self._probes: tuple[_Shard, ...] | None = None
        self._probing = False
        # Whether anything landed in this run, since a batch was last begun and refused, and how
        # many refusals there were in a row since then.
        self._ever_landed = False
        self._landed_since = False
        self._in_a_row = 0
        self._is_whole = False

    def begin(self, batch: Sequence[_Shard]) -> None:
        """Turn to another batch, whatever became of the last."""
        self._suspects, self._waiting, self._most = (), tuple(batch), None
        self._probes = None if self._probes is None else ()
        self._is_whole = True

    @property
    def blamed(self) -> tuple[_Shard, ...]:
        """The shards refused so far, alone or by name, and not yet sentenced."""
        return tuple(shard for shard, _ in self._blamed)

    @property
    def commits_ahead(self) -> int:
        """Commits that it takes to find the culprit among those suspected now; at least 1."""
        return max(1, (len(self._suspects) - 1).bit_length())

    def next_batch(self) -> tuple[_Shard, ...] | None:
        """What to commit now; None when all have landed or are blamed, or the verdict is out."""
        self._probing = bool(self._probes)
        if self.verdict is not None:
            return None
        if self._probes:
            self._tried, self._probes = self._probes[:1], self._probes[1:]
        elif self._suspects:
            self._tried = self._suspects[: (len(self._suspects) + 1) // 2]
        else:
            self._tried = self._waiting[: self._most]
        return self._tried or None

    def landed(self) -> None:
        """The batch at hand was committed; if it was half of the suspects, it is the other half."""
        self._ever_landed = self._landed_since = True
        self._in_a_row = 0
        self._suspects = _without(self._suspects, self._tried)
        self._waiting = _without(self._waiting, self._tried)
        self._most, self._probes = None, None

    def refused(self, reason: str, culprits: Sequence[_Shard] = ()) -> None:
        """The batch at hand was refused, with these words, for these shards if it names any."""
        self._count()
        others = _without(self._suspects, self._tried)
        self._waiting = (*others, *_without(self._waiting, self._tried))
        self._suspects = ()
        if culprits or len(self._tried) == 1:
            guilty = tuple(culprits) or self._tried
            self._blamed += [(shard, reason) for shard in guilty]
            rest = _without(self._tried, guilty)
            self._waiting = (*rest, *self._waiting)
            if rest and self._in_a_row > 1:
                # They are named one at a time: let the next refusals be of smaller batches.
                self._most = max(1, len(rest) // 2)
        else:
            self._suspects = self._tried
        self._judge(reason)

    def refused_with_more(self) -> None:
        """A commit of the batch at hand and of more was refused: it counts, nobody is judged."""
        self._count()

    def sentenced(self, *, at_the_end: bool = False) -> list[tuple[_Shard, str]]:
        """The shards that are to blame, each with the repo's words, and each only once.

        Args:
            at_the_end: No other batch follows, so the verdict on the repo falls now, if ever.
        """
        # Few refusals at the end of a run that went well say nothing about the repo.
        few = self._ever_landed and self._in_a_row < _SUSPICIOUS
        if at_the_end and not self._landed_since and not few and len(self._blamed) > 1:
            self._condemn_repo()
        if self.verdict is not None or not (at_the_end or self._landed_since):
            return []
        sentenced, self._blamed = self._blamed, []
        return sentenced

    def _count(self) -> None:
        self._in_a_row += 1
        if self._is_whole:
            # What landed before says nothing about what the repo takes now.
            self._landed_since = self._is_whole = False

    def _judge(self, words: str) -> None:
        if self._in_a_row >= MOST_REFUSALS:
            self.verdict, self._blamed = words, []
        elif self._probing and not self._probes:
            self._condemn_repo()
        elif self._probes is None and self._in_a_row >= self._patience:
            self._probes = _spread((*self._suspects, *self._waiting))

    @property
    def _patience(self) -> int:
        """How many refusals in a row are worth some probes: a repo that took something, more."""
        return MOST_REFUSALS - PROBES if self._landed_since else _SUSPICIOUS

    def _condemn_repo(self) -> None:
        """The verdict, if all were refused with the same words but for names and numbers."""
        if len({_cause(words) for _, words in self._blamed}) == 1:
            self.verdict = self._blamed[0][1]
            self._blamed = []


def _cause(words: str) -> str:
    """Words without what names the shard, or the request that was refused."""
    return _NUMBERED.sub("", SHARD_PATH.sub("", words))


def _without(shards: Sequence[_Shard], gone: Sequence[_Shard]) -> tuple[_Shard, ...]:
    ids = set(map(id, gone))
    return tuple(shard for shard in shards if id(shard) not in ids)


def _spread(shards: tuple[_Shard, ...]) -> tuple[_Shard, ...]:
    """A few shards from all over, none of them where a search would look first."""
    step = max(1, len(shards) // PROBES)
    return shards[step // 2 :: step][:PROBES]
