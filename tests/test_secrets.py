"""P16: a marked token through the error paths of every command, and then a search of everything.

Searched are stdout and stderr with tracebacks on, every file of the staging directory, the repo and
the Hub client's cache, and every byte that went to the Hub but `Authorization`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa
import pytest
from typer.core import TyperArgument

from tests import cli_in_process
from tests.cli_support import Ran, clean, vulcan
from tests.folders import files_in
from tests.hostile_parquet import rewritten, with_column, with_provenance
from tests.hubserver import NO_CERTIFICATES, Fault, HubThread, LocalHub, Token
from tests.sync_support import name_of, path_of, put, put_bytes, shard_bytes
from tests.vacua_support import REAL, rows
from vulcan_cli.cli.app import COMMANDS, program
from vulcan_cli.staging.area import StagingArea

MARK = "Xk7Marked"
TOKEN = f"hf_{MARK}0123456789abcdefgh"
URL = f"https://alice:{TOKEN}@hub.example/alice/vacua"
REPO = "alice/vacua"
GEOMETRY = "h11=272,h12=2,ks_id=1,triang_id=0"
VACUA = REAL / "model_h12-2_1_batch0.parquet"


class Recorder:
    """A way to a server that keeps every byte sent to it."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._server = (address.hostname or "", address.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sent: list[bytearray] = []
        self._connections: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def sent(self) -> bytes:
        """All that was sent, without the headers that carry the token."""
        lines = b"\n".join(bytes(each) for each in self._sent).split(b"\n")
        return b"\n".join(line for line in lines if not line.lower().startswith(b"authorization:"))

    def close(self) -> None:
        # Closing alone would leave the thread in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for each in self._connections:
            each.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            kept = bytearray()
            self._sent.append(kept)
            self._connections.append(threading.Thread(target=self._serve, args=(client, kept)))
            self._connections[-1].start()

    def _serve(self, client: socket.socket, kept: bytearray) -> None:
        with client, socket.create_connection(self._server) as server:
            back = threading.Thread(target=_pass_on, args=(server, client, bytearray()))
            back.start()
            _pass_on(client, server, kept)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            kept += data
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with HubThread(tmp_path / "hub") as hub:
        hub.set_token(TOKEN, Token("marked", "alice", "write"))
        hub.create_repo(REPO)
        yield hub


