import csv
import io
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.cli_in_process import run, run_binary
from tests.cli_shards import shard, staged
from tests.cli_support import (
    CHECKOUT,
    VULCAN,
    Ran,
    clean,
    interrupted,
    interrupted_at_work,
    modules_after,
    on_full_disk,
    on_terminal,
    our_lines,
    vulcan,
)
from tests.dataset_support import put, vacua
from tests.folders import tree
from tests.vacua_support import rows
from vulcan_cli.vacua.geometry import Geometry, file_name

MOMENT = datetime(2026, 6, 1, 12, 30, 15, 250_000, tzinfo=UTC)
FIRST = Geometry(h11=3, h12=2, ks_id=0)
SECOND = Geometry(h11=5, h12=2, ks_id=7, triang_id=4, cicy_id=0)
THIRD = Geometry(h11=7, h12=3, conifold_id=1)
HERE = ("--staging-dir", "spool")
READ = "read synced of spool\n"
NOTHING = "  safe: nothing was changed\n  next: vulcan query --help\n"


def of_first() -> pl.DataFrame:
    return rows(3, tau_im=[1.0, 2.0, 3.0], is_susy=[True, False, None], created_at=[MOMENT] * 3)


def of_second() -> pl.DataFrame:
    """Text that needs quotes, floats that JSON has not, lists with nulls."""
    return rows(
        2,
        tau_im=[4.0, 5.5],
        created_at=[MOMENT] * 2,
        tags=['say "a", b\r\nc; é', None],
        residual=[math.nan, -math.inf],
        mass2=[[1e-300, None, math.inf], None],
        extra=[["x", None], []],
    )


def of_third() -> pl.DataFrame:
    return rows(
        4,
        tau_im=[6.0, 7.0, 8.0, 9.0],
        created_at=[MOMENT] * 4,
        is_susy=[False, True, True, False],
        is_isd=[True, True, False, None],
        flux=[[row, *range(15)] for row in range(4)],
        moduli_re=[[start, 0.5, 0.5] for start in (-1.0, 2.0, 0.0, 1.0)],
        moduli_im=[[1.5, 2.0, 2.5]] * 4,
    )


def make(folder: Path) -> Path:
    """Three published shards, nine rows, in `spool` and `repo` below a folder."""
    staged(folder, "a", of_first(), str(FIRST), solver="name=newton")
    staged(folder, "b", of_second(), str(SECOND))
    staged(folder, "c", of_third(), str(THIRD), solver="name=scipy")
    ran = run("sync", *HERE, "--repo", "./repo", "--create-repo", cwd=folder)
    assert ran == Ran(0, "committed=3 failed=0 remaining=0 commits=1\n", "")
    return folder


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of three shards, for tests that only read."""
    return make(tmp_path_factory.mktemp("query"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Another such folder, for tests that change it."""
    return make(tmp_path)


def stored(there: Path) -> pl.DataFrame:
    """All rows, read without vulcan: by path, then as written; columns in the contract's order."""
    files = [
        there / "spool/synced" / file_name(geometry.path_in_repo(run_id))
        for geometry, run_id in ((FIRST, "a"), (SECOND, "b"), (THIRD, "c"))
    ]
    frame = pl.concat([pl.read_parquet(file) for file in files], how="diagonal")
    known = (
        *("flux", "moduli_re", "moduli_im", "tau_re", "tau_im", "run_id", "geometry_id"),
        *("tadpole_charge", "created_at", "h11", "h12", "ks_id", "triang_id", "conifold_id"),
        *("cicy_id", "mass2", "residual", "is_susy", "is_isd", "solver_name", "tags", "extra"),
    )
    return frame.select(known)


def numbers(there: Path, *words: str) -> list[float]:
    """`tau_im` of the rows that match; it tells all rows apart."""
    ran = run("query", *HERE, *words, "--columns", "tau_im", "--json", cwd=there)
    assert (ran.code, ran.err) == (0, READ)
    return [json.loads(line)["tau_im"] for line in ran.out.splitlines()]


FILTERS: dict[str, list[float]] = {
    "": [1, 2, 3, 4, 5.5, 6, 7, 8, 9],
    "--run-id b": [4, 5.5],
    "--run-id b --run-id a": [1, 2, 3, 4, 5.5],
    "--run-id z": [],
    f"--geometry-id {THIRD.geometry_id}": [6, 7, 8, 9],
    f"--geometry-id {FIRST.geometry_id} --geometry-id {SECOND.geometry_id}": [1, 2, 3, 4, 5.5],
    "--h11 3": [1, 2, 3],
    "--h11 3..5": [1, 2, 3, 4, 5.5],
    "--h11 3..7": [1, 2, 3, 4, 5.5, 6, 7, 8, 9],
    "--h11 3,7": [1, 2, 3, 6, 7, 8, 9],
    "--h11 3 --h11 7": [1, 2, 3, 6, 7, 8, 9],
    "--h11 1..3,7..9": [1, 2, 3, 6, 7, 8, 9],
    "--h12 2 --h11 5..9": [4, 5.5],
    "--ks-id 0": [1, 2, 3],
    "--ks-id -1": [6, 7, 8, 9],
    "--triang-id 4": [4, 5.5],
    "--conifold-id 1": [6, 7, 8, 9],
    "--cicy-id 0": [4, 5.5],
    "--cicy-id 1": [],
    "--solver-name scipy": [6, 7, 8, 9],
    "--solver-name newton --solver-name scipy": [1, 2, 3, 6, 7, 8, 9],
    "--is-susy": [1, 7, 8],
    "--not-susy": [2, 6, 9],
    "--is-isd": [6, 7],
    "--not-isd": [8],
    "--is-susy --is-isd --h11 7": [7],
    "--limit 4": [1, 2, 3, 4],
    "--limit 0": [],
    "--sort -tau_im --limit 3": [9, 8, 7],
    "--sort h12,-tau_im": [5.5, 4, 3, 2, 1, 9, 8, 7, 6],
}


@pytest.mark.parametrize(("words", "found"), FILTERS.items(), ids=FILTERS)
def test_filters(there: Path, words: str, found: list[float]) -> None:
    assert numbers(there, *words.split()) == found
    counted = run("query", *HERE, *words.split(), "--count", "-q", cwd=there)
    assert counted == Ran(0, f"{len(found)}\n", "")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("tau_im > 2 AND moduli_re[1] < 1", [3, 4, 5.5, 6, 8]),
        ("is_susy", [1, 7, 8]),
        ("NOT is_susy OR tau_im = 1", [1, 2, 6, 9]),
        ("solver_name LIKE 'new%'", [1, 2, 3]),
        ("tags IS NOT NULL", [4]),
        ("h12 IN (3) AND is_isd IS NULL", [9]),
    ],
)
def test_conditions_in_sql(there: Path, condition: str, found: list[float]) -> None:
    assert numbers(there, "--where", condition) == found


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        (["tau_im > 2", "h12 = 2"], [3, 4, 5.5]),
        (["h12 = 2 OR h12 = 3", "is_susy"], [1, 7, 8]),
        (["is_susy -- all", "tau_im > 1", "tau_im < 8"], [7]),
        # Each looks at all rows, not at those that the other leaves.
        (["tau_im = max(tau_im)", "h12 = 2"], []),
        (["tau_im < 4", "tau_im = max(tau_im)"], []),
        (["tau_im = max(tau_im)", "tau_im > 4"], [9]),
    ],
)
def test_of_several_conditions_all_hold(
    there: Path, conditions: list[str], found: list[float]
) -> None:
    words = [word for condition in conditions for word in ("--where", condition)]
    assert numbers(there, *words) == found
    assert run("query", *HERE, *words, "--count", "-q", cwd=there) == Ran(0, f"{len(found)}\n", "")


