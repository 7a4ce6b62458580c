"""Writes what is made from the tree of commands: man pages, completion scripts, the reference.

`python tools/generate.py` writes; `python tools/generate.py --check` fails where a file is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

# This checkout's package, wherever another one is installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from vulcan_cli import __version__
from vulcan_cli.cli.app import COMMANDS, PROGRAM, Command, program
from vulcan_cli.cli.installing import script
from vulcan_cli.cli.topics import TOPICS, load
from vulcan_cli.cli.tree import Example, Page, Part, Topic
from vulcan_cli.settings_fields import ENVIRONMENT, FILES

# The backslash first: it stands in all the others.
_ESCAPES = (
    ("\\", "\\e"),
    ("-", "\\-"),
    ("'", "\\(aq"),
    ("~", "\\(ti"),
    ("^", "\\(ha"),
    ('"', "\\(dq"),
)

_LONGEST_WORD = 50

ROOT = Path(__file__).parents[1]


def pages() -> list[Page]:
    """The overview, then one page for each command."""
    tree = program()
    context = tree.make_context(PROGRAM, [], resilient_parsing=True)
    found = [tree.page(context)]
    for name in COMMANDS:
        command = tree.get_command(context, name)
        if isinstance(command, Command):
            below = command.make_context(name, [], parent=context, resilient_parsing=True)
            found.append(command.page(below))
    return found


def files() -> dict[str, str]:
    """What is generated: text by its path in the checkout."""
    overview, *commands = pages()
    topics = [load(name) for name in TOPICS]
    made = {
        f"man/man1/{_man_name(page)}.1": man_page(page, commands) for page in (overview, *commands)
    }
    made |= {f"man/man{t.section}/{t.page}.{t.section}": topic_page(t, topics) for t in topics}
    made["docs/reference.md"] = reference(overview, commands)
    made["completions/_vulcan"] = script("zsh")
    for shell in ("bash", "fish"):
        made[f"completions/vulcan.{shell}"] = script(shell)
    return made


def man_page(page: Page, commands: Iterable[Page]) -> str:
    """A page for man(1), in the man(7) macros."""
    others = [(PROGRAM, 1)]
    if page.path == PROGRAM:
        others = [(_man_name(other), 1) for other in commands]
        others += [(topic.page, topic.section) for topic in map(load, TOPICS)]
    return "\n".join(
        [
            *_head(_man_name(page), 1, page.summary),
            ".SH SYNOPSIS",
            f".B {_roff(page.path)}",
            _roff(page.usage),
            ".SH DESCRIPTION",
            *_paragraphs((page.summary, *page.paragraphs)),
            *_section("COMMANDS", page.commands),
            *_options(page),
            *_section("ENVIRONMENT", ENVIRONMENT),
            *_section("FILES", FILES),
            *_section("EXIT STATUS", ((str(code), text) for code, text in page.exit_statuses)),
            *_examples(page.examples),
            *_see_also(others),
            "",
        ]
    )


def topic_page(topic: Topic, topics: Iterable[Topic]) -> str:
    """A topic as a page for man(5) or man(7)."""
    others = [(other.page, other.section) for other in topics if other != topic]
    return "\n".join(
        [
            *_head(topic.page, topic.section, topic.summary),
            *(line for part in topic.parts for line in _part(part)),
            *_examples(topic.examples),
            *_see_also([(PROGRAM, 1), *others]),
            "",
        ]
    )


def reference(overview: Page, commands: Iterable[Page]) -> str:
    """All commands, options, variables and exit statuses as Markdown."""
    about = "Every command with its options, and every exit status, and variables and files. "
    made = "Made from the tree of commands by `tools/generate.py`."
    lines = ["# Reference", "", f"{about}{made}", ""]
    for page in (overview, *commands):
        lines += [f"## {page.path}", "", f"`{page.path} {page.usage}`", ""]
        for text in (page.summary, *page.paragraphs):
            lines += [_markdown(text), ""]
        for heading, parameters in page.groups.items():
            lines += [*_table(heading, ((p.names, p.help) for p in parameters)), ""]
        lines += ["```sh"]
        for example in page.examples:
            lines += [f"# {example.does}", example.command]
        lines += ["```", ""]
        codes = ", ".join(str(code) for code, _ in page.exit_statuses)
        lines += [f"Exit status: {codes}.", ""]
    lines += ["## Exit status", ""]
    statuses = ((str(code), text) for code, text in overview.exit_statuses)
    lines += [*_table("Status", statuses), "", "## Environment", ""]
    lines += [*_table("Variable", ENVIRONMENT), "", "## Files", ""]
    lines += _table("File", FILES)
    return "\n".join(lines) + "\n"


def stale(made: dict[str, str]) -> list[str]:
    """Files that are not what the tree says, and files that nothing makes any more."""
    wrong = []
    for name, text in made.items():
        path = ROOT / name
        if not path.is_file() or path.read_text("utf-8") != text:
            wrong.append(name)
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "man").rglob("*") if path.is_file()}
    return sorted({*wrong, *(there - made.keys())})


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    made = files()
    if arguments == ["--check"]:
        for name in stale(made):
            sys.stderr.write(f"{name} is stale: run python tools/generate.py\n")
        return 1 if stale(made) else 0
    for name in stale(made):
        path = ROOT / name
        if name not in made:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[name], "utf-8")
    return 0


def _man_name(page: Page) -> str:
    return page.path.replace(" ", "-")


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from (".PP", _roff(text))


def _options(page: Page) -> Iterator[str]:
    if page.groups:
        yield ".SH OPTIONS"
    for heading, parameters in page.groups.items():
        yield f".SS {_roff(heading)}"
        for parameter in parameters:
            yield from _item(parameter.names, parameter.help)


def _section(heading: str, items: Iterable[tuple[str, str]]) -> Iterator[str]:
    rows = list(items)
    if rows:
        yield f".SH {heading}"
    for term, meaning in rows:
        yield from _item(term, meaning)


def _item(term: str, meaning: str) -> Iterator[str]:
    yield from (".TP", f".B {_roff(term)}", _roff(meaning))


def _head(name: str, section: int, summary: str) -> tuple[str, ...]:
    return (
        f'.TH {_roff(name.upper())} {section} "" "vulcan {__version__}" "vulcan"',
        ".ad l",
        ".nh",
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(summary.rstrip('.'))}",
    )


def _part(part: Part) -> Iterator[str]:
    yield f".SH {_roff((part.heading or 'Description').replace('`', '').upper())}"
    for term, meaning in part.rows:
        yield from _item(term.strip(), meaning)
    yield from _paragraphs(part.paragraphs)
    if part.lines:
        yield from _as_it_stands(part.lines)


def _as_it_stands(lines: Iterable[str]) -> Iterator[str]:
    yield from (".PP", ".RS 4", ".EX")
    yield from (_guarded(_escaped(line).replace("`", "\\(ga")) for line in lines)
    yield from (".EE", ".RE")


def _see_also(pages: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    for number, (name, section) in enumerate(pages, start=1):
        yield f".BR {_roff(name)} ({section}){',' if number < len(pages) else ''}"


def _examples(examples: Sequence[Example]) -> Iterator[str]:
    if examples:
        yield ".SH EXAMPLES"
    for example in examples:
        yield from (".PP", _roff(example.does) + ":", *_as_it_stands([example.command]))


def _roff(text: str) -> str:
    """Text as it is, for groff: hyphens that can be pasted; what stands between backticks bold."""
    words = text.split(" ")
    # Where a word too long for a line may be broken.
    text = " ".join(w.replace("_", "_\0") if len(w) > _LONGEST_WORD else w for w in words)
    plain, *rest = _escaped(text).replace("\0", "\\:").split("`")
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return _guarded(plain + "".join(f"\\fB{code}\\fR{after}" for code, after in pairs))


def _escaped(text: str) -> str:
    for letter, escape in _ESCAPES:
        text = text.replace(letter, escape)
    return text


def _guarded(line: str) -> str:
    """A line that is no request: those begin with a dot or, escaped by now, an apostrophe."""
    return "\\&" + line if line.startswith(".") else line


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    return [
        f"| {heading} | |",
        "| --- | --- |",
        *(f"| `{term}` | {_markdown(meaning)} |" for term, meaning in rows),
    ]


def _markdown(text: str) -> str:
    """Text as it is, for Markdown; what stands between backticks stays code."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        for letter in "\\*_[]<>|":
            parts[number] = parts[number].replace(letter, "\\" + letter)
    return "`".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
