"""The HTTP server: reads requests, carries out faults, writes the request log, sends responses."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.hubserver.app import App
from tests.hubserver.control import Control
from tests.hubserver.faults import NO_FAULT, Fault, FaultPlan, Holds, Mode
from tests.hubserver.messages import Request, Response
from tests.hubserver.store import Store


class DroppedError(Exception):
    """The connection ends here, without (the rest of) an answer."""


class HubServer(ThreadingHTTPServer):
    """One local Hub on a port; a thread per connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, port: int = 0, host: str = "127.0.0.1") -> None:
        self.store = Store(root)
        self.app = App(self.store)
        self.plan = FaultPlan()
        self.holds = Holds()
        self.control = Control(self.app, self.plan, self.holds)
        self.numbers = itertools.count(1)
        self._sockets: set[socket.socket] = set()
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        """What a client gets as `HF_ENDPOINT`."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `abort` can end it."""
        self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of bugs only: faults and killed clients break connections all the time."""
        if not isinstance(sys.exc_info()[1], DroppedError | OSError):
            super().handle_error(request, client_address)

    def abort(self) -> None:
        """Stop at once: no more connections, and those that are open end."""
        self.shutdown()
        self.server_close()
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.store.close()


class Handler(BaseHTTPRequestHandler):
    """One connection, with keep-alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HubServer

    def do_GET(self) -> None:
        """Serve one request, of any method."""
        if self.path.startswith("/_control/"):
            self._send(self.server.control.dispatch(self._request(self._body())))
            return
        plan = self.server.plan
        fault = plan.take(self.command, self.path, early=True)
        body = (
            self.rfile.read(min(fault.read, self._length()))
            if fault and fault.read is not None
            else self._body()
        )
        request = self._request(body)
        self.server.app.received(request)
        operations = request.attempt["operations"] if request.attempt else 0
        fault = fault or plan.take(self.command, self.path, operations=operations)
        self._serve(request, fault or NO_FAULT)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The request log has it all; standard error stays quiet."""

    def _request(self, body: bytes) -> Request:
        path, _, query = self.path.partition("?")
        secret = self.headers.get("Authorization", "").removeprefix("Bearer ")
        token = self.server.store.config.tokens.get(secret)
        name = token.name if token else ("unknown" if secret else None)
        headers = {key.lower(): text for key, text in self.headers.items()}
        base = f"http://{self.headers.get('Host', self.server.url.removeprefix('http://'))}"
        return Request(
            self.command,
            path,
            parse_qs(query),
            headers,
            body,
            base,
            token,
            token is not None or not secret,
            name,
        )

    def _length(self) -> int:
        return int(self.headers.get("Content-Length", "0"))

    def _body(self) -> bytes:
        """The whole body; a client that goes away in the middle of it is no request at all."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        body = self.rfile.read(self._length())
        if len(body) < self._length():
            raise DroppedError
        return body

    def _chunks(self) -> list[bytes]:
        chunks: list[bytes] = []
        while True:
            size = int(self.rfile.readline().split(b";")[0] or b"0", 16)
            chunk = self.rfile.read(size)
            if len(chunk) < size or self.rfile.readline() != b"\r\n":
                raise DroppedError
            if not size:
                return chunks
            chunks.append(chunk)

    def _serve(self, request: Request, fault: Fault) -> None:
        """Serve a request with what its fault does to it."""
        match fault.action:
            case "status":
                self._answer(request, fault, _canned(fault, fault.status))
            case "status_after":
                self._dispatch(request)
                self._answer(request, fault, _canned(fault, fault.status))
            case "drop":
                self._lose(request, fault, fault.mode)
            case "drop_after":
                self._dispatch(request)
                self._lose(request, fault, fault.mode)
            case "hang":
                with self.server.holds.wait(fault.seconds):
                    self._lose(request, fault, fault.mode)
            case "hold" if fault.reply == "wait":
                with self.server.holds.wait(fault.seconds):
                    self._answer(request, fault, self._dispatch(request))
            case "hold":
                self._hold(request, fault)
            case "truncate_download":
                self._cut(request, fault)
            case "cut_unsaid":
                self._cut_unsaid(request, fault)
            case _:
                _bend(request, fault)
                self._answer(request, fault, _bent(self._dispatch(request), fault))

    def _dispatch(self, request: Request) -> Response:
        response = self.server.app.dispatch(request)
        request.served = response.status
        return response

    def _hold(self, request: Request, fault: Fault) -> None:
        """Keep the request for later, and tell the client something now."""
        held = threading.Event()

        def later() -> None:
            with self.server.holds.wait(fault.seconds, held):
                self.server.app.dispatch(request)

        threading.Thread(target=later, daemon=True).start()
        held.wait()
        if fault.reply in {"close", "reset"}:
            self._lose(request, fault, fault.reply)
        elif isinstance(fault.reply, int):
            self._answer(request, fault, _canned(fault, fault.reply))

    def _cut(self, request: Request, fault: Fault) -> None:
        """Announce the whole body and send the beginning of it."""
        whole = self._dispatch(request)
        cut = Response(whole.status, whole.body[: fault.keep], whole.headers, len(whole.body))
        self._answer(request, fault, cut)
        self._drop(fault.mode)

    def _cut_unsaid(self, request: Request, fault: Fault) -> None:
        """Send the beginning of the body, and let the end of the connection be its end."""
        whole = self._dispatch(request)
        self._log(request, fault, whole.status, fault.keep)
        self.send_response(whole.status)
        for name, text in {**whole.headers, "Connection": "close"}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(whole.body[: fault.keep])

    def _answer(self, request: Request, fault: Fault, response: Response) -> None:
        self._log(request, fault, response.status, len(response.body))
        self._send(response)

    def _lose(self, request: Request, fault: Fault, mode: Mode) -> None:
        self._log(request, fault, None)
        self._drop(mode)

    def _log(self, request: Request, fault: Fault, status: int | None, sent: int = 0) -> None:
        """One line per request, written before the client can see the answer."""
        self.server.store.requests_log.append(
            {
                "time": self.server.store.now(),
                "method": request.method,
                "path": self.path,
                "status": status,
                "served": request.served,
                "fault": None if fault is NO_FAULT else fault.action,
                "token": request.token_name,
                "body_bytes": len(request.body),
                "sent_bytes": 0 if request.method == "HEAD" else sent,
                "headers": {
                    key: text for key, text in request.headers.items() if key != "authorization"
                },
            }
        )

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, text in response.headers.items():
            self.send_header(name, text)
        self.send_header("X-Request-Id", f"local-{next(self.server.numbers)}")
        length = len(response.body) if response.length is None else response.length
        self.send_header("Content-Length", str(length))
        if not self.server.store.config.keep_alive:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def _drop(self, mode: Mode) -> None:
        """End the connection: an orderly end, or a reset."""
        if mode == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.wfile.close()
            self.rfile.close()
            self.connection.close()
        raise DroppedError


def _canned(fault: Fault, status: int) -> Response:
    """The answer that a rule spells out."""
    body = fault.body if fault.body is not None else {"error": "A fault of the local Hub"}
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/plain" if isinstance(body, str) else "application/json"
    return Response(
        status, text.encode(), {"Content-Type": f"{kind}; charset=utf-8", **fault.headers}
    )


def _bent(response: Response, fault: Fault) -> Response:
    """The answer, without the size of the whole where the fault keeps it back."""
    place, is_part, _ = response.headers.get("Content-Range", "").partition("/")
    if fault.action == "unsaid_size" and is_part:
        response.headers["Content-Range"] = f"{place}/*"
    return response


def _bend(request: Request, fault: Fault) -> None:
    """Make a request late, or its upload go wrong."""
    if fault.action == "delay":
        time.sleep(fault.seconds or 0)
    elif fault.action == "truncate_upload":
        request.keep_upload = fault.keep
    elif fault.action == "spoil_upload":
        request.spoil_upload = True
    elif fault.action == "other_range":
        request.headers = {**request.headers, "range": fault.headers.get("Range", "")}
