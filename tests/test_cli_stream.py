"""Rows staged while they come: real processes, pipes and signals."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import KEYS, PARQUET, written
from tests.cli_support import VULCAN, Ran, clean, in_shell, on_full_disk, vulcan, without_threads
from tests.vacua_support import rows
from vulcan_cli.cli.feed import Feed

HERE = ("-g", KEYS, "--staging-dir", "spool")


def lines(frame: pl.DataFrame) -> list[str]:
    return frame.write_ndjson().splitlines(keepends=True)


@contextmanager
def worker(cwd: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`vulcan stage` with a pipe that stays open until the test closes it."""
    process = subprocess.Popen(
        [*VULCAN, "stage", *HERE, *words],
        env=clean(cwd),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def piped(cwd: Path, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """`vulcan stage` with these bytes through a pipe."""
    return subprocess.run(
        [*VULCAN, "stage", *HERE, *words],
        input=data,
        env=clean(cwd),
        cwd=cwd,
        capture_output=True,
        check=False,
        timeout=120,
    )


def send(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def printed(process: subprocess.Popen[str], cwd: Path) -> pl.DataFrame:
    """Wait until the worker names a shard; its rows."""
    assert process.stdout is not None
    return pl.read_parquet(cwd / process.stdout.readline().strip())


def held(cwd: Path) -> list[int]:
    """The first quantum of every staged row."""
    found = [pl.read_parquet(path) for path in (cwd / "spool/pending").glob("*.parquet")]
    return sorted(pl.concat(each.select("flux") for each in found)["flux"].list.first().to_list())


def test_shards_are_staged_by_rows_by_age_and_at_the_end(tmp_path: Path) -> None:
    text = lines(rows(9))
    with worker(tmp_path, "-", "--format", "ndjson", "--max-rows", "4", "--max-age", "0.2s") as it:
        send(it, "".join(text[:4]))
        assert printed(it, tmp_path).height == 4
        # Silence: only the clock can make these two a shard.
        send(it, "".join(text[4:6]))
        assert printed(it, tmp_path).height == 2
        out, err = it.communicate("".join(text[6:]).rstrip("\n"), timeout=120)
    assert (it.returncode, err, len(out.splitlines())) == (0, "", 1)
    assert held(tmp_path) == list(range(9))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_stages_what_has_come(tmp_path: Path, number: signal.Signals, code: int) -> None:
    text = lines(rows(8))
    with worker(tmp_path, "--max-rows", "5", "--max-age", "1h", "--json") as it:
        send(it, "".join(text[:5]))
        assert it.stdout is not None
        assert json.loads(it.stdout.readline())["n_rows"] == 5
        # The pipe holds these when the signal comes; the last row is not whole.
        send(it, "".join(text[5:]) + text[0][:9])
        it.send_signal(number)
        out, err = it.communicate(timeout=120)
    assert (it.returncode, json.loads(out)["n_rows"]) == (code, 3)
    assert err.splitlines()[:2] == [
        f"stopped by {number.name}: 8 rows staged in all",
        "vulcan: the last row was not whole: its 9 bytes are left out",
    ]
    assert [json.loads(line)["error"]["kind"] for line in err.splitlines()[2:]] == (
        ["Interrupted"] if code else []
    )
    assert held(tmp_path) == list(range(8))


def test_a_feed_ends_when_asked_and_what_is_in_the_pipe_is_read() -> None:
    read, write = os.pipe()
    feed = Feed(read)
    with feed.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert (feed.start(8), feed.asked) == (b"", signal.SIGTERM)
        os.write(write, b"late")
        assert (feed.read(None), feed.read(None)) == (b"late", b"")
        # Asked once already: now it is an interrupt like any other.
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    os.close(read)
    os.close(write)


def test_bad_rows_are_kept_and_the_others_staged(tmp_path: Path) -> None:
    text = lines(rows(12, tau_im=[3.0] * 5 + [0.0] + [3.0] * 6))
    text[9] = '{"flux": [1, 2\n'
    ran = vulcan("stage", *HERE, "--max-rows", "4", home=tmp_path, stdin="".join(text))
    assert (ran.code, len(ran.out.splitlines())) == (3, 3)
    (first, second) = sorted(tmp_path.glob("vulcan-refused-*"), key=lambda each: each.name[-9:])
    assert [path.name.rpartition("-row-")[2] for path in (second, first)] == [
        "10.ndjson",
        "6.ndjson",
    ]
    assert (first.read_text(), second.read_text()) == (text[5], text[9])
    assert first.stat().st_mode & 0o777 == 0o600
    bad_line = "row 10: is no JSON object: Expecting ',' delimiter: line 1 column 15 (char 14)"
    bad_tau = "column tau_im, row 6: must be positive (found 0.0)"
    assert ran.err.splitlines() == [
        f"vulcan: 1 row refused and kept in {first.name}: standard input, {bad_tau}",
        f"vulcan: 1 row refused and kept in {second.name}: standard input, {bad_line}",
        "vulcan: of the stream 10 rows are staged, 2 refused",
        f"  standard input, {bad_tau}",
        f"  standard input, {bad_line}",
        "  safe: rows already staged stay so; the refused ones are kept in "
        f"{first.name} {second.name}",
        f"  next: vulcan stage {first.name} {' '.join(HERE)} --max-rows 4 --dry-run",
    ]
    assert held(tmp_path) == [0, 1, 2, 3, 4, 6, 7, 8, 10, 11]


def test_a_list_that_is_too_long_takes_no_other_row_along(tmp_path: Path) -> None:
    frame = rows(6, flux=[[at] * (13 if at == 3 else 12) for at in range(6)])
    ran = piped(tmp_path, frame.write_ndjson().encode(), "--max-rows", "3", "-q")
    assert ran.returncode == 3
    assert held(tmp_path) == [0, 1, 2, 4, 5]
    (kept,) = tmp_path.glob("vulcan-refused-*")
    assert kept.read_text() == lines(frame)[3]


def test_a_value_that_is_unlike_all_others_ends_no_stream(tmp_path: Path) -> None:
    text = lines(rows(8, residual=[1e-9] * 8))
    text[1] = text[1].replace("1e-9", "true")
    text[6] = text[6].replace("1e-9", "1e400")
    done = piped(tmp_path, "".join(text).encode(), "--max-rows", "4")
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 2)
    assert held(tmp_path) == [0, 2, 3, 4, 5, 7]
    (first,) = tmp_path.glob("vulcan-refused-*-row-2.ndjson")
    (second,) = tmp_path.glob("vulcan-refused-*-row-7.ndjson")
    assert (first.read_text(), second.read_text()) == (text[1], text[6])
    unlike = "column residual, row 2: holds truth values where other rows hold numbers"
    beyond = "row 7: is no JSON object: 1e400 is beyond the range of a 64-bit float"
    assert done.stderr.decode().splitlines() == [
        f"vulcan: 1 row refused and kept in {first.name}: standard input, {unlike}",
        f"vulcan: 1 row refused and kept in {second.name}: standard input, {beyond}",
        "vulcan: of the stream 6 rows are staged, 2 refused",
        f"  standard input, {unlike}",
        f"  standard input, {beyond}",
        "  safe: rows already staged stay so; the refused ones are kept in "
        f"{first.name} {second.name}",
        f"  next: vulcan stage {first.name} {' '.join(HERE)} --max-rows 4 --dry-run",
    ]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (b"\xe4", "is not UTF-8"),
        (b'5" tape', "is no CSV: a quote stands within a cell that is not in quotes"),
    ],
)
def test_a_row_of_csv_that_cannot_be_read_ends_no_stream(
    tmp_path: Path, cell: bytes, why: str
) -> None:
    head = "flux,moduli_re,moduli_im,tau_re,tau_im,tadpole_charge,tags\n"
    text = [f'"{n} 1 2 3 4 5 6 7 8 9 10 11","0.5 1","1 2",0,3,7,ä\n'.encode() for n in range(6)]
    text[1] = text[1].replace("ä".encode(), cell)
    done = piped(tmp_path, head.encode() + b"".join(text), "--max-rows", "4")
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 2)
    assert held(tmp_path) == [0, 2, 3, 4, 5]
    (kept,) = tmp_path.glob("vulcan-refused-*-row-2.csv")
    assert kept.read_bytes() == head.encode() + text[1]
    assert done.stderr.decode().splitlines() == [
        f"vulcan: 1 row refused and kept in {kept.name}: standard input, row 2: {why}",
        "vulcan: of the stream 5 rows are staged, 1 refused",
        f"  standard input, row 2: {why}",
        f"  safe: rows already staged stay so; the refused ones are kept in {kept.name}",
        f"  next: vulcan stage {kept.name} {' '.join(HERE)} --max-rows 4 --dry-run",
    ]


