"""The card: `datasets` reads every shard by it, and what people wrote in it stays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.dataset_support import STAGING, listed, put, vacua
from vulcan_cli.dataset.card import SHARDS, About, card
from vulcan_cli.dataset.card_blocks import code, table, word
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query

ABOUT = About("me/vacua", "cc-by-4.0", "Me (2026), *Vacua*.")


@pytest.fixture
def shards(tmp_path: Path) -> Catalog:
    """The peer's shards, and ours of projects whose names mean splits to `datasets`."""
    folder = tmp_path / "synced"
    shutil.copytree(STAGING / "synced", folder)
    put(folder, vacua(3), "a_test_b", h11=2, h12=2)
    put(folder, vacua(4, is_susy=True, residual=[None] * 4, tags="x"), "train-x", h11=3, h12=2)
    put(folder, vacua(5, mine=1, no=[[{"a": 1}]] * 5, g_s=0.5), "val_c", h11=3)
    return Catalog.read(listed(folder))


def front(text: str) -> dict[str, Any]:
    """The YAML at the top of a card."""
    begin, block, _ = text.split("---\n", 2)
    assert begin == ""
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def test_the_yaml_names_every_shard_and_column(shards: Catalog) -> None:
    found = front(card(None, shards, ABOUT).text)

    types = {each.pop("name"): each for each in found["dataset_info"].pop("features")}
    assert found == {
        "license": "cc-by-4.0",
        "tags": ["physics", "string-theory", "flux-vacua"],
        "configs": [
            {
                "config_name": "default",
                "default": True,
                "data_files": [{"split": "train", "path": SHARDS}],
            }
        ],
        "dataset_info": {"config_name": "default"},
    }
    assert list(types) == query(shards, Filters()).rows.collect_schema().names()
    assert [types[name] for name in ("flux", "tau_im", "created_at", "wall_clock_s", "no")] == [
        {"list": "int32"},
        {"dtype": "float64"},
        {"dtype": "timestamp[us, tz=UTC]"},
        {"dtype": "float32"},
        {"list": {"struct": [{"name": "a", "dtype": "int64"}]}},
    ]


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_every_row_and_column_by_the_card(
    shards: Catalog, tmp_path: Path, *, streaming: bool
) -> None:
    datasets: Any = pytest.importorskip("datasets")
    repo = tmp_path / "repo"
    for file, path in shards.rows.select("file", "path_in_repo").iter_rows():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, repo / path)
    (repo / "README.md").write_text(card(None, shards, ABOUT).text)

    found = datasets.load_dataset(str(repo), streaming=streaming, cache_dir=str(tmp_path / "c"))

    rows = query(shards, Filters()).rows.collect()
    assert list(found) == ["train"]
    assert list(found["train"]) == rows.to_dicts()
    assert list(found["train"].features) == rows.columns


def test_the_text_counts_and_explains(shards: Catalog) -> None:
    text = card(None, shards, ABOUT).text

    lines = text.splitlines()
    assert lines[lines.index("# me/vacua") - 2] == "---"
    begin = lines.index("| h12 | h11 | geometries | shards | vacua |")
    assert lines[begin - 2] == (
        "172 flux vacua of 6 geometries. `h12` counts the complex-structure moduli "
        "(CYTools' h21); -1 stands for an absent key."
    )
    assert lines[begin + 2 : begin + 8] == [
        "| -1 | 3 | 1 | 1 | 5 |",
        "| 2 | 2 | 1 | 1 | 3 |",
        "| 2 | 3 | 1 | 1 | 4 |",
        "| 2 | 120 | 1 | 1 | 40 |",
        "| 2 | 132 | 1 | 2 | 80 |",
        "| 4 | 122 | 1 | 1 | 40 |",
    ]
    assert "| `wall_clock_s` | float32 | time the solver took | s |" in lines
    assert "| `mine` | int32 |  |  |" in lines
    assert lines[-4:] == ["## Citation", "", "Me (2026), *Vacua*.", "<!-- vulcan: end -->"]


def test_one_vacuum_of_one_geometry_is_not_told_in_the_plural(tmp_path: Path) -> None:
    put(tmp_path, vacua(1), "a", h11=3, h12=2)
    lines = card(None, Catalog.read(listed(tmp_path)), ABOUT).text.splitlines()
    assert lines[lines.index("# me/vacua") + 3] == (
        "1 flux vacuum of 1 geometry. `h12` counts the complex-structure moduli "
        "(CYTools' h21); -1 stands for an absent key."
    )


def test_a_card_changes_only_as_the_shards_do(shards: Catalog) -> None:
    first = card(None, shards, ABOUT).text
    fewer = shards.where(pl.col("h12") == 2)

    assert card(first, shards, ABOUT).text == first
    changed = card(first, fewer, ABOUT).text
    assert changed != first
    assert card(changed, shards, ABOUT).text == first


