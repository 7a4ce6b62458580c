"""The dataset card in a repo: true with each commit, and never in the way of a shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hubserver import Fault, LocalHub, Refusal
from tests.sync_support import NAME, Place, path_of, put, put_many, shard_bytes
from vulcan_cli.dataset.card import About, card
from vulcan_cli.dataset.sources import locate
from vulcan_cli.hub.repo import Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync import announce
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.report import SyncReport

README = "README.md"
VALIDATE = "/api/validate-yaml"
SAID: dict[str, Any] = {"licence": "cc-by-4.0", "citation": "Us (2026)"}


def run(area: StagingArea, repo: Repo, **options: Any) -> SyncReport:
    return sync(area, repo, SyncOptions(**{**SAID, **options}))


def there(place: Place) -> str:
    return place.open().fetch(README).read_bytes().decode()


def wanted(place: Place, before: str | None = None) -> str:
    """The card of what the repo holds, by its own footers and catalog."""
    repo = place.open()
    name = NAME if repo.is_remote else "./repo"
    shards = locate(None, [repo], "repo").catalog
    return card(before, shards, About(name, SAID["licence"], SAID["citation"])).text


def write(place: Place, text: str) -> None:
    """What a person does to the card, on the Hub with a commit."""
    if place.hub is None:
        (place.folder / README).write_text(text)
    else:
        place.hub.push(NAME, {README: text.encode()})


def test_each_commit_makes_the_card_true(
    area: StagingArea, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Also where a part of the catalog is in its base file.
    monkeypatch.setattr(announce, "MOST_RECENT", 2)
    for number in range(2):
        put_many(area, 5, prefix=f"turn{number}")
        report = run(area, place.open(), max_batch=2)
        assert (report.n_committed, report.errors) == (5, [])
        assert there(place) == wanted(place)
    assert "| 2 | 3 | 1 | 10 | 30 |" in there(place).splitlines()


def test_what_people_write_stays_and_is_in_no_way(area: StagingArea, place: Place) -> None:
    written = "---\npretty_name: Vacua\n---\n# Ours\n\nread this\n"
    write(place, written)
    put(area, "a")
    assert run(area, place.open()).errors == []
    once = there(place)
    assert once == wanted(place, written)
    write(place, once.replace("read this", "read that") + "\nand this\n")
    put(area, "bb")
    assert run(area, place.open()).errors == []
    head, _, rest = there(place).partition("<!-- vulcan: begin;")
    assert head.endswith("pretty_name: Vacua\n---\n# Ours\n\nread that\n\n")
    assert rest.endswith("\n<!-- vulcan: end -->\n\nand this\n")
    assert "| 2 | 3 | 1 | 2 | 6 |" in rest.splitlines()


def test_what_people_write_outlives_a_hub_that_says_it_is_not_there(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    write(hub_place, "# Ours\n\nread this\n")
    put(area, "a")
    hub.add_faults(Fault("status", f"/{README}$", "GET", status=404))
    report = run(area, hub_place.open())
    assert (report.n_committed, report.exit_code) == (1, 0)
    assert report.errors == [
        f"the card of {NAME} is not brought up to date: {NAME} gives no answer that makes sense: "
        f"{README} is there and cannot be read; the next sync that commits will do it"
    ]
    assert there(hub_place) == "# Ours\n\nread this\n"
    put(area, "bb")
    assert run(area, hub_place.open()).errors == []
    assert there(hub_place) == wanted(hub_place, "# Ours\n\nread this\n")


def test_shards_of_others_count_too(area: StagingArea, place: Place) -> None:
    """On the Hub they are committed; into a folder they may be copied."""
    put(area, "a")
    assert run(area, place.open()).errors == []
    path, data = path_of("theirs"), shard_bytes("theirs", 9, mine=1)
    if place.hub is None:
        (place.folder / path).write_bytes(data)
    else:
        place.hub.push(NAME, {path: data})
    put(area, "bb")
    assert run(area, place.open()).errors == []
    assert there(place) == wanted(place)
    lines = there(place).splitlines()
    assert {"| 2 | 3 | 1 | 3 | 9 |", "| `mine` | int32 |  |  |"} <= set(lines)


def test_it_is_read_once_in_a_run_and_asked_about_once(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    put_many(area, 6)
    before = len(hub.requests())
    assert run(area, hub_place.open(), max_batch=2).n_commits == 3
    asked = [(each.method, each.path, each.status) for each in hub.requests()[before:]]
    reads = [each for each in asked if each[1].endswith(README)]
    assert [(method, status) for method, _, status in reads] == [("GET", 404)]
    # Once by us before a slot is spent, once by the Hub's client with each commit.
    assert [each for each in asked if each[1] == VALIDATE] == [("POST", VALIDATE, 200)] * 4
    before = len(hub.requests())
    assert run(area, hub_place.open()).n_commits == 0
    assert hub.requests()[before:] == []


def test_a_card_that_is_not_wanted_is_not_made(area: StagingArea, place: Place) -> None:
    put(area, "a")
    assert run(area, place.open(), card=False).n_committed == 1
    with pytest.raises(FileNotFoundError):
        there(place)


def test_a_pull_request_holds_no_card(area: StagingArea, hub_place: Place, hub: LocalHub) -> None:
    put(area, "a")
    assert run(area, hub_place.open(), create_pr=True).errors == []
    assert README not in hub.tree(NAME, "refs/pr/1")


REFUSED = {
    "before the commit": Fault(
        "status", VALIDATE, "POST", status=400, body={"errors": [{"message": "no such license"}]}
    ),
    "with the commit": Fault(
        "status",
        VALIDATE,
        "POST",
        skip=1,
        status=400,
        body={"errors": [{"message": "no such license"}]},
    ),
    "no answer": Fault("status", VALIDATE, "POST", status=500, body={"error": "no such license"}),
}


@pytest.mark.parametrize("when", REFUSED)
def test_a_card_that_the_hub_refuses_is_left_out_and_said(
    area: StagingArea, hub_place: Place, hub: LocalHub, when: str
) -> None:
    staged = put_many(area, 4)
    hub.add_faults(REFUSED[when])
    report = run(area, hub_place.open(), max_batch=2)
    assert (report.n_committed, report.n_commits, report.exit_code) == (4, 2, 0)
    (said,) = report.errors
    assert said.startswith(f"the card of {NAME} is not brought up to date: ")
    late = "no such license (HTTP 500); the next sync that commits will do it"
    assert said.endswith(late if when == "no answer" else "no such license")
    assert hub.tree(NAME).keys() == {".gitattributes", "_vulcan/catalog/head", *staged}
    put(area, "next")
    assert run(area, hub_place.open()).errors == []
    assert there(hub_place) == wanted(hub_place)


def test_a_card_that_nobody_can_check_is_left_out_and_costs_no_slot(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    hub.add_faults(Fault("status", VALIDATE, "POST", status=200, body="<html>", times=None))
    put_many(area, 2)
    report = run(area, hub_place.open())
    assert (report.n_committed, report.exit_code) == (2, 0)
    assert report.errors == [
        f"the card of {NAME} is not brought up to date: {NAME} gives no answer that makes sense: "
        "Expecting value: line 1 column 1 (char 0); the next sync that commits will do it"
    ]
    assert len(hub.attempts(NAME)) == 1
    assert README not in hub.tree(NAME)


@pytest.mark.parametrize("names", [True, False])
def test_a_repo_that_refuses_the_card_gets_shards_and_catalog(
    area: StagingArea, hub_place: Place, hub: LocalHub, *, names: bool
) -> None:
    staged = put_many(area, 4)
    hub.refuse_paths(Refusal("^README", message="Invalid YAML metadata", names_path=names))
    report = run(area, hub_place.open(), max_batch=2)
    assert (report.n_committed, report.n_failed, report.exit_code) == (4, 0, 0)
    assert len(report.errors) == 1
    assert report.errors[0].startswith(f"the card of {NAME} is not brought up to date: Invalid")
    assert hub.tree(NAME).keys() == {".gitattributes", "_vulcan/catalog/head", *staged}


CARDS = {
    "no text": (b"\xff\xfe", "README.md is no text in UTF-8"),
    "too large": (b"x" * ((4 << 20) + 1), "README.md has more than 4 MiB"),
}


@pytest.mark.parametrize("what", CARDS)
def test_a_card_that_is_none_of_ours_to_keep_is_left_alone(
    area: StagingArea, place: Place, what: str
) -> None:
    data, why = CARDS[what]
    if place.hub is None:
        (place.folder / README).write_bytes(data)
    else:
        place.hub.push(NAME, {README: data})
    put(area, "a")
    report = run(area, place.open())
    name = place.open().name
    assert (report.n_committed, report.exit_code) == (1, 0)
    assert report.errors == [f"the card of {name} is not brought up to date: {why}"]
    assert place.open().fetch(README).read_bytes() == data


def test_columns_that_do_not_fit_each_other_leave_the_card_out(
    area: StagingArea, place: Place
) -> None:
    put(area, "a", mine="text")
    put(area, "bb", mine=1)
    report = run(area, place.open())
    assert (report.n_committed, report.exit_code) == (2, 0)
    assert report.errors == [
        f"the card of {place.open().name} is not brought up to date: column mine is String in "
        f"{path_of('a')} and Int32 in {path_of('bb')}, and a card gives a column one type; "
        "shards are committed without it"
    ]


def test_a_link_is_not_written_through(area: StagingArea, tmp_path: Path) -> None:
    place = Place("directory", tmp_path)
    place.folder.mkdir()
    (tmp_path / "elsewhere").write_text("mine\n")
    (place.folder / README).symlink_to(tmp_path / "elsewhere")
    put_many(area, 2)
    report = run(area, place.open(), max_batch=1)
    assert (report.n_committed, report.exit_code, len(report.errors)) == (2, 0, 1)
    assert (tmp_path / "elsewhere").read_text() == "mine\n"