@pytest.fixture
def recorder(hub: LocalHub) -> Iterator[Recorder]:
    recorder = Recorder(hub.url)
    yield recorder
    recorder.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A staging directory with a shard."""
    root = tmp_path / "spool"
    StagingArea(root).create(shared=True)
    words = ("stage", VACUA, "-g", GEOMETRY, "--staging-dir", root, "--quiet")
    assert cli_in_process.run(*words, cwd=tmp_path).code == 0
    return root


def online(recorder: Recorder, tmp_path: Path) -> dict[str, str]:
    return {
        **NO_CERTIFICATES,
        "HF_ENDPOINT": recorder.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "VULCAN_TOKEN": TOKEN,
        "VULCAN_REPO": REPO,
        "VULCAN_STAGING_DIR": str(tmp_path / "spool"),
        "VULCAN_DEBUG": "1",
    }


def leaks(ran: Ran) -> bool:
    return MARK in ran.out or MARK in ran.err


def files_with_mark(*folders: Path) -> list[str]:
    return [
        f"{folder.name}/{path}"
        for folder in folders
        for path, data in files_in(folder).items()
        if MARK.encode() in data or MARK in path
    ]


STAGE = ("stage", str(VACUA), "-g", GEOMETRY)
REFUSED = (
    ("stage", str(VACUA), "-g", f"h11={TOKEN}"),
    (*STAGE, "--solver", f"name={TOKEN}"),
    (*STAGE, "--solver", f"{TOKEN}=1"),
    (*STAGE, "--solver", f"name={URL}"),
    (*STAGE, "--provenance", f"git_sha={TOKEN}"),
    (*STAGE, "--provenance", f"note=Bearer {MARK}secret"),
    (*STAGE, "--provenance", f"seed={TOKEN}"),
    (*STAGE, "--provenance", TOKEN),
    (*STAGE, "--set", f"who={TOKEN}", "--template", "{who}"),
    (*STAGE, "--project", TOKEN),
    (*STAGE, "--template", f"{{{TOKEN}}}"),
    (*STAGE, "--template", TOKEN),
    (*STAGE, "--run-id", TOKEN),
    (*STAGE, "--format", TOKEN),
    (*STAGE, "--max-rows", TOKEN),
    ("stage", TOKEN, "-g", GEOMETRY),
    (*STAGE, f"--{TOKEN}"),
    ("sync", "--repo", URL),
    ("sync", "--repo", TOKEN),
    ("sync", "--repo", f"file://{TOKEN}/x"),
    ("sync", "--repo", f"./{TOKEN}"),
    ("sync", "--repo", "./repo", "--create-repo", "--commit-prefix", TOKEN),
    ("sync", "--repo", "./repo", "--create-repo", "--revision", TOKEN),
    ("sync", "--window-s", TOKEN),
    ("sync", "--budget", TOKEN),
    ("status", "--repo", URL),
    ("status", "--staging-dir", f"/{TOKEN}"),
    ("retry-failed", "--staging-dir", f"/{TOKEN}"),
    ("trim-synced", "--older-than", TOKEN),
    ("trim-synced", "--repo", URL, "--older-than", "1d"),
    ("unlock", TOKEN),
    ("unlock", "--staging-dir", f"/{TOKEN}"),
    ("verify", "--repo", URL),
    ("verify", "--staging-dir", f"/{TOKEN}"),
    ("init", f"/dev/null/{TOKEN}"),
    ("init", "spool", "--group", TOKEN),
    ("query", "--source", "staged", "--where", TOKEN),
    ("query", "--source", "staged", "--where", f"tau_im > '{TOKEN}'"),
    ("query", "--source", "staged", "--columns", TOKEN),
    ("query", "--source", "staged", "--h11", TOKEN),
    ("query", "--source", TOKEN),
    ("query", "--source", "staged", "--format", TOKEN),
    ("query", "--source", "staged", "-o", f"/{TOKEN}/x.parquet"),
    ("query", "--repo", URL, "--source", "repo"),
    ("split", "--source", "staged", "--fractions", TOKEN),
    ("split", "--source", "staged", TOKEN),
    ("split", "--source", "staged", "--out-dir", f"/dev/null/{TOKEN}"),
    (TOKEN,),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A command line, and what is special about the place where it is typed."""

    words: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None


EVERY_COMMAND = """
import json, os, sys
from vulcan_cli.cli.app import main
said, usual = os.getcwd(), dict(os.environ)
for number, (words, env, cwd) in enumerate(json.load(sys.stdin)):
    for fd in (1, 2):
        to = os.open(f"{said}/{number}.{fd}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(to, fd)
        os.close(to)
    os.chdir(cwd or said)
    os.environ.update(env)
    code = main(words)
    os.environ.clear()
    os.environ.update(usual)
    sys.stdout.flush()
    sys.stderr.flush()
    with open(f"{said}/{number}.code", "w") as file:
        file.write(str(code))
"""
"""Runs many command lines in one process, each with files for its stdout and stderr."""


def ran_all(tmp_path: Path, spool: Path, lines: Sequence[Line], said: str = "said") -> list[Ran]:
    """Run all lines in one process, with tracebacks on; what each did."""
    folder = tmp_path / said
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", EVERY_COMMAND],
        input=json.dumps(
            [(line.words, dict(line.env), line.cwd and str(line.cwd)) for line in lines]
        ),
        text=True,
        env=clean(tmp_path, VULCAN_STAGING_DIR=str(spool), VULCAN_DEBUG="1"),
        cwd=folder,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0
    return [said_of(folder, number) for number in range(len(lines))]


def said_of(folder: Path, number: int) -> Ran:
    """What one command line did, from the files that it left."""
    code, out, err = (
        (folder / f"{number}.{what}").read_bytes().decode(errors="replace")
        for what in ("code", "1", "2")
    )
    return Ran(int(code), out, err)


