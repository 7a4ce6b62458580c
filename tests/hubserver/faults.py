"""Faults: which request goes wrong, and how. Kept in memory: a restarted server has none."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Action = Literal[
    "serve",  # no fault
    "status",  # answer `status`, `body`, `headers`; nothing is applied
    "delay",  # wait `seconds`, then serve
    "drop",  # lose the connection, nothing applied; with `read`, so far into the body
    "drop_after",  # apply, then lose the connection
    "status_after",  # apply, then answer `status` (504)
    "hold",  # apply after `seconds` or on release; `reply`: what the client sees
    "truncate_upload",  # PUT: keep the first `keep` bytes, answer 200
    "spoil_upload",  # PUT: keep the right number of bytes with the last one changed, answer 200
    "truncate_download",  # announce the whole body, send `keep` bytes of it, lose the connection
    "cut_unsaid",  # send `keep` bytes of the body and no length, then close: as HTTP/1.0 may
    "unsaid_size",  # serve the range without the size of the whole, as HTTP allows
    "other_range",  # serve what the `Range` in `headers` asks for, or all where there is none
    "hang",  # never serve; with `seconds`, lose the connection after them
]
Mode = Literal["close", "reset"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule: it matches by method and by `path`, a regular expression searched in path?query.

    The first `skip` matches are let through, then `times` are hit (None: all that follow).
    `min_operations` limits it to commit requests with at least so many operations. `reply` of a
    hold: "wait" answers when applied, "close" and "reset" lose the connection at once, a number
    answers that status at once.
    """

    action: Action
    path: str = ""
    method: str | None = None
    skip: int = 0
    times: int | None = 1
    min_operations: int = 0
    status: int = 503
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    mode: Mode = "close"
    keep: int = 0
    read: int | None = None
    reply: int | Literal["wait", "close", "reset"] = "wait"


NO_FAULT = Fault("serve")


class FaultPlan:
    """The rules in force, in the order given; the first that applies is taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Fault, list[int]]] = []

    def add(self, faults: list[Fault]) -> None:
        """Put rules behind those in force."""
        with self._lock:
            self._rules.extend((fault, [0]) for fault in faults)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._rules.clear()

    def state(self) -> list[dict[str, Any]]:
        """Each rule with `hits`, how many requests it hit."""
        with self._lock:
            return [asdict(fault) | {"hits": _hits(fault, seen[0])} for fault, seen in self._rules]

    def take(
        self, method: str, target: str, *, operations: int = 0, early: bool = False
    ) -> Fault | None:
        """The rule that hits this request; `early` asks those with `read`, before the body."""
        with self._lock:
            for fault, seen in self._rules:
                if (fault.read is not None) != early or operations < fault.min_operations:
                    continue
                if fault.method not in (None, method) or not re.search(fault.path, target):
                    continue
                before = _hits(fault, seen[0])
                seen[0] += 1
                if _hits(fault, seen[0]) > before:
                    return fault
        return None


def _hits(fault: Fault, seen: int) -> int:
    """How many of the first `seen` matches the rule hits."""
    hits = max(seen - fault.skip, 0)
    return hits if fault.times is None else min(hits, fault.times)


class Holds:
    """Requests that wait for a release."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[threading.Event] = []
        self._busy = 0

    @contextmanager
    def wait(self, seconds: float | None, held: threading.Event | None = None) -> Iterator[None]:
        """Block until released or the time is over; the body of the `with` is what was held.

        `held` is set once the request counts as held.
        """
        gate = threading.Event()
        with self._changed:
            self._waiting.append(gate)
            self._changed.notify_all()
        if held is not None:
            held.set()
        gate.wait(seconds)
        with self._changed:
            self._busy += 1
            if gate in self._waiting:
                self._waiting.remove(gate)
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def await_held(self, at_least: int, timeout: float) -> int:
        """How many are held, once there are so many or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) >= at_least, timeout)
            return len(self._waiting)

    def release(self, timeout: float) -> int:
        """Let all go, and wait until they are through; how many there were."""
        with self._changed:
            gates = list(self._waiting)
            for gate in gates:
                gate.set()
            self._changed.wait_for(
                lambda: not self._busy and not set(gates) & set(self._waiting), timeout
            )
            return len(gates)
