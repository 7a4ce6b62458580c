"""Pings of a sync, to a real HTTP server."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_in_process import run
from tests.cli_shards import staged
from tests.cli_support import Ran
from vulcan_cli.errors import SyncAtWork
from vulcan_cli.sync.healthcheck import Healthcheck

ID = "0b8d6f4e-uuid"


class Monitor(http.server.ThreadingHTTPServer):
    """Notes what it is asked for.

    Attributes:
        slow: How the paths end that it notes and answers only once it has answered another ping, or
            half a second has passed.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.code = 200
        self.slow: str | None = None
        self.answered = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{ID}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Monitor

    def do_GET(self) -> None:
        slow = self.server.slow
        if slow is not None and self.path.endswith(slow):
            self.server.answered.wait(0.5)
        self.server.asked.append(self.path)
        self.send_response(self.server.code)
        self.end_headers()
        self.server.answered.set()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    server = Monitor()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


WORDS = ("sync", "--staging-dir", "spool", "--repo", "./repo")


def test_start_and_success(tmp_path: Path, monitor: Monitor) -> None:
    staged(tmp_path, "r")
    url = f"{monitor.url}/?create=1"
    ran = run(*WORDS, "--create-repo", "--healthcheck-url", url, cwd=tmp_path)
    assert (ran.code, ran.out, ran.err) == (
        0,
        "committed=1 failed=0 remaining=0 commits=1\n",
        "",
    )
    assert monitor.asked == [f"/{ID}/start?create=1", f"/{ID}?create=1"]


def test_the_end_waits_for_the_start(tmp_path: Path, monitor: Monitor) -> None:
    """A monitor that hears of the start last takes the sync for one that never ended."""
    staged(tmp_path, "r")
    monitor.slow = "/start"
    ran = run(*WORDS, "--create-repo", "--healthcheck-url", monitor.url, cwd=tmp_path)
    assert ran == Ran(0, "committed=1 failed=0 remaining=0 commits=1\n", "")
    assert monitor.asked == [f"/{ID}/start", f"/{ID}"]


def test_failure_without_a_word_of_the_address(tmp_path: Path, monitor: Monitor) -> None:
    staged(tmp_path, "r")
    # No such repo: found before the first round, or in it.
    for words in ((), ("--json", "-v")):
        ran = run(*WORDS, *words, "--healthcheck-url", monitor.url, cwd=tmp_path)
        assert ran.code == 4
        assert ID not in ran.out + ran.err
    assert monitor.asked.count(f"/{ID}/fail") == 2
    assert f"/{ID}" not in monitor.asked
    ran = run(*WORDS, "--create-repo", "--error-on-remaining", "--max-batch", "1", cwd=tmp_path,
              env={"VULCAN_HEALTHCHECK_URL": monitor.url})  # fmt: skip
    assert ran.code == 0
    assert monitor.asked[-1] == f"/{ID}"


def test_a_monitor_that_fails_fails_no_sync(tmp_path: Path, monitor: Monitor) -> None:
    staged(tmp_path, "r")
    monitor.code = 404
    ran = run(*WORDS, "--create-repo", "--healthcheck-url", monitor.url, cwd=tmp_path)
    assert (ran.code, sorted(ran.err.splitlines())) == (
        0,
        [
            "vulcan: the health check answered 404 to done",
            "vulcan: the health check answered 404 to start",
        ],
    )
    ran = run(*WORDS, "--healthcheck-url", "http://127.0.0.1:9/x", cwd=tmp_path)
    assert (ran.code, sorted(ran.err.splitlines())) == (
        0,
        [
            "vulcan: the health check did not answer to done: Connection refused",
            "vulcan: the health check did not answer to start: Connection refused",
        ],
    )


def test_a_monitor_that_never_answers_holds_nobody_up(
    tmp_path: Path, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged(tmp_path, "r")
    monkeypatch.setattr("vulcan_cli.sync.healthcheck.LONGEST_S", 0.05)
    monitor.slow = ""
    ran = run(*WORDS, "--create-repo", "--healthcheck-url", monitor.url, cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "committed=1 failed=0 remaining=0 commits=1\n")


def test_a_rehearsal_tells_nobody(tmp_path: Path, monitor: Monitor) -> None:
    staged(tmp_path, "r")
    assert run(*WORDS, "--dry-run", "--healthcheck-url", monitor.url, cwd=tmp_path).code == 0
    assert monitor.asked == []


def test_the_address_is_hidden_in_the_settings(tmp_path: Path, monitor: Monitor) -> None:
    (tmp_path / "vulcan.toml").write_text(f'healthcheck_url = "{monitor.url}"\n')
    for words in ((), ("--json",)):
        ran = run("config", *words, cwd=tmp_path)
        assert (ran.code, ID in ran.out, "[hidden]" in ran.out) == (0, False, True)


def test_another_sync_at_work_is_no_failure(monitor: Monitor) -> None:
    def at_work() -> int:
        raise SyncAtWork("process 7")

    health = Healthcheck(monitor.url, pytest.fail)
    with pytest.raises(SyncAtWork):
        health.watch(at_work, int)
    assert health.watch(lambda: 7, int) == 7
    assert health.watch(lambda: 0, int) == 0
    assert sorted(set(monitor.asked)) == [f"/{ID}", f"/{ID}/start"]
