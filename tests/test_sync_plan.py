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


def search(
    size: int, culprits: set[int], *, words: str = "no", names: bool = False, most: int = 500
) -> Told:
    """Run a search against a repo that refuses every batch with a culprit in it."""
    hunt: Search[int] = Search()
    landed: list[int] = []
    blamed: list[int] = []
    commits = 0
    for whole in batches(range(size), most):
        hunt.begin(whole)
        while (batch := hunt.next_batch()) is not None:
            commits += 1
            found = [shard for shard in batch if shard in culprits]
            if found:
                hunt.refused(words, found[:1] if names else ())
            else:
                hunt.landed()
                landed += batch
        blamed += [shard for shard, _ in hunt.sentenced()]
    blamed += [shard for shard, _ in hunt.sentenced(at_the_end=True)]
    return Told(sorted(landed), sorted(blamed), hunt.verdict, commits)


@given(st.integers(1, 600), st.integers(1, 50))
def test_batches_hold_every_shard_once_in_order(count: int, size: int) -> None:
    cut = list(batches(range(count), size))
    assert [shard for batch in cut for shard in batch] == list(range(count))
    assert {len(batch) for batch in cut[:-1]} <= {size}


@given(st.data(), st.booleans(), st.integers(1, 60))
def test_p8_only_culprits_are_blamed(data: st.DataObject, names: bool, most: int) -> None:
    size = data.draw(st.integers(6, 60))
    # Two at the front, one anywhere: no search could tell many more there from a repo that refuses.
    culprits = data.draw(st.sets(st.sampled_from([0, 1, data.draw(st.integers(0, size - 1))])))
    told = search(size, culprits, names=names, most=most)
    assert told.verdict is None
    assert told.blamed == sorted(culprits)
    assert told.landed == [shard for shard in range(size) if shard not in culprits]


@given(st.sets(st.integers(100, 499), max_size=40), st.booleans())
def test_p8_many_culprits_are_found_once_something_has_landed(
    culprits: set[int], names: bool
) -> None:
    told = search(500, culprits, names=names, most=100)
    assert (told.verdict, told.blamed) == (None, sorted(culprits))
    assert told.landed == [shard for shard in range(500) if shard not in culprits]


@given(st.integers(0, 499), st.booleans())
def test_one_culprit_in_a_full_batch_costs_about_a_dozen_commits(culprit: int, names: bool) -> None:
    told = search(500, {culprit}, names=names)
    assert (told.blamed, told.commits <= 13) == ([culprit], True)


@given(st.integers(2, 500), st.integers(1, 500), st.booleans())
def test_p9_a_repo_that_refuses_everything_is_noticed(size: int, most: int, names: bool) -> None:
    told = search(size, set(range(size)), names=names, most=most)
    assert (told.landed, told.blamed, told.verdict) == ([], [], "no")
    assert told.commits <= MOST_REFUSALS


def test_a_shard_refused_on_its_own_is_blamed() -> None:
    assert search(1, {0}) == Told([], [0], None, 1)


def test_a_batch_that_lands_needs_no_search() -> None:
    assert search(500, set()) == Told(list(range(500)), [], None, 1)


def test_different_words_blame_each_shard() -> None:
    hunt: Search[str] = Search()
    hunt.begin(["a", "b"])
    for words in ("both are bad", "a is bad", "b is bad"):
        hunt.next_batch()
        hunt.refused(words)
    assert (hunt.next_batch(), hunt.verdict) == (None, None)
    assert hunt.sentenced() == []
    assert hunt.sentenced(at_the_end=True) == [("a", "a is bad"), ("b", "b is bad")]


def test_words_that_differ_in_the_name_of_the_shard_alone_are_the_same_words() -> None:
    hunt: Search[str] = Search()
    hunt.begin(["a", "b"])
    for name in "ab":
        hunt.next_batch()
        hunt.refused(f"no: h12_2/h11_3/bucket_5/run_{name}.parquet", [name])
    assert hunt.sentenced(at_the_end=True) == []
    assert hunt.verdict == "no: h12_2/h11_3/bucket_5/run_a.parquet"


def test_nobody_is_blamed_before_anything_has_landed() -> None:
    hunt: Search[str] = Search()
    hunt.begin(["a"])
    hunt.next_batch()
    hunt.refused("no")
    assert hunt.sentenced() == []
    hunt.begin(["b"])
    hunt.next_batch()
    hunt.landed()
    assert hunt.sentenced() == [("a", "no")]
    assert hunt.sentenced(at_the_end=True) == []


def test_a_search_tells_how_many_slots_it_needs() -> None:
    hunt: Search[int] = Search()
    hunt.begin(range(500))
    assert (hunt.next_batch(), hunt.commits_ahead) == (tuple(range(500)), 1)
    hunt.refused("no")
    assert hunt.commits_ahead == 9


@given(st.integers(1, 3), st.integers(3, 60), st.integers(1, 60), st.booleans())
def test_p9_a_repo_that_refuses_everything_from_some_moment_on_is_noticed(
    batches_before: int, bad: int, most: int, names: bool
) -> None:
    """Its quota is used up in the middle of a run: what follows is no shard's fault."""
    good = batches_before * most
    told = search(good + bad, set(range(good, good + bad)), names=names, most=most)
    assert (told.landed, told.blamed, told.verdict) == (list(range(good)), [], "no")
    assert told.commits <= batches_before + MOST_REFUSALS


def test_p9_after_a_dozen_refusals_it_is_the_repo_whatever_its_words() -> None:
    hunt: Search[int] = Search()
    for shard in range(MOST_REFUSALS):
        assert hunt.verdict is None
        hunt.begin([shard])
        hunt.next_batch()
        hunt.refused(f"no, {'because ' * shard}")
        assert hunt.sentenced() == []
    assert hunt.verdict == "no, " + "because " * 11
    assert hunt.sentenced(at_the_end=True) == []


def test_words_that_differ_in_the_id_of_the_request_alone_are_the_same_words() -> None:
    hunt: Search[str] = Search()
    hunt.begin(["a", "b"])
    for shard, number in zip("ab", ("6f", "70"), strict=True):
        hunt.next_batch()
        hunt.refused(f"no (Request ID: Root=1-{number})", [shard])
    assert hunt.sentenced(at_the_end=True) == []
    assert hunt.verdict == "no (Request ID: Root=1-6f)"


def test_two_bad_shards_at_the_end_of_a_good_run_are_blamed() -> None:
    told = search(5, {3, 4}, most=1)
    assert told == Told([0, 1, 2], [3, 4], None, 5)
