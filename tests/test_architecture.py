"""The plan of the house: who may know whom, and who may touch what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.cli_support import modules_after

PACKAGE = Path(__file__).parents[1] / "vulcan_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Lower rooms know nothing of higher ones; rooms of one floor know nothing of each other.
FLOORS = (
    {"errors", "other_errors", "demo"},
    {"files", "mounts", "quantities", "extras", "interrupts", "forks", "arguments"},
    {"vacua", "scheduling"},
    {"settings", "staging", "hub"},
    {"dataset"},
    {"sync", "pictures"},
    {"api"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Modules that belong to a room without standing in its folder.
PARTS = {
    "environment": "settings",
    "settings_fields": "settings",
    "settings_file": "settings",
    "credentials": "settings",
}

WHO_MAY_IMPORT = {
    "polars": {"vacua", "dataset", "sync", "pictures", "api", "cli"},
    "pyarrow": {"vacua", "dataset", "sync"},
    "huggingface_hub": {"hub"},
    "httpx2": {"hub"},
    "matplotlib": {"pictures"},
    "rich": {"cli"},
    "typer": {"cli"},
}

ROWS_IN_STAGING = {"staging/intake.py", "staging/stream.py"}
"""Where vacua become files; the rest of the staging room knows names only."""

DURABLE = {"link", "rename", "renames", "replace", "fsync", "fdatasync", "unlink", "remove"}
"""Functions of `os` that only the room `files` calls."""

FSYNC_ELSEWHERE = {
    "dataset/export.py",
    "staging/already.py",
    "staging/carry.py",
    "staging/lock.py",
    "staging/publish.py",
}
"""Who makes a descriptor of its own durable."""


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def room_of(path: Path) -> str:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return PARTS.get(room, room)


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All nodes of a module's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of what a module imports, wherever in it, and the line."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by a relative name"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def attributes(path: Path, owner: str) -> Iterator[tuple[str, int]]:
    """Attributes of a name that a module uses, such as `rename` of `os`, and the line."""
    for node in nodes(path):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == owner
        ):
            yield node.attr, node.lineno


def test_every_module_stands_in_a_room() -> None:
    rooms = {room_of(path) for path in MODULES}
    assert rooms - {"__init__"} - FLOOR.keys() == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_know_only_those_below(path: Path) -> None:
    room = room_of(path)
    wrong = []
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] != "vulcan_cli" or len(parts) < 2:
            continue
        other = PARTS.get(parts[1], parts[1])
        is_below = other not in FLOOR or FLOOR[other] < FLOOR.get(room, len(FLOORS))
        if other != room and not is_below:
            wrong.append(f"line {line}: {name}")
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_stay_where_they_belong(path: Path) -> None:
    room = room_of(path)
    found = {(name.split(".")[0], line) for name, line in imports(path)}
    wrong = [
        f"line {line}: {package}"
        for package, line in sorted(found)
        if room not in WHO_MAY_IMPORT.get(package, {room})
        and not (name_of(path) in ROWS_IN_STAGING and package == "polars")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room_of(p) in {"staging", "hub"}], ids=name_of
)
def test_staging_and_hub_know_names_and_no_rows(path: Path) -> None:
    if name_of(path) in ROWS_IN_STAGING:
        return
    known = {".".join(name.split(".")[:3]) for name, _ in imports(path)}
    assert {name for name in known if name.startswith("vulcan_cli.vacua")} <= {
        "vulcan_cli.vacua.geometry",
        "vulcan_cli.vacua.secrets",
    }


def test_few_modules_know_the_hubs_client() -> None:
    clients = {"huggingface_hub", "httpx2"}
    knowing = {name_of(p) for p in MODULES if clients & {n.split(".")[0] for n, _ in imports(p)}}
    assert knowing <= {f"hub/{name}.py" for name in ("client", "content", "huggingface", "sending")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_one_module_reads_the_environment(path: Path) -> None:
    if name_of(path) == "environment.py":
        return
    readers = {"environ", "environb", "getenv", "getenvb", "putenv"}
    assert [line for name, line in attributes(path, "os") if name in readers] == []
    assert {f"os.{name}" for name in readers} & {name for name, _ in imports(path)} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_files_makes_names(path: Path) -> None:
    name = name_of(path)
    if name.startswith("files/"):
        return
    allowed = {"fsync"} if name in FSYNC_ELSEWHERE else set()
    used = {attribute for attribute, _ in attributes(path, "os")}
    assert used & (DURABLE - allowed) == set()
    moving = {"move", "copy", "copy2", "copyfile", "copytree"}
    assert moving & {attribute for attribute, _ in attributes(path, "shutil")} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_output_writes(path: Path) -> None:
    if name_of(path) == "cli/output.py":
        return
    calls = [
        node.lineno
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "input", "exit", "quit"}
    ]
    assert calls == []
    streams = {"stdout", "stderr", "__stdout__", "__stderr__"}
    assert [line for name, line in attributes(path, "sys") if name in streams] == []


def test_only_main_ends_the_process() -> None:
    ending = {name_of(p) for p in MODULES for name, _ in attributes(p, "sys") if name == "exit"}
    assert ending == {"__main__.py"}


HEAVY = {
    "matplotlib",
    "pydantic",
    "polars",
    "pyarrow",
    "numpy",
    "pandas",
    "huggingface_hub",
    "rich",
}


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["--help"], {}),
        ([], {}),
        (["help", "formats"], {}),
        (["config"], {}),
        (["--version"], {}),
        (["status"], {}),
        (["status", "--help"], {}),
        ([], {"_VULCAN_COMPLETE": "complete_bash", "COMP_WORDS": "vulcan s", "COMP_CWORD": "1"}),
        ([], {"_VULCAN_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "vulcan status --"}),
        (
            [],
            {
                "_VULCAN_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_ARGS": "vulcan ",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
        ),
    ],
)
def test_what_must_be_quick_loads_nothing_heavy(
    tmp_path: Path, words: list[str], env: dict[str, str]
) -> None:
    for state in ("pending", "synced", "failed"):
        (tmp_path / "spool" / state).mkdir(parents=True)
    env = {**env, "VULCAN_STAGING_DIR": str(tmp_path / "spool"), "VULCAN_REPO": "me/vacua"}
    loaded = modules_after(words, tmp_path, env)
    assert "vulcan_cli.cli.app" in loaded
    assert HEAVY & loaded == set()