def test_of_several_conditions_the_wrong_one_is_told(there: Path) -> None:
    words = ("query", *HERE, "-q", "--where", "tau_im > 5", "--where")
    assert run(*words, "h12 = )", cwd=there) == Ran(
        2,
        "",
        "vulcan: where 'h12 = )': expected: an expression, found: ), at character 7\n" + NOTHING,
    )
    assert run(*words, "h12 = 'two'", cwd=there) == Ran(
        2,
        "",
        "vulcan: where \"h12 = 'two'\": cannot compare string with numeric type (i32)\n" + NOTHING,
    )


WRONG = {
    "typo": (
        ["--where", "tau_imm > 3"],
        "there is no column 'tau_imm', at character 1: did you mean tau_im? columns are flux, ",
    ),
    "column": (["--columns", "tau_im,sseed"], "there is no column 'sseed': did you mean seed?"),
    "sort": (["--sort", "-hh11"], "there is no column 'hh11': did you mean h11?"),
    "syntax": (["--where", "tau_im >"], "where 'tau_im >': expected: an expression, found its end"),
    "sql": (
        ["--sql", "SELECT tau_imm FROM vacua"],
        "there is no column 'tau_imm', at character 8: did you mean tau_im? columns are flux, ",
    ),
    "two statements": (
        ["--sql", "SELECT 1 FROM vacua; DROP TABLE vacua"],
        "sql: one (and only one) statement can be parsed at a time, at character 20",
    ),
    "drop": (["--sql", "drop table vacua"], "sql: drop is refused: shards are only read, as by"),
    "delete": (
        ["--sql", "/* a */ -- b\n DELETE FROM vacua WHERE tau_im > 1"],
        "sql: DELETE is refused: shards are only read, as by SELECT",
    ),
    "integer": (["--h11", "x"], "'x' is neither an integer nor a range such as 3..7"),
    "range": (["--h11", "7..3"], "the range 7..3 is empty: the lower end comes first"),
    "source": (
        ["--source", "hub"],
        "--source is one of auto, synced, staged, repo, not 'hub'",
    ),
    "format": (["--format", "xml"], "--format is one of "),
    "ending": (["-o", "rows.xyz"], "rows.xyz ends in no known format: choose from "),
    "table": (["-o", "a.csv", "--format", "table"], "a table is for the terminal, not for a file"),
    "two": (["--count", "--files"], "--count, --files and --sql go one at a time"),
    "count in a file": (
        ["--count", "--format", "csv", "-o", "c.csv"],
        "-o is for rows, and --count prints none; > FILE keeps what it prints",
    ),
    "files in a file": (
        ["--files", "-o", "files.txt"],
        "-o is for rows, and --files prints none; > FILE keeps what it prints",
    ),
    "limited files": (
        ["--files", "--limit", "1"],
        "--limit is for rows, and --files prints none",
    ),
    "sorted files": (
        ["--files", "--sort", "-tau_im"],
        "--sort is for rows, and --files prints none",
    ),
    "columns of files": (
        ["--files", "--columns", "tau_im"],
        "--columns is for rows, and --files prints none",
    ),
    "count in a format": (
        ["--count", "--format", "csv"],
        "--format is for rows, and --count prints none",
    ),
    "limit": (["--limit", "-1"], "invalid value for '--limit': -1 is less than 0"),
    "revision": (["--revision", "x"], "a revision is one of the repo; say source repo to read x"),
    "no revision": (
        ["--source", "repo", "--revision", ""],
        "invalid value for '--revision': it is empty",
    ),
    **{
        f"revision {name!r}": (
            ["--source", "repo", f"--revision={name}"],
            f"invalid value for '--revision': no branch or commit is called {name!r}",
        )
        for name in ("..", ".", "-x", "a b", "a..b", "a/../b", "/a", "a/", "a~1", "x:y", "a.lock")
    },
}


@pytest.mark.parametrize(
    "typed",
    [
        "query --count",
        "query --format csv",
        "catalog --count",
        "catalog --format csv",
        "split",
        "split train --format csv",
        "split --out-dir ml",
        "plot tau",
    ],
)
def test_a_condition_that_fails_on_rows_is_wrong_usage(tmp_path: Path, typed: str) -> None:
    staged(tmp_path, "r", rows(1))
    command, *words = typed.split()
    where = ("--where", "CAST(run_id AS INT) = max(h11)")
    ran = run(command, *words, *where, *HERE, "--source", "staged", "-q", cwd=tmp_path)
    said = "conversion from `str` to `i32` failed in column 'run_id' for 1 out of 1 values: [\"r\"]"
    again = f"  safe: nothing was changed\n  next: vulcan {command} --help\n"
    assert ran == Ran(2, "", f"vulcan: {said}\n{again}")
    assert not (tmp_path / "ml").exists()


@pytest.mark.parametrize(("words", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_usage(there: Path, words: list[str], sentence: str) -> None:
    before = tree(there)
    ran = run("query", *HERE, *words, cwd=there)
    assert (ran.code, ran.out) == (2, "")
    told, *rest = ran.err.removeprefix(READ).splitlines()
    # The sentence goes on with what there is, which changes more often.
    assert told.startswith(f"vulcan: {sentence}")
    assert rest[0] == "  safe: nothing was changed"
    assert [line[:15] for line in rest[1:]] == ["  next: vulcan "]
    assert tree(there) == before


@pytest.mark.parametrize(
    "typed",
    [
        "query --columns wibble",
        "query --sql 'SELECT wibble FROM vacua'",
        "catalog --by wibble",
        "split train --features wibble",
    ],
)
def test_what_to_type_after_a_misspelt_column_reads_the_same_place(there: Path, typed: str) -> None:
    ran = run(*shlex.split(typed), *HERE, "--json", "-q", cwd=there)
    assert ran.code == 2
    (command,) = cast("list[str]", ran.error()["next"])
    again = run(*shlex.split(command)[1:], cwd=there)
    assert (again.code, again.out.count("\n")) == (0, 1)


def test_each_format_to_a_pipe_and_to_a_file_gives_the_rows_back(
    there: Path, tmp_path: Path
) -> None:
    expected = stored(there)
    for form, ending in (("parquet", "parquet"), ("arrow", "arrow"), ("arrow", "feather")):
        code, piped, err = run_binary("query", *HERE, "--format", form, cwd=there)
        assert (code, err) == (0, READ)
        file = tmp_path / f"rows.{ending}"
        ran = run("query", *HERE, "-o", file, cwd=there)
        assert ran == Ran(0, "", f"{READ}9 rows to {file}\n")
        read = pl.read_parquet if form == "parquet" else pl.read_ipc
        for frame in (read(io.BytesIO(piped)), read(file)):
            assert frame.schema == expected.schema
            assert frame.equals(expected)
    # Parquet is what a pipe gets where nobody says otherwise.
    assert run_binary("query", *HERE, "-q", cwd=there)[1][:4] == b"PAR1"


@pytest.mark.parametrize(
    "words",
    [
        ("query",),
        ("query", "--format", "csv"),
        ("query", "--sql", "SELECT h12 FROM vacua", "--json"),
        ("catalog", "--columns", "run_id,n_rows"),
        ("split", "train", "--format", "ndjson"),
        ("plot", "tau"),
    ],
)
def test_a_dash_is_stdout(there: Path, words: tuple[str, ...]) -> None:
    before = tree(there)
    piped = run_binary(*words, *HERE, cwd=there)
    assert piped[0] == 0
    assert run_binary(*words, *HERE, "-o", "-", cwd=there) == piped
    assert tree(there) == before


def test_a_file_may_be_called_a_dash(there: Path, tmp_path: Path) -> None:
    words = ("query", "--staging-dir", there / "spool", "--format", "csv", "--columns", "h12")
    piped = run(*words, "--limit", "2", cwd=tmp_path)
    assert (piped.code, piped.out.splitlines()) == (0, ["h12", "2", "2"])

    ran = run(*words, "--limit", "2", "-o", "./-", cwd=tmp_path)

    assert (ran.code, ran.out) == (0, "")
    assert (tmp_path / "-").read_bytes().decode() == piped.out


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "json", "arrow", "npz"])
def test_what_fails_before_the_first_row_writes_nothing(there: Path, form: str) -> None:
    statement = "SELECT flux + 'a' AS x FROM vacua"
    words = ("query", *HERE, "-q", "--format", form, "--sql")
    code, out, err = run_binary(*words, statement, cwd=there)
    assert (code, out, err.splitlines()[1:]) == (2, b"", NOTHING.splitlines())
    none = run_binary(*words, "SELECT h12 FROM vacua WHERE h12 > 99", cwd=there)
    assert (none[0], none[2], none[1] == b"") == (0, "", form == "ndjson")