def test_a_quote_without_an_end_takes_no_other_row_along(tmp_path: Path) -> None:
    head = "flux,moduli_re,moduli_im,tau_re,tau_im,tadpole_charge,tags\n"
    text = [f'"{n} 1 2 3 4 5 6 7 8 9 10 11","0.5 1","1 2",0,3,7,a\n' for n in range(8)]
    text[2] = text[2].replace(",a\n", ',"a\n')
    text[4] = text[4].replace(",a\n", ',b"\n')
    text[6] = "1,2\n"
    done = piped(tmp_path, (head + "".join(text)).encode(), "--max-rows", "20")
    kept = sorted(tmp_path.glob("vulcan-refused-*"))
    assert [path.name.rpartition("-row-")[2] for path in kept] == ["3.csv"]
    assert kept[0].read_text() == head + "".join(text[2:5]) + text[6]
    assert (done.returncode, held(tmp_path)) == (3, [0, 1, 5, 7])
    wrong = [
        """row 3: is no CSV: ',' expected after '"'""",
        "row 4: is no CSV: a quote stands within a cell that is not in quotes",
        "row 6: has 2 cells where the header has 7",
    ]
    assert done.stderr.decode().splitlines() == [
        f"vulcan: 3 rows refused and kept in {kept[0].name}: standard input, {wrong[0]}",
        "vulcan: of the stream 4 rows are staged, 3 refused",
        *(f"  standard input, {each}" for each in wrong),
        f"  safe: rows already staged stay so; the refused ones are kept in {kept[0].name}",
        f"  next: vulcan stage {kept[0].name} {' '.join(HERE)} --max-rows 20 --dry-run",
    ]


