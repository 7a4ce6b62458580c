"""What to commit next, decided without touching anything: batches, and the search for a culprit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

MOST_REFUSALS = 12
"""After so many refused commits it is the repo that refuses, not a shard."""

_Shard = TypeVar("_Shard")


def batches(shards: Sequence[_Shard], size: int) -> Iterator[tuple[_Shard, ...]]:
    """Cut shards into batches of at most `size`, in their order."""
    for start in range(0, len(shards), size):
        yield tuple(shards[start : start + size])


class Search(Generic[_Shard]):
    """Finds the shards for which a repo refuses a batch, in few commits, blaming no innocent one.

    Ask `next_batch`, commit it, and tell what came back by `landed` or `refused`, until it gives
    None. What was refused is halved until one shard is refused alone; what was set aside on the way
    is then tried as one batch. So 500 shards with one culprit take about a dozen commits.

    Attributes:
        blamed: The shards refused alone, or named by the repo, each with the repo's words.
        verdict: The repo's words where it is the repo that refuses, because nothing at all landed;
            then the search is over and nobody is to blame.
    """

    def __init__(self, batch: Sequence[_Shard]) -> None:
        self.blamed: list[tuple[_Shard, str]] = []
        self.verdict: str | None = None
        self._suspects: tuple[_Shard, ...] = ()
        self._waiting = tuple(batch)
        self._tried: tuple[_Shard, ...] = ()
        self._landed = False
        self._refusals = 0

    def next_batch(self) -> tuple[_Shard, ...] | None:
        """What to commit now; None when all have landed or are blamed, or the verdict is out."""
        if self.verdict is not None:
            return None
        if self._suspects:
            self._tried = self._suspects[: (len(self._suspects) + 1) // 2]
        else:
            self._tried, self._waiting = self._waiting, ()
        return self._tried or None

    def landed(self) -> None:
        """The batch at hand was committed; if it was half of the suspects, it is the other half."""
        self._landed = True
        self._suspects = self._suspects[len(self._tried) :]

    def refused(self, reason: str, culprits: Sequence[_Shard] = ()) -> None:
        """The batch at hand was refused, with these words, for these shards if it names any."""
        self._refusals += 1
        self._waiting += self._suspects[len(self._tried) :]
        if culprits or len(self._tried) == 1:
            guilty = culprits or self._tried
            self.blamed += [(shard, reason) for shard in guilty]
            ids = set(map(id, guilty))
            self._waiting += tuple(shard for shard in self._tried if id(shard) not in ids)
            self._suspects = ()
        else:
            self._suspects = self._tried
        self._judge(reason)

    def _judge(self, reason: str) -> None:
        """Nothing landed, and all of several shards, or a dozen commits, were refused alike."""
        if self._landed or any(words != reason for _, words in self.blamed):
            return
        nobody_left = not self._suspects and not self._waiting
        if self._refusals >= MOST_REFUSALS or (nobody_left and len(self.blamed) > 1):
            self.verdict = reason
            self.blamed = []