def test_csv_to_a_pipe_and_to_a_file(there: Path, tmp_path: Path) -> None:
    code, piped, err = run_binary("query", *HERE, "--format", "csv", cwd=there)
    note = "vulcan: 1 number that JSON has not became null\n"
    assert (code, err) == (0, READ + note)
    file = tmp_path / "rows.csv"
    ran = run("query", *HERE, "-o", file, "--quiet", cwd=there)
    assert (ran, file.read_bytes()) == (Ran(0, "", note), piped)
    header, *lines = csv.reader(io.StringIO(piped.decode(), newline=""))
    expected = stored(there)
    assert header == expected.columns
    assert piped.count(b"\r\n") == 1 + 9 + 1
    for cells, row in zip(lines, expected.iter_rows(named=True), strict=True):
        for name, cell in zip(header, cells, strict=True):
            assert cell == in_csv(row[name]), name


def in_csv(value: object) -> str:
    """A value as it stands in a CSV cell."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return repr(value).replace("nan", "NaN")
        case datetime():
            return "2026-06-01T12:30:15.250000+0000"
        case list():
            return json.dumps(in_json(value), separators=(",", ":"))
    return str(value)


def in_json(value: object) -> object:
    """A value as JSON has it."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return "2026-06-01T12:30:15.250+00:00"
        case list():
            return [in_json(each) for each in value]
    return value


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_lists_of_one_length_are_an_array(there: Path, tmp_path: Path, form: str) -> None:
    pytest.importorskip("numpy")
    load = pytest.importorskip("numpy" if form == "npz" else "safetensors.numpy")
    file = tmp_path / f"rows.{form}"
    words = ("query", *HERE, "--columns", "flux,tau_im", "-q", "-o", file)
    wanted = stored(there).select("flux", "tau_im")

    assert run(*words, "--h12", "2", cwd=there) == Ran(0, "", "")

    read = load.load if form == "npz" else load.load_file
    arrays = dict(read(file))
    assert (arrays["flux"].dtype.str, arrays["flux"].shape) == ("<i4", (5, 12))
    held = {name: array.tolist() for name, array in arrays.items()}
    assert held == wanted.head(5).to_dict(as_series=False)
    assert run(*words, "--h12", "9", cwd=there) == Ran(0, "", "")
    empty = {name: array.shape for name, array in dict(read(file)).items()}
    assert empty == {"flux": (0, 0), "tau_im": (0,)}


def test_lists_of_several_lengths_and_what_to_type_then(own: Path) -> None:
    words = ("--columns", "flux,tau_im", "--where", "tau_im > 1")
    ran = run("query", *HERE, *words, "-q", "-o", "rows.npz", cwd=own)
    other, split = (
        "vulcan query --staging-dir spool --columns flux,tau_im --where 'tau_im > 1' -q "
        "-o FILE.parquet",
        "vulcan split --staging-dir spool --where 'tau_im > 1' -q --features flux,tau_im "
        "--list-max-len 16 --out-dir FOLDER --format npz",
    )
    assert ran == Ran(
        2,
        "",
        "vulcan: npz holds arrays: the lists of flux have 12 to 16 elements\n"
        f"  safe: nothing was changed\n  next: {other}\n  next: {split}\n",
    )
    assert not (own / "rows.npz").exists()
    assert run(*shlex.split(other)[1:], cwd=own).code == 0
    assert pl.read_parquet(own / "FILE.parquet").height == 8
    assert run(*shlex.split(split)[1:], cwd=own).code == 0
    assert (own / "FOLDER/train-00000-of-00001.npz").exists()


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_lists_inside_lists_that_no_length_evens_are_to_be_left_out(own: Path, form: str) -> None:
    inside = pl.Series([[[1, 2], [3]], [[1, 2]]])
    staged(own, "s", rows(2, odd=inside, extra=[[1], [1, 2]]), str(FIRST))
    words = (*HERE, "--source", "staged", "--run-id", "s", "-q")
    where = "--staging-dir spool --source staged --run-id s -q"
    reason = f"vulcan: {form} holds arrays: the lists of odd have {{}} to 2 elements: leave it out"

    alone = run("query", *words, "--columns", "h12,odd", "-o", f"a.{form}", cwd=own)
    beside = run("query", *words, "--columns", "h12,odd,extra", "-o", f"a.{form}", cwd=own)
    one = ("split", "all", "--splits", "all", "--fractions", "1", "--drop-geometry-id", *words)
    filled = run(*one, "--features", "odd", "--list-max-len=2", "-o", f"a.{form}", cwd=own)
    apart = run(*one, "--features", "h12,odd,extra", "-o", f"a.{form}", cwd=own)

    assert alone == Ran(2, "", f"{reason.format(1)}\n{NOTHING}")
    assert filled == Ran(2, "", f"{reason.format(0)}\n{NOTHING.replace('query', 'split')}")
    both = (
        f"{reason.format(1)}; the lists of extra have 1 to 2 elements\n  safe: nothing was changed"
    )
    cures = (
        f"vulcan split {where} --features h12,extra --list-max-len 2 --out-dir FOLDER "
        f"--format {form}",
        f"vulcan split all --splits all --fractions 1 --drop-geometry-id {where} -o a.{form} "
        "--features h12,extra --list-max-len 2",
    )
    assert beside == Ran(
        2,
        "",
        f"{both}\n  next: vulcan query {where} --columns h12,odd,extra -o FILE.parquet\n"
        f"  next: {cures[0]}\n",
    )
    assert apart == Ran(2, "", f"{both}\n  next: {cures[1]}\n")
    assert [run(*shlex.split(cure)[1:], cwd=own).code for cure in cures] == [0, 0]


def test_who_names_no_columns_keeps_all_that_are_arrays_at_one_length(own: Path) -> None:
    load = pytest.importorskip("numpy").load
    inside = {"odd": pl.Series([[[1, 2], [3]], [[1, 2]]]), "deep": pl.Series(2 * [[[1], [2]]])}
    file = staged(own, "s", rows(2, extra=[[1], [1, 2]], **inside), str(FIRST))
    where = "--staging-dir spool --source staged --run-id s -q"
    names = [name for name in pl.read_parquet_schema(file) if name not in inside]
    # The fluxes are longer than what is uneven, and stay whole; what is deep would be filled up.
    features = f"--features {','.join(names)} --list-max-len 12"

    for asked, cure, written in (
        (
            f"vulcan query {where} -o a.npz",
            f"vulcan split {where} {features} --out-dir ml --format npz",
            "ml/train-00000-of-00001.npz",
        ),
        (
            f"vulcan split train {where} --features {','.join([*names, *inside])} -o a.npz",
            f"vulcan split train {where} -o a.npz {features}",
            "a.npz",
        ),
    ):
        ran = run(*asked.split()[1:], cwd=own)
        assert ran.err.splitlines()[-1] == f"  next: {cure.replace('ml', 'FOLDER')}"
        assert run(*cure.split()[1:], cwd=own).code == 0
        arrays = load(own / written)
        assert (list(arrays), arrays["flux"].shape) == (names, (2, 12))


