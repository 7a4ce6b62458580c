from pathlib import Path

import pytest

from tests.cli_in_process import run
from tests.cli_shards import staged
from tests.cli_support import VULCAN, Ran, clean, modules_after, on_terminal
from tests.vacua_support import rows

HERE = ("--staging-dir", "spool", "--source", "staged")
READ = "read pending and synced of spool\n"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    staged(tmp_path, "a", rows(3, tadpole_charge=[1, 1, 4]))
    staged(tmp_path, "b", rows(2, tadpole_charge=[2, 2], W_re=[3.0, 0.0], W_im=[4.0, 1.0]))
    return tmp_path


def test_a_picture_on_stdout(cwd: Path) -> None:
    words = ("plot", "tadpole", *HERE, "--bound", "3", "--width", "40", "--height", "13")
    ran = run(*words, cwd=cwd)
    assert (ran.code, ran.err) == (0, READ)
    assert ran.out.splitlines()[-2:] == ["─ bound 3", "5 vacua; 1 above the bound"]
    assert run(*words, "-q", cwd=cwd) == Ran(0, ran.out, "")


def test_filters_are_those_of_query(cwd: Path) -> None:
    ran = run("plot", "tadpole", *HERE, "--run-id", "b", cwd=cwd)
    assert ran.out.splitlines()[-1] == "2 vacua"
    ran = run("plot", "tadpole", *HERE, "--where", "tadpole_charge > 3", cwd=cwd)
    assert ran.out.splitlines()[-1] == "1 vacuum"
    both = ("--where", "tadpole_charge > 3", "--where", "tadpole_charge > 0")
    ran = run("plot", "tadpole", *HERE, *both, cwd=cwd)
    assert ran.out.splitlines()[-1] == "1 vacuum"


def test_rows_without_the_column_are_counted_below(cwd: Path) -> None:
    ran = run("plot", "w0", *HERE, cwd=cwd)
    assert ran.code == 0
    assert ran.out.splitlines()[-2:] == [
        "2 vacua; W₀ as the solver normalises it, without e^(K/2)",
        "3 rows without W_re or W_im left out",
    ]


def test_numbers_of_any_size_are_drawn_or_left_out(tmp_path: Path) -> None:
    staged(tmp_path, "a", rows(3, tau_re=[1e299, -1e299, 1e308], W_re=[1e-200] * 3, W_im=0.0))
    words = (*HERE, "-q", "--width", "60", "--height", "14")
    tau = run("plot", "tau", *words, cwd=tmp_path)
    assert (tau.code, tau.err) == (0, "")
    assert max(map(len, tau.out.splitlines())) == 60
    assert tau.out.splitlines()[-1] == "1 not finite or beyond 1e+300 left out"
    plane = run("plot", "w0-plane", *words, cwd=tmp_path)
    assert (plane.code, max(map(len, plane.out.splitlines()))) == (0, 60)
    assert run("plot", "tau", *HERE, "-q", "-o", "x.svg", cwd=tmp_path) == Ran(0, "", "")


@pytest.mark.parametrize("ending", ["png", "svg", "html"])
def test_a_picture_in_a_file(cwd: Path, ending: str) -> None:
    ran = run("plot", "w0-plane", *HERE, "-o", f"w.{ending}", cwd=cwd)
    assert ran == Ran(0, "", f"{READ}2 vacua to w.{ending}\n")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}
    assert (cwd / f"w.{ending}").read_bytes().startswith(starts[ending])


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["taus"], 2, "vulcan plot draws tau, w0, w0-plane, gs, tadpole, residual, modulus, "
         "growth, not 'taus'; did you mean tau?"),
        (["tau", "--bound", "3"], 2, "--bound goes with vulcan plot tadpole"),
        (["tau", "--tolerance", "3"], 2, "--tolerance goes with vulcan plot residual"),
        (["tau", "--modulus", "2"], 2, "--modulus goes with vulcan plot modulus"),
        (["residual", "--tolerance", "0"], 2, "--tolerance must be above 0"),
        (["tadpole", "--bound", "nan"], 2, "--bound must be a number"),
        (["tau", "-o", "x.svg", "--width", "90"], 2, "--width is of a terminal, not of a file"),
        (["tau", "-o", "x.svg", "--height", "30"], 2, "--height is of a terminal, not of a file"),
        (["tau", "-o", "x.pdf"], 2, "a picture ends in .png, .svg, .html, not 'x.pdf'"),
        (["modulus", "--modulus", "9"], 2, "there is no modulus 9: rows have 2 at most"),
        (["residual"], 3, "no matching row has residual"),
        (["tau", "--ks-id", "77"], 3, "no row matches"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn(cwd: Path, words: list[str], code: int, sentence: str) -> None:
    ran = run("plot", *words, *HERE, "-q", cwd=cwd)
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (code, "", f"vulcan: {sentence}")


def test_a_bad_shard_is_named_and_the_others_drawn(cwd: Path) -> None:
    bad = cwd / "spool/pending/h12_2__h11_3__bucket_0__run_bad.parquet"
    bad.write_bytes(b"PAR1")
    ran = run("plot", "tadpole", *HERE, "-q", cwd=cwd)
    assert (ran.code, ran.out.splitlines()[-1]) == (3, "5 vacua")
    assert ran.err.startswith("vulcan: skipped: h12_2__h11_3__bucket_0__run_bad.parquet is not a ")


@pytest.mark.parametrize(
    ("env", "painted", "letters"),
    [
        ({"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}, True, True),
        ({"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}, False, True),
        ({"PYTHONIOENCODING": "ascii", "TERM": "dumb"}, False, False),
    ],
)
def test_on_terminals(cwd: Path, env: dict[str, str], painted: bool, letters: bool) -> None:
    command = [*VULCAN, "plot", "tau", *HERE, "-q"]
    code, seen = on_terminal(command, clean(cwd, COLUMNS="60", LINES="20", **env), cwd)
    assert (code, "\x1b[38;5;" in seen, not seen.isascii()) == (0, painted, letters)
    assert len(seen.splitlines()) == 18


def test_a_terminal_needs_no_matplotlib(cwd: Path) -> None:
    assert "matplotlib" not in modules_after(["plot", "tau", *HERE], cwd)
