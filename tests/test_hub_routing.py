"""Several repos: a geometry's home is stable, and stays where it is published."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli.hub.routing import home_of

keys = st.lists(st.text("abcdef-0123456789", min_size=1, max_size=20), min_size=1, unique=True)
ids = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(ids, keys)
def test_a_home_does_not_hang_on_the_order_of_repos(geometry_id: str, repos: list[str]) -> None:
    assert home_of(geometry_id, repos, {}) == home_of(geometry_id, repos[::-1], {})


@given(ids, keys, st.data())
def test_a_repo_more_takes_geometries_but_never_shuffles_them(
    geometry_id: str, repos: list[str], data: st.DataObject
) -> None:
    added = data.draw(st.text("xyz", min_size=1))
    before = home_of(geometry_id, repos, {})
    assert home_of(geometry_id, [*repos, added], {}) in {before, added}


@given(ids, keys, st.data())
def test_a_published_geometry_stays(
    geometry_id: str, repos: list[str], data: st.DataObject
) -> None:
    there = data.draw(st.sampled_from(repos))
    assert home_of(geometry_id, repos, {geometry_id: there}) == there


def test_a_third_repo_takes_about_a_third() -> None:
    geometries = [f"{number:016x}" for number in range(3000)]
    before = [home_of(each, ["a", "b"], {}) for each in geometries]
    after = [home_of(each, ["a", "b", "c"], {}) for each in geometries]
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert (after.count("c"), 900 < moved < 1100) == (moved, True)


def test_homes_are_pinned() -> None:
    # Another home for a geometry would put one path into two repos.
    found = [home_of(f"{number:016x}", ["owner-a-1", "owner-b-2"], {}) for number in range(8)]
    assert "".join(home[6] for home in found) == "aababaaa"
