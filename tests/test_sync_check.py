"""What may be published: every hostile or broken entry beside two good shards."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli_support import vulcan
from tests.hostile_parquet import (
    NO_CATEGORIES,
    VIEWS,
    WIDE,
    array_bomb,
    array_bomb_in_lists,
    bomb,
    categories,
    deep_arrow_schema,
    deep_schema,
    dictionary_bomb,
    far_away,
    list_bomb,
    many_columns,
    many_groups,
    many_pairs,
    many_rows,
    modest,
    negative_chunk,
    negative_page,
    prefix_bomb,
    rewritten,
    shared_pages,
    twins,
    wide_arrow_schema,
    with_column,
    with_notes,
    with_provenance,
)
from tests.sync_support import (
    TOKEN,
    Place,
    grow_old,
    in_pairs,
    name_of,
    path_of,
    put,
    put_bytes,
    sha256_of_file,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import Aside, Unwanted, entries_aside, set_all_aside
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.sync import sift
from vulcan_cli.sync.check import Checked, NotChecked, check_all
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.verify import verify
from vulcan_cli.vacua import arrow_secrets, secrets
from vulcan_cli.vacua.geometry import file_name
from vulcan_cli.vacua.unpacked import opened

DATA = Path(__file__).parent / "data"
CHECKOUT = Path(__file__).parents[1]
OTHER_UID = 12345
BAD = name_of("bad")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def place(folder_place: Place) -> Place:
    """These are facts about files: one kind of repo is enough."""
    return folder_place


def run(area: StagingArea, place: Place, **options: Any) -> SyncReport:
    return sync(area, place.open(), SyncOptions(**options))


def checked(area: StagingArea, name: str = BAD, **how: Any) -> Checked | NotChecked:
    """The result for one entry; descriptors are closed."""
    entries = [entry for entry in area.scan("pending").entries if entry.name == name]
    (result,) = check_all(area, entries, now=time.time(), **how)
    if isinstance(result, Checked):
        result.close()
    return result


def with_metadata(**more: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        added = {key.encode(): value.encode() for key, value in more.items()}
        return table.replace_schema_metadata({**table.schema.metadata, **added})

    return change


def no_utf8() -> pa.Array:
    ends = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(3, ends, pa.py_buffer(b"\xff\xfe\xfd"))


GOOD = shard_bytes("bad")

BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no footer at its end"),
    "html": (
        lambda: b"<html><body>503 Service Unavailable</body></html>" * 9,
        "no footer at its end",
    ),
    "truncated": (
        lambda: GOOD[: len(GOOD) // 2],
        "no footer at its end",
    ),
    "no shard": (
        lambda: rewritten(GOOD, lambda table: table.replace_schema_metadata(None)),
        "no provenance in the Arrow schema's metadata",
    ),
    "unknown schema version": (
        lambda: rewritten(GOOD, with_provenance(schema_version=99)),
        "schema version 99, we know 1",
    ),
    "unknown schema version beside its provenance": (
        lambda: rewritten(GOOD, with_metadata(schema_version="2")),
        "schema version '2', we know 1",
    ),
    "rows of another run": (
        lambda: rewritten(GOOD, with_column("run_id", pa.array(["other"] * 3))),
        "its rows are not of the run and geometry that its footer names",
    ),
    "one row of another run": (
        lambda: rewritten(GOOD, with_column("run_id", pa.array(["bad", "bad", "other"]))),
        "its rows are not of the run and geometry that its footer names",
    ),
    "one row of no run": (
        lambda: rewritten(GOOD, with_column("run_id", pa.array(["bad", "bad", None]))),
        "its rows are not of the run and geometry that its footer names",
    ),
    "rows of another geometry": (
        lambda: rewritten(GOOD, with_column("ks_id", pa.array([7, 8, 7], pa.int32()))),
        "its rows are not of the run and geometry that its footer names",
    ),
    "footer of another run": (
        lambda: rewritten(GOOD, with_provenance(run_id="other")),
        "its rows are not of the run and geometry that its footer names",
    ),
    "name of another run": (
        lambda: shard_bytes("other"),
        f"it says of itself that it is {path_of('other')}",
    ),
    "more rows than the footer says": (
        lambda: rewritten(GOOD, with_provenance(n_rows=2)),
        "3 rows where its footer says 2",
    ),
    "no rows": (
        lambda: rewritten(GOOD, lambda t: with_provenance(n_rows=0)(t.slice(0, 0))),
        "0 rows where its footer says 0",
    ),
    "a column missing": (
        lambda: rewritten(GOOD, lambda table: table.drop_columns(["tau_im"])),
        "0 columns tau_im",
    ),
    "a column twice": (
        lambda: rewritten(GOOD, lambda table: table.append_column("tau_im", table["tau_re"])),
        "2 columns tau_im",
    ),
    "a column of another type": (
        lambda: rewritten(GOOD, with_column("tau_im", pa.array(["1", "2", "3"]))),
        "column tau_im is string",
    ),
    "a known column that holds something else": (
        lambda: rewritten(GOOD, with_column("W_re", pa.array(["1", "2", "3"]))),
        "column W_re is string",
    ),
    "a known column twice": (
        lambda: rewritten(
            GOOD,
            lambda table: with_column("seed", pa.array([1] * 3))(table).append_column(
                "seed", pa.array([1] * 3)
            ),
        ),
        "2 columns seed",
    ),
    "a number that its column cannot hold": (
        lambda: rewritten(GOOD, with_column("n_iterations", pa.array([1, 2, 1 << 40]))),
        "Integer value 1099511627776 not in range: -2147483648 to 2147483647",
    ),
    "a fraction in a column of whole numbers": (
        lambda: rewritten(GOOD, with_column("seed", pa.array([1.0, 2.5, 3.0]))),
        "Float value 2.500000 was truncated converting to int64",
    ),
    "text that is no UTF-8": (
        lambda: rewritten(GOOD, with_column("note", no_utf8())),
        "In column 15: Invalid: Invalid UTF8 sequence at string index 0",
    ),
    "a number of too many digits": (
        lambda: rewritten(GOOD, with_column("x", pa.array([[10**60]] * 3, pa.list_(WIDE)))),
        "a decimal number of 70 digits",
    ),
    "a map to a decimal number too wide": (
        lambda: rewritten(GOOD, with_column("x", pa.nulls(3, pa.map_(pa.string(), WIDE)))),
        "a decimal number of 70 digits",
    ),
    "arrays of no entries": (
        lambda: rewritten(GOOD, with_column("x", pa.array([[]] * 3, pa.list_(pa.int64(), 0)))),
        "arrays of no entries",
    ),
    "a column of all names": (
        lambda: rewritten(GOOD, with_column("*", pa.array([1, 2, 3]))),
        "'*' is a pattern for names, no name of a column or field",
    ),
    "a column of many names": (
        lambda: rewritten(GOOD, with_column("^flux$", pa.array([1, 2, 3]))),
        "'^flux$' is a pattern for names, no name of a column or field",
    ),
    "a field of many names": (
        lambda: rewritten(GOOD, with_column("x", pa.array([[{"^.*$": 1}], [], None]))),
        "'^.*$' is a pattern for names, no name of a column or field",
    ),
    "a view of lists": (
        lambda: rewritten(GOOD, with_column("x", pa.nulls(3, VIEWS[0]))),
        "a view of lists, which Polars cannot read",
    ),
    "a large view of lists": (
        lambda: rewritten(GOOD, with_column("x", pa.nulls(3, VIEWS[1]))),
        "a view of lists, which Polars cannot read",
    ),
    "a view of lists in lists": (
        lambda: rewritten(GOOD, with_column("x", pa.nulls(3, VIEWS[2]))),
        "a view of lists, which Polars cannot read",
    ),
    "categories that are longer than told": (
        lambda: rewritten(GOOD, with_notes(categories(), **NO_CATEGORIES[0])),
        "a category longer than all there is",
    ),
    "a category twice": (
        lambda: rewritten(GOOD, with_notes(categories(), _PL_ENUM_VALUES2="1;a1;a")),
        "a category twice",
    ),
    "categories that no number stands for": (
        lambda: rewritten(GOOD, with_notes(categories(), _PL_CATEGORICAL2="0;0;u99;")),
        "categories of no type",
    ),
    "two fields of one name": (
        lambda: rewritten(GOOD, with_column("x", twins())),
        "a struct names two of its fields alike",
    ),
    "a time that no calendar has": (
        lambda: rewritten(
            GOOD, with_column("created_at", pa.array([0, 1, 1 << 62], pa.timestamp("us", "UTC")))
        ),
        "column created_at holds a date of no calendar year",
    ),
    "a date that no calendar has": (
        lambda: rewritten(GOOD, with_column("x", pa.array([0, None, 1 << 30], pa.date32()))),
        "column x holds a date of no calendar year",
    ),
    "a date in a list that no calendar has": (
        lambda: rewritten(
            GOOD, with_column("x", pa.array([[0], None, [1, 1 << 30]], pa.list_(pa.date32())))
        ),
        "column x holds a date of no calendar year",
    ),
    "a time in a dictionary of a struct that no calendar has": (
        lambda: rewritten(GOOD, with_column("x", far_away())),
        "column x holds a date of no calendar year",
    ),
    "a time zone that is none": (
        lambda: rewritten(
            GOOD, with_column("x", pa.array([1] * 3, pa.timestamp("us", "Nowhere/\x1b[31m")))
        ),
        "there is no time zone 'Nowhere/\\x1b[31m'",
    ),
    "a token in the provenance": (
        lambda: rewritten(GOOD, with_provenance(solver={"name": TOKEN})),
        "its metadata holds what looks like a token",
    ),
    "a token in the metadata": (
        lambda: rewritten(GOOD, with_metadata(note=f"Bearer {TOKEN}")),
        "its metadata holds what looks like a token",
    ),
    "a token in the name of a column": (
        lambda: rewritten(GOOD, with_column(TOKEN, pa.array([1, 2, 3]))),
        "its metadata holds what looks like a token",
    ),
    "a token in the name of a field": (
        lambda: rewritten(GOOD, with_column("x", pa.array([{TOKEN: 1}] * 3))),
        "its metadata holds what looks like a token",
    ),
    "a token in text": (
        lambda: rewritten(GOOD, with_column("tags", pa.array([None, "a", f"see {TOKEN}"]))),
        "column tags holds what looks like a token",
    ),
    "a token in bytes": (
        lambda: rewritten(GOOD, with_column("x", pa.array([TOKEN.encode(), b"\xff", None]))),
        "column x holds what looks like a token",
    ),
    "a token in a list of lists": (
        lambda: rewritten(GOOD, with_column("x", pa.array([[["a"]], None, [[], [TOKEN]]]))),
        "column x holds what looks like a token",
    ),
    "a token in a struct": (
        lambda: rewritten(GOOD, with_column("x", pa.array([{"a": {"b": TOKEN}}, None, None]))),
        "column x holds what looks like a token",
    ),
    "a token in a map": (
        lambda: rewritten(
            GOOD,
            with_column(
                "x", pa.array([[("k", TOKEN)], [], None], pa.map_(pa.string(), pa.string()))
            ),
        ),
        "column x holds what looks like a token",
    ),
    "a token in a dictionary": (
        lambda: rewritten(GOOD, with_column("x", pa.array(["a", TOKEN, "a"]).dictionary_encode())),
        "column x holds what looks like a token",
    ),
    "a URL with a password": (
        lambda: rewritten(GOOD, with_column("tags", pa.array(["https://me:word@host/x"] * 3))),
        "column tags holds what looks like a token",
    ),
    "a row without flux": (
        lambda: rewritten(
            GOOD, with_column("flux", pa.array([[1], None, [2]], pa.list_(pa.int32())))
        ),
        "column flux holds nulls",
    ),
    "a row without a time": (
        lambda: rewritten(
            GOOD, with_column("created_at", pa.array([1, 2, None], pa.timestamp("us", "UTC")))
        ),
        "column created_at holds nulls",
    ),
    "a bomb of zeros": (lambda: bomb(GOOD), "it would unpack to 69000645 bytes"),
    "a bomb that its footer denies": (
        lambda: modest(bomb(GOOD)),
        "it would unpack to 69000645 bytes",
    ),
    "a bomb of run lengths": (lambda: many_rows(GOOD), "it would unpack to 128000000 bytes"),
    "a bomb in a dictionary": (
        lambda: dictionary_bomb(GOOD),
        "it would unpack to 300097623 bytes",
    ),
    "a bomb of beginnings": (lambda: prefix_bomb(GOOD), "it would unpack to 100656525 bytes"),
    "a bomb in lists": (lambda: list_bomb(GOOD), "it would unpack to 72000587 bytes"),
    "a bomb of arrays": (lambda: array_bomb(GOOD), "it would unpack to 216000420 bytes"),
    "a bomb of arrays in lists": (
        lambda: array_bomb_in_lists(GOOD),
        "it would unpack to 72144420 bytes",
    ),
    "a page of a negative length": (
        lambda: negative_page(GOOD),
        "unreadable as parquet: a negative number in the header of a page",
    ),
    "a column of a negative length": (
        lambda: negative_chunk(GOOD),
        "column tau_re is not within the file",
    ),
    "pages of another column": (
        lambda: shared_pages(GOOD),
        "unreadable as parquet: the header of a page",
    ),
    "more columns than are read": (
        lambda: many_columns(GOOD, 100_000),
        "its footer has 100001 columns, 100000 are read",
    ),
    "more row groups than are read": (
        lambda: many_groups(GOOD, 100_000),
        "its footer has 100001 row groups, 100000 are read",
    ),
    "more pairs than are read": (
        lambda: many_pairs(GOOD, 100_000),
        "its footer has 100006 key-value pairs, 100000 are read",
    ),
    "groups in groups": (
        deep_schema,
        "Parquet schema too deeply nested, consider increasing schema depth limit (current limit "
        "is 100)",
    ),
    "Arrow groups in groups": (deep_arrow_schema, "Invalid flatbuffers message."),
    "an Arrow schema of 2^30 fields": (wide_arrow_schema, "Invalid flatbuffers message."),
}


MADE: dict[str, bytes] = {}


def broken(what: str) -> bytes:
    """The bytes of an entry of `BROKEN`; some take a second to make."""
    if what not in MADE:
        MADE[what] = BROKEN[what][0]()
    return MADE[what]


@pytest.mark.parametrize("what", BROKEN)
def test_p15_what_is_no_shard_is_rejected_for_what_is_wrong_with_it(
    area: StagingArea, what: str
) -> None:
    why = BROKEN[what][1]
    put_bytes(area, BAD, broken(what))
    result = checked(area)
    assert isinstance(result, NotChecked)
    assert (result.verdict, result.why) == ("rejected", why)


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_with_a_young_file_may_still_come_right(area: StagingArea, what: str) -> None:
    why = BROKEN[what][1]
    put_bytes(area, BAD, broken(what), age_s=0)
    result = checked(area)
    assert isinstance(result, NotChecked)
    assert (result.verdict, result.why) == ("young", why)


def test_a_shard_whose_sidecar_no_name_is_short_enough_for_is_rejected(area: StagingArea) -> None:
    ending = len(SIDECAR_SUFFIX)
    longest = "x" * (255 - ending - len(name_of("")))
    why = "its name leaves no room for that of its sidecar"
    for run, verdict in ((longest, None), (f"{longest}y", ("rejected", why))):
        put_bytes(area, name_of(run), shard_bytes(run))
        result = checked(area, name_of(run))
        found = (result.verdict, result.why) if isinstance(result, NotChecked) else None
        assert found == verdict


def test_a_file_from_the_future_is_not_young_for_ever(area: StagingArea) -> None:
    put_bytes(area, BAD, b"nothing", age_s=-86_400 * 365)
    result = checked(area)
    assert isinstance(result, NotChecked)
    assert result.verdict == "rejected"


def test_a_good_shard_is_taken_at_once_however_young(area: StagingArea) -> None:
    file = put(area, "bad")
    result = checked(area)
    assert isinstance(result, Checked)
    assert (result.path_in_repo, result.sha256, result.size, result.footer.run_id) == (
        path_of("bad"),
        sha256_of_file(file),
        file.stat().st_size,
        "bad",
    )


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("wall_clock_s", pa.array([0.1, 2.0, None])),
        ("n_iterations", pa.array([1, 2, None], pa.int64())),
        ("mass2", pa.array([[1.0], [], None], pa.list_(pa.float32()))),
        ("residual", pa.nulls(3)),
        ("day", pa.array([-719162, None, 2932896], pa.date32())),
        ("then", pa.array([None, 0, 1], pa.timestamp("ns"))),
        ("solver_name", pa.array(["a", "a", None]).dictionary_encode()),
        ("is_susy", pa.array([True, None, False])),
        ("tau_re", pa.array([0.5, None, float("nan")])),
        ("tau_im", pa.array([0.0, -1.0, None])),
        ("tadpole_charge", pa.array([1, None, 3], pa.int32())),
    ],
)
def test_rows_that_the_peer_takes_are_published(
    area: StagingArea, name: str, cells: pa.Array
) -> None:
    """`stage` refuses such rows, but another program may have its reasons for them."""
    put_bytes(area, BAD, rewritten(GOOD, with_column(name, cells)))
    assert isinstance(checked(area), Checked)


NESTED = pa.struct(
    {
        "arrays": pa.list_(pa.list_(pa.int8(), 3), 2),
        "lists": pa.list_(pa.struct({"pair": pa.list_(pa.string(), 2)})),
        "map": pa.map_(pa.string(), pa.float64()),
    }
)


def test_arrays_lists_and_maps_in_several_row_groups_are_published(area: StagingArea) -> None:
    cell = {
        "arrays": [[1, 2, 3], [4, 5, 6]],
        "lists": [{"pair": ["a", "b"]}],
        "map": [("a", 1.0)],
    }
    change = with_column("more", pa.array([cell, cell, cell], NESTED))
    put_bytes(area, BAD, rewritten(GOOD, change, row_group_size=1))
    assert isinstance(checked(area), Checked)


@pytest.mark.parametrize("size", [64 << 20, 1])
def test_a_large_file_is_checked_as_a_small_one(
    area: StagingArea, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vulcan_cli.sync.check._AT_ONCE", size)
    file = put(area, "bad")
    put_bytes(area, name_of("worse"), BROKEN["a token in text"][0]())
    good, bad = checked(area), checked(area, name_of("worse"))
    assert isinstance(good, Checked)
    assert isinstance(bad, NotChecked)
    assert (good.sha256, good.size) == (sha256_of_file(file), file.stat().st_size)
    assert bad.why == "column tags holds what looks like a token"


def test_a_secret_beyond_the_first_rows_is_found(area: StagingArea) -> None:
    tags = ["a"] * 200_000 + [TOKEN]
    data = rewritten(
        shard_bytes("bad", count=3),
        lambda table: with_provenance(n_rows=len(tags))(
            with_column("tags", pa.array(tags))(table.take(pa.repeat(0, len(tags))))
        ),
    )
    put_bytes(area, BAD, data)
    result = checked(area)
    assert isinstance(result, NotChecked)
    assert result.why == "column tags holds what looks like a token"


def test_a_file_that_is_too_large_is_not_read(
    area: StagingArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vulcan_cli.sync.check.LARGEST_SHARD", 1000)
    monkeypatch.setattr("vulcan_cli.sync.check._AT_ONCE", 0)
    put_bytes(area, BAD, GOOD)
    result = checked(area)
    assert isinstance(result, NotChecked)
    assert (result.verdict, result.why) == ("rejected", "larger than 1000 bytes")


@pytest.mark.parametrize(
    "error",
    [
        *(kind("a header that ends early") for kind in (IndexError, KeyError, RecursionError)),
        OSError("Unexpected end of stream"),
        OSError(errno.EINVAL, "an offset that no file has"),
    ],
)
def test_p8_whatever_hostile_bytes_raise_is_a_bad_shard(error: Exception) -> None:
    with pytest.raises(BadShard), opened(pa.BufferReader(GOOD), Path("x")):
        raise error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EIO, "Input/output error"), errno.EIO),
        (pa.ArrowMemoryError("malloc of size 656064 failed"), errno.ENOMEM),
    ],
)
def test_p9_what_the_system_raises_is_not_the_files_fault(error: Exception, number: int) -> None:
    raised = pytest.raises(OSError, match=os.strerror(number))
    with raised as found, opened(pa.BufferReader(GOOD), Path("x")):
        raise error
    assert found.value.errno == number


SHORT_OF_MEMORY = """
import mmap, resource, sys, time
from pathlib import Path
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.check import check_all

