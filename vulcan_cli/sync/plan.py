"""What to commit next, decided without touching anything: batches, and the search for a culprit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from vulcan_cli.vacua.geometry import SHARD_PATH

MOST_REFUSALS = 12
"""After so many refused commits, and none that landed, it is the repo that refuses, not a shard."""

PROBES = 4
"""So many shards are tried alone when several commits were refused and none has landed."""

_SUSPICIOUS = 3

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

    Nobody is blamed as long as it may be the repo that refuses everything. So when a few commits
    were refused and none has landed, some single shards from all over the batch are tried.

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
        # None until it was found worth while; empty when all are tried.
        self._probes: tuple[_Shard, ...] | None = None
        self._probing = False
        self._anything_landed = False
        self._refusals = 0

    def begin(self, batch: Sequence[_Shard]) -> None:
        """Turn to another batch, whatever became of the last."""
        self._suspects, self._waiting, self._most = (), tuple(batch), None
        self._probes = None if self._probes is None else ()

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
        self._anything_landed = True
        self._suspects = _without(self._suspects, self._tried)
        self._waiting = _without(self._waiting, self._tried)
        self._most, self._probes = None, ()

    def refused(self, reason: str, culprits: Sequence[_Shard] = ()) -> None:
        """The batch at hand was refused, with these words, for these shards if it names any."""
        self._refusals += 1
        others = _without(self._suspects, self._tried)
        self._waiting = (*others, *_without(self._waiting, self._tried))
        self._suspects = ()
        if culprits or len(self._tried) == 1:
            guilty = tuple(culprits) or self._tried
            self._blamed += [(shard, reason) for shard in guilty]
            rest = _without(self._tried, guilty)
            self._waiting = (*rest, *self._waiting)
            if rest and self._refusals > 1:
                # They are named one at a time: let the next refusals be of smaller batches.
                self._most = max(1, len(rest) // 2)
        else:
            self._suspects = self._tried
        self._judge()

    def refused_with_more(self) -> None:
        """A commit of the batch at hand and of more was refused: it counts, nobody is judged."""
        self._refusals += 1

    def sentenced(self, *, at_the_end: bool = False) -> list[tuple[_Shard, str]]:
        """The shards that are to blame, each with the repo's words, and each only once.

        Args:
            at_the_end: No other batch follows, so the verdict on the repo falls now, if ever.
        """
        if at_the_end and not self._anything_landed and len(self._blamed) > 1:
            self._condemn_repo()
        if self.verdict is not None or not (at_the_end or self._anything_landed):
            return []
        sentenced, self._blamed = self._blamed, []
        return sentenced

    def _judge(self) -> None:
        if self._anything_landed:
            return
        if self._refusals >= MOST_REFUSALS or (self._probing and not self._probes):
            self._condemn_repo()
        elif self._probes is None and self._refusals >= _SUSPICIOUS:
            self._probes = _spread((*self._suspects, *self._waiting))

    def _condemn_repo(self) -> None:
        """The verdict, if all were refused with the same words but for the shard's own name."""
        if len({_cause(words) for _, words in self._blamed}) == 1:
            self.verdict = self._blamed[0][1]
            self._blamed = []


def _cause(words: str) -> str:
    return SHARD_PATH.sub("", words)


def _without(shards: Sequence[_Shard], gone: Sequence[_Shard]) -> tuple[_Shard, ...]:
    ids = set(map(id, gone))
    return tuple(shard for shard in shards if id(shard) not in ids)


def _spread(shards: tuple[_Shard, ...]) -> tuple[_Shard, ...]:
    """A few shards from all over, none of them where a search would look first."""
    step = max(1, len(shards) // PROBES)
    return shards[step // 2 :: step][:PROBES]
