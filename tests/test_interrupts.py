"""Ctrl-C and SIGTERM where Polars is at work, or a block is to clean up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.cli_support import Ran, clean, python

CLEANS_UP = """
import os
import signal
import time

from vulcan_cli.interrupts import end_interrupted, sigterm_interrupts

try:
    with sigterm_interrupts():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            # Long enough for a thread to see it: whoever sent the first may send another.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
            print("cleaned up", flush=True)
except KeyboardInterrupt:
    end_interrupted(130)
"""


ENDS = """
import os
import signal
import time

from vulcan_cli.interrupts import sigterm_interrupts

with sigterm_interrupts():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    print("went on", flush=True)
"""


CALLED_BY_POLARS = """
import os
import signal
import time

from vulcan_cli.interrupts import catch_interrupts

catch_interrupts()
import polars as pl


def called(value):
    os.kill(os.getpid(), signal.SIGINT)
    print("raised nothing", flush=True)
    return value


try:
    pl.Series([1]).map_elements(called, return_dtype=pl.Int64)
    time.sleep(60)
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGINT)
    print("cleaned up", flush=True)
"""


MISSED_BY_POLARS = """
import os
import signal

from vulcan_cli.interrupts import catch_interrupts, interrupted_once

catch_interrupts()
import polars as pl


def called(value):
    os.kill(os.getpid(), signal.SIGINT)
    return value


try:
    interrupted_once(lambda: pl.Series([1]).map_elements(called, return_dtype=pl.Int64))
    print("went on", flush=True)
except KeyboardInterrupt:
    print("cleaned up", flush=True)
"""


def test_ctrl_c_that_polars_missed_is_raised_when_it_is_done(tmp_path: Path) -> None:
    ran = python(MISSED_BY_POLARS, home=tmp_path)
    assert ran == Ran(0, "cleaned up\n", "")


def test_ctrl_c_raises_nothing_in_what_polars_calls_or_what_cleans_up(tmp_path: Path) -> None:
    ran = python(CALLED_BY_POLARS, home=tmp_path)
    assert ran == Ran(0, "raised nothing\ncleaned up\n", "")


def test_what_a_script_has_in_its_background_ends_by_sigterm(tmp_path: Path) -> None:
    # As a shell does for a command with & behind it.
    script = 'trap "" INT; exec "$0" -c "$1"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, ENDS],
        capture_output=True,
        text=True,
        env=clean(tmp_path),
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_a_second_sigterm_lets_it_clean_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLEANS_UP],
        capture_output=True,
        text=True,
        env=clean(tmp_path),
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "cleaned up\n", "")