def test_a_quote_without_an_end_before_the_end(tmp_path: Path) -> None:
    head = "flux,moduli_re,moduli_im,tau_re,tau_im,tadpole_charge,tags\n"
    text = [f'"{n} 1 2 3 4 5 6 7 8 9 10 11","0.5 1","1 2",0,3,7,a\n' for n in range(4)]
    text[3] = text[3].replace(",a\n", ',"a\n')
    done = piped(tmp_path, (head + "".join(text)).encode(), "--max-rows", "20")
    (kept,) = tmp_path.glob("vulcan-refused-*-row-4.csv")
    assert kept.read_text() == head + text[3] + "\n"
    assert (done.returncode, held(tmp_path)) == (3, [0, 1, 2])
    torn = "row 4: is no CSV: a quote opens here, and the row does not end"
    assert done.stderr.decode().splitlines()[0] == (
        f"vulcan: 1 row refused and kept in {kept.name}: standard input, {torn}"
    )


def test_a_stream_that_no_row_can_help_ends_at_once(tmp_path: Path) -> None:
    text = "".join(lines(rows(2, tadpole_charge=None)))
    with worker(tmp_path, "--max-rows", "2", "--json") as it:
        send(it, text)
        # The solver's end of the pipe is still open.
        assert it.wait(timeout=120) == 3
        assert it.stderr is not None
        error = json.loads(it.stderr.read().splitlines()[-1])["error"]
    (kept,) = tmp_path.glob("vulcan-refused-*")
    assert kept.read_text() == text
    assert (error["kind"], error["n_staged"], error["n_refused"], error["kept"]) == (
        "RowsRefused",
        0,
        2,
        [kept.name],
    )