def every_parameter() -> list[tuple[str, ...]]:
    """Each command with a token for each option that takes a value, and for each argument."""
    root = program()
    context = root.make_context("vulcan", [], resilient_parsing=True)
    lines: list[tuple[str, ...]] = []
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        for parameter in command.get_params(context):
            if isinstance(parameter, TyperArgument):
                lines += [(name, TOKEN), (name, URL)]
            elif not getattr(parameter, "is_flag", False) and "--help" not in parameter.opts:
                lines += [(name, parameter.opts[-1], TOKEN), (name, parameter.opts[-1], URL)]
    return lines


def test_p16_no_parameter_of_any_command_is_said(tmp_path: Path, spool: Path) -> None:
    """Found by asking the commands, so that a new option is tried as soon as it is there."""
    lines = [words for words in every_parameter() if words[0] not in ("demo", "help")]
    assert {words[0] for words in lines} == {*COMMANDS} - {"demo", "help"}
    ran = ran_all(tmp_path, spool, [Line(words) for words in lines])
    assert [words for words, each in zip(lines, ran, strict=True) if leaks(each)] == []
    assert files_with_mark(spool, tmp_path / "said") == []


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_p16_no_option_says_or_writes_what_looks_like_a_token(
    tmp_path: Path, spool: Path, *, as_json: bool
) -> None:
    lines = [(*words, "--json") if as_json else words for words in REFUSED]
    ran = ran_all(tmp_path, spool, [Line(words) for words in lines])
    assert [words for words, each in zip(lines, ran, strict=True) if not each.err] == []
    assert [words for words, each in zip(lines, ran, strict=True) if leaks(each)] == []
    assert files_with_mark(spool, tmp_path / "said") == []


VARIABLES = (
    ("VULCAN_STAGING_DIR", f"/nowhere/{TOKEN}"),
    ("VULCAN_REPO", URL),
    ("VULCAN_REPO", TOKEN),
    ("VULCAN_BUDGET", TOKEN),
    ("VULCAN_WINDOW_S", TOKEN),
    ("VULCAN_PROJECT", TOKEN),
    ("VULCAN_TOKEN", f"{TOKEN} and more"),
    ("VULCAN_TOKEN_FILE", f"/nowhere/{TOKEN}"),
    ("HF_ENDPOINT", f"http://alice:{TOKEN}@127.0.0.1:9"),
)


def test_p16_no_variable_is_said(tmp_path: Path, spool: Path) -> None:
    usual = {
        "VULCAN_REPO": REPO,
        "VULCAN_TOKEN": TOKEN,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path / "hf"),
    }
    without = {"VULCAN_TOKEN_FILE": {"VULCAN_TOKEN": ""}}
    words = ("sync", "--max-retries", "0")
    lines = [
        Line(words, {**usual, **without.get(name, {}), name: value}) for name, value in VARIABLES
    ]
    ran = ran_all(tmp_path, spool, lines)
    told = {
        variable: (each.code in {4, 5}, leaks(each))
        for variable, each in zip(VARIABLES, ran, strict=True)
    }
    assert told == dict.fromkeys(VARIABLES, (True, False))
    assert files_with_mark(spool, tmp_path / "said") == []


SETTINGS = (
    f'token = "{TOKEN}"',
    f'repo = "{URL}"',
    f'project = "{TOKEN}"',
    f'"{TOKEN}" = 1',
    f'budget = "{TOKEN}"',
    f"# {TOKEN}\nrepo = [",
)


def test_p16_no_settings_file_is_said(tmp_path: Path, spool: Path) -> None:
    places = [tmp_path / f"place{number}" for number in range(len(SETTINGS))]
    for place, text in zip(places, SETTINGS, strict=True):
        place.mkdir()
        (place / "vulcan.toml").write_text(text)
    ran = ran_all(tmp_path, spool, [Line(STAGE, cwd=place) for place in places])
    told = {text: (each.code, leaks(each)) for text, each in zip(SETTINGS, ran, strict=True)}
    assert told == dict.fromkeys(SETTINGS, (4, False))
    assert files_with_mark(spool, tmp_path / "said") == []


