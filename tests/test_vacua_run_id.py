"""Run ids: the template engine against the peer's vectors, and what we refuse beyond it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli.errors import MissingTemplateValue, TemplateError
from vulcan_cli.vacua.run_id import (
    check_run_id,
    named_by_content,
    render_run_id,
    slug,
    template_names,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data/interop/run_ids.json").read_text()
)
NOW = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["template"][-40:])
def test_vectors_of_the_peer(vector: dict[str, Any]) -> None:
    def render() -> str:
        return render_run_id(
            vector["template"],
            project=vector["project"],
            now=datetime.fromisoformat(vector["now"]),
            values=vector["values"],
        )

    if "error" in vector:
        with pytest.raises({"ValueError": ValueError, "KeyError": KeyError}[vector["error"]]):
            render()
    else:
        assert render() == vector["run_id"]


@pytest.mark.parametrize("run_id", ["x\n", "", "a__b", "-a", "_a", "a b", "a/b", "ä", "a.b"])
def test_a_run_id_is_checked_whole(run_id: str) -> None:
    with pytest.raises(TemplateError):
        check_run_id(run_id)


@pytest.mark.parametrize(
    "template", ["{", "}", "{}", "{0}", "{a.b}", "{a[0]}", "{a:{b}}", "{a!x}", "{a??}", "{ a }"]
)
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        render_run_id(template, project="p", now=NOW, values={"a": 1, "b": 2})


def test_a_missing_value_is_named() -> None:
    with pytest.raises(MissingTemplateValue) as missing:
        render_run_id("{variant}", project="p", now=NOW, values={})
    assert str(missing.value) == "run-id template needs a value for {variant}"


def test_date_is_told_in_utc_and_values_win() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert render_run_id("{date}", project="p", now=elsewhere, values={}) == "2026-06-01-123456"
    assert render_run_id("{date}", project="p", now=NOW, values={"date": "pinned"}) == "pinned"


def test_names_of_a_template() -> None:
    assert template_names("{a}-{b?}-{a!s}") == ("a", "b")


def test_content_names_a_run() -> None:
    assert named_by_content("run", "0123456789abcdef0123456789abcdef") == "run_0123456789abcdef"


@given(st.text())
def test_a_slug_never_holds_anything_but_its_alphabet(text: str) -> None:
    found = slug(text)
    assert found
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert slug(found) == found