WRITTEN = [
    "",
    "# Ours\n",
    "no newline at the end",
    "---\nlanguage: en\n---\n# Title\n\ntext\n",
    "---\n---\n",
    "---\r\npretty_name: Über Vakua\r\n---\r\n\r\nline\r\n",
    "text\n---\nnot: yaml\n---\n",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_what_people_wrote_stays_where_it_was(shards: Catalog, written: str) -> None:
    made = card(written, shards, ABOUT).text
    ends = "\r\n" if "\r\n" in written else "\n"

    added = f"{ends}more below, --- and all{ends}"
    again = card(made + added, shards, ABOUT).text

    assert again == made + added
    yaml_begin = "# vulcan: begin; these"
    rest = made.replace("\r\n", "\n").split("---\n", 1)[1]
    own_yaml, _, own_text = rest.partition("# vulcan: end\n")[2].partition("---\n")
    before = own_text.partition("<!-- vulcan: begin;")[0]
    plain = written.replace("\r\n", "\n")
    has_yaml = plain.startswith("---\n")
    assert rest.startswith(yaml_begin)
    assert own_yaml == (plain.split("---\n")[1] if has_yaml else "")
    body = plain.split("---\n", 2)[2] if has_yaml else plain
    if body.strip():
        assert before == body + ("\n" if body.endswith("\n") else "\n\n")
    else:
        assert before == "\n# me/vacua\n\n"


def test_keys_that_people_set_are_theirs(shards: Catalog) -> None:
    written = "---\nlicense: mit\nconfigs:\n- config_name: mine\n---\n"

    found = card(written, shards, ABOUT)

    assert found.left_alone == ("license", "configs")
    assert front(found.text)["license"] == "mit"
    assert front(found.text)["configs"] == [{"config_name": "mine"}]
    assert list(front(found.text)) == ["tags", "dataset_info", "license", "configs"]
    again = card(found.text, shards, ABOUT)
    assert again == found


def test_a_mark_without_its_end_is_text_like_any_other(shards: Catalog) -> None:
    made = card(None, shards, ABOUT).text
    broken = made.replace("<!-- vulcan: end -->\n", "")

    again = card(broken, shards, ABOUT).text

    assert again.startswith(broken)
    assert again.endswith("<!-- vulcan: end -->\n")


@given(st.text("abc\n#-: ", max_size=60))
def test_any_text_survives(text: str) -> None:
    none = Catalog.read([])
    about = About("me/vacua")
    once = card(text, none, about)

    assert card(once.text, none, about) == once


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_any_name_means_the_same_in_yaml(name: str) -> None:
    assert yaml.safe_load(f"- name: {word(name)}") == [{"name": name}]


@given(st.text("`|\\<!-> a\n\r\x1b\u202e", max_size=8))
@example("` <img src=https://example.org/x.png> `")
@example("<!-- vulcan: end -->\r\n# A title of a stranger")
def test_any_name_is_code_and_nothing_else_in_the_table(name: str) -> None:
    text = table(("column", "type"), [(code(name), "int64")])
    parsed = MarkdownIt().enable("table").parse(text)

    assert all(line.isprintable() for line in text.split("\n"))
    cell = [token.children for token in parsed if token.type == "inline"][2]
    shown = "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in name)
    assert [(each.type, each.content.strip(" ")) for each in cell or ()] == [
        ("code_inline", shown.strip(" "))
    ]


def test_a_citation_does_not_end_the_block(shards: Catalog) -> None:
    about = About("me/vacua", citation="before\n<!-- vulcan: end -->\nbehind")
    once = card(None, shards, about).text
    assert card(once, shards, about).text == once
    assert once.endswith("\nbehind\n<!-- vulcan: end -->\n")


def test_lists_of_one_length_are_told_and_loaded_as_such(tmp_path: Path) -> None:
    datasets: Any = pytest.importorskip("datasets")
    dtype = pl.Array(pl.Array(pl.Float64, 2), 1)
    cells = pl.Series("pairs", [[[1.0, 2.0]]] * 2, dtype=dtype)
    (tmp_path / "synced").mkdir()
    put(tmp_path / "synced", vacua(2).with_columns(cells), "a", h11=3, h12=2)
    shards = Catalog.read(listed(tmp_path / "synced"))
    (path,) = shards.rows["path_in_repo"]
    (tmp_path / "repo" / path).parent.mkdir(parents=True)
    shutil.copy(shards.rows["file"].item(), tmp_path / "repo" / path)
    text = card(None, shards, ABOUT).text
    (tmp_path / "repo/README.md").write_text(text)

    found = datasets.load_dataset(
        str(tmp_path / "repo"), split="train", cache_dir=str(tmp_path / "c")
    )

    told = {each["name"]: each for each in front(text)["dataset_info"]["features"]}
    inner = {"list": "float64", "length": 2}
    assert told["pairs"] == {"name": "pairs", "list": inner, "length": 1}
    assert list(found["pairs"]) == cells.to_list()
    assert "| `pairs` | list of list of float64 |  |  |" in text.splitlines()


def test_what_is_not_in_the_table_is_said(shards: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    unread = pl.when(pl.col("h12") != 4).then("n_rows").alias("n_rows")
    part = replace(shards, rows=shards.rows.with_columns(unread))
    monkeypatch.setattr("vulcan_cli.dataset.card.MOST_LINES", 3)

    lines = card(None, part, ABOUT).text.splitlines()

    begin = lines.index("| h12 | h11 | geometries | shards | vacua |")
    assert lines[begin + 2 : begin + 7] == [
        "| -1 | 3 | 1 | 1 | 5 |",
        "| 2 | 2 | 1 | 1 | 3 |",
        "| 2 | 3 | 1 | 1 | 4 |",
        "",
        "Not in this table: 2 more pairs (h12, h11) and 1 file not read yet, or no shard.",
    ]