COLUMNS: tuple[dict[str, list[object]], ...] = (
    {"tags": ["fine", TOKEN]},
    {"extra_data": ["{}", f'{{"auth": "Bearer {MARK}abcdef"}}']},
    {"note": ["see", URL]},
    {"notes": [["fine"], ["deep", TOKEN]]},
    {TOKEN: [1, 2]},
    {"tau_im": ["3.0", TOKEN]},
    {"created_at": ["2026-01-01", TOKEN]},
    {"h11": ["272", TOKEN]},
)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_p16_no_input_with_what_looks_like_a_token_is_staged(
    tmp_path: Path, spool: Path, ending: str
) -> None:
    lines = []
    for number, columns in enumerate(COLUMNS):
        file = tmp_path / f"input{number}.{ending}"
        write_input(rows(2, **columns), file)
        geometry = () if "h11" in columns else ("-g", GEOMETRY)
        lines.append(Line(("stage", str(file), *geometry)))
    before = files_in(spool)
    ran = ran_all(tmp_path, spool, lines)
    assert [(each.code, leaks(each)) for each in ran] == [(3, False)] * len(COLUMNS), ran
    assert files_in(spool) == before
    assert files_with_mark(tmp_path / "said") == []


def write_input(frame: pl.DataFrame, file: Path) -> None:
    """A frame as a solver may leave it: parquet, or CSV whose lists are JSON text."""
    if file.suffix == ".parquet":
        frame.write_parquet(file)
        return
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    text = frame.with_columns(
        pl.col(name).map_elements(lambda cell: str(cell.to_list()).replace("'", '"'), pl.String)
        for name in lists
    )
    text.write_csv(file)


ECHO = {"error": f"token {TOKEN} is no good; Bearer {MARK}0123456789"}


@pytest.mark.parametrize(
    "fault",
    [
        ("/api/datasets", 401),
        ("/api/", 403),
        ("/api/datasets", 404),
        ("/preupload/", 422),
        ("/commit/", 400),
        ("/commit/", 429),
        ("/commit/", 500),
        ("/_lfs/", 403),
    ],
)
def test_p16_a_hub_that_repeats_the_token_is_not_repeated(
    tmp_path: Path,
    spool: Path,
    hub: LocalHub,
    recorder: Recorder,
    fault: tuple[str, int],
) -> None:
    path, status = fault
    headers = {"X-Error-Message": f"no {TOKEN}", "X-Request-Id": TOKEN}
    hub.add_faults(
        Fault("status", path=path, status=status, body=ECHO, headers=headers, times=None)
    )
    env = online(recorder, tmp_path)
    ran = vulcan("sync", "--max-retries", "0", "-v", home=tmp_path, env=env)
    assert hub.fault_hits()[0] > 0
    assert (ran.code in {3, 4, 5}, leaks(ran)) == (True, False), ran
    assert files_with_mark(spool) == []
    assert MARK.encode() not in recorder.sent()


def test_p16_no_reader_repeats_what_the_hub_repeats(
    tmp_path: Path, spool: Path, hub: LocalHub, recorder: Recorder
) -> None:
    env = online(recorder, tmp_path)
    assert vulcan("sync", home=tmp_path, env=env).code == 0
    commands = {
        401: (("query", "--source", "repo", "--count"), ("verify", "--repo", REPO)),
        403: (("split", "--source", "repo"), ("trim-synced", "--keep-bytes", "0")),
    }
    for status, lines in commands.items():
        hub.add_faults(Fault("status", path="/api/", status=status, body=ECHO, times=None))
        said = ran_all(tmp_path, spool, [Line(words, env) for words in lines], str(status))
        assert [(ran.code in {4, 5}, leaks(ran)) for ran in said] == [(True, False)] * 2, said
        hub.clear_faults()
    assert files_with_mark(spool, tmp_path / "hf") == []
    assert MARK.encode() not in recorder.sent()


def test_p16_all_that_reaches_the_hub_is_free_of_it_but_one_header(
    tmp_path: Path, spool: Path, hub: LocalHub, recorder: Recorder
) -> None:
    (spool / "pending" / f"{TOKEN}.parquet").write_bytes(b"PAR1")
    env = online(recorder, tmp_path)
    commands = (
        ("sync", "-v"),
        ("status",),
        ("query", "--source", "repo", "--format", "csv"),
        ("split", "--source", "repo"),
        ("verify", "--repo", REPO),
        ("trim-synced", "--keep-bytes", "0"),
    )
    said = ran_all(tmp_path, spool, [Line(words, env) for words in commands])
    assert [(ran.code in {0, 3}, leaks(ran)) for ran in said] == [(True, False)] * 6, said
    assert len(hub.attempts(REPO)) == 1
    assert b"POST /api/datasets/alice/vacua/commit/" in recorder.sent()
    assert MARK.encode() not in recorder.sent()
    assert MARK not in str([hub.commits(REPO), hub.tree(REPO)])