def test_a_column_that_is_no_array_of_numbers(own: Path) -> None:
    staged(own, "s", rows(1, tags=["x"], extra=[["x"]]), str(FIRST))
    words = ("query", *HERE, "--source", "staged", "--run-id", "s", "-q", "-o", "rows.npz")
    ran = run(*words, "--columns", "extra,tags", cwd=own)
    assert ran == Ran(
        2, "", f"vulcan: npz holds arrays: extra holds String: leave it out\n{NOTHING}"
    )


def test_json_to_a_pipe_and_to_a_file(there: Path, tmp_path: Path) -> None:
    expected = [
        {name: in_json(value) for name, value in row.items()}
        for row in stored(there).iter_rows(named=True)
    ]
    note = "vulcan: 3 numbers that JSON has not became null\n"
    lines = run("query", *HERE, "--json", cwd=there)
    assert (lines.code, lines.err) == (0, READ + note)
    assert [json.loads(line) for line in lines.out.splitlines()] == expected
    assert run("query", *HERE, "--format", "ndjson", "-q", cwd=there).out == lines.out
    array = run("query", *HERE, "--format", "json", "-q", cwd=there)
    assert (array.err, json.loads(array.out)) == (note, expected)
    for name, text in (("a.json", array.out), ("a.ndjson", lines.out), ("a.jsonl", lines.out)):
        assert run("query", *HERE, "-o", tmp_path / name, "-q", cwd=there).code == 0
        assert (tmp_path / name).read_text() == text


@pytest.mark.parametrize("typed", ["query", "catalog", "split train"])
def test_json_is_no_other_format(there: Path, typed: str) -> None:
    words = (*typed.split(), *HERE, "-q", "--json", "--format")
    ran = run(*words, "csv", cwd=there)
    assert (ran.code, ran.out, ran.error()["message"]) == (
        2,
        "",
        "--json prints ndjson, not csv: leave out one of --json and --format",
    )
    assert run(*words, "ndjson", cwd=there) == run(*words[:-1], cwd=there)
    # What goes to a file has any format; --json is for what is said.
    ran = run(*words, "csv", "-o", "/dev/null", cwd=there)
    assert (ran.code, ran.out) == (0, "")


def test_no_match_is_an_empty_result_of_the_same_types(there: Path, tmp_path: Path) -> None:
    expected = stored(there)
    code, piped, err = run_binary("query", *HERE, "--h11", "99", cwd=there)
    assert (code, err) == (0, READ)
    empty = pl.read_parquet(io.BytesIO(piped))
    assert (empty.height, dict(empty.schema)) == (0, dict(expected.schema))
    nobody = run("query", *HERE, "--where", "tau_im > 99", "--json", cwd=there)
    assert nobody == Ran(0, "", READ)
    nothing = run("query", *HERE, "--h11", "99", "--format", "json", "-q", cwd=there)
    assert nothing == Ran(0, "[]\n", "")
    words = ("--h11", "99", "--columns", "h11,flux", "--format", "csv")
    header = run("query", *HERE, *words, cwd=there)
    assert header == Ran(0, "h11,flux\r\n", READ)
    # Also of a staging directory that has nothing at all.
    for state in ("pending", "synced", "failed"):
        (tmp_path / "spool" / state).mkdir(parents=True)
    new = run("query", *HERE, "--count", cwd=tmp_path)
    assert new == Ran(0, "0\n", READ)
    _, piped, _ = run_binary("query", *HERE, cwd=tmp_path)
    assert pl.read_parquet(io.BytesIO(piped)).schema["flux"] == pl.List(pl.Int32)


def test_sql_over_the_rows_that_match(there: Path) -> None:
    statement = "SELECT h12, count(*) AS n, max(tau_im) AS top FROM vacua GROUP BY h12 ORDER BY h12"
    ran = run("query", *HERE, "--not-susy", "--sql", statement, "--format", "csv", cwd=there)
    assert ran == Ran(0, "h12,n,top\r\n2,1,2.0\r\n3,2,9.0\r\n", READ)
    nested = "SELECT tau_im, flux[2] AS f FROM vacua WHERE moduli_re[1] > 1"
    assert run("query", *HERE, "--sql", nested, "--json", "-q", cwd=there) == Ran(
        0, '{"tau_im":7.0,"f":0}\n', ""
    )


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["--limit", "5"], '{"h12":2,"n":5}\n{"h12":3,"n":4}\n'),
        (["--limit", "1"], '{"h12":2,"n":5}\n'),
        (["--sort", "-h12", "--limit", "1"], '{"h12":3,"n":4}\n'),
        (["--sort", "n", "--columns", "n"], '{"n":4}\n{"n":5}\n'),
        (["--columns", "n,h12"], '{"n":5,"h12":2}\n{"n":4,"h12":3}\n'),
        (["--where", "tau_im < 9", "--sort", "n"], '{"h12":3,"n":3}\n{"h12":2,"n":5}\n'),
    ],
)
def test_columns_order_and_limit_are_of_the_result_of_sql(
    there: Path, words: list[str], out: str
) -> None:
    statement = "SELECT h12, count(*) AS n FROM vacua GROUP BY h12 ORDER BY h12"
    ran = run("query", *HERE, "--sql", statement, *words, "--json", "-q", cwd=there)
    assert ran == Ran(0, out, "")


@pytest.mark.parametrize("option", ["--columns", "--sort"])
def test_a_column_that_the_result_of_sql_has_not(there: Path, option: str) -> None:
    statement = "SELECT count(*) AS number FROM vacua"
    ran = run("query", *HERE, "-q", "--sql", statement, option, "numbr", cwd=there)
    assert ran == Ran(
        2,
        "",
        "vulcan: there is no column 'numbr': did you mean number? columns are number\n"
        "  safe: nothing was changed\n"
        f"  next: vulcan query --staging-dir spool --sql '{statement}' --limit 1 --json\n",
    )
    gone = run("query", *HERE, "-q", "--sql", statement, option, "h12", cwd=there)
    assert gone.err.splitlines()[0] == "vulcan: there is no column 'h12': columns are number"


@pytest.mark.parametrize(
    ("apart", "together"),
    [
        (
            "query --json --columns h12 --columns tau_im,h11",
            "query --json --columns h12,tau_im,h11",
        ),
        (
            "query --json --columns h12,tau_im --sort -h12 --sort tau_im",
            "query --json --columns h12,tau_im --sort -h12,tau_im",
        ),
        ("catalog --json --by h12 --by h11", "catalog --json --by h12,h11"),
        (
            "split --splits a --splits b --fractions 0.5 --fractions 0.5",
            "split --splits a,b --fractions 0.5,0.5",
        ),
        (
            "split a --json --splits a --fractions 1 --features tau_im --features h12",
            "split a --json --splits a --fractions 1 --features tau_im,h12",
        ),
    ],
)
def test_names_of_an_option_that_is_given_twice_are_one_list(
    there: Path, apart: str, together: str
) -> None:
    wanted = run(*together.split(), *HERE, "-q", cwd=there)
    assert (wanted.code, wanted.out != "") == (0, True)
    assert run(*apart.split(), *HERE, "-q", cwd=there) == wanted


