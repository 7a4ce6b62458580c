"""Telling a monitor that a sync started, is done, or failed, in the way of healthchecks.io.

A monitor that does not answer is no reason to fail or to wait: every ping is bounded in time, and
what went wrong is told without the address, which is as good as a password.

https://healthchecks.io/docs/http_api/: URL/start, URL, URL/fail; any method will do.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from vulcan_cli.errors import SyncAtWork

T = TypeVar("T")
Event = Literal["start", "done", "fail"]

LONGEST_S = 10.0
"""The longest that a sync waits for the monitor at its end; at its start it does not wait."""

_ENDS = {"start": "/start", "done": "", "fail": "/fail"}
_AGENT = {"User-Agent": "vulcan"}


class Healthcheck:
    """Pings one address; does nothing where there is none."""

    def __init__(self, url: str | None, warn: Callable[[str], None]) -> None:
        """Prepare to ping.

        Args:
            url: The address.
            warn: Takes one sentence where a ping failed.
        """
        self._url = url
        self._warn = warn
        self._pings: list[threading.Thread] = []

    def tell(self, event: Event) -> None:
        """Ping. The start goes on its way by itself; the end is waited for, for a while."""
        if self._url is None:
            return
        before = () if event == "start" else tuple(self._pings)
        ping = threading.Thread(target=self._ping, args=(self._url, event, before), daemon=True)
        ping.start()
        self._pings.append(ping)
        if event != "start":
            ping.join(LONGEST_S)
            if ping.is_alive():
                self._warn(f"the health check took longer than {LONGEST_S:g} s")
            self._pings.clear()

    def watch(self, work: Callable[[], T], code_of: Callable[[T], int]) -> T:
        """Do a piece of work between two pings.

        Args:
            work: The work.
            code_of: The exit status that its result stands for.
        """
        self.tell("start")
        result = self.guard(work)
        code = code_of(result)
        if code != SyncAtWork.exit_code:
            self.tell("fail" if code else "done")
        return result

    def guard(self, work: Callable[[], T]) -> T:
        """Do what can only fail. Where another sync is at work, that one tells how it ends."""
        try:
            return work()
        except SyncAtWork:
            raise
        except Exception:
            self.tell("fail")
            raise

    def _ping(self, url: str, event: Event, before: Sequence[threading.Thread]) -> None:
        # A monitor that hears of the start last thinks that the sync never ends.
        for each in before:
            each.join(LONGEST_S / 2)
        try:
            request = urllib.request.Request(_address(url, event), headers=_AGENT)  # noqa: S310
            with urllib.request.urlopen(request, timeout=LONGEST_S) as answer:  # noqa: S310
                answer.read(1)
        except urllib.error.HTTPError as error:
            self._warn(f"the health check answered {error.code} to {event}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            # Some of these name the address in their text.
            reason = getattr(error, "reason", None)
            cause = reason if isinstance(reason, OSError) else error
            why = getattr(cause, "strerror", None) or type(cause).__name__
            self._warn(f"the health check did not answer to {event}: {why}")


def _address(url: str, event: Event) -> str:
    """The address of an event: its end goes before a query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=parts.path.rstrip("/") + _ENDS[event]))