def test_p16_a_shard_with_what_looks_like_a_token_is_set_aside(
    tmp_path: Path, spool: Path, hub: LocalHub, recorder: Recorder
) -> None:
    (good,) = (spool / "pending").glob("*.parquet")
    metadata = pl.read_parquet_metadata(good)
    with_token = pl.read_parquet(good).with_columns(tags=pl.lit(TOKEN))
    bad = good.with_name(good.name.replace("run_2", "run_3"))
    with_token.write_parquet(bad, metadata=metadata)
    age(bad)
    ran = vulcan("sync", home=tmp_path, env=online(recorder, tmp_path))
    assert (ran.code, leaks(ran)) == (3, False), ran
    assert hub.tree(REPO).keys() >= {good.name.replace("__", "/")}
    assert MARK.encode() not in recorder.sent()
    (left,) = files_with_mark(spool)
    assert left.startswith("spool/_vulcan/rejected/")


def test_p16_no_reader_shows_what_waits_and_looks_like_a_token(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "spool")
    area.create()
    put(area, "good", solver_name="newton")
    env = {"VULCAN_STAGING_DIR": str(area.root)}
    commands = [
        ("catalog", "--source", "staged", "--format", "csv", "-q"),
        ("query", "--source", "staged", "--format", "csv", "-q"),
        ("query", "--source", "staged", "--columns", "run_id,solver_name", "--json", "-q"),
    ]
    before = [cli_in_process.run(*words, cwd=tmp_path, env=env) for words in commands]
    of_run = with_column("run_id", pa.array([TOKEN] * 3))
    names = {
        "cells": with_column("solver_name", pa.array(["newton", f"see {TOKEN}", None])),
        "columns": with_column(f"x{TOKEN}", pa.array([1, 2, 3])),
        TOKEN: lambda table: with_provenance(run_id=TOKEN)(of_run(table)),
    }
    for name, change in names.items():
        shard = shard_bytes("x" if name == TOKEN else name)
        put_bytes(area, name_of(name), rewritten(shard, change))
    after = [cli_in_process.run(*words, cwd=tmp_path, env=env) for words in commands]
    assert [(ran.code, ran.err) for ran in before] == [(0, "")] * 3
    assert [(ran.code, leaks(ran)) for ran in after] == [(3, False)] * 3
    hidden = name_of(TOKEN).replace(TOKEN, "[hidden]")
    skipped = [
        f"vulcan: skipped: {name_of('columns')} is not a shard: "
        "the name of a column looks like a token",
        f"vulcan: skipped: {hidden} is not a shard: its run id looks like a token",
    ]
    of_cells = "column solver_name holds what looks like a token"
    with_cells = f"vulcan: skipped: {name_of('cells')} is not a shard: {of_cells}"
    assert after[0].err.splitlines() == [*skipped, "vulcan: 2 shards were skipped"]
    three = [*skipped, with_cells, "vulcan: 3 shards were skipped"]
    assert after[1].err.splitlines() == after[2].err.splitlines() == three
    assert [ran.out for ran in after[1:]] == [ran.out for ran in before[1:]]
    paths = [row["path_in_repo"] for row in csv.DictReader(after[0].out.splitlines())]
    assert paths == [path_of("cells"), path_of("good")]


def age(path: Path) -> None:
    """Make a file older than the minute for which it may still be in the making."""
    os.utime(path, (path.stat().st_mtime - 600,) * 2)


def test_the_recorder_sees_a_token_where_there_is_one(tmp_path: Path, recorder: Recorder) -> None:
    env = online(recorder, tmp_path)
    words = ("query", "--source", "repo", "--count", "--revision", f"{MARK}-branch")
    assert vulcan(*words, home=tmp_path, env=env).code != 0
    assert MARK.encode() in recorder.sent()