def test_rows_behind_those_that_no_row_can_help_are_kept_too(tmp_path: Path) -> None:
    first, second, third = lines(rows(3, tadpole_charge=None))
    done = piped(tmp_path, (first + second + third).encode(), "--max-rows", "2", "-q")
    kept, behind = sorted(tmp_path.glob("vulcan-refused-*"))
    assert (kept.read_text(), behind.read_text()) == (first + second, third)
    column = "standard input, column tadpole_charge"
    lacking = f"{column}: required column is missing, and no value is given for all"
    words = f"{kept.name} {' '.join(HERE)} --max-rows 2 -q --dry-run"
    assert (done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()) == (
        3,
        "",
        [
            f"vulcan: 2 rows refused and kept in {kept.name}: {lacking}",
            f"vulcan: 1 more row not staged and kept in {behind.name}",
            "vulcan: of the stream 0 rows are staged, 2 refused",
            f"  {lacking}",
            "  safe: rows already staged stay so; the refused ones are kept in "
            f"{kept.name} {behind.name}",
            f"  next: vulcan stage {words}",
        ],
    )


@pytest.mark.parametrize("kind", ["csv", "arrow"])
def test_other_streams(tmp_path: Path, kind: str) -> None:
    frame = rows(6, tau_im=[3.0, 3.0, 3.0, 3.0, -1.0, 3.0])
    lists = ("flux", "moduli_re", "moduli_im")
    as_text = [pl.col(name).cast(pl.List(pl.String)).list.join(" ") for name in lists]
    out = BytesIO()
    frame.with_columns(as_text).write_csv(out) if kind == "csv" else frame.write_ipc_stream(out)
    words = ("--max-rows", "4", "--max-age", "1h", "--format", kind)
    done = piped(tmp_path, out.getvalue(), *words)
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 2)
    assert held(tmp_path) == [0, 1, 2, 3, 5]
    (kept,) = tmp_path.glob(f"vulcan-refused-*-row-5.{kind}")
    again = run("stage", kept, *HERE, "--dry-run", cwd=tmp_path)
    assert again.err.splitlines()[0] == (
        f"vulcan: the input is refused: {kept}, column tau_im, row 1: must be positive (found -1.0)"
    )


def test_what_cannot_be_cut_is_taken_whole_or_refused(tmp_path: Path) -> None:
    data = PARQUET.read_bytes()
    too_late = "parquet is whole or nothing: --max-age is for ndjson, csv and Arrow's stream"
    for words, code, said in (
        (("--max-rows", "300"), 0, ""),
        (("--max-age", "1h"), 2, f"vulcan: {too_late}"),
    ):
        done = piped(tmp_path, data, *words)
        assert (done.returncode, done.stderr.decode().split("\n")[0]) == (code, said)
    assert len(held(tmp_path)) == 391


