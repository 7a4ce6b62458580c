"""Planning: batches in order, and the search for what a repo refuses, against a model repo."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli.sync.plan import MOST_REFUSALS, Search, batches


@dataclass(frozen=True)
class Told:
    """What a search came to, and how many commits it asked for."""

    landed: list[int]
    blamed: list[int]
    verdict: str | None
    commits: int


def search(size: int, culprits: set[int], *, words: str = "no", names: bool = False) -> Told:
    """Run a search against a repo that refuses every batch with a culprit in it."""
    hunt = Search(range(size))
    landed: list[int] = []
    commits = 0
    while (batch := hunt.next_batch()) is not None:
        commits += 1
        found = [shard for shard in batch if shard in culprits]
        if found:
            hunt.refused(words, found[:1] if names and len(batch) > 1 else ())
        else:
            hunt.landed()
            landed += batch
    return Told(sorted(landed), sorted(s for s, _ in hunt.blamed), hunt.verdict, commits)


@given(st.integers(1, 600), st.integers(1, 50))
def test_batches_hold_every_shard_once_in_order(count: int, size: int) -> None:
    cut = list(batches(range(count), size))
    assert [shard for batch in cut for shard in batch] == list(range(count))
    assert {len(batch) for batch in cut[:-1]} <= {size}


@given(st.data(), st.booleans())
def test_p8_only_culprits_are_blamed(data: st.DataObject, names: bool) -> None:
    size = data.draw(st.integers(2, 60))
    culprits = data.draw(
        st.sets(st.integers(0, size - 1), max_size=3).filter(lambda c: len(c) < size)
    )
    told = search(size, culprits, names=names)
    assert told.verdict is None
    assert told.blamed == sorted(culprits)
    assert told.landed == [shard for shard in range(size) if shard not in culprits]


@given(st.integers(0, 499))
def test_one_culprit_in_a_full_batch_costs_about_a_dozen_commits(culprit: int) -> None:
    told = search(500, {culprit})
    assert (told.blamed, told.commits <= MOST_REFUSALS) == ([culprit], True)


@given(st.integers(2, 500))
def test_p9_a_repo_that_refuses_everything_is_noticed(size: int) -> None:
    told = search(size, set(range(size)))
    assert (told.landed, told.blamed, told.verdict) == ([], [], "no")
    assert told.commits <= MOST_REFUSALS


def test_a_shard_refused_on_its_own_is_blamed() -> None:
    assert search(1, {0}) == Told([], [0], None, 1)


def test_a_batch_that_lands_needs_no_search() -> None:
    assert search(500, set()) == Told(list(range(500)), [], None, 1)


def test_different_words_blame_each_shard() -> None:
    hunt = Search(["a", "b"])
    for words in ("both are bad", "a is bad", "b is bad"):
        hunt.next_batch()
        hunt.refused(words)
    assert (hunt.next_batch(), hunt.verdict) == (None, None)
    assert hunt.blamed == [("a", "a is bad"), ("b", "b is bad")]
