"""Every command line and every Python block of the README and of docs/, run as it stands.

A page is one terminal, with a real bash in a home of its own; its blocks run in order. Each command
ends with 0, or the page shows its exit status by `echo $?`; what a page shows as printed is what
was printed, but for what differs from run to run (`VARYING`).
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli_support import CHECKOUT, clean
from tests.docs_pages import PYTHON, SHELL, Block, Step, blocks, steps
from tests.docs_world import Terminal, provide_results, terminal

ELSEWHERE = {"docs/json.md"}
"""Pages whose examples have a test of their own."""

PAGES = sorted(
    str(page.relative_to(CHECKOUT))
    for page in (CHECKOUT / "README.md", *CHECKOUT.glob("docs/**/*.md"))
)

NOT_RUN = {
    "README.md": {
        "it is text": 1,
        "makes an environment, with packages from the network": 1,
        "it is what runs this": 1,
    },
    "docs/cluster.md": {"needs a Dask cluster": 1, "needs Slurm": 1},
    "docs/how-it-works.md": {"it is text": 2},
    "docs/json.md": {"it is json": 1},
    "docs/index.md": {"it is text": 1, "makes an environment, with packages from the network": 1},
    "docs/recipes.md": {
        "it is text": 1,
        "both go to huggingface.co, whatever the tests say": 1,
    },
}
"""Blocks that nothing runs, by what their page says of it, or by their language."""

REFERENCE = "docs/reference.md"
"""The examples of the help of every command."""

DATASET = (
    "vulcan demo --keep before -q > /dev/null",
    "vulcan stage before/repo/h12_*/*/*/*.parquet --staging-dir /shared/vulcan -q > /dev/null",
    "vulcan sync --staging-dir /shared/vulcan --repo owner/name --create-repo",
)

BEFORE = {
    "README.md": DATASET,
    "docs/pictures.md": (
        "vulcan demo --keep play -q > /dev/null",
        "export VULCAN_STAGING_DIR=$PWD/play/staging",
    ),
    "docs/tutorials/reader.md": DATASET,
    REFERENCE: (
        "export VULCAN_REPO=./repo",
        "vulcan stage results.csv -g h12=2 --staging-dir before -q > /dev/null",
        "vulcan sync --staging-dir before --create-repo",
        "vulcan stage results.csv -g h12=2,ks_id=0 --staging-dir before -q > /dev/null",
        "vulcan sync --staging-dir before --repo owner/name --create-repo",
    ),
}
"""What is there when a page begins, where it says so in words: the dataset of others."""

INSTEAD = {
    "--group forge": '--group "$(id -gn)"',
    "--max-duration 1d": "--max-duration 1s",
    "--out-dir ml": '--out-dir "$(mktemp -d)"',
    "vulcan --install-completion": "vulcan --install-completion --shell bash",
    "vulcan status --watch": "{ timeout -s INT 2 vulcan status --watch; [ $? = 124 ]; }",
}
"""What the reference gets instead of what is not here, takes a day, or is there by then."""

NEEDS_MORE = {
    "vulcan query --is-susy --scheduler tcp://head:8786 -o /shared/susy": "a Dask cluster",
}
"""Command lines of the reference that are not run, and what they need."""

VARYING = (
    r"\d{4}-\d\d-\d\d-\d{6}",
    r"\d{4}-\d\d-\d\d \d\d:\d\d",
    r"\b[0-9a-f]{40}\b",
    r"(?<= at )[0-9a-f]{12}\b",
    r"\b[\d.]+ (?:B|kB|MB)\b",
    r"(?<=oldest )\w+",
    r"(?<=accounts of group )\w+",
    r"\|[·▁▂▃▄▅▆▇█]+\|",
)
"""Dates, commits, sizes of parquet files, ages, the account's group, the last hour."""

ALONE = re.compile(r"^(?:import|from) (?:datasets|torch|jax)\b", re.MULTILINE)
"""Python that has a process of its own: these read the environment once, or are heavy."""


TOO_LARGE = {"torch"}
"""Packages that CI does not install; blocks that import them run where they are."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The process that runs command lines and Python; see tests/docs_server.py."""
    folder = tmp_path_factory.mktemp("server")
    environ = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.docs_server", str(folder / "socket")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        env=clean(folder, **environ),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield folder / "socket"
        process.kill()


def runnable(page: str) -> list[Block]:
    """The blocks of a page that are run."""
    return [block for block in blocks(CHECKOUT / page) if block.is_run]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in ELSEWHERE and runnable(page)]
)
def test_a_page_does_what_it_says(page: str, tmp_path: Path, server: Path) -> None:
    wrong: list[str] = []
    with terminal(tmp_path, server) as bash:
        if page == REFERENCE:
            provide_results(tmp_path / "home/me")
        for command in BEFORE.get(page, ()):
            assert bash.run(command)[0] == 0, command
        for number, block in enumerate(runnable(page)):
            if block.language in SHELL:
                wrong += _typed(bash, steps(block), INSTEAD if page == REFERENCE else {})
            elif _can_run(block):
                file = tmp_path / f"block-{number}.py"
                file.write_text(bash.placed(block.text))
                wrong += _typed(bash, [Step(_python(block, page, file), block.line)], {})
    assert not wrong, "\n\n".join(wrong)


def _typed(bash: Terminal, typed: list[Step], instead: Mapping[str, str]) -> list[str]:
    """Run commands one after the other; what was not as the page says."""
    wrong = []
    statuses = [step.command == "echo $?" for step in typed[1:]]
    for step, told in zip(typed, [*statuses, False], strict=True):
        command = step.command
        if command in NEEDS_MORE:
            continue
        for words, others in instead.items():
            command = command.replace(words, others)
        code, printed = bash.run(command)
        if code and not told:
            wrong.append(f"line {step.line}: {step.command}\nended with {code}:\n{printed}")
        if step.printed is not None and steady(printed) != steady("\n".join(step.printed)):
            wrong.append(f"line {step.line}: {step.command}\nprinted\n{printed}")
    return wrong


def steady(text: str) -> str:
    """Text with what varies left out."""
    for pattern in VARYING:
        text = re.sub(pattern, "~", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _python(block: Block, page: str, file: Path) -> str:
    return f"python {file}" if ALONE.search(block.text) else f"page-python {page} {file}"


def _can_run(block: Block) -> bool:
    """Whether what the block imports is installed; only what is too large for CI may be missing."""
    wanted = set(re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE))
    missing = {name for name in wanted if importlib.util.find_spec(name) is None}
    assert missing <= TOO_LARGE
    return not missing


def test_nobody_leaves_a_block_unrun_in_silence() -> None:
    found = {page: Counter(_excuse(block) for block in blocks(CHECKOUT / page)) for page in PAGES}
    told = {page: {why: n for why, n in each.items() if why} for page, each in found.items()}
    assert {page: each for page, each in told.items() if each} == NOT_RUN


def _excuse(block: Block) -> str:
    """Why a block is not run; empty where it is."""
    if block.why is not None:
        return block.why
    return "" if block.language in SHELL + PYTHON else f"it is {block.language or 'plain text'}"
