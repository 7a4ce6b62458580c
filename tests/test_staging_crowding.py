from pathlib import Path

import pytest

from vulcan_cli.staging import crowding
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.crowding import Crowd, crowds
from vulcan_cli.staging.ledger import Ledger, LedgerEntry

FOLDER, OTHER = "h12_2/h11_3/bucket_5", "h12_2/h11_-1/bucket_5"


def publish(area: StagingArea, repo: str, folder: str, files: int) -> None:
    Ledger(area).append(
        LedgerEntry(f"{folder}/run_{n}.parquet", "0" * 64, 1, repo, "main", "1" * 40, 1.0)
        for n in range(files)
    )


def test_the_ledger_what_waits_and_what_the_peer_moved_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowding, "MOST_IN_FOLDER", 10)
    monkeypatch.setattr(crowding, "MOST_IN_REPO", 20)
    area = StagingArea(tmp_path / "spool")
    area.create()
    waiting, here = {FOLDER: 3}, {FOLDER: 4, OTHER: 8}
    assert crowds(area, [], waiting=waiting, here=here) == ()
    assert crowds(area, ["main"], waiting={}, here={}) == ()
    publish(area, "main", FOLDER, 6)
    publish(area, "second", FOLDER, 9)
    publish(area, "elsewhere", FOLDER, 20)
    with (area.private / "ledger.jsonl").open("ab") as file:
        file.write(b'{"path": "torn')
    assert crowds(area, ["main", "second"], waiting=waiting, here=here) == (
        Crowd("main", FOLDER, 9, 10),
        Crowd("second", FOLDER, 9, 10),
    )
    waiting[OTHER] = 4
    assert crowds(area, ["main"], waiting=waiting, here=here) == (
        Crowd("main", OTHER, 12, 10),
        Crowd("main", "", 21, 20),
        Crowd("main", FOLDER, 9, 10),
    )


def test_the_folders_of_a_ledger_are_those_of_its_entries(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "spool")
    area.create()
    for repo, folder in (("a-0123", FOLDER), ("b-4567", OTHER)):
        publish(area, repo, folder, 2)
    ledger = Ledger(area)
    entries = [(entry.repo, entry.path.rpartition("/")[0]) for entry in ledger.entries()]
    assert list(ledger.folders()) == entries
