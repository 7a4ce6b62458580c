"""What files of a repo on the Hub hold: read whole, in parts, or from what was downloaded."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
from huggingface_hub import constants
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._http import get_session, hf_raise_for_status, http_stream_backoff

from vulcan_cli.hub.client import Client
from vulcan_cli.hub.downloads import COMMIT_ID, Downloads
from vulcan_cli.hub.paths import problem_of
from vulcan_cli.hub.repo import MAIN, Part

MOST_RESUMPTIONS = 5
"""How often a download that breaks is taken up again."""

# One of them tells where content ends; without, a connection that breaks looks like the end.
_LENGTHS = frozenset({"content-length", "transfer-encoding"})
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", re.ASCII)


class Content:
    """Reads files of one repo; see `Repo` for what its methods promise."""

    def __init__(self, client: Client, downloads: Downloads) -> None:
        """Bind it to a client, and to where downloads are kept."""
        self._client = client
        self._downloads = downloads

    def find(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path | None:
        """See `Repo.find`: what was downloaded, by this program or by the Hub's client."""
        if problem_of(path) is not None:
            return None
        with self._client.asking(revision), self._downloads.named():
            return self._downloads.find(path, revision, sha256)

    def fetch(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path:
        """See `Repo.fetch`; kept where the Hub's client keeps downloads.

        Not by `hf_hub_download`, which asks twice for a file, and again for content that came
        with another commit.
        """
        offline = constants.is_offline_mode()
        if offline or COMMIT_ID.fullmatch(revision):
            found = self.find(path, revision, sha256=sha256)
            if found is not None:
                return found
        if offline or problem_of(path) is not None:
            raise FileNotFoundError(errno.ENOENT, f"not in {self._client.repo_id}", path)
        with (
            self._client.asking(revision, path),
            self._downloads.named(),
            self._open(path, revision) as response,
        ):
            commit = _first(response, "x-repo-commit")
            if not COMMIT_ID.fullmatch(commit):
                raise ValueError("the commit that a file is of is missing")
            self._downloads.remember(revision, commit)
            content = self._whole(path, commit, response)
            if not _LENGTHS & response.headers.keys():
                content = _of_size(self._listed_size(path, commit), content)
            return self._downloads.keep(path, commit, content, sha256)

    def read(self, path: str, revision: str, *, start: int, length: int) -> Part:
        """See `Repo.read`; by an HTTP range, cut out of what comes where that is more."""
        span = f"{start}-{start + length - 1}" if start >= 0 else f"{start}"
        with self._client.asking(revision, path), self._open(path, revision, span) as response:
            size = self._size(response, path, revision)
            first = start if start >= 0 else max(0, size + start)
            length = max(0, min(length, size - first))
            return Part(_beginning(_content_from(response, first), length), size)

    def sha256_of(self, path: str, revision: str, size: int) -> str:
        """Read a file that the Hub keeps in git itself (10 MB at most), without a SHA-256.

        Raises:
            ValueError: It came with another size than this.
        """
        digest = hashlib.sha256()
        with get_session().stream(
            "GET", self._file_url(path, revision), headers=self._client.headers()
        ) as response:
            hf_raise_for_status(response)
            for data in _of_size(size, response.iter_bytes()):
                digest.update(data)
        return digest.hexdigest()

    def _file_url(self, path: str, revision: str) -> str:
        place = f"{self._client.endpoint}/datasets/{self._client.repo_id}/resolve"
        return f"{place}/{quote(revision, safe='')}/{quote(path)}"

    @contextmanager
    def _open(self, path: str, revision: str, span: str | None = None) -> Iterator[httpx2.Response]:
        """The answer with a file, or with a span of its bytes, still to be read."""
        # Content that was packed for the way has other bytes, and other places in them.
        headers = {**self._client.headers(), "accept-encoding": "identity"}
        if span is not None:
            headers["range"] = f"bytes={span}"
        url = self._file_url(path, revision)
        with http_stream_backoff("GET", url, headers=headers) as response:
            try:
                hf_raise_for_status(response)
                yield response
            except httpx2.TransportError as error:
                # The client would swallow its own, and fail over that.
                raise self._client.lost(error) from None

    def _whole(self, path: str, commit: str, first: httpx2.Response) -> Iterator[bytes]:
        """The content of a file, taken up again where the connection breaks."""
        received, size = 0, None
        with ExitStack() as stack:
            content = first.iter_bytes()
            for last in (*[False] * MOST_RESUMPTIONS, True):
                try:
                    for data in content:
                        received += len(data)
                        yield data
                except httpx2.TransportError:
                    if last:
                        raise
                    stack.close()
                    again = stack.enter_context(self._open(path, commit, f"{received}-"))
                    content = _content_from(again, received)
                    size = self._size(again, path, commit)
                else:
                    # A part of it may end before the file does.
                    if size is not None:
                        _check_size(received, size)
                    return

    def _size(self, response: httpx2.Response, path: str, revision: str) -> int:
        """The size of a file: as an answer with a part of it says, else as the repo lists it."""
        size = _place_of(response)[1]
        return self._listed_size(path, revision) if size is None else size

    def _listed_size(self, path: str, commit: str) -> int:
        """The size of a file as the repo lists it."""
        listed = self._client.api.get_paths_info(
            self._client.repo_id, [path], revision=commit, repo_type="dataset"
        )
        for each in listed:
            if isinstance(each, RepoFile):
                return each.size
        raise ValueError("a file came that is not listed")


def _of_size(size: int, content: Iterator[bytes]) -> Iterator[bytes]:
    """Content, held to its size at its end."""
    received = 0
    for data in content:
        received += len(data)
        yield data
    _check_size(received, size)


def _check_size(received: int, size: int) -> None:
    if received != size:
        raise ValueError("a file came short")


def _place_of(response: httpx2.Response) -> tuple[int, int | None]:
    """Which byte of a file an answer begins with, and how many the file has, if it says so.

    A server may send all of a file, or a larger part, where a part was asked for.
    """
    if response.status_code == 200 and "content-encoding" not in response.headers:
        begin, size = "0", response.headers.get("content-length", "")
    else:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        begin, size = match.groups() if match else ("", "")
    if not begin or not (size == "*" or size.isdecimal()):
        raise ValueError("a part of a file came without its place or the size of the whole")
    return int(begin), None if size == "*" else int(size)


def _content_from(response: httpx2.Response, first: int) -> Iterator[bytes]:
    """What an answer holds of a file, from this byte on."""
    skip = first - _place_of(response)[0]
    if skip < 0:
        raise ValueError("another part of a file came than was asked for")
    for data in response.iter_bytes():
        yield data[skip:]
        skip = max(0, skip - len(data))


def _beginning(content: Iterator[bytes], length: int) -> bytes:
    """So many bytes, and no more asked for than hold them."""
    found = bytearray()
    while len(found) < length:
        data = next(content, None)
        if data is None:
            raise ValueError("a part of a file came short")
        found += data
    return bytes(found[:length])


def _first(response: httpx2.Response, name: str) -> str:
    """A header of the Hub's own answer, before it sent us on to where content is."""
    answers = (*response.history, response)
    return next((each.headers[name] for each in answers if name in each.headers), "")
