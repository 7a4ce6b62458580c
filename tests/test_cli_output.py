import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_support import clean, on_terminal
from vulcan_cli.cli.text import printable

TOKEN = "hf_" + "abcdefghij" * 3


def script(body: str) -> list[str]:
    """A process that talks as a command does: `out` is its Output."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from vulcan_cli.cli.output import Output, prepare_streams\n"
        "prepare_streams()\n"
        "out = Output()\n"
        f"{body}\n"
        "out.finish()\n"
    )
    return [sys.executable, "-c", code]


def piped(body: str, home: Path, **env: str) -> tuple[bytes, bytes]:
    done = subprocess.run(
        script(body), capture_output=True, env=clean(home, **env), check=True, timeout=60
    )
    return done.stdout, done.stderr


def cut_off(command: list[str], home: Path) -> tuple[bytes, int]:
    """Read one byte of what a process writes, then close the pipe; its stderr and exit status."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean(home)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"x"
        process.stdout.close()
        said = process.stderr.read()
        return said, process.wait(timeout=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ümlaut", "plain ümlaut"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("left\u202eright", "left\\u202eright"),
        ("\x9b31m", "\\x9b31m"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_data_and_talk_go_apart(tmp_path: Path) -> None:
    body = (
        "out.line('data'); out.say('talk'); out.detail('detail'); out.warn('look');"
        "Output(quiet=True, verbose=True).say('x'); Output(verbose=True).detail('more')"
    )
    assert piped(body, tmp_path) == (b"data\n", b"talk\nvulcan: look\nmore\n")


def test_a_pipe_gets_paths_as_they_are_and_a_terminal_gets_them_escaped(tmp_path: Path) -> None:
    body = r"out.line('/s/\udcff\x1b[31m.parquet')"
    assert piped(body, tmp_path) == (b"/s/\xff\x1b[31m.parquet\n", b"")
    shown = on_terminal(script(body), clean(tmp_path, TERM="xterm"), tmp_path)
    assert shown == (0, "/s/\\udcff\\x1b[31m.parquet\n")


def test_a_terminal_gets_the_tabs_between_fields_as_tabs(tmp_path: Path) -> None:
    shown = on_terminal(
        script(r"out.line('a\tb\x1b[31m')"), clean(tmp_path, TERM="xterm"), tmp_path
    )
    assert shown == (0, "a\tb\\x1b[31m\n")


def test_no_locale_makes_output_fail(tmp_path: Path) -> None:
    body = r"out.line('\u03c4 \xfc'); out.say('\u03c4 \xfc')"
    out, err = piped(body, tmp_path, LC_ALL="POSIX", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (out.decode(), err.decode()) == ("τ ü\n", "τ ü\n")


def test_no_secret_goes_anywhere(tmp_path: Path) -> None:
    body = (
        f"token = '{TOKEN}'\n"
        "out.line(token); out.say('Bearer ' + token); out.json({token: [token, 'x@y']})\n"
        "out.table([['https://me:pw@host/x']])"
    )
    out, err = piped(body, tmp_path)
    assert out == b'[hidden]\n{"[hidden]": ["[hidden]", "x@y"]}\n[hidden]host/x\n'
    assert err == b"[hidden]\n"


def test_json_stays_json_whatever_is_in_it(tmp_path: Path) -> None:
    document = {
        "url": "http://x",
        "mail": "c@d",
        "esc": "\x1b\n\x9b\x7f",
        "n": [1, 2.5, True, None],
    }
    body = f"out.json({document!r}); out.json([float('nan'), float('-inf'), Path('/s')])"
    out, _ = piped(body, tmp_path)
    first, second = out.splitlines()
    assert (out.isascii(), b"\x7f" in out) == (True, False)
    assert json.loads(first) == document
    assert json.loads(second) == [None, None, "/s"]


def test_tables_are_aligned(tmp_path: Path) -> None:
    body = "out.table([['a', '1'], ['bbb', '22\\n']], header=['name', 'n'], right=[1], indent='  ')"
    out, _ = piped(body, tmp_path)
    assert out.decode() == "  name     n\n  a        1\n  bbb   22\\n\n"


def test_an_empty_table_is_nothing(tmp_path: Path) -> None:
    assert piped("out.table([])", tmp_path) == (b"", b"")


@pytest.mark.parametrize(
    ("env", "start"),
    [
        ({"TERM": "xterm"}, "\x1b[33mvulcan:\x1b[0m look"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "vulcan: look"),
        ({"TERM": "dumb"}, "vulcan: look"),
    ],
)
def test_colour_only_where_it_is_welcome(tmp_path: Path, env: dict[str, str], start: str) -> None:
    code, seen = on_terminal(script("out.warn('look')"), clean(tmp_path, **env), tmp_path)
    assert (code, seen) == (0, start + "\n")


def test_a_reader_that_is_gone_stops_no_work(tmp_path: Path) -> None:
    body = "for n in range(5_000): out.line('x' * 100)\nout.say(f'done {out.reader_gone}')"
    assert cut_off(script(body), tmp_path) == (b"done True\n", 0)


def test_bytes_for_a_reader_that_is_gone_end_the_work(tmp_path: Path) -> None:
    code = (
        "import sys; from vulcan_cli.cli import app\n"
        "from vulcan_cli.cli.output import Output\n"
        "def run(words):\n"
        "    while True: Output().binary().write(b'x' * 100_000)\n"
        "app._run = run\n"
        "sys.exit(app.main([]))\n"
    )
    assert cut_off([sys.executable, "-c", code], tmp_path) == (b"", 0)


def test_talk_that_nobody_hears_stops_no_work(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *script("out.say('talk'); out.line('data')")],
        capture_output=True,
        env=clean(tmp_path),
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"data\n")


def test_progress_shows_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    body = (
        "import time\n"
        "with out.progress('reading', 2) as advance:\n"
        "    advance(1); time.sleep(1.1); advance(1)\n"
        "print('rich' in sys.modules)"
    )
    assert piped(body, tmp_path) == (b"False\n", b"")
    env = clean(tmp_path, TERM="xterm", COLUMNS="80")
    code, seen = on_terminal(script(body), env, tmp_path)
    assert code == 0
    assert "reading" in seen
    assert seen.endswith("True\n")
    assert on_terminal(script(body), {**env, "TERM": "dumb"}, tmp_path) == (0, "False\n")


def test_what_is_told_meanwhile_stands_above_the_bar(tmp_path: Path) -> None:
    told = ["a note on [bold] 7 of 9", "vulcan: a warning " + 100 * "x", "and more"]
    body = (
        "import time\n"
        "with out.progress('reading', 2) as advance:\n"
        "    advance(1); time.sleep(1.1); advance(1, 'and a third')\n"
        f"    out.say({told[0]!r}); out.warn({told[1].removeprefix('vulcan: ')!r})\n"
        f"out.say({told[2]!r})"
    )
    env = clean(tmp_path, TERM="xterm", COLUMNS="80", NO_COLOR="1")
    code, seen = on_terminal(script(body), env, tmp_path)
    assert (code, "reading" in seen) == (0, True)
    # What stands in each line when the next begins; the bar takes itself away.
    seen = seen.replace("\x1b[?25l", "").replace("\x1b[?25h", "")
    lines = [line.rpartition("\x1b[2K")[2] for line in seen.splitlines()]
    assert [line for line in lines if line and "reading" not in line] == told


def test_counting_may_begin_anew_and_ends_where_data_comes(tmp_path: Path) -> None:
    body = (
        "import time\n"
        "with out.counting('shards') as tell:\n"
        "    for _ in range(2):\n"
        "        tell(0, 3); tell(2, 3); time.sleep(1.1); tell(1, 3); tell(3, 3)\n"
        "    out.line('data')\n"
        "    tell(3, 3)\n"
        "    out.line('more')\n"
    )
    assert piped(body, tmp_path) == (b"data\nmore\n", b"")
    env = clean(tmp_path, TERM="xterm", COLUMNS="80")
    code, seen = on_terminal(script(body), env, tmp_path)
    assert code == 0
    assert seen.count("3/3") >= 2
    assert seen.endswith("data\nmore\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
@pytest.mark.parametrize(
    ("begin", "steps"),
    [
        ("out.progress('shards', 2) as advance", "advance(1); time.sleep(1.1); advance(1)"),
        ("out.counting('shards') as tell", "tell(0, 2); time.sleep(1.1); tell(1, 2)"),
    ],
)
def test_who_is_stopped_gives_the_terminal_back(
    begin: str, steps: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    body = (
        "import os, sys, time\n"
        "from vulcan_cli import __main__\n"
        "from vulcan_cli.cli import app\n"
        "from vulcan_cli.cli.output import Output\n"
        "def run(words):\n"
        "    out = Output()\n"
        f"    with {begin}:\n"
        f"        {steps}\n"
        f"        os.kill(os.getpid(), {number.value})\n"
        "        time.sleep(60)\n"
        "app._run = run\n"
        "sys.exit(__main__.main([]))\n"
    )
    env = clean(tmp_path, TERM="xterm", COLUMNS="80", NO_COLOR="1")
    ended, seen = on_terminal([sys.executable, "-c", body], env, tmp_path)
    # The cursor comes back and the bar goes.
    assert (ended, seen[seen.rindex("\x1b[?25h") :]) == (
        code,
        "\x1b[?25h\r\x1b[1A\x1b[2K"
        "vulcan: interrupted\n"
        "  safe: what was done so far stands; the same command goes on from there\n"
        "  next: vulcan status\n",
    )


def test_what_is_soon_done_shows_no_progress(tmp_path: Path) -> None:
    body = (
        "with out.progress('reading', 1) as advance:\n    advance(1)\nprint('rich' in sys.modules)"
    )
    assert on_terminal(script(body), clean(tmp_path, TERM="xterm"), tmp_path) == (0, "False\n")
