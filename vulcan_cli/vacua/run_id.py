"""Run ids: rendered from a template, and checked. This is where a shard gets its name."""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from string import Formatter

from vulcan_cli.errors import MissingTemplateValue, TemplateError
from vulcan_cli.vacua import secrets

DEFAULT_TEMPLATE = (
    "{date}_{project}_h11-{h11?}_h12-{h12?}_ks-{ks_id?}_triang-{triang_id?}_seed-{seed?}"
)
"""What a run is called unless someone says otherwise."""

Template = str | Callable[..., str] | None
"""How a run id is made: text with names, a function of the names, or None for a random run id."""

FALLBACK = "na"
"""What an absent or empty value renders to."""

DIGEST_DIGITS = 16
"""How much of the content digest `named_by_content` appends."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_NOT_IN_SLUG = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
_NAME = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<optional>\?)?", re.ASCII)


def check_run_id(run_id: str) -> str:
    """Return `run_id` where it is allowed: letters, digits, `-`, `_`, no `__`, no outer `_` or `-`.

    Raises:
        TemplateError: It is not.
    """
    if not _RUN_ID.fullmatch(run_id) or "__" in run_id:
        raise TemplateError(
            f"run id {run_id[:80]!r} is not allowed: it starts with a letter or digit, "
            "goes on with letters, digits, - and _, and never holds __"
        )
    return run_id


def render_run_id(
    template: str = DEFAULT_TEMPLATE,
    *,
    project: str,
    now: datetime,
    values: Mapping[str, object],
) -> str:
    """Fill a template such as `{date}_{project}_seed-{seed?}`.

    `{name}` must have a value, `{name?}` falls back to `na`. Every value becomes a slug first;
    conversions and format specs then apply to that text, as in `str.format`.

    Args:
        template: The template.
        project: What `{project}` stands for.
        now: The moment that `{date}` tells, in UTC, as `YYYY-MM-DD-HHMMSS`.
        values: More names; they win over `project` and `date`.

    Raises:
        MissingTemplateValue: A required name has no value.
        TemplateError: The template is malformed, reaches into attributes or items, or renders to
            something that is no run id.
    """
    names = {"date": _date(now), "project": project, **values}
    return check_run_id("".join(_pieces(template, names)))


def render(template: Template, *, project: str, now: datetime, values: Mapping[str, object]) -> str:
    """Make a run id by any kind of template.

    A function is called with those names that it takes, by keyword.

    Raises:
        TemplateError: As `render_run_id`, or a function gives no allowed run id.
    """
    if template is None:
        return uuid.uuid4().hex
    if isinstance(template, str):
        return render_run_id(template, project=project, now=now, values=values)
    names = {"date": _date(now), "project": project, **values}
    taken = inspect.signature(template).parameters.values()
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken):
        names = {each.name: names[each.name] for each in taken if each.name in names}
    made = template(**names)
    if not isinstance(made, str):
        raise TemplateError(f"the run-id template gave {type(made).__name__}, not text")
    # A function may have brought a token from anywhere.
    if secrets.looks_secret(made):
        raise TemplateError("the run id looks like a token")
    return check_run_id(made)


def template_names(template: str) -> tuple[str, ...]:
    """The names a template asks for, required or not, each once and in its order.

    Raises:
        TemplateError: The template is malformed.
    """
    return tuple(dict.fromkeys(name for _, name, _, _, _ in _fields(template) if name is not None))


def named_by_content(rendered: str, digest: str) -> str:
    """Append the start of the content digest, so that different rows never share a run id."""
    return f"{rendered}_{digest[:DIGEST_DIGITS]}"


def slug(value: object) -> str:
    """A value as text of letters, digits, `_` and `-`; `na` where nothing is left."""
    text = "" if value is None else str(value)
    return _NOT_IN_SLUG.sub("-", text).strip("-") or FALLBACK


def _date(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%d-%H%M%S")


def _pieces(template: str, names: Mapping[str, object]) -> Iterator[str]:
    for literal, name, optional, conversion, spec in _fields(template):
        yield literal
        if name is None:
            continue
        if name not in names and not optional:
            raise MissingTemplateValue(name)
        text = slug(names.get(name))
        try:
            yield format(Formatter().convert_field(text, conversion), spec)
        except ValueError as error:
            raise TemplateError(f"run-id template, {{{name}}}: {error}") from error


def _fields(template: str) -> Iterator[tuple[str, str | None, bool, str | None, str]]:
    """Yield literal text, name, whether it is optional, conversion and format spec."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise TemplateError(f"run-id template {template!r}: {error}") from error
    for literal, field, spec, conversion in parsed:
        if field is None:
            yield literal, None, False, None, ""
            continue
        match = _NAME.fullmatch(field)
        if match is None or "{" in (spec or ""):
            raise TemplateError(
                f"run-id template: {{{field}}} is not a plain name such as {{seed}} or {{seed?}}"
            )
        # Formatter.convert_field takes None for "no conversion", and parse gives that.
        yield literal, match["name"], match["optional"] is not None, conversion, spec or ""