def test_counts_and_files(there: Path) -> None:
    words = ("query", *HERE, "--h12", "2")
    assert run(*words, "--count", cwd=there) == Ran(0, "5\n", READ)
    assert run(*words, "--count", "--json", cwd=there) == Ran(0, '{"count": 5}\n', READ)
    found = [(FIRST.path_in_repo("a"), FIRST), (SECOND.path_in_repo("b"), SECOND)]
    files = [f"spool/synced/{file_name(path)}" for path, _ in found]
    listed = run(*words, "--files", cwd=there)
    assert listed == Ran(0, "".join(f"{file}\n" for file in files), READ)
    as_json = run(*words, "--files", "--json", "-q", cwd=there)
    assert [json.loads(line) for line in as_json.out.splitlines()] == [
        {"path_in_repo": path, "file": file} for (path, _), file in zip(found, files, strict=True)
    ]


def test_files_are_those_whose_bounds_allow_a_match(there: Path) -> None:
    words = ("query", *HERE, "-q", "--where", "tau_im < 6")
    held = {
        file_name(geometry.path_in_repo(run_id))
        for geometry, run_id in ((FIRST, "a"), (SECOND, "b"), (THIRD, "c"))
    }
    wanted = [
        f"spool/synced/{name}"
        for name in sorted(held)
        if cast("float", pl.read_parquet(there / "spool/synced" / name)["tau_im"].min()) < 6
    ]
    assert 0 < len(wanted) < len(held)
    assert run(*words, "--files", cwd=there) == Ran(0, "".join(f"{file}\n" for file in wanted), "")


TABLE = """\
read synced of spool
┌─────┬─────┬──────────────┬────────┬─────────┬──────────┐
│ h11 ┆ h12 ┆ flux         ┆ tau_im ┆ is_susy ┆ residual │
╞═════╪═════╪══════════════╪════════╪═════════╪══════════╡
│   5 ┆   2 ┆ [0, 0, … 10] ┆    4.0 ┆ null    ┆      NaN │
│   5 ┆   2 ┆ [1, 0, … 10] ┆    5.5 ┆ null    ┆     -inf │
└─────┴─────┴──────────────┴────────┴─────────┴──────────┘
2 rows, 6 columns
"""


def test_a_table_on_a_terminal(there: Path) -> None:
    command = [*VULCAN, "query", *HERE, "--h11", "5"]
    columns = ["--columns", "h11,h12,flux,tau_im,is_susy,residual"]
    # One that cannot redraw a line: on a slow machine, how far it is would stand there, too.
    env = clean(there, COLUMNS="80", TERM="dumb")
    code, seen = on_terminal([*command, *columns], env, there)
    assert (code, seen) == (0, TABLE)
    for width, shown in ((80, 6), (200, 14)):
        env = clean(there, COLUMNS=str(width), TERM="dumb")
        code, seen = on_terminal([*VULCAN, "query", *HERE], env, there)
        _, *lines, told = seen.splitlines()
        assert code == 0
        assert {len(line) for line in lines} == {len(lines[0])}
        assert len(lines[0]) <= width
        assert len(lines) == 9 + 4
        names = [name.strip() for name in lines[1].strip("│").split("┆")]
        assert names == stored(there).columns[: len(names)]
        assert len(names) == shown
        assert told == f"9 rows, 22 columns; shown: {shown} columns (--columns chooses)"


def test_a_table_of_many_rows_shows_the_first(tmp_path: Path) -> None:
    staged(tmp_path, "r", rows(25))
    words = ("--source", "staged", "--format", "table", "--columns", "h11,flux")
    ran = run("query", *HERE, *words, cwd=tmp_path)
    assert (ran.code, len(ran.out.splitlines())) == (0, 20 + 4)
    assert ran.err == (
        "read pending and synced of spool\n"
        "25 rows, 2 columns; shown: the first 20 rows (-o FILE has all)\n"
    )


def test_what_a_shard_says_does_not_reach_a_terminal_raw(tmp_path: Path) -> None:
    staged(tmp_path, "r", rows(1, tags=["\x1b]0;owned\x07\x1b[2J"]))
    words = ("--source", "staged", "--columns", "tags")
    env = clean(tmp_path, COLUMNS="80", NO_COLOR="1")
    code, seen = on_terminal([*VULCAN, "query", *HERE, *words, "-q"], env, tmp_path)
    assert code == 0
    assert {letter for letter in seen if not letter.isprintable()} == {"\n"}


HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e\x7f\r\nX\U000e0001,"

EXACT = r"\u001b]0;owned\u0007" + "\x9b31m\u202e\x7f" + r"\r\nX" + "\U000e0001,"
ESCAPED = r"\u001b]0;owned\u0007\u009b31m\u202e\u007f\r\nX\udb40\udc01,"
TYPED = r"\x1b]0;owned\x07\x9b31m\u202e\x7f" + "\r\n" + r"X\U000e0001,"


@pytest.mark.parametrize(
    ("form", "piped", "shown"),
    [
        ("ndjson", f'{{"tags":"{EXACT}"}}\n', f'{{"tags":"{ESCAPED}"}}\n'),
        ("json", f'[\n{{"tags":"{EXACT}"}}\n]\n', f'[\n{{"tags":"{ESCAPED}"}}\n]\n'),
        ("csv", f'tags\r\n"{HOSTILE}"\r\n', f'tags\r\n"{TYPED}"\r\n'),
    ],
    ids=["ndjson", "json", "csv"],
)
def test_a_pipe_gets_text_exactly_and_a_terminal_gets_it_escaped(
    tmp_path: Path, form: str, piped: str, shown: str
) -> None:
    staged(tmp_path, "r", rows(1, tags=[HOSTILE]))
    words = ("query", *HERE, "--source", "staged", "--columns", "tags", "-q", "--format", form)
    assert run_binary(*words, cwd=tmp_path) == (0, piped.encode(), "")
    seen = on_terminal([*VULCAN, *words], clean(tmp_path), tmp_path)
    # What a terminal gets as the end of a line, "\r\n", is "\n" there.
    assert seen == (0, shown)
    if form != "csv":
        assert json.loads(shown) == json.loads(piped)


