"""`vulcan catalog`, and completion of values."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from tests import cli_in_process
from tests.cli_support import CHECKOUT, clean, modules_after, on_terminal, vulcan
from tests.dataset_support import put, vacua
from vulcan_cli.dataset.inventory import AVAILABLE
from vulcan_cli.staging.area import StagingArea

HEAVY = {"pydantic", "polars", "pyarrow", "numpy", "pandas", "huggingface_hub", "rich"}


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    """Five shards in synced, one in pending."""
    area = StagingArea(tmp_path / "spool")
    area.create()
    put(area.synced, vacua(2, is_susy=[True, False]), "a", h12=2, h11=3, ks_id=30)
    put(area.synced, vacua(3, is_susy=False), "b", h12=2, h11=3, ks_id=31)
    put(area.synced, vacua(4, solver_name="n"), "c", h12=2, h11=4, ks_id=31)
    put(area.synced, vacua(8, note=1), "d", h12=3, h11=3, ks_id=4)
    put(area.synced, vacua(1), "e", h12=3, h11=3, ks_id=4, triang_id=7)
    put(area.pending, vacua(5), "f", h12=3, h11=3, ks_id=35)
    return area


def run(area: StagingArea, *words: str) -> tuple[int, str, str]:
    env = {"VULCAN_STAGING_DIR": str(area.root)}
    done = cli_in_process.run("catalog", *words, cwd=area.root.parent, env=env)
    return done.code, done.out, done.err


def rows(area: StagingArea, *words: str) -> list[dict[str, object]]:
    code, out, _ = run(area, "--json", *words)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


def ids(area: StagingArea, *words: str) -> str:
    return "".join(str(row["run_id"]) for row in rows(area, "--columns", "run_id", *words))


def size(area: StagingArea, *runs: str) -> int:
    files = [*area.synced.iterdir(), *area.pending.iterdir()]
    return sum(file.stat().st_size for file in files if file.stem.rpartition("run_")[2] in runs)


def test_it_tells_all_of_a_shard(area: StagingArea) -> None:
    (row,) = rows(area, "--run-id", "d")

    assert tuple(row) == AVAILABLE
    known = {key: row[key] for key in ("run_id", "h11", "h12", "ks_id", "triang_id", "n_rows")}
    assert known == {"run_id": "d", "h11": 3, "h12": 3, "ks_id": 4, "triang_id": -1, "n_rows": 8}
    assert (row["min_tau_im"], row["max_tau_im"], row["max_is_susy"]) == (1.0, 8.0, None)
    assert (row["state"], row["bytes"]) == ("synced", size(area, "d"))
    assert row["columns"] == pl.read_parquet(str(row["file"])).columns


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], "abcde"),
        (["--source", "staged"], "abcdfe"),
        (["--h12", "2"], "abc"),
        (["--ks-id", "30..31", "--h11", "3"], "ab"),
        (["--is-susy"], "a"),
        (["--not-susy"], "ab"),
        (["--solver-name", "n"], "c"),
        (["--where", "n_rows > 2 AND max_tau_im < 5"], "bc"),
        (["--where", "n_rows > 2", "--where", "max_tau_im < 5"], "bc"),
        (["--sort", "-n_rows", "--limit", "2"], "dc"),
        (["--where", "array_contains(columns, 'note')"], "d"),
    ],
)
def test_the_filters_of_query_choose_shards(
    area: StagingArea, words: list[str], found: str
) -> None:
    assert "".join(sorted(ids(area, *words))) == "".join(sorted(found))


def test_sums_by_columns(area: StagingArea) -> None:
    summed = rows(area, "--by", "h12,h11")

    assert summed == [
        {"h12": 2, "h11": 3, "shards": 2, "n_rows": 5, "bytes": size(area, "a", "b")},
        {"h12": 2, "h11": 4, "shards": 1, "n_rows": 4, "bytes": size(area, "c")},
        {"h12": 3, "h11": 3, "shards": 2, "n_rows": 9, "bytes": size(area, "d", "e")},
    ]
    top = rows(area, "--by", "ks_id", "--sort", "-n_rows", "--limit", "1", "--columns", "ks_id")
    assert top == [{"ks_id": 4}]


def test_formats_and_talk_as_query(area: StagingArea, tmp_path: Path) -> None:
    code, out, err = run(area, "--by", "state", "--format", "csv")
    told = f"read synced of {area.root}\n5 shards, 18 rows, "
    assert (code, out) == (
        0,
        f"state,shards,n_rows,bytes\r\nsynced,5,18,{size(area, *'abcde')}\r\n",
    )
    assert err.startswith(told)
    assert run(area, "--count", "--h12", "2", "-q") == (0, "3\n", "")
    file = tmp_path / "shards.parquet"
    assert run(area, "-o", str(file), "-q") == (0, "", "")
    assert pl.read_parquet(file)["run_id"].sort().to_list() == list("abcde")


def test_on_a_terminal_it_is_a_table(area: StagingArea, tmp_path: Path) -> None:
    env = {**clean(tmp_path), "COLUMNS": "80", "TERM": "dumb"}
    words = [sys.executable, "-m", "vulcan_cli", "catalog", "--h12", "3", "--sort", "run_id"]

    code, seen = on_terminal([*words, "--staging-dir", str(area.root)], env, tmp_path)

    assert code == 0
    assert seen.splitlines()[1:7] == [
        "┌────────┬─────┬─────┬───────┬────────┐",
        "│ run_id ┆ h12 ┆ h11 ┆ ks_id ┆ n_rows │",
        "╞════════╪═════╪═════╪═══════╪════════╡",
        "│ d      ┆   3 ┆   3 ┆     4 ┆      8 │",
        "│ e      ┆   3 ┆   3 ┆     4 ┆      1 │",
        "└────────┴─────┴─────┴───────┴────────┘",
    ]


def test_bad_shards_are_named_each_time(area: StagingArea) -> None:
    bad = next(file for file in area.synced.iterdir() if "run_c" in file.name)
    bad.chmod(0o644)
    bad.write_bytes(b"nothing")
    for _ in range(2):
        code, out, err = run(area, "--count")
        assert (code, out) == (3, "4\n")
        assert err.splitlines()[1:] == [
            f"vulcan: skipped: {bad.name} is not a shard: "
            "unreadable as parquet: no footer at its end"
        ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--by", "h13"], "there is no column 'h13': did you mean h12?"),
        (["--by", "h12,h12"], "the column h12 is named twice\n"),
        (["--by", "h12,n_rows"], "n_rows is summed in each group; group by another column\n"),
        (
            ["--by", "h12,h11", "--columns", "ks_id"],
            "there is no column 'ks_id': columns are h12, h11, shards, n_rows, bytes\n",
        ),
        (
            ["--by", "h12,h11", "--sort", "-ks_id"],
            "there is no column 'ks_id': columns are h12, h11, shards, n_rows, bytes\n",
        ),
        (["--columns", "tau_im"], "there is no column 'tau_im': did you mean min_tau_im?"),
        (["--where", "n_rows >"], "where 'n_rows >': expected: an expression, found its end"),
        (["--count", "--by", "h12"], "--count and --by go one at a time"),
        (["--count", "-o", "n.csv"], "-o is for rows, and --count prints none; > FILE keeps"),
        (["--format", "xml"], "--format is one of "),
    ],
)
def test_what_makes_no_sense_is_refused(area: StagingArea, words: list[str], sentence: str) -> None:
    code, out, err = run(area, "-q", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"vulcan: {sentence}")


def completed(area: StagingArea, line: str, **env: str) -> list[str]:
    asked = {
        "_VULCAN_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"vulcan {line}",
        "VULCAN_STAGING_DIR": str(area.root),
        **env,
    }
    return [line for line in vulcan(home=area.root.parent, env=asked).out.splitlines() if line]


def test_values_are_offered_with_their_shards(area: StagingArea) -> None:
    run(area, "--source", "staged", "--count")

    assert completed(area, "query --ks-id 3") == ["30\t1 shard", "31\t2 shards"]
    assert completed(area, "query --source staged --ks-id 3") == [
        "30\t1 shard",
        "31\t2 shards",
        "35\t1 shard",
    ]
    assert completed(area, "split --h11 4,") == ["4,3\t4 shards", "4,4\t1 shard"]
    assert completed(area, "catalog --run-id ") == [f"{run}\t1 shard" for run in "abcde"]
    assert completed(area, "query --columns flux,no") == ["flux,note\t1 shard"]
    assert completed(area, "query --sort ks_id,-tau_i") == ["ks_id,-tau_im\t5 shards"]
    elsewhere = f"query --staging-dir {area.root} --ks-id 30"
    assert completed(area, elsewhere, VULCAN_STAGING_DIR="/nowhere") == ["30\t1 shard"]


def test_without_a_catalog_nothing_is_offered(area: StagingArea) -> None:
    assert completed(area, "query --ks-id 3") == []
    assert completed(area, "query --ks-id 3", VULCAN_STAGING_DIR="/nowhere") == []
    assert completed(area, "query --ks-id 3", VULCAN_BUDGET="x") == []


def test_offering_values_loads_nothing_heavy(area: StagingArea) -> None:
    run(area, "--count")
    env = {
        "_VULCAN_COMPLETE": "complete_bash",
        "COMP_WORDS": "vulcan query --ks-id 3",
        "COMP_CWORD": "3",
        "VULCAN_STAGING_DIR": str(area.root),
    }
    loaded = modules_after([], area.root.parent, env)
    assert "vulcan_cli.dataset.catalog_words" in loaded
    assert HEAVY & loaded == set()


def test_the_checkout_has_its_page() -> None:
    assert (CHECKOUT / "man/man1/vulcan-catalog.1").is_file()
