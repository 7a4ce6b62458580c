"""What stands in a page: its blocks of code, and the command lines in them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHELL = ("sh", "bash", "console")
PYTHON = ("python", "pycon")

_FENCE = re.compile(
    r"^(?:[ ]*<!-- not run: (?P<why>[^>]*?) -->\n)?"
    r"(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `why` says why it is not run, where it is not."""

    language: str
    text: str
    line: int
    why: str | None

    @property
    def is_run(self) -> bool:
        """Whether it is code that the tests run."""
        return self.why is None and self.language in SHELL + PYTHON


@dataclass(frozen=True, slots=True)
class Step:
    """A command, whole, and the lines that the page says it prints, where it says so."""

    command: str
    line: int
    printed: tuple[str, ...] | None = None


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(
            match["language"],
            re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            text.count("\n", 0, match.start("text")) + 1,
            match["why"],
        )
        for match in _FENCE.finditer(text)
    ]


def steps(block: Block) -> list[Step]:
    """The commands of a shell block, in order."""
    if block.language == "console":
        return list(_of_a_session(block))
    return list(_of_a_script(block))


def _of_a_script(block: Block) -> Iterator[Step]:
    """Lines are joined until bash has a whole command; comments alone are none."""
    waiting: list[str] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        waiting.append(line)
        command = "\n".join(waiting)
        if _is_blank(command):
            waiting.clear()
        elif _is_whole(command):
            yield Step(command, number - len(waiting) + 1)
            waiting.clear()
    if waiting:
        raise ValueError(f"line {block.line}: a command that does not end")


def _of_a_session(block: Block) -> Iterator[Step]:
    """What stands behind `$ ` is typed, and behind `> ` right after it; the rest is printed."""
    found: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("$ "):
            found.append((number, [line[2:]], []))
        elif line.startswith("> ") and not found[-1][2]:
            found[-1][1].append(line[2:])
        else:
            found[-1][2].append(line)
    for number, typed, printed in found:
        yield Step("\n".join(typed), number, tuple(printed))


def _is_blank(command: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in command.splitlines())


def _is_whole(command: str) -> bool:
    if command.endswith("\\"):
        return False
    if not re.search(r"[\n'\"`{(]|<<|\b(for|while|until|if|case)\b", command):
        return True
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return done.returncode == 0 and not done.stderr
