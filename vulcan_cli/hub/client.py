"""The Hub's official client, set up so that it neither waits for ever nor sleeps, and its errors.

What the client (huggingface_hub 2.4.0) does by itself and we do not want: it may wait for ever, as
its HTTP client has no timeout; sleep for an hour inside a call, after a 429 with `RateLimit` or
`Retry-After`; use its own login. So its HTTP client is set up here, every 429 is an error at once,
and the token is always given. What waits are left are its retries of single uploads and listings,
23 seconds at most for each.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import logging as client_logging
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import default_client_factory, hf_raise_for_status
from huggingface_hub.utils.tqdm import disable_progress_bars

from vulcan_cli import __version__
from vulcan_cli.errors import DiskTrouble, ServerTrouble, TryLater
from vulcan_cli.hub.answers import Answer, error_of, plain
from vulcan_cli.hub.repo import Later, Trouble

LONGEST_SLEEP_S = 60.0
"""What the client may sleep by itself before it asks again."""

_CONNECT_S = 15.0
# The Hub's own; no other server says it.
_CODE = "x-error-code"
_MISUNDERSTOOD = (ValueError, KeyError, TypeError)


class Client:
    """The client, for one repo and one token.

    Attributes:
        api: Its calls.
        repo_id: `owner/name`.
    """

    def __init__(
        self,
        repo_id: str,
        token: str | None,
        endpoint: str | None,
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Set up the client of this process, and bind it; see `HubRepo` for the arguments."""
        _set_up(timeout_s)
        self.repo_id = repo_id
        self._token = token
        self._clock = clock
        self.api = HfApi(
            endpoint=endpoint,
            token=token or False,
            library_name="vulcan-cli",
            library_version=__version__,
        )

    @property
    def endpoint(self) -> str:
        """The address of the Hub."""
        return self.api.endpoint

    @property
    def url(self) -> str:
        """Where the API knows the repo."""
        return f"{self.api.endpoint}/api/datasets/{self.repo_id}"

    @property
    def has_token(self) -> bool:
        """Whether it speaks for somebody."""
        return self._token is not None

    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    def headers(self) -> dict[str, str]:
        """Those of a request that the client has no call for."""
        return build_hf_headers(
            token=self._token or False, library_name="vulcan-cli", library_version=__version__
        )

    @contextmanager
    def asking(self, revision: str, path: str | None = None) -> Iterator[None]:
        """Turn what goes wrong with a question into our errors, none of which holds a secret."""
        try:
            yield
        except Exception as error:
            raise self._error(cause_of(error), revision, path) from None

    def answer(self, error: BaseException) -> Answer | None:
        """What the Hub answered, where this is an answer."""
        if not isinstance(error, HfHubHTTPError):
            return None
        response = error.response
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code,
            _once(plain(error.server_message or "", self._token)),
            headers.get(_CODE, ""),
            headers,
            is_storage=response.request.method == "PUT" or _is_from_elsewhere(response),
        )

    def refusal(self, answer: Answer, revision: str) -> BaseException:
        """The error that an answer means for who asked."""
        return error_of(answer, self.repo_id, revision, self._clock())

    def lost(self, error: BaseException) -> TryLater:
        """The error that a lost connection means."""
        return Later(self.words(error), Trouble.UNREACHABLE).error(self.repo_id)

    def words(self, error: BaseException) -> str:
        """An exception in words, secrets removed; its class where it has none."""
        return self.plain(str(error))[:200] or type(error).__name__

    def plain(self, text: str) -> str:
        """A text on one line, secrets removed."""
        return plain(text, self._token)

    def _error(self, error: BaseException, revision: str, path: str | None) -> BaseException:
        answer = self.answer(error)
        if answer is not None:
            is_absent = answer.status == 404 and answer.code in {"EntryNotFound", ""}
            if path is not None and is_absent and not answer.is_storage:
                return FileNotFoundError(errno.ENOENT, f"not in {self.repo_id}", path)
            return self.refusal(answer, revision)
        if is_lost(error):
            return self.lost(error)
        if isinstance(error, OSError):
            return DiskTrouble(Path(error.filename or "."), error)
        if isinstance(error, _MISUNDERSTOOD):
            words = self.words(error)
            return ServerTrouble(f"{self.repo_id} gives no answer that makes sense: {words}")
        return error


def cause_of(error: BaseException) -> BaseException:
    """What went wrong, below what the client wrapped it in."""
    while isinstance(error, (RuntimeError, LocalEntryNotFoundError)):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def is_lost(error: BaseException) -> bool:
    """Whether the connection failed; Xet says so with Python's own `ConnectionError`."""
    lost = (httpx2.RequestError, ConnectionError, TimeoutError, LocalEntryNotFoundError)
    return isinstance(error, lost) and not isinstance(error, HfHubHTTPError)


def _is_from_elsewhere(response: httpx2.Response) -> bool:
    """Whether the Hub sent us on for a file to another server, and that one answered."""
    asked = next((each.url for each in response.history), response.url)
    is_elsewhere = asked.netloc != response.url.netloc and _CODE not in response.headers
    return is_elsewhere and "/resolve/" in asked.path


def _once(words: str) -> str:
    """A message that came in the header and again in the body, said once."""
    half = len(words) // 2
    return words[:half] if words[:half] == words[half + 1 :] else words


@lru_cache(maxsize=1)
def _set_up(timeout_s: float) -> None:
    """Set up the client's HTTP client, which all of the process shares."""
    limits = httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)).as_dict()

    def never_wait_for_ever(request: httpx2.Request) -> None:
        # Here and not in the client alone: many calls say `timeout=None` with their request.
        given = request.extensions.get("timeout", {})
        known = {name: value for name, value in given.items() if value is not None}
        request.extensions = {**request.extensions, "timeout": limits | known}

    def factory() -> httpx2.Client:
        client = default_client_factory()
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks.get("request", []), never_wait_for_ever],
            "response": [*hooks.get("response", []), _refuse_to_sleep],
        }
        return client

    set_client_factory(factory)
    disable_progress_bars()
    # It logs addresses that are signed, which are secrets too.
    client_logging.set_verbosity(logging.CRITICAL)


def _refuse_to_sleep(response: httpx2.Response) -> None:
    """Raise where the client would sleep: on every 429, and on a 503 that asks for long."""
    asked = response.headers.get("retry-after", "").strip()
    seconds = float(asked) if asked.isascii() and asked.isdigit() else 0.0
    too_long = response.status_code == 503 and seconds > LONGEST_SLEEP_S
    if response.status_code == 429 or too_long:
        response.read()
        hf_raise_for_status(response)