area = StagingArea(Path(sys.argv[1]))
small, large = sorted(area.scan("pending").entries, key=lambda each: each.parquet.stat().st_size)
check_all(area, [small], now=time.time())
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * mmap.PAGESIZE + (8 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
results = check_all(area, [large, small], now=time.time())
print([(getattr(each, "verdict", "good"), getattr(each, "why", "")) for each in results])
"""


def test_p9_a_node_short_of_memory_rejects_no_shard(area: StagingArea) -> None:
    put(area, "good")
    data = rewritten(
        shard_bytes("large", count=1),
        lambda table: with_provenance(n_rows=300_000)(table.take(pa.repeat(0, 300_000))),
    )
    grow_old(put_bytes(area, name_of("large"), data))
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(area.root)],
        # Its blocks come from the system one by one, so that the limit meets the large ones.
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (
        "[('unreadable', 'Cannot allocate memory'), ('good', '')]\n",
        "",
    )


def test_p8_gigabytes_of_nothing_are_not_copied_nor_hashed(area: StagingArea) -> None:
    for name, size in (("one", 1 << 30), ("three", 3 << 30)):
        path = put_bytes(area, name_of(name), b"PAR1")
        os.truncate(path, size)
        path.chmod(0o666)
        grow_old(path)
    results = check_all(area, area.scan("pending").entries, now=time.time())
    assert [(each.verdict, each.why) for each in results if isinstance(each, NotChecked)] == [
        ("rejected", "no footer at its end"),
        ("rejected", "larger than 2147483648 bytes"),
    ]
    assert not (area.private / "outgoing").exists()


def test_p8_terabytes_of_nothing_keep_no_command_busy(area: StagingArea, tmp_path: Path) -> None:
    put(area, "good")
    grow_old(put_bytes(area, BAD, b""))
    os.truncate(area.pending / BAD, 1 << 42)
    grow_old(area.pending / BAD)
    env = {"VULCAN_STAGING_DIR": str(area.root), "VULCAN_REPO": f"file://{tmp_path / 'repo'}"}

    def ran(command: str) -> tuple[int, str, str]:
        done = vulcan(*command.split(), "-q", home=tmp_path, env=env)
        return done.code, done.out, done.err

    skipped = f"vulcan: skipped: {BAD} is not a shard: unreadable as parquet: {NOT_PARQUET}\n"
    why = "larger than 2147483648 bytes"
    found = f"bad\tpending\t{path_of('bad')}\t{why}\n"
    found += f"orphaned\tpending\t{path_of('bad')}\ta shard without its sidecar\n"
    assert ran("catalog --source staged --count") == (3, "1\n", skipped)
    assert ran("query --source staged --count") == (3, "3\n", skipped)
    assert ran("verify") == (3, found, "")
    assert ran("sync --create-repo") == (3, "", f"vulcan: {BAD} is rejected: {why}\n")
    assert ran("retry-failed --from-rejected") == (0, f"{path_of('bad')}\t{why}\n", "")
    assert ran("trim-synced --older-than 30d") == (0, "", "")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_text_may_be_of_either_size_as_the_peer_and_we_write_it(
    area: StagingArea, kind: pa.DataType
) -> None:
    put_bytes(area, BAD, rewritten(GOOD, with_column("run_id", pa.array(["bad"] * 3, kind))))
    assert isinstance(checked(area), Checked)


def test_shards_of_the_peer_pass(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "peer")
    area.create()
    for file in (DATA / "interop/staging").rglob("*__*"):
        (area.pending / file.name).write_bytes(file.read_bytes())
    entries = area.scan("pending").entries
    assert len(entries) > 3
    results = check_all(area, entries, now=time.time())
    assert [type(result) for result in results] == [Checked] * len(entries)
    for result in results:
        assert isinstance(result, Checked)
        result.close()


def change_sidecar(file: Path, **change: Any) -> None:
    sidecar = file.with_name(file.name + SIDECAR_SUFFIX)
    record = json.loads(sidecar.read_bytes()) | change
    sidecar.chmod(0o644)
    sidecar.write_text(json.dumps(record))


def instead(path: Path, make: Callable[[], None]) -> None:
    path.unlink()
    make()


def wrote(path: Path, data: bytes) -> None:
    path.write_bytes(data)


SIDECARS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "another sha256": (
        lambda file, _: change_sidecar(file, sha256="0" * 64),
        "its sidecar says another sha256",
    ),
    "another size": (lambda file, _: change_sidecar(file, size=1), "its sidecar says another size"),
    "another path": (
        lambda file, _: change_sidecar(file, path_in_repo="../README.md"),
        "its sidecar says another path_in_repo",
    ),
    "another run": (
        lambda file, _: change_sidecar(file, run_id="else"),
        "its sidecar says another run_id",
    ),
    "another count": (
        lambda file, _: change_sidecar(file, n_rows=2),
        "its sidecar says another n_rows",
    ),
    "no JSON": (lambda _, meta: wrote(meta, b"\xff{"), "its sidecar: not JSON"),
    "a list": (lambda _, meta: wrote(meta, b"[]"), "its sidecar: not a JSON object"),
    "brackets": (
        lambda _, meta: wrote(meta, b"[" * 500_000),
        "its sidecar: not JSON",
    ),
    "a wrong type": (
        lambda file, _: change_sidecar(file, n_rows="3"),
        "its sidecar: n_rows is no whole number",
    ),
    "300 MB": (
        lambda _, meta: os.truncate(meta, 300 << 20),
        "its sidecar: larger than 1048576 bytes",
    ),
    "a link": (
        lambda _, meta: instead(meta, lambda: meta.symlink_to("/etc/passwd")),
        "its sidecar: a symbolic link, not a regular file",
    ),
    "a FIFO": (
        lambda _, meta: instead(meta, lambda: os.mkfifo(meta)),
        "its sidecar: a FIFO, not a regular file",
    ),
}


@pytest.mark.parametrize("what", SIDECARS)
def test_a_sidecar_that_says_otherwise_rejects_its_shard(area: StagingArea, what: str) -> None:
    spoil, why = SIDECARS[what]
    file = put(area, "bad")
    meta = file.with_name(file.name + SIDECAR_SUFFIX)
    meta.chmod(0o644)
    spoil(file, meta)
    grow_old(file)
    result = checked(area)
    assert isinstance(result, NotChecked)
    assert (result.verdict, result.why) == ("rejected", why)


@needs_root
def test_p8_a_sidecar_that_another_account_put_there_says_nothing(
    area: StagingArea, place: Place
) -> None:
    file = put(area, "bad")
    sha256 = sha256_of_file(file)
    meta = file.with_name(file.name + SIDECAR_SUFFIX)
    meta.unlink()
    meta.write_text('{"sha256": "lies"}')
    os.chown(meta, OTHER_UID, OTHER_UID)
    grow_old(file)

    report = run(area, place)
    assert (report.n_committed, report.n_rejected, report.exit_code) == (1, 0, 0)
    assert place.tree() == {path_of("bad"): sha256}
    assert report.errors == [f"{BAD}: another account put a sidecar beside it; nobody read it"]
    # The next run writes a true one.
    put(area, "next")
    grow_old(area.synced / BAD)
    run(area, place)
    assert in_pairs(area.synced)
    told = json.loads((area.synced / f"{BAD}{SIDECAR_SUFFIX}").read_bytes())
    assert told["run_id"] == "bad"


@needs_root
def test_p17_what_another_account_may_change_is_sent_as_a_private_copy(area: StagingArea) -> None:
    file = put(area, "bad")
    os.chown(file, OTHER_UID, OTHER_UID)
    entries = area.scan("pending").entries
    (result,) = check_all(area, entries, now=time.time())
    assert isinstance(result, Checked)
    good = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(b"something else")
    assert (result.local.read_bytes(), result.identity.inode) == (good, file.stat().st_ino)
    result.close()
    assert list((area.private / "outgoing").iterdir()) == []


def test_p17_a_rehearsal_of_the_check_copies_nothing(area: StagingArea) -> None:
    put(area, "bad").chmod(0o666)
    assert isinstance(checked(area, copy=False), Checked)
    assert not (area.private / "outgoing").exists()


def _hostile(area: StagingArea, secret: Path) -> dict[str, str]:
    """Put every kind of entry into `pending/` that is no shard: name to what is said of it."""
    pending = area.pending
    path = area.pending / name_of("link")
    path.symlink_to(secret)
    os.link(secret, pending / name_of("hard-link"))
    os.mkfifo(pending / name_of("fifo"))
    (pending / name_of("folder")).mkdir()
    (pending / name_of("folder") / "inside.parquet").write_bytes(b"x")
    names = {
        name_of("link"): "a symbolic link, not a regular file",
        name_of("hard-link"): NOT_PARQUET,
        name_of("fifo"): "a FIFO, not a regular file",
        name_of("folder"): "a folder, not a regular file",
    }
    for name in FOREIGN:
        put_bytes(area, name, shard_bytes("bad"))
        names[name] = f"it says of itself that it is {path_of('bad')}"
    for what, (_, why) in BROKEN.items():
        name = name_of(f"broken-{what.replace(' ', '-')}")
        if "name of another run" not in what:
            put_bytes(area, name, broken(what))
            names[name] = why
    return names


NOT_PARQUET = "no footer at its end"
FOREIGN = (
    "README.md__x.parquet",
    "..__..__etc__passwd.parquet",
    "....__secret.parquet",
    ".gitattributes.parquet",
    "__.parquet",
    ".parquet",
    "h12_2__h11_3__bucket_99__run_x.parquet",
    "h12_2__h11_3__bucket_5__run_a__b.parquet",
    "h12_2__h11_3__bucket_5__run_new\nline.parquet",
    "h12_2__h11_3__bucket_5__run_\x1b[2J\x1b]0;evil\x07.parquet",
    "h12_2__h11_3__bucket_5__run_\udcff\udcfe.parquet",
    f"{'long' * 60}.parquet",
    "-rf.parquet",
)


def test_p8_one_bad_entry_changes_nothing_for_another(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"the password\n" * 20)
    grow_old(secret)
    good = {path_of(run): sha256_of_file(put(area, run)) for run in ("aaa", "zzz")}
    bad = _hostile(area, secret)

    report = run(area, place)
    assert place.tree() == good
    assert shards_in(area.synced) == {file_name(path): sha for path, sha in good.items()}
    aside = {each.name: each.why for each in entries_aside(area, "rejected")}
    assert aside == bad
    assert (report.n_committed, report.n_rejected, report.n_unreadable) == (2, len(bad), 0)
    assert (report.n_remaining, report.n_commits, report.exit_code) == (0, 1, 3)
    assert list(area.pending.iterdir()) == []
    assert secret.read_bytes() == b"the password\n" * 20

    again = run(area, place)
    assert (again.n_rejected, again.n_commits, again.exit_code) == (0, 0, 0)


def test_p8_what_its_writer_takes_away_meanwhile_is_no_trouble_of_the_disk(
    area: StagingArea, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(area, "good")
    put_bytes(area, BAD, b"nothing")

    def taken_away(
        area: StagingArea, entries: Sequence[Unwanted], **how: Any
    ) -> list[Aside | DiskTrouble]:
        (area.pending / BAD).unlink()
        return set_all_aside(area, entries, **how)

    monkeypatch.setattr(sift, "set_all_aside", taken_away)
    report = run(area, place)
    assert (report.n_committed, report.n_rejected, report.n_unreadable) == (1, 0, 0)
    assert (report.errors, report.exit_code) == ([], 0)


@needs_root
def test_p8_a_device_is_set_aside_unopened(area: StagingArea, place: Place) -> None:
    os.mknod(area.pending / BAD, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    put(area, "good")
    report = run(area, place)
    assert (report.n_committed, report.n_rejected) == (1, 1)
    (aside,) = entries_aside(area, "rejected")
    assert (aside.name, aside.why) == (BAD, "a device, not a regular file")


AS_ANOTHER = """
import encodings.ascii, encodings.latin_1, io, os, sys
from pathlib import Path
import polars
# While it may read them: Polars loads parts of itself when they are first used.
polars.DataFrame({"a": [1]}).write_parquet(file := io.BytesIO())
polars.scan_parquet(io.BytesIO(file.getvalue())).collect()
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
uid, staging, repo = sys.argv[1:]
os.setgid(int(uid))
os.setuid(int(uid))
report = sync(StagingArea(Path(staging)), DirectoryRepo(Path(repo)), SyncOptions())
print(report.n_committed, report.n_rejected, report.n_unreadable, report.exit_code)
print(*report.errors, sep="\\n")
"""


@pytest.fixture
def public_tmp() -> Iterator[Path]:
    """A folder that other accounts may enter, which pytest's own is not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@needs_root
def test_p8_what_cannot_be_read_or_moved_stays_and_is_counted(public_tmp: Path) -> None:
    """A head node that is not root: mode 000, and a folder of somebody else's."""
    area, place = StagingArea(public_tmp / "staging"), Place("directory", public_tmp)
    area.create()
    place.folder.mkdir()
    good = sha256_of_file(put(area, "good"))
    put(area, "mode").chmod(0o000)
    folder = area.pending / name_of("folder")
    folder.mkdir(mode=0o755)
    theirs = {folder, area.pending / name_of("mode")}
    for path in {area.root, *area.root.rglob("*"), place.folder} - theirs:
        os.chown(path, OTHER_UID, OTHER_UID)
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, str(OTHER_UID), str(area.root), str(place.folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            "1 0 2 6",
            f"{folder.name}: a folder, not a regular file; it stays: {folder}: Permission denied",
            f"{name_of('mode')}: Permission denied",
        ],
    )
    assert place.tree() == {path_of("good"): good}
    left = {path.name for path in area.pending.iterdir()}
    mode = name_of("mode")
    assert left == {mode, f"{mode}{SIDECAR_SUFFIX}", folder.name}