def test_bad_shards_beside_good_ones(own: Path) -> None:
    synced = own / "spool/synced"
    hidden = shard(own / "spool", "synced", "a", FIRST)
    broken = bytearray(hidden.read_bytes())
    hidden.chmod(0o600)
    hidden.write_bytes(broken[: len(broken) // 2])
    fifo = f"{file_name(FIRST.path_in_repo('fifo'))}"
    os.mkfifo(synced / fifo)
    (synced / file_name(FIRST.path_in_repo("link"))).symlink_to("/etc/passwd")
    (synced / file_name(FIRST.path_in_repo("folder"))).mkdir()
    ran = run("query", *HERE, "--columns", "tau_im", "--json", cwd=own)
    assert ran.code == 3
    assert [json.loads(line)["tau_im"] for line in ran.out.splitlines()] == [4, 5.5, 6, 7, 8, 9]
    first, *skipped, how_many = ran.err.splitlines(keepends=True)
    assert (first, how_many) == (READ, "vulcan: 4 shards were skipped\n")
    assert sorted(line.split(" is not a shard: ")[0] for line in skipped) == [
        f"vulcan: skipped: {file_name(FIRST.path_in_repo(name))}"
        for name in ("a", "fifo", "folder", "link")
    ]
    for words in (["--count"], ["--files"], ["-o", "out.csv"]):
        assert run("query", *HERE, *words, "-q", cwd=own).code == 3
    assert run("query", *HERE, "--count", cwd=own).out == "6\n"


def test_bad_shards_of_a_repo_are_named_by_their_paths_there(own: Path) -> None:
    paths = [geometry.path_in_repo("same") for geometry in (FIRST, THIRD)]
    for path in paths:
        (own / "repo" / path).parent.mkdir(parents=True, exist_ok=True)
        (own / "repo" / path).write_bytes(b"no shard")
    ran = run("query", "--repo", "./repo", "--source", "repo", "--count", "-q", cwd=own)
    why = "is not a shard: unreadable as parquet: no footer at its end"
    assert ran == Ran(
        3,
        "9\n",
        f"vulcan: skipped: {paths[0]} {why}\n"
        f"vulcan: skipped: {paths[1]} {why}\n"
        "vulcan: 2 shards were skipped\n",
    )


def test_rows_damaged_below_a_good_footer(own: Path) -> None:
    file = shard(own / "spool", "synced", "c", THIRD)
    data = bytearray(file.read_bytes())
    data[4:400] = b"\xff" * 396
    file.chmod(0o600)
    file.write_bytes(data)
    ran = run("query", *HERE, "--columns", "flux,moduli_re,tau_im", "--json", cwd=own)
    assert (ran.code, len(ran.out.splitlines())) == (3, 5)
    _, told = ran.err.splitlines()
    assert told.startswith(f"vulcan: skipped: {file.name} is not a shard: ")


def trimmed(own: Path) -> None:
    words = ("--repo", "./repo", "--keep-bytes", "0", "-q")
    assert run("trim-synced", *HERE, *words, cwd=own).code == 0
    assert list((own / "spool/synced").iterdir()) == []


def test_where_rows_are_read_from(own: Path) -> None:
    staged(own, "d", rows(2, tau_im=[10.0, 11.0]), geometry=str(FIRST))
    count = ("query", "--count")
    repo = ("--repo", "./repo")
    for words, number, told in (
        (HERE, 9, "read synced of spool"),
        ((*HERE, *repo), 9, "read synced of spool"),
        ((*HERE, "--source", "synced"), 9, "read synced of spool"),
        ((*HERE, "--source", "staged"), 11, "read pending and synced of spool"),
    ):
        assert run(*count, *words, cwd=own) == Ran(0, f"{number}\n", f"{told}\n")
    remote = run(*count, *HERE, *repo, "--source", "repo", cwd=own)
    alone = run(*count, *repo, cwd=own)
    assert (remote.code, remote.out) == (0, "9\n")
    assert remote.err.startswith(f"read file://{own}/repo at ")
    assert alone == remote

    trimmed(own)
    assert numbers_of(run("query", *HERE, *repo, "--json", cwd=own)) == (
        [1, 2, 3, 4, 5.5, 6, 7, 8, 9],
        "read synced of spool, and 3 trimmed shards of the repo\n",
    )
    assert run(*count, *HERE, "--source", "synced", cwd=own) == Ran(0, "0\n", READ)
    missing = run(*count, *HERE, cwd=own)
    assert (missing.code, missing.out) == (5, "")
    assert missing.err.splitlines() == [
        "vulcan: 3 trimmed shards can only be read from the repo that has them, which is not set: "
        f"it is known here as {key_of(own / 'repo')}",
        "  safe: they were deleted here because that repo had them",
        "  next: vulcan query --count --staging-dir spool --repo REPO",
    ]
    shutil.rmtree(own / "repo")
    gone = run(*count, *HERE, *repo, cwd=own)
    assert (gone.code, gone.out) == (5, "")
    assert gone.err.splitlines()[0] == (
        "vulcan: 3 trimmed shards can only be read from the repo: "
        f"there is no repo file://{own}/repo"
    )


def numbers_of(ran: Ran) -> tuple[list[float], str]:
    assert ran.code == 0
    note = "vulcan: 3 numbers that JSON has not became null\n"
    return [json.loads(line)["tau_im"] for line in ran.out.splitlines()], ran.err.replace(note, "")


def key_of(repo: Path) -> str:
    from vulcan_cli.hub.directory import DirectoryRepo  # noqa: PLC0415

    return DirectoryRepo(repo).key


def test_trimmed_shards_of_a_repo_that_is_not_named(own: Path) -> None:
    staged(own, "d", rows(2, tau_im=[10.0, 11.0]), geometry=str(FIRST))
    both = ("--repo", "./repo", "--repo", "./other")
    assert run("sync", *HERE, *both[2:], "--create-repo", "-q", cwd=own).code == 0
    assert run("trim-synced", *HERE, *both, "--keep-bytes", "0", "-q", cwd=own).code == 0
    words = ("query", *HERE, "--count")
    missing = [
        "vulcan: 1 trimmed shard can only be read from the repo that has it, which is not set: "
        f"it is known here as {key_of(own / 'other')}",
        "  safe: it was deleted here because that repo had it",
    ]
    typed = run(*words, "--repo", "./repo", cwd=own)
    again = "vulcan query --staging-dir spool --count --repo ./repo --repo REPO"
    assert typed == Ran(5, "", "\n".join([*missing, f"  next: {again}\n"]))
    # An option takes the place of what is set, so that goes with it.
    set_so = run(*words, cwd=own, env={"VULCAN_REPO": "./repo"})
    again = f"vulcan query --staging-dir spool --count --repo file://{own}/repo --repo REPO"
    assert set_so == Ran(5, "", "\n".join([*missing, f"  next: {again}\n"]))
    assert run(*words, *both, "-q", cwd=own) == Ran(0, "11\n", "")
    shutil.rmtree(own / "other")
    gone = run(*words, *both, cwd=own)
    assert (gone.code, gone.err.splitlines()[0]) == (
        5,
        "vulcan: 1 trimmed shard can only be read from the repo: "
        f"there is no repo file://{own}/other",
    )


def test_without_anything_to_read(tmp_path: Path) -> None:
    ran = run("query", cwd=tmp_path)
    assert ran == Ran(
        4,
        "",
        "vulcan: there is neither a staging directory nor a repo to read\n"
        "  safe: nothing was changed\n"
        "  next: export VULCAN_REPO=owner/name\n"
        "  next: vulcan query\n",
    )
    mistyped = run("query", "--staging-dir", "spoool", cwd=tmp_path)
    assert mistyped == Ran(
        4,
        "",
        "vulcan: there is no folder spoool\n"
        "  safe: nothing was changed\n"
        "  next: vulcan init spoool\n"
        "  next: vulcan query --staging-dir spoool\n",
    )
    assert run("query", "--source", "synced", *HERE, cwd=tmp_path).code == 4
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("typed", ["query --count", "catalog", "split", "plot tadpole"])
def test_a_folder_that_was_typed_and_is_missing_is_not_passed_over(there: Path, typed: str) -> None:
    words = (*typed.split(), "--repo", "./repo", "--staging-dir", "spoool")
    assert run(*words, cwd=there) == Ran(
        4,
        "",
        "vulcan: there is no folder spoool\n"
        "  safe: nothing was changed\n"
        "  next: vulcan init spoool\n"
        f"  next: {shlex.join(['vulcan', *words])}\n",
    )
    assert run(*words, "--source", "repo", "-q", cwd=there).code == 0


def test_a_folder_that_was_typed_and_lacks_a_state_is_not_passed_over(own: Path) -> None:
    (own / "spool/failed").rmdir()
    words = ("query", "--count", "--repo", "./repo", *HERE)
    ran = run(*words, cwd=own)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[0] == "vulcan: there is no folder spool/failed"


def test_a_folder_of_the_settings_that_is_elsewhere_leaves_the_repo(own: Path) -> None:
    alone = vulcan("query", "--count", "--repo", "./repo", home=own)
    assert (alone.code, alone.out) == (0, "9\n")
    (own / "vulcan.toml").write_text('staging_dir = "/cluster/only"\nrepo = "./repo"\n')
    assert vulcan("query", "--count", home=own) == alone
    env = {"VULCAN_STAGING_DIR": "/cluster/other"}
    assert vulcan("query", "--count", home=own, env=env) == alone


def test_the_repo_is_wanted_and_none_is_set(there: Path) -> None:
    for words in ((), HERE):
        ran = run("query", *words, "--source", "repo", "--count", cwd=there)
        typed = shlex.join(["vulcan", "query", *words, "--source", "repo", "--count"])
        assert ran == Ran(
            4,
            "",
            "vulcan: no repo is set\n"
            "  safe: nothing was changed\n"
            "  next: export VULCAN_REPO=owner/name\n"
            f"  next: {typed}\n",
        )


def test_what_waits_is_told_where_nothing_is_published(tmp_path: Path) -> None:
    staged(tmp_path, "r", rows(1))
    told = "read synced of spool, which is empty; 1 shard in pending, read by --source staged\n"
    assert run("query", *HERE, "--count", cwd=tmp_path) == Ran(0, "0\n", told)


def test_nothing_is_said_of_what_waits_where_other_shards_are_published(own: Path) -> None:
    staged(own, "s", rows(1))
    ran = run("query", *HERE, "--run-id", "nobody", "--count", cwd=own)
    assert ran == Ran(0, "0\n", "read synced of spool\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.csv", "vulcan: x.csv holds parquet; -o x.csv writes csv\n"),
        ("x.parquet", ""),
        ("x.dat", ""),
    ],
)
def test_a_name_that_promises_another_format(own: Path, name: str, said: str) -> None:
    with (own / name).open("wb") as file:
        done = subprocess.run(
            [*VULCAN, "query", *HERE, "-q"],
            env=clean(own),
            cwd=own,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stderr) == (0, said)
    assert (own / name).read_bytes()[:4] == b"PAR1"


