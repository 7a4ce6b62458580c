import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import cast

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import CSV, KEYS, PARQUET, shard, staged, written
from tests.cli_support import (
    VULCAN,
    Ran,
    clean,
    in_shell,
    modules_after,
    on_full_disk,
    on_terminal,
    python,
    vulcan,
)
from tests.folders import tree
from tests.vacua_support import GEOMETRY, rows
from vulcan_cli.errors import BadShard
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.shard import read_footer

TOKEN = "hf_" + "abcdefghij" * 3
DIGEST = "376574e99730d7fb9435ccd549aeab54"
RUN_ID = f"X_na_h11-272_h12-2_ks-1_triang-0_seed-na_{DIGEST[:16]}"
HERE = ("-g", KEYS, "--staging-dir", "spool", "--set", "date=X")
"""What most command lines need."""


def document(run_id: str, n_rows: int, digest: str, status: str) -> dict[str, object]:
    return {
        "run_id": run_id,
        "path_in_repo": GEOMETRY.path_in_repo(run_id),
        "path": str(shard(Path("spool"), "pending", run_id)),
        "n_rows": n_rows,
        "digest": digest,
        "status": status,
    }


def test_a_path_a_line_or_json_a_line_and_the_same_rows_are_one_shard(tmp_path: Path) -> None:
    file = written(tmp_path, "results.parquet", rows())
    path = shard(Path("spool"), "pending", RUN_ID)
    first = run("stage", file, *HERE, cwd=tmp_path)
    assert first == Ran(0, f"{path}\n", "")
    held = tree(tmp_path / "spool")
    assert sorted(held) == [
        *("failed", "pending", f"pending/{path.name}", f"pending/{path.name}.meta.json", "synced"),
    ]
    again = run("stage", file, *HERE, cwd=tmp_path)
    assert again == Ran(0, f"{path}\n", f"{RUN_ID} is in pending/ already\n")
    assert run("stage", file, *HERE, "-q", cwd=tmp_path) == Ran(0, f"{path}\n", "")
    ran = run("stage", file, *HERE, "--json", "--quiet", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.document() == document(RUN_ID, 2, DIGEST, "already-staged")
    assert tree(tmp_path / "spool") == held


def lists_as(frame: pl.DataFrame, before: str, between: str, after: str) -> pl.DataFrame:
    return frame.with_columns(
        pl.col(name)
        .map_elements(
            lambda cell: before + between.join(map(repr, cell)) + after, return_dtype=pl.String
        )
        .alias(name)
        for name in ("flux", "moduli_re", "moduli_im")
    )


def writings(frame: pl.DataFrame) -> dict[str, bytes]:
    """One frame in every way that a solver may write it."""
    parquet, arrow, stream = BytesIO(), BytesIO(), BytesIO()
    frame.write_parquet(parquet)
    frame.write_ipc(arrow)
    frame.write_ipc_stream(stream)
    as_json = lists_as(frame, "[", ", ", "]").write_csv().encode()
    plain = lists_as(frame, "", " ", "").write_csv().encode()
    header, _, body = as_json.partition(b"\n")
    return {
        "parquet": parquet.getvalue(),
        "arrow": arrow.getvalue(),
        "arrow stream": stream.getvalue(),
        "ndjson": frame.write_ndjson().encode(),
        "CSV, lists with brackets": as_json,
        "CSV, lists as compact JSON": lists_as(frame, "[", ",", "]").write_csv().encode(),
        "CSV, lists with spaces": plain,
        "CSV, byte order mark": b"\xef\xbb\xbf" + plain,
        "CSV, spaced header": header.replace(b",", b" , ") + b" \n" + body,
        "CSV, of Windows": plain.replace(b"\n", b"\r\n"),
    }


def test_every_way_to_write_the_rows_is_the_same_shard(tmp_path: Path) -> None:
    frame = rows()
    ways = writings(frame)
    staged(tmp_path, "other", rows(3))
    words = ("stage", *HERE, "--json")
    for number, (way, data) in enumerate(ways.items()):
        file = tmp_path / f"results{number}"
        file.write_bytes(data)
        said = [
            run(*words, file, cwd=tmp_path),
            run(*words, "-", cwd=tmp_path, stdin=data),
            run(*words, cwd=tmp_path, stdin=data),
        ]
        status = ["already-staged" if number else "staged", "already-staged", "already-staged"]
        assert [ran.document() for ran in said] == [
            document(RUN_ID, 2, DIGEST, each) for each in status
        ], way
    assert sorted(path.name for path in (tmp_path / "spool/pending").glob("*.parquet")) == [
        shard(Path(), "", RUN_ID).name,
        shard(Path(), "", "other").name,
    ]


def test_real_vacua_from_a_process_and_a_pipe(tmp_path: Path) -> None:
    from_file = vulcan("stage", PARQUET, *HERE, "--json", home=tmp_path)
    assert (from_file.code, from_file.err) == (0, "")
    run_id = str(from_file.document()["run_id"])
    piped = vulcan("stage", *HERE, home=tmp_path, stdin=CSV.read_text())
    assert piped == Ran(
        0,
        f"{shard(Path('spool'), 'pending', run_id)}\n",
        f"{run_id} is in pending/ already\n",
    )
    stored = pl.read_parquet(shard(tmp_path / "spool", "pending", run_id))
    given = pl.read_parquet(PARQUET)
    assert stored.select(given.columns).cast(given.schema).equals(given)


def test_a_shell_may_give_a_pipe_for_a_file(tmp_path: Path) -> None:
    command = f"{shlex.join(VULCAN)} stage <(cat {shlex.quote(str(CSV))}) {shlex.join(HERE)}"
    ran = in_shell(command, home=tmp_path)
    (path,) = (tmp_path / "spool/pending").glob("*.parquet")
    assert (ran.code, ran.out) == (0, f"{path.relative_to(tmp_path)}\n")


THREADS = """
import os, sys
from vulcan_cli.__main__ import main
main(sys.argv[1:])
import polars
print(os.environ["POLARS_MAX_THREADS"], polars.thread_pool_size(), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("env", "threads"),
    [({}, min(4, len(os.sched_getaffinity(0)))), ({"POLARS_MAX_THREADS": "7"}, 7)],
)
def test_a_worker_leaves_processors_to_others(
    tmp_path: Path, env: dict[str, str], threads: int
) -> None:
    ran = python(THREADS, "stage", CSV, *HERE, "--quiet", home=tmp_path, env=env)
    assert (ran.code, ran.err) == (0, f"{threads} {threads}\n")


def test_a_terminal_is_no_input(tmp_path: Path) -> None:
    command = [*VULCAN, "stage", *HERE]
    code, seen = on_terminal(command, clean(tmp_path, NO_COLOR="1"), tmp_path)
    assert (code, seen) == (
        2,
        "vulcan: there is no input: name a file, or pipe one in\n"
        "  safe: nothing was changed\n"
        "  next: vulcan stage --help\n",
    )
    assert not (tmp_path / "spool").exists()


def test_what_an_option_gives_is_named_with_its_option(tmp_path: Path) -> None:
    written(tmp_path, "in", rows().drop("tadpole_charge"))
    ran = run("stage", "in", "--staging-dir", "spool", cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[-2:] == [
        "  safe: nothing was staged",
        "  next: vulcan stage in --staging-dir spool --geometry h11=N,h12=N,ks_id=N "
        "--tadpole-charge N",
    ]


def test_one_line_of_options_fits_stage_and_sync(tmp_path: Path) -> None:
    file = written(tmp_path, "results.parquet", rows())
    path = shard(Path("spool"), "pending", RUN_ID)
    options = ("--staging-dir", "spool", "--repo", "./repo")
    of_run = ("-g", KEYS, "--set", "date=X")
    assert run("stage", file, *of_run, *options, cwd=tmp_path) == Ran(0, f"{path}\n", "")
    assert not (tmp_path / "repo").exists()
    assert run("sync", "--create-repo", *options, "-q", cwd=tmp_path) == Ran(0, "", "")
    nothing = Ran(0, "", "nothing to retry\n")
    assert run("retry-failed", *options, cwd=tmp_path) == nothing
    assert run("unlock", *options, cwd=tmp_path) == run("unlock", *options[:2], cwd=tmp_path)
    assert run("stage", file, *of_run, *options[:3], TOKEN, cwd=tmp_path) == Ran(
        2,
        "",
        "vulcan: --repo: it looks like a token\n"
        "  safe: nothing was changed\n  next: vulcan stage --help\n",
    )


@pytest.mark.parametrize("stdin", [b"", b" \n\n"])
def test_an_empty_input_is_refused(tmp_path: Path, stdin: bytes) -> None:
    ran = run("stage", *HERE, cwd=tmp_path, stdin=stdin)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        "vulcan: the input is refused: standard input: the input is empty",
        "  safe: nothing was staged",
        f"  next: vulcan stage --dry-run {' '.join(HERE)}",
    ]
    assert not (tmp_path / "spool").exists()


def test_arrow_that_claims_more_than_there_is_ends_no_process(tmp_path: Path) -> None:
    # Polars would make room for it, and abort.
    stream = BytesIO()
    pl.DataFrame({"tags": ["x" * 101]}).write_ipc_stream(stream, compression="uncompressed")
    length, lie = struct.pack("<q", 101), struct.pack("<q", 2**48)
    assert stream.getvalue().count(length) == 1
    (tmp_path / "in.arrow").write_bytes(stream.getvalue().replace(length, lie))
    ran = vulcan("stage", "in.arrow", *HERE, home=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        "vulcan: the input is refused: in.arrow: File too short: expected to be able to read "
        f"{2**48} bytes, got 128",
        "  safe: nothing was staged",
        f"  next: vulcan stage --dry-run in.arrow {' '.join(HERE)}",
    ]


def test_another_format_than_the_one_that_is_said_is_read_without_it(tmp_path: Path) -> None:
    written(tmp_path, "in", rows())
    ran = run("stage", "in", "--format", "arrow", *HERE, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        "vulcan: the input is refused: in: looks like parquet, not like arrow",
        "  safe: nothing was staged",
        f"  next: vulcan stage --dry-run in {' '.join(HERE)}",
    ]


def test_one_bad_input_of_several_and_nothing_is_staged(tmp_path: Path) -> None:
    staged(tmp_path, "before")
    before = tree(tmp_path)
    written(tmp_path, "good.parquet", rows(5))
    bad = rows(3, tau_im=[1.0, 0.0, None])
    written(tmp_path, "bad.parquet", bad)
    written(tmp_path, "worse.parquet", bad.drop("flux"))
    inputs = ("good.parquet", "bad.parquet", "worse.parquet")
    ran = run("stage", *inputs, *HERE, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        "vulcan: the input is refused: 5 problems",
        "  bad.parquet, column tau_im, row 3: must not be null (found nothing)",
        "  bad.parquet, column tau_im, row 2: must be positive (found 0.0)",
        "  worse.parquet, column flux: required column is missing",
        "  worse.parquet, column tau_im, row 3: must not be null (found nothing)",
        "  worse.parquet, column tau_im, row 2: must be positive (found 0.0)",
        "  safe: nothing was staged",
        f"  next: vulcan stage --dry-run {' '.join(inputs)} {' '.join(HERE)}",
    ]
    ran = run("stage", *inputs, *HERE, "--json", "--quiet", cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    error = ran.error()
    assert (error["kind"], error["exit_code"]) == ("InputRefused", 3)
    assert error["problems"] == [
        {"source": source, "column": column, "row": row, "message": message, "value": value}
        for source, column, row, message, value in (
            ("bad.parquet", "tau_im", 3, "must not be null", "nothing"),
            ("bad.parquet", "tau_im", 2, "must be positive", "0.0"),
            ("worse.parquet", "flux", None, "required column is missing", None),
            ("worse.parquet", "tau_im", 3, "must not be null", "nothing"),
            ("worse.parquet", "tau_im", 2, "must be positive", "0.0"),
        )
    ]
    for name in inputs:
        (tmp_path / name).unlink()
    assert tree(tmp_path) == before


def assert_refused(folder: Path, wrong: list[str]) -> None:
    """The input `in`, which lacks a charge among all else, is refused for all of it at once."""
    ran = run("stage", "in", *HERE, cwd=folder)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        f"vulcan: the input is refused: {len(wrong)} problems",
        *(f"  in, {each}" for each in wrong),
        "  safe: nothing was staged",
        f"  next: vulcan stage in {' '.join(HERE)} --tadpole-charge N",
    ]


def test_a_line_that_is_no_row_hides_no_wrong_row(tmp_path: Path) -> None:
    frame = rows(5, tau_im=[1.0, 1.0, -1.0, 1.0, 0.0], tadpole_charge=None)
    lines = frame.write_ndjson().splitlines()
    text = "\n".join([*lines[:2], "", "junk", *lines[2:4], "[1]", lines[4]])
    (tmp_path / "in").write_text(text)
    wrong = [
        "row 3: is no JSON object: Expecting value: line 1 column 1 (char 0)",
        "row 6: is no JSON object: it is a list",
        "column tadpole_charge: required column is missing, and no value is given for all",
        "column tau_im, row 4: must be positive (found -1.0)",
        "column tau_im, row 7: must be positive (found 0.0)",
    ]
    assert_refused(tmp_path, wrong)
    # Neither does it hide them where the rows are good, and the name is not.
    (tmp_path / "in").write_text("\n".join([*lines[:2], "junk"]))
    ran = run("stage", "in", *HERE, "--tadpole-charge", "1", "--run-id", "a b", cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[0] == f"vulcan: the input is refused: in, {wrong[0]}"
    assert not (tmp_path / "spool").exists()


def test_a_row_of_csv_that_cannot_be_read_hides_no_wrong_row(tmp_path: Path) -> None:
    good = '"0 1 2 3 4 5 6 7 8 9 10 11","0.5 0.25","1.5 2",0.125,{},ä'
    lines = ["flux,moduli_re,moduli_im,tau_re,tau_im,tags", good.format(1), "1,2", good.format(-1)]
    lines += ["", good.format(3).replace("ä", "\udce4"), good.format(2), good.format(0)]
    (tmp_path / "in").write_text("\n".join(lines), errors="surrogateescape")
    wrong = [
        "row 2: has 2 cells where the header has 6",
        "row 4: is not UTF-8",
        "column tadpole_charge: required column is missing, and no value is given for all",
        "column tau_im, row 3: must be positive (found -1)",
        "column tau_im, row 6: must be positive (found 0)",
    ]
    assert_refused(tmp_path, wrong)
    assert not (tmp_path / "spool").exists()


def test_a_bad_description_of_the_run_is_told_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path, name, rows())
    written(tmp_path, "c", rows(2, tau_re=None))
    ran = run("stage", "a", "b", "c", *HERE, "--provenance", "seed=x", cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[:-1] == [
        "vulcan: the input is refused: 2 problems",
        "  provenance seed must be an integer from -9223372036854775808 to 9223372036854775807, "
        "not 'x'",
        "  c, column tau_re: required column is missing",
        "  safe: nothing was staged",
    ]


def test_geometry_columns_give_a_shard_each(tmp_path: Path) -> None:
    frame = rows(4, h11=[3, 4, 3, 4], h12=2, ks_id=[0, 7, 0, 7])
    written(tmp_path, "both.parquet", frame)
    words = ("stage", "both.parquet", "--staging-dir", "spool", "--set", "date=X", "--json")
    ran = run(*words, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    said = [json.loads(line) for line in ran.out.splitlines()]
    geometries = [Geometry(h11=3, h12=2, ks_id=0), Geometry(h11=4, h12=2, ks_id=7)]
    for number, (each, geometry) in enumerate(zip(said, geometries, strict=True)):
        assert each["path_in_repo"] == geometry.path_in_repo(each["run_id"])
        assert each["n_rows"] == 2
        footer = read_footer(tmp_path / each["path"])
        assert (footer.geometry, footer.run_id) == (geometry, each["run_id"])
        stored = pl.read_parquet(tmp_path / each["path"])
        assert stored["flux"].to_list() == frame["flux"].gather_every(2, number).to_list()
    # --geometry replaces all six keys.
    ran = run(*words, "-g", "h12=2,cicy_id=0", cwd=tmp_path)
    stored = pl.read_parquet(tmp_path / str(ran.document()["path"]))
    keys = ("h11", "h12", "ks_id", "triang_id", "conifold_id", "cicy_id")
    assert set(stored.select(keys).iter_rows()) == {(-1, 2, -1, -1, -1, 0)}


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["a"], 2),
        (["b", "-g", KEYS, "--max-rows", "1"], 3),
        (["b", "c", "-g", KEYS], 2),
        (["a", "--dry-run"], 2),
    ],
)
def test_one_run_id_names_one_shard(tmp_path: Path, words: list[str], count: int) -> None:
    written(tmp_path, "a", rows(2, h11=[3, 4], h12=2))
    written(tmp_path, "b", rows(3))
    written(tmp_path, "c", rows(2))
    ran = run("stage", *words, "--run-id", "r", "--staging-dir", "spool", cwd=tmp_path)
    assert ran == Ran(
        2,
        "",
        f"vulcan: one run id cannot name {count} shards\n"
        "  safe: nothing was changed\n"
        "  next: vulcan stage --help\n",
    )
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (("--run-id", "a/b"), {"NAME": "other"}),
        (("--run-id", ""), {"NAME": "other"}),
        (("--run-id", "taken"), {"NAME": "other"}),
        (("--template", "{nope}"), {"VALUE": "7"}),
        (("--template", "{date}__x"), {}),
    ],
)
def test_what_to_type_next_is_the_same_line_put_right(
    tmp_path: Path, words: tuple[str, ...], chosen: dict[str, str]
) -> None:
    staged(tmp_path, "taken", rows(2))
    file = written(tmp_path, "my results", rows(3))
    to = ("-g", KEYS, "--staging-dir", "spool", "--json")
    ran = run("stage", file.name, *to, *words, cwd=tmp_path)
    (cure,) = cast("list[str]", ran.error()["next"])
    for placeholder, value in chosen.items():
        cure = cure.replace(placeholder, value)
    _, *typed = shlex.split(cure)
    again = run(*typed, cwd=tmp_path)
    assert (again.code, again.err, again.document()["n_rows"]) == (0, "", 3)


def test_options_to_type_next_stand_before_the_end_of_options(tmp_path: Path) -> None:
    file = written(tmp_path, "-mine", rows(3))
    typed = ("stage", "--staging-dir", "spool", "--json", "--", file.name)
    ran = run(*typed, cwd=tmp_path)
    (cure,) = cast("list[str]", ran.error()["next"])
    given = "--geometry h11=N,h12=N,ks_id=N"
    assert cure == f"vulcan stage --staging-dir spool --json {given} -- -mine"
    again = run(*shlex.split(cure.replace(given, f"--geometry {KEYS}"))[1:], cwd=tmp_path)
    assert (again.code, again.err, again.document()["n_rows"]) == (0, "", 3)


def fail(spool: Path, name: str) -> None:
    moved = move(StagingArea(spool), [Moving(name)], "pending", "failed")
    assert [each.outcome for each in moved] == ["moved"]


def reject(spool: Path, name: str) -> None:
    set_aside(StagingArea(spool), name, into="rejected", why="a test")


def publish(spool: Path, _: str) -> None:
    ran = run(
        "sync", "--staging-dir", "spool", "--repo", "./repo", "--create-repo", cwd=spool.parent
    )
    assert (ran.code, ran.out) == (0, "committed=1 failed=0 remaining=0 commits=1\n")


def publish_and_trim(spool: Path, name: str) -> None:
    publish(spool, name)
    words = ("--staging-dir", "spool", "--repo", "./repo", "--keep-bytes", "0", "-q")
    ran = run("trim-synced", *words, cwd=spool.parent)
    assert (ran.code, ran.err) == (0, "")
    assert list((spool / "synced").iterdir()) == []


@pytest.mark.parametrize(
    ("happens", "where"),
    [
        (lambda *_: None, "pending/"),
        (fail, "failed/"),
        (reject, "rejected/"),
        (publish, "synced/"),
        (publish_and_trim, "the repo"),
    ],
    ids=["pending", "failed", "rejected", "synced", "trimmed"],
)
def test_a_shard_is_known_wherever_it_is_by_now(
    tmp_path: Path, happens: object, where: str
) -> None:
    spool = tmp_path / "spool"
    path = staged(tmp_path, "r", rows())
    assert callable(happens)
    happens(spool, path.name)
    before = tree(spool)
    words = ("stage", "-g", KEYS, "--staging-dir", "spool", "--run-id", "r")
    same = run(*words, "r.in", "--json", cwd=tmp_path)
    assert (same.code, same.err) == (0, f"r is in {where} already\n")
    assert same.document()["status"] == "already-staged"
    written(tmp_path, "other", rows(3))
    other = run(*words, "other", cwd=tmp_path)
    if where == "rejected/":
        # What was set aside is in nobody's way.
        assert (other.code, other.err) == (0, "")
        return
    assert (other.code, other.out) == (3, "")
    held = "the repo, as the ledger says" if where == "the repo" else where
    assert other.err.splitlines()[:-1] == [
        f"vulcan: {GEOMETRY.path_in_repo('r')} exists with other content in {held}",
        "  safe: the content that was there first is not touched",
    ]
    assert tree(spool) == before


def test_one_name_of_several_is_taken_and_nothing_is_staged(tmp_path: Path) -> None:
    written(tmp_path, "in", rows(2, h11=[3, 4], h12=2))
    words = ("stage", "in", "--staging-dir", "spool", "--set", "date=X")
    rehearsed = run(*words, "--dry-run", "--json", cwd=tmp_path)
    _, second = (json.loads(line) for line in rehearsed.out.splitlines())
    staged(tmp_path, second["run_id"], rows(5), geometry="h11=4,h12=2")
    before = tree(tmp_path / "spool")
    ran = run(*words, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[0] == (
        f"vulcan: {second['path_in_repo']} exists with other content in pending/"
    )
    assert tree(tmp_path / "spool") == before


def test_rows_are_cut(tmp_path: Path) -> None:
    frame = rows(5)
    written(tmp_path, "in", frame)
    ran = run("stage", "in", *HERE, "--max-rows", "2", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    paths = [tmp_path / line for line in ran.out.splitlines()]
    stored = [pl.read_parquet(path) for path in paths]
    assert [part.height for part in stored] == [2, 2, 1]
    assert pl.concat(part.select("flux") for part in stored)["flux"].to_list() == (
        frame["flux"].to_list()
    )
    assert sorted(paths) == sorted((tmp_path / "spool/pending").glob("*.parquet"))


def test_a_geometry_of_another_job_is_told_and_refused_where_strict(tmp_path: Path) -> None:
    written(tmp_path, "in", rows(2, h11=272, h12=3, ks_id=-1))
    odd = "in, column h12: says 3 where the geometry given says 2"
    refused = run("stage", "in", *HERE, "--strict", cwd=tmp_path)
    assert (refused.code, refused.out) == (3, "")
    assert refused.err.splitlines()[0] == f"vulcan: the input is refused: {odd}"
    assert not (tmp_path / "spool").exists()
    path = shard(Path("spool"), "pending", RUN_ID)
    assert run("stage", "in", *HERE, cwd=tmp_path) == Ran(0, f"{path}\n", f"vulcan: {odd}\n")


def test_odd_lengths_are_told_and_refused_where_strict(tmp_path: Path) -> None:
    written(tmp_path, "in", rows(2, flux=[[1, 2, 3, 4]] * 2))
    odd = "in, column flux: has 4 entries where h12=2 calls for 12"
    refused = run("stage", "in", *HERE, "--strict", cwd=tmp_path)
    assert (refused.code, refused.out) == (3, "")
    assert refused.err.splitlines()[0] == f"vulcan: the input is refused: {odd}"
    assert not (tmp_path / "spool").exists()
    taken = run("stage", "in", *HERE, cwd=tmp_path)
    assert (taken.code, taken.err) == (0, f"vulcan: {odd}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--solver", f"name={TOKEN}"],
        ["--solver", f"{TOKEN}=x"],
        ["--provenance", f"note=Bearer {TOKEN}"],
        ["--provenance", "remote=https://me:secret@example.org/x.git"],
        ["--set", f"date={TOKEN}"],
        ["--run-id", TOKEN],
        ["--template", "{date}_" + TOKEN],
        ["--project", TOKEN],
        ["tags"],
        ["extra"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["human", "json"])
def test_what_looks_like_a_token_goes_nowhere(
    tmp_path: Path, words: list[str], form: list[str]
) -> None:
    columns = [word for word in words if word in ("tags", "extra")]
    frame = rows().with_columns(pl.Series(name, [f"x {TOKEN}", ""]) for name in columns)
    written(tmp_path, "in", frame)
    (tmp_path / "here").mkdir()
    options = [word for word in words if word not in columns]
    where = ("-g", KEYS, "--staging-dir", "spool")
    ran = run("stage", "../in", *where, *options, *form, cwd=tmp_path / "here")
    assert (ran.code in (2, 3), ran.out) == (True, "")
    assert TOKEN not in ran.err
    assert "secret" not in ran.err
    assert tree(tmp_path / "here") == {}


def test_settings_from_a_file_of_the_project(tmp_path: Path) -> None:
    written(tmp_path, "in", rows())
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    (tmp_path / "vulcan.toml").write_text(
        'staging_dir = "spool"\nproject = "axio verse"\ntemplate = "{project}_{seed?}"\n'
    )
    ran = run("stage", "../../in", "-g", KEYS, cwd=deep)
    run_id = f"axio-verse_na_{DIGEST[:16]}"
    assert ran == Ran(0, f"{shard(tmp_path / 'spool', 'pending', run_id)}\n", "")
    env = {"VULCAN_PROJECT": "env", "STRINGFORGE_VULCAN_PROJECT": "peer"}
    ran = run("stage", "../../in", "-g", KEYS, "--json", cwd=deep, env=env)
    assert ran.document()["run_id"] == f"env_na_{DIGEST[:16]}"
    words = ("--project", "opt", "--template", "{project}", "--json")
    ran = run("stage", "../../in", "-g", KEYS, *words, cwd=deep, env=env)
    assert ran.document()["run_id"] == f"opt_{DIGEST[:16]}"


def test_what_is_told_of_the_run_stands_in_the_shard(tmp_path: Path) -> None:
    written(tmp_path, "in", rows(2, tadpole_charge=None))
    words = (
        *("--tadpole-charge", "-4", "--solver", "name=newton,tol=1e-9"),
        *("--solver", "config_hash=abc", "--provenance", "git_sha=f00,seed=42,wall_clock_s=3.5"),
        *("--provenance", "node=n7", "--template", "{solver}_{seed}_{who}_{digest}"),
        *("--set", "who=me=you"),
    )
    ran = run("stage", "in", "-g", KEYS, "--staging-dir", "spool", *words, "--json", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    said = ran.document()
    path = tmp_path / str(said["path"])
    assert said["run_id"] == f"newton_42_me-you_{str(said['digest'])[:16]}"
    assert read_footer(path).provenance == {
        "schema_version": 1,
        "run_id": said["run_id"],
        "geometry": GEOMETRY.as_dict(),
        "solver": {"name": "newton", "tol": "1e-9", "config_hash": "abc"},
        "provenance": {"git_sha": "f00", "seed": 42, "wall_clock_s": 3.5, "node": "n7"},
        "n_rows": 2,
    }
    names = ("tadpole_charge", "solver_name", "solver_config_hash", "git_sha", "seed")
    stored = pl.read_parquet(path)
    assert (
        stored.select(*names, "wall_clock_s").rows() == [(-4, "newton", "abc", "f00", 42, 3.5)] * 2
    )


def test_a_rehearsal_writes_nothing(tmp_path: Path) -> None:
    written(tmp_path, "in", rows())
    ran = run("stage", "in", *HERE, "--dry-run", "--json", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.document() == document(RUN_ID, 2, DIGEST, "valid")
    assert not (tmp_path / "spool").exists()
    staged(tmp_path, "before")
    before = tree(tmp_path)
    ran = run("stage", "in", *HERE, "--dry-run", cwd=tmp_path)
    assert ran == Ran(0, f"{shard(Path('spool'), 'pending', RUN_ID)}\n", "")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--set", "sed=3"],
            "--set sed counts for nothing: the run-id template has no {sed}; it has {date}, "
            "{project}, {h11}, {h12}, {ks_id}, {triang_id}, {seed}",
        ),
        (
            ["--template", "mine"],
            "--set date counts for nothing: the run-id template has no {date}",
        ),
    ],
)
def test_a_value_that_the_template_has_no_name_for_is_told_and_loses_no_rows(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    written(tmp_path, "in", rows())
    ran = run("stage", "in", *HERE, "-q", *words, cwd=tmp_path)
    (path,) = (tmp_path / "spool" / "pending").glob("*.parquet")
    assert ran == Ran(0, f"spool/pending/{path.name}\n", f"vulcan: {sentence}\n")
    assert pl.read_parquet(path)["flux"].to_list() == rows()["flux"].to_list()
    ran = run("stage", "in", *HERE, "--set", "sed=3", "--run-id", "mine", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")


WRONG = {
    "no file": (["nothing"], "there is no file nothing"),
    "no name": ([""], "the name of an input is empty"),
    "a folder": (["."], ". is a folder; name the files in it"),
    "stdin twice": (["-", "-"], "standard input can be read only once"),
    "format": (
        ["in", "--format", "xml"],
        "--format is one of auto, parquet, csv, ndjson, arrow, npz, not 'xml'",
    ),
    "pairs": (
        ["in", "--solver", "newton"],
        "--solver is written key=value,key=value, not 'newton'",
    ),
    "solver twice": (["in", "--solver", "name=a,name=b"], "--solver: name is given twice"),
    "provenance twice": (
        ["in", "--provenance", "seed=1", "--provenance", "seed=2"],
        "--provenance: seed is given twice",
    ),
    "set twice": (["in", "--set", "date=Y"], "--set: date is given twice"),
    "set": (["in", "--set", "1=2"], "--set is written NAME=VALUE, not '1=2'"),
    "number": (
        ["in", "--max-rows", "0"],
        "invalid value for '--max-rows': 0 is less than 1",
    ),
    "charge": (
        ["in", "--tadpole-charge", "1.5"],
        "invalid value for '--tadpole-charge': '1.5' is no whole number",
    ),
    "option": (
        ["in", "--tempalte", "x"],
        "there is no option --tempalte; did you mean --template?",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_usage(tmp_path: Path, words: list[str], sentence: str) -> None:
    written(tmp_path, "in", rows())
    before = tree(tmp_path)
    ran = run("stage", *HERE, *words, cwd=tmp_path)
    assert ran == Ran(
        2,
        "",
        f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan stage --help\n",
    )
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("h11=x", "h11 must be an integer (found 'x')"),
        ("h11=-2", "h11 must be from -1 to 2147483647 (found -2)"),
        ("h11=1,h11=2", "h11 is given twice"),
        ("h11", "a geometry is written key=value,key=value (found 'h11')"),
        (
            "h11=-1",
            "a geometry needs at least one of h11, h12, ks_id, triang_id, conifold_id, cicy_id",
        ),
        (
            "h21=3",
            "there is no such key; keys are h11, h12, ks_id, triang_id, conifold_id, cicy_id"
            "; CYTools' h21 is h12 here (found 'h21')",
        ),
    ],
)
def test_a_geometry_that_is_none(tmp_path: Path, text: str, sentence: str) -> None:
    written(tmp_path, "in", rows())
    ran = run("stage", "in", "-g", text, "--staging-dir", "spool", cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[0] == f"vulcan: the input is refused: --geometry: {sentence}"
    assert not (tmp_path / "spool").exists()


def test_keys_of_a_geometry_in_several_options_are_one_geometry(tmp_path: Path) -> None:
    written(tmp_path, "in", rows())
    together = run("stage", "in", *HERE, cwd=tmp_path)
    apart = ("-g", "h11=272,h12=2", "--geometry", "ks_id=1", "-g", "triang_id=0")
    ran = run("stage", "in", *apart, *HERE[2:], "-q", cwd=tmp_path)
    assert ran == Ran(0, together.out, "")
    ran = run("stage", "in", *HERE[:2], "-g", "h11=3", *HERE[2:], cwd=tmp_path)
    assert ran == Ran(
        3,
        "",
        "vulcan: the input is refused: --geometry: h11 is given twice\n"
        "  safe: nothing was staged\n"
        f"  next: vulcan stage --dry-run in -g {KEYS} -g h11=3 {' '.join(HERE[2:])}\n",
    )


def test_a_wrong_geometry_hides_no_wrong_row(tmp_path: Path) -> None:
    bad = rows(3, tau_im=[1.0, -1.0, 2.0], flux=[[*range(12)], [*range(12)], [1, 2]])
    written(tmp_path, "in", bad)
    ran = run("stage", "in", "-g", "h11=x,h12=2", "--staging-dir", "spool", cwd=tmp_path)
    assert ran == Ran(
        3,
        "",
        "vulcan: the input is refused: 3 problems\n"
        "  --geometry: h11 must be an integer (found 'x')\n"
        "  in, column tau_im, row 2: must be positive (found -1.0)\n"
        "  in, column flux, row 3: must have 12 entries, as the others (found [1, 2])\n"
        "  safe: nothing was staged\n"
        "  next: vulcan stage --dry-run in -g h11=x,h12=2 --staging-dir spool\n",
    )


def test_without_a_staging_directory(tmp_path: Path) -> None:
    written(tmp_path, "in", rows())
    assert run("stage", "in", "-g", KEYS, cwd=tmp_path) == Ran(
        4,
        "",
        "vulcan: no staging directory is set\n"
        "  safe: nothing was changed\n"
        "  next: export VULCAN_STAGING_DIR=/shared/folder\n"
        f"  next: vulcan stage in -g {KEYS}\n",
    )


def test_a_full_disk_leaves_nothing_visible(tmp_path: Path) -> None:
    staged(tmp_path, "before")
    before = tree(tmp_path / "spool")
    written(tmp_path, "in", rows(100, tau_re=[row / 7 for row in range(100)]))
    assert on_full_disk("stage", "in", *HERE, home=tmp_path, blocks=2) == Ran(
        6,
        "",
        "vulcan: spool/pending: File too large\n"
        "  safe: what was already staged or confirmed stays so; nothing half-written counts\n"
        "  next: df -h spool/pending && df -i spool/pending\n"
        "  next: vulcan status --staging-dir spool\n",
    )
    assert tree(tmp_path / "spool") == before


def test_a_full_disk_below_stdout_and_a_reader_that_left(tmp_path: Path) -> None:
    written(tmp_path, "in", rows(30))
    command = [*VULCAN, "stage", "in", *HERE, "--max-rows", "1"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, env=clean(tmp_path), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE,
            check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.decode().splitlines()[0] == (
        "vulcan: standard output: No space left on device"
    )
    pending = tmp_path / "spool/pending"
    assert len(list(pending.glob("*.parquet"))) == 30
    shutil.rmtree(tmp_path / "spool")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command, env=clean(tmp_path), cwd=tmp_path, stdout=write, stderr=subprocess.PIPE,
        check=False, timeout=120,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list(pending.glob("*.parquet"))) == 30


def test_an_interrupt_ends_with_130_and_nothing_staged(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*VULCAN, "stage", *HERE],
        env=clean(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    # More than a pipe holds: this returns once the process has begun to read.
    process.stdin.write("x" * 300_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (
        130,
        "",
        "vulcan: interrupted\n"
        "  safe: what was done so far stands; the same command goes on from there\n"
        "  next: vulcan status --staging-dir spool\n",
    )
    assert not (tmp_path / "spool").exists()


def test_a_worker_loads_only_what_it_needs(tmp_path: Path) -> None:
    written(tmp_path, "in", rows(1000))
    loaded = modules_after(["stage", "in", *HERE], tmp_path)
    heavy = {"pyarrow", "numpy", "pandas", "huggingface_hub", "httpx", "rich", "pydantic"}
    assert loaded & heavy == set()
    assert "polars" in loaded


def test_hostile_files_at_the_name_are_conflicts(tmp_path: Path) -> None:
    path = staged(tmp_path, "r", rows())
    path.unlink()
    path.write_bytes(b"no shard")
    with pytest.raises(BadShard):
        read_footer(path)
    before = tree(tmp_path / "spool")
    words = ("-g", KEYS, "--staging-dir", "spool", "--run-id", "r")
    ran = run("stage", "r.in", *words, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert tree(tmp_path / "spool") == before