def test_lone_sidecars_and_foreign_names_are_left_alone(area: StagingArea, place: Place) -> None:
    put(area, "good")
    (area.pending / f"{BAD}{SIDECAR_SUFFIX}").write_text("{}")
    (area.pending / "notes.txt").write_text("mine")
    (area.pending / ".vsome.tmp").write_text("at work")
    report = run(area, place)
    assert (report.n_committed, report.n_remaining, report.exit_code) == (1, 0, 0)
    assert sorted(path.name for path in area.pending.iterdir()) == [
        ".vsome.tmp",
        f"{BAD}{SIDECAR_SUFFIX}",
        "notes.txt",
    ]


@pytest.mark.parametrize(
    "secret", [TOKEN, "Bearer abcdefgh1", "BEARER abcdefgh1", "bearer\tabcdefgh1", "S3://me@host"]
)
def test_p16_every_kind_of_secret_has_a_mark_that_is_looked_for_first(secret: str) -> None:
    assert secrets.looks_secret(secret)
    assert arrow_secrets.has_secret([pa.array(["a", f"see {secret}"])])
    assert not arrow_secrets.has_secret([pa.array(["hf_short", "a bearer of news", "s3://host/x"])])


def footers_in_memory() -> list[pq.FileMetaData]:
    return [kept for kept in gc.get_objects() if isinstance(kept, pq.FileMetaData)]


def test_footers_of_shards_that_were_read_do_not_stay_in_memory(area: StagingArea) -> None:
    """A command looks for garbage so seldom that thousands of them would come together."""
    for number in range(3):
        put(area, f"run{number}")
    gc.collect()
    # Other tests may have left some.
    before = footers_in_memory()
    gc.disable()
    try:
        found = verify(area, now=time.time())
        footers = [kept for kept in footers_in_memory() if not any(kept is one for one in before)]
    finally:
        gc.enable()
    assert (found.shards, footers) == (3, [])