def test_a_file_appears_whole_or_not_at_all(own: Path) -> None:
    old = b"what was there before"
    (own / "out.csv").write_bytes(old)
    assert run("query", *HERE, "--where", "nonsense(", "-o", "out.csv", cwd=own).code == 2
    assert (own / "out.csv").read_bytes() == old
    ran = on_full_disk("query", *HERE, "-q", "-o", "out.csv", home=own, blocks=1)
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.splitlines()[0] == "vulcan: out.csv: File too large"
    assert (own / "out.csv").read_bytes() == old
    nowhere = run("query", *HERE, "-q", "-o", "no/such/out.csv", cwd=own)
    assert (nowhere.code, nowhere.err.splitlines()[0]) == (
        6,
        "vulcan: no/such/out.csv: No such file or directory",
    )
    assert not (own / "no").exists()
    assert sorted(path.name for path in own.iterdir() if path.name[0] == ".") == []


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "arrow", "json"])
def test_a_full_disk_below_stdout(there: Path, form: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*VULCAN, "query", *HERE, "-q", "--format", form],
            env=clean(there),
            cwd=there,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
    told = [line for line in done.stderr.decode().splitlines() if "JSON has not" not in line]
    assert (done.returncode, told[0]) == (6, "vulcan: standard output: No space left on device")


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "table"])
def test_a_reader_that_has_read_enough(tmp_path: Path, form: str) -> None:
    frame = rows(20_000, tau_re=[row / 7 for row in range(20_000)])
    staged(tmp_path, "r", frame)
    words = ("--source", "staged", "-q", "--format", form)
    process = subprocess.Popen(
        [*VULCAN, "query", *HERE, *words],
        env=clean(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(4)
    process.stdout.close()
    assert (process.wait(timeout=60), process.stderr.read()) == (0, b"")
    process.stderr.close()


def test_an_interrupt(tmp_path: Path) -> None:
    staged(tmp_path, "r", rows(20_000))
    words = ("query", *HERE, "--source", "staged", "-q", "--format", "csv")
    process = subprocess.Popen(
        [*VULCAN, *words],
        env=clean(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # There is more to come than a pipe holds, so it is still at work.
    assert process.stdout.read(4) == "flux"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, our_lines(err)) == (130, interrupted(" ".join(words)))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_an_interrupt_leaves_nothing_of_a_file(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    staged(tmp_path, "r", pl.concat([rows(1_000)] * 300))
    folder = tmp_path / "out"
    folder.mkdir()
    words = ("query", *HERE, "--source", "staged", "-q", "-o", "out/vacua.ndjson")
    ran = interrupted_at_work(*words, home=tmp_path, folder=folder, number=number)
    assert (ran.code, ran.out, our_lines(ran.err)) == (code, "", interrupted(" ".join(words)))
    assert tree(folder) == {}


def test_what_a_killed_query_leaves_goes_by_the_recipe(tmp_path: Path) -> None:
    staged(tmp_path, "r", pl.concat([rows(1_000)] * 300))
    folder = tmp_path / "out"
    folder.mkdir()
    words = ("query", *HERE, "--source", "staged", "-q", "-o", "out/vacua.ndjson")
    ran = interrupted_at_work(*words, home=tmp_path, folder=folder, number=signal.SIGKILL)
    assert ran == Ran(-signal.SIGKILL, "", "")
    (left,) = folder.iterdir()
    lines = (CHECKOUT / "docs/recipes.md").read_text().splitlines()
    (recipe,) = [line for line in lines if line.startswith("find ")]
    subprocess.run(shlex.split(recipe), cwd=folder, check=True, timeout=60)
    assert list(folder.iterdir()) == [left]
    long_ago = left.stat().st_mtime - 25 * 3600
    os.utime(left, (long_ago, long_ago))
    subprocess.run(shlex.split(recipe), cwd=folder, check=True, timeout=60)
    assert tree(folder) == {}


def test_a_query_loads_only_what_it_needs(there: Path) -> None:
    loaded = modules_after(["query", *HERE, "--count"], there)
    heavy = {"pyarrow", "numpy", "pandas", "huggingface_hub", "httpx", "rich", "pydantic"}
    # What the command printed to stderr stands before the names of the modules.
    assert loaded & heavy == set()


def test_through_a_process(there: Path) -> None:
    ran = vulcan("query", *HERE, "--count", "--is-susy", home=there)
    assert ran == Ran(0, "3\n", READ)


def test_a_strangers_type_is_in_nobodys_way(tmp_path: Path) -> None:
    for state in ("pending", "failed", "synced"):
        (tmp_path / state).mkdir()
    synced = tmp_path / "synced"
    put(synced, vacua(2, odd="x"), "mine", h11=3, h12=2)
    put(synced, vacua(1, odd=[[1.0]]), "theirs", h11=3, h12=2)

    def ask(*words: str) -> Ran:
        return run(*words, "--staging-dir", tmp_path, "-q", cwd=tmp_path)

    plain = ask("query", "--json")
    error = plain.error()
    cures = cast("list[str]", error["next"])
    asked = f"vulcan query --json --staging-dir {tmp_path} -q"
    others = ",".join(pl.read_parquet_schema(next(synced.iterdir())))
    assert (plain.code, plain.out, error["kind"]) == (3, "", "ColumnClash")
    assert cures == [
        f"{asked} --columns {others.replace(',odd', '')}",
        f"{asked} --run-id theirs",
        f"vulcan catalog --staging-dir {tmp_path} --columns path_in_repo,columns",
    ]
    cured = run(*shlex.split(cures[0])[1:], cwd=tmp_path)
    assert (cured.code, cured.out.count("\n"), cured.err) == (0, 3, "")
    assert ask("query", "--count").out == "3\n"
    assert ask("catalog", "--is-susy", "--count").out == "0\n"
    assert ask("split", "--features", "flux,tau", "train", "--json").code == 0


def test_the_columns_beside_one_that_clashes_are_typed_as_they_are_read(tmp_path: Path) -> None:
    """In `--columns` a comma parts names, and spaces around them are nothing, but in quotes."""
    for state in ("pending", "failed", "synced"):
        (tmp_path / state).mkdir()
    strange = {"a,b": 1, " c": 2, "d e": 3}
    put(tmp_path / "synced", vacua(1, odd="x", **strange), "mine", h11=3, h12=2)
    put(tmp_path / "synced", vacua(1, odd=[[1.0]]), "theirs", h11=3, h12=2)
    asked = ("query", "--staging-dir", str(tmp_path), "-q", "--json")

    cure = shlex.split(cast("list[str]", run(*asked, cwd=tmp_path).error()["next"])[0])

    known = [*pl.read_parquet_schema(next((tmp_path / "synced").glob("*theirs*")))][:-1]
    assert cure == ["vulcan", *asked, "--columns", ",".join([*known, '" c"', '"a,b"', "d e"])]
    cured = run(*cure[1:], cwd=tmp_path)
    found = [[*json.loads(line)] for line in cured.out.splitlines()]
    assert (cured.code, found) == (0, [[*known, " c", "a,b", "d e"]] * 2)


STRANGE = {"a,b": [1, 2], " c": [3, 4], 'd"e': [5, 6], '"f': [7, 8], "-g": [9, 0]}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--columns", '"a,b"," c" , ks_id'), '"a,b", c,ks_id\r\n1,3,7\r\n2,4,7\r\n'),
        (("--columns", '"ks_id"', "--limit", "1"), "ks_id\r\n7\r\n"),
        (("--columns", '"d""e"', "--limit", "1"), '"d""e"\r\n5\r\n'),
        # A quote that does not end where a name ends is a letter, as it always was.
        (("--columns", 'd"e, "f,ks_id', "--limit", "1"), '"d""e","""f",ks_id\r\n5,7,7\r\n'),
        (("--columns", '"f," c"', "--limit", "1"), '"""f", c\r\n7,3\r\n'),
        (("--columns", "-g", "--limit", "1"), "-g\r\n9\r\n"),
        (("--columns", "ks_id,-g", "--sort", '-"a,b"'), "ks_id,-g\r\n7,0\r\n7,9\r\n"),
        (("--columns=-g", "--sort", 'ks_id, -" c"'), "-g\r\n0\r\n9\r\n"),
        (("--columns=-g", "--sort", '"a,b"'), "-g\r\n9\r\n0\r\n"),
        # A quoted name is the column, whatever it begins with.
        (("--columns", "ks_id,-g", "--sort", '"-g"'), "ks_id,-g\r\n7,0\r\n7,9\r\n"),
        (("--columns", "ks_id,-g", "--sort", '-"-g"'), "ks_id,-g\r\n7,9\r\n7,0\r\n"),
    ],
)
def test_a_name_in_double_quotes_is_one_name(
    tmp_path: Path, options: tuple[str, ...], found: str
) -> None:
    ran = run("query", *of_strange_columns(tmp_path), *options, cwd=tmp_path)

    assert ran == Ran(0, found, "")


def test_a_feature_in_double_quotes_is_one_feature(tmp_path: Path) -> None:
    one_split = ("split", "all", "--splits", '"all"', "--fractions", "1", "--drop-geometry-id")
    typed = (*one_split, *of_strange_columns(tmp_path), "--features", '"a,b",ks_id')

    assert run(*typed, cwd=tmp_path) == Ran(0, '"a,b",ks_id\r\n1,7\r\n2,7\r\n', "")


def of_strange_columns(root: Path) -> tuple[str | Path, ...]:
    """A staging directory whose shard has `STRANGE`, as options name it."""
    for state in ("pending", "failed", "synced"):
        (root / state).mkdir()
    put(root / "synced", vacua(2, **STRANGE), "a", ks_id=7)
    return ("--staging-dir", root, "-q", "--format", "csv")


@pytest.mark.parametrize("typed", ["", ",ks_id", "ks_id,", '""', 'ks_id,"" ,tau_re', " "])
def test_a_name_that_is_missing_is_wrong_usage(there: Path, typed: str) -> None:
    ran = run("query", *HERE, f"--columns={typed}", "--json", cwd=there)

    error = ran.error()
    assert (ran.code, error["message"]) == (2, f"names are written a,b, not {typed!r}")


CSV_WANTED = ("--format", "csv")


@pytest.mark.parametrize(
    ("words", "run_id", "found"),
    [
        (("--where", "note = 'hi'", "--count"), "text", "2\n"),
        (("--where", "note > 0", "--count"), "number", "1\n"),
        (("--sort=-note", "--columns", "run_id", *CSV_WANTED), "number", "run_id\r\nnumber\r\n"),
        (("--columns=note", *CSV_WANTED), "number", "note\r\n1\r\n"),
        (("--sql", "SELECT COUNT(*) AS n FROM vacua WHERE note = 'hi'", *CSV_WANTED), "text",
         "n\r\n2\r\n"),
    ],
)  # fmt: skip
def test_who_asks_for_a_column_that_clashes_is_given_a_run_that_has_it(
    tmp_path: Path, words: tuple[str, ...], run_id: str, found: str
) -> None:
    staged(tmp_path, "text", rows(2).with_columns(note=pl.lit("hi")))
    staged(tmp_path, "number", rows(1).with_columns(note=pl.lit(1)))
    where = ("--staging-dir", "spool", "--source", "staged")
    typed = ("query", *words, *where, "-q", "--run-id", "text", "--run-id", "number")
    ran = run(*typed, cwd=tmp_path)
    cure = shlex.join(["vulcan", *typed[:-4], "--run-id", run_id])
    assert (ran.code, ran.out, ran.err.splitlines()[1:]) == (
        3,
        "",
        [
            "  safe: nothing was changed",
            f"  next: {cure}",
            "  next: vulcan catalog --staging-dir spool --source staged "
            "--columns path_in_repo,columns",
        ],
    )
    assert run(*shlex.split(cure)[1:], cwd=tmp_path) == Ran(0, found, "")


def test_a_file_for_a_staging_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("query", "--staging-dir", "file", "--count", cwd=tmp_path)
    assert ran == Ran(
        4,
        "",
        "vulcan: file is no folder but a link or a file; vulcan goes nowhere else\n"
        "  safe: nothing was changed\n"
        "  next: export VULCAN_STAGING_DIR=/shared/folder\n"
        "  next: vulcan query --count\n",
    )


def test_files_of_wide_rows_have_short_row_groups(tmp_path: Path) -> None:
    synced = tmp_path / "spool/synced"
    synced.mkdir(parents=True)
    numbers = pl.int_range(2000 * 2500, eager=True).hash(1)
    spectrum = numbers.reshape((2000, 2500)).arr.to_list()
    shard = put(synced, vacua(2000, spectrum=spectrum), "wide", h11=3).file
    n_rows = (32 << 20) // ((shard.stat().st_size - 8192) // 2000)

    for words in ("query", "split all --splits all --fractions 1"):
        ran = run(*words.split(), *HERE, "--source", "synced", "-o", "out.parquet", cwd=tmp_path)
        assert (ran.code, ran.out) == (0, "")
        footer = pq.read_metadata(tmp_path / "out.parquet")
        groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        assert groups == [n_rows, 2000 - n_rows]