def test_a_file_for_standard_input_is_all_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    file.write_text("".join(lines(rows(3, tau_im=[3.0, 3.0, 0.0]))))
    with file.open("rb") as stdin:
        done = subprocess.run(
            [*VULCAN, "stage", *HERE, "--max-rows", "1"],
            stdin=stdin,
            env=clean(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stdout) == (3, b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.ndjson"]


def test_rows_that_the_disk_refuses_are_kept(tmp_path: Path) -> None:
    data = "".join(lines(rows(2)))
    # Blocks that hold the rows, and no shard.
    words = ("stage", *HERE, "--max-rows", "2")
    ran = on_full_disk(*words, home=tmp_path, blocks=2, stdin=data)
    (kept,) = tmp_path.glob("vulcan-refused-*")
    assert (ran.code, ran.out, kept.read_text()) == (6, "", data)
    assert ran.err.splitlines()[:2] == [
        f"vulcan: 2 rows not staged and kept in {kept.name}",
        "vulcan: spool/pending: File too large",
    ]


def test_rows_behind_those_that_the_disk_refuses_are_kept_too(tmp_path: Path) -> None:
    first, second, *others = lines(rows(5))
    words = ("stage", *HERE, "--max-rows", "2")
    # The last row lacks the end of its line: it is whole, as the solver has ended.
    data = "".join((first, second, *others)).rstrip("\n")
    ran = on_full_disk(*words, home=tmp_path, blocks=2, stdin=data)
    kept, behind = sorted(tmp_path.glob("vulcan-refused-*"))
    assert (ran.code, ran.out) == (6, "")
    assert (kept.read_text(), behind.read_text()) == (first + second, "".join(others))
    assert kept.name.endswith("-row-1.ndjson")
    assert behind.name.endswith("-row-3.ndjson")
    assert ran.err.splitlines()[:3] == [
        f"vulcan: 2 rows not staged and kept in {kept.name}",
        f"vulcan: 3 more rows not staged and kept in {behind.name}",
        "vulcan: spool/pending: File too large",
    ]


def test_a_row_behind_those_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    first, second, third = lines(rows(3))
    fill = ["bash", "-c", 'ulimit -f 2; exec "$0" "$@"', *VULCAN, "stage", *HERE]
    process = subprocess.Popen(
        [*fill, "--max-rows", "2"],
        env=clean(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # All at once; and the solver goes on.
    send(process, first + second + third[:7])
    assert process.stderr is not None
    said = process.stderr.read().splitlines()
    (kept,) = tmp_path.glob("vulcan-refused-*")
    assert (process.wait(timeout=120), kept.read_text()) == (6, first + second)
    assert said[:3] == [
        f"vulcan: 2 rows not staged and kept in {kept.name}",
        "vulcan: the last row was not whole: its 7 bytes are left out",
        "vulcan: spool/pending: File too large",
    ]
    assert process.stdin is not None
    process.stdin.close()
    process.stderr.close()


def test_rows_that_polars_has_no_threads_for_are_kept(tmp_path: Path) -> None:
    data = "".join(lines(rows(2)))
    words = ("stage", *HERE, "--max-rows", "2")
    ran = without_threads(*words, home=tmp_path, stdin=data)
    (kept,) = tmp_path.glob("vulcan-refused-*")
    assert (ran.code, ran.out, kept.read_text()) == (5, "", data)
    # Polars has words of its own before these.
    assert ran.err.splitlines()[-4:] == [
        f"vulcan: 2 rows not staged and kept in {kept.name}",
        "vulcan: the system starts no more threads for this account on this node",
        "  safe: what was done so far stands",
        f"  next: POLARS_MAX_THREADS=1 vulcan {' '.join(words)}",
    ]


def test_no_place_to_stage_is_said_before_a_row_is_read(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    with worker(tmp_path, "--max-age", "1h") as it:
        send(it, lines(rows(1))[0])
        assert it.wait(timeout=120) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["in", "--max-age", "1h"],
            "--max-age is for rows that come through a pipe, not for files",
        ),
        (["--max-age", "0s"], "--max-age must be longer than 0 s"),
        (["--max-age", "x"], "'x' is no duration: write 90s, 15m, 2h, 30d or 1h30m"),
        (
            ["--max-age", "1h", "--run-id", "r"],
            "one run id cannot name the shards of a stream; leave out --run-id",
        ),
    ],
)
def test_wrong_usage(tmp_path: Path, words: list[str], sentence: str) -> None:
    written(tmp_path, "in", rows())
    ran = run("stage", *HERE, *words, cwd=tmp_path)
    assert ran == Ran(
        2,
        "",
        f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan stage --help\n",
    )


def test_a_named_pipe_is_a_stream_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    command = f"{' '.join(VULCAN)} stage <(cat /dev/null) {' '.join(HERE)} --max-age 1h"
    ran = in_shell(command, home=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (
        3,
        "vulcan: the input is refused: standard input: the input is empty",
    )


def peak_kib(cwd: Path, n_batches: int) -> int:
    """Peak memory of a worker that is sent so many batches of 500 rows, each of 2 MB."""
    frame = rows(500, moduli_re=[[0.123456789] * 180] * 500, moduli_im=[[1.234567891] * 180] * 500)
    text = frame.write_ndjson().encode()
    process = subprocess.Popen(
        [*VULCAN, "stage", "-g", "h11=3", "--staging-dir", "spool", "--max-rows", "500"],
        env=clean(cwd),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    with process.stdin as pipe:
        for number in range(n_batches):
            pipe.write(text.replace(b'"flux":[0,', b'"flux":[%d,' % number, 1))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_memory_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    # Six times as many rows, 24 MB of text, which take a multiple of that once read.
    assert peak_kib(tmp_path, 12) < 1.15 * peak_kib(tmp_path, 2)
