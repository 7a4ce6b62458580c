"""Content of repos is looked at once, and only what will be read of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile_parquet import leafless, negative_page
from tests.sync_support import shard_bytes
from vulcan_cli.dataset.trust import SOUND, Sound
from vulcan_cli.errors import BadShard

SHA = "a" * 64
WHY = "unreadable as parquet: a negative number in the header of a page"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A link to a shard, as the Hub client's cache has them."""
    (tmp_path / "blob").write_bytes(shard_bytes("good"))
    (tmp_path / "good").symlink_to("blob")
    return tmp_path / "good"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A shard whose column `tau_re` ends a reader."""
    (tmp_path / "bad").write_bytes(negative_page(shard_bytes("bad")))
    return tmp_path / "bad"


def test_what_was_found_sound_is_not_looked_at_again(tmp_path: Path, good: Path, bad: Path) -> None:
    sound = Sound(tmp_path / "notes")
    sound.check(good, SHA)
    sound.keep()
    for later in (sound, Sound(tmp_path / "notes")):
        later.check(bad, SHA)
        with pytest.raises(BadShard, match=WHY):
            later.check(bad, "b" * 64)
        later.keep()
    assert (tmp_path / "notes" / SOUND).read_text() == f"{SHA}\n"


def test_content_without_a_name_is_looked_at_every_time(
    tmp_path: Path, good: Path, bad: Path
) -> None:
    sound = Sound(tmp_path / "notes")
    sound.check(good, None)
    sound.keep()
    with pytest.raises(BadShard, match=WHY):
        sound.check(bad, None)
    assert not (tmp_path / "notes").exists()


def test_only_columns_that_will_be_read_are_looked_at(tmp_path: Path, bad: Path) -> None:
    sound = Sound(None)
    sound.check(bad, SHA, ["tau_im", "flux"])
    with pytest.raises(BadShard, match=WHY):
        sound.check(bad, "b" * 64, ["flux", "tau_re"])
    sound.keep()
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_columns_that_no_schema_has_are_no_shards(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(leafless(shard_bytes("bad")))
    why = "unreadable as parquet: more columns than its schema has"
    with pytest.raises(BadShard, match=why):
        Sound(None).check(tmp_path / "bad", None)


def test_notes_that_cannot_be_kept_are_no_harm(tmp_path: Path, good: Path) -> None:
    (tmp_path / "notes" / SOUND).mkdir(parents=True)
    sound = Sound(tmp_path / "notes")
    sound.check(good, SHA)
    sound.keep()
    Sound(tmp_path / "notes").check(good, SHA)
