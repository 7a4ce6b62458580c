"""From the NDJSON body of a commit request to a checked change of the tree."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass, field

from tests.hubserver.config import Config
from tests.hubserver.errors import HubError, bad_request, entry_not_found
from tests.hubserver.repo import Commit, Json, Repo
from tests.hubserver.store import Store, sha256_hex
from tests.hubserver.trees import Entry, Tree, blob_id, pointer

_OPERATIONS = ("file", "lfsFile", "deletedFile", "deletedFolder")
_MISSING_OBJECT = (
    "Your push was rejected because an LFS pointer pointed to a file that does not exist. "
    "For instance, this can "
    "happen if you used `git push --no-verify` to push your changes.\nOffending file: {path}"
)


@dataclass(slots=True)
class Payload:
    """A commit request: its header and its operations as (key, value)."""

    title: str
    description: str
    parent: str | None
    operations: list[tuple[str, Json]] = field(default_factory=list)


def parse_payload(body: bytes) -> Payload:
    """Read the lines of the body; the first must be the header."""
    try:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        items = [(str(line["key"]), dict(line["value"])) for line in lines]
    except (ValueError, KeyError, TypeError):
        raise bad_request("The commit payload is not valid NDJSON") from None
    if not items or items[0][0] != "header":
        raise bad_request("The commit payload must begin with a header")
    header = items[0][1]
    return Payload(
        str(header.get("summary", "")),
        str(header.get("description", "")),
        header.get("parentCommit"),
        items[1:],
    )


def check_payload(payload: Payload, config: Config) -> None:
    """Refuse what no tree needs to be known for: message, number of operations, paths."""
    if not payload.title.strip():
        raise bad_request("The commit message must not be empty")
    if len(payload.operations) > config.max_operations:
        raise HubError(
            413, f"Too many operations in one commit: the limit is {config.max_operations}"
        )
    seen: set[str] = set()
    for key, value in payload.operations:
        if key not in _OPERATIONS:
            raise bad_request(f"Unknown operation: {key}")
        path = _checked_path(value.get("path"), is_folder=key == "deletedFolder")
        if path in seen:
            raise bad_request(f"The path is used twice in this commit: {path}")
        seen.add(path)
        value["path"] = path
    _check_refusals(payload, config)


def _checked_path(path: object, *, is_folder: bool) -> str:
    if not isinstance(path, str):
        raise bad_request("An operation has no path")
    path = path.rstrip("/") if is_folder else path
    if (
        any(part in ("", ".", "..", ".git") for part in path.split("/"))
        or "\\" in path
        or "\0" in path
    ):
        raise bad_request(f"Invalid path: {path}")
    return path


def _check_refusals(payload: Payload, config: Config) -> None:
    for refusal in config.refusals:
        for key, value in payload.operations:
            if key in ("file", "lfsFile") and re.search(refusal.path, value["path"]):
                tail = f"\nOffending file: {value['path']}" if refusal.names_path else ""
                raise HubError(refusal.status, refusal.message + tail)


def build_commit(
    store: Store, repo: Repo, payload: Payload, *, parent: str | None, author: str
) -> Commit:
    """The commit that a payload makes on top of `parent`; contents of regular files are stored."""
    tree = repo.tree(parent) if parent is not None else Tree({}, {})
    number = len(repo.commits)
    identity = json.dumps(
        [repo.key, parent, payload.title, payload.description, number, store.now()]
    )
    commit_id = hashlib.sha1(identity.encode()).hexdigest()
    writes: dict[str, Entry] = {}
    deletes: list[str] = []
    for key, value in payload.operations:
        if key == "file":
            writes[value["path"]] = _regular(store, repo, value, commit_id)
        elif key == "lfsFile":
            writes[value["path"]] = _large(store, repo, value, commit_id)
        else:
            deletes.extend(_deleted(tree, value["path"], is_folder=key == "deletedFolder"))
    _check_tree(tree.changed(writes, deletes), writes, store.config)
    return Commit(
        commit_id,
        parent,
        payload.title,
        payload.description,
        author,
        store.now(),
        number,
        writes,
        deletes,
    )


def _regular(store: Store, repo: Repo, value: Json, commit_id: str) -> Entry:
    try:
        content = base64.b64decode(value["content"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise bad_request(f"The content is not base64: {value['path']}") from None
    if len(content) > store.config.regular_limit:
        raise HubError(413, f"The file is too large for a regular file: {value['path']}")
    sha256 = sha256_hex(content)
    store.put_object(repo, sha256, content)
    return Entry(len(content), blob_id(content), sha256, False, commit_id)


def _large(store: Store, repo: Repo, value: Json, commit_id: str) -> Entry:
    sha256 = str(value.get("oid", ""))
    if value.get("algo") != "sha256" or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise bad_request(f"Invalid LFS pointer: {value['path']}")
    size = store.object_size(repo, sha256)
    if size is None or value.get("size", size) != size:
        raise bad_request(_MISSING_OBJECT.format(path=value["path"]))
    return Entry(size, blob_id(pointer(sha256, size)), sha256, True, commit_id)


def _deleted(tree: Tree, path: str, *, is_folder: bool) -> list[str]:
    if is_folder:
        found = [each for each in tree.below(path, recursive=True) if each in tree.files]
    else:
        found = [path] if path in tree.files else []
    if not found:
        raise entry_not_found(
            f"A {'folder' if is_folder else 'file'} with this name doesn't exist: {path}"
        )
    return found


def _check_tree(tree: Tree, writes: dict[str, Entry], config: Config) -> None:
    """A path cannot be both file and folder; a folder has a limit of entries."""
    for path in writes:
        folder = path
        while folder:
            if folder in tree.folders and folder in tree.files:
                raise bad_request(f"The path is both a file and a folder: {folder}")
            folder = folder.rpartition("/")[0]
            if tree.folders.get(folder, 0) > config.max_folder_entries:
                raise bad_request(f"too many files per directory: {folder or '/'}")
