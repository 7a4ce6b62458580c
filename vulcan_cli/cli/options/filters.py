"""Options that say which rows, or which shards: typed alike in every command that reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from vulcan_cli.cli.options.names import split_names, split_order
from vulcan_cli.cli.suggest import column_in_sql, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vulcan_cli.dataset.filters import Filters

FILTER = "Which rows"
"""The heading of filters."""

_Texts = list[str] | None
_LIKEWISE = "Likewise."


def _texts(name: str, metavar: str, meaning: str, *, listed: bool = False) -> OptionInfo:
    """A filter that can be given several times, and whose values a TAB offers."""
    option: OptionInfo = typer.Option(
        "--" + name.replace("_", "-"),
        metavar=metavar,
        help=meaning,
        autocompletion=values_of(name, listed=listed),
        rich_help_panel=FILTER,
    )
    return option


def _integers(name: str, meaning: str = _LIKEWISE) -> OptionInfo:
    return _texts(name, "N", meaning, listed=True)


def _condition(meaning: str) -> OptionInfo:
    option: OptionInfo = typer.Option(
        "--where",
        metavar="SQL",
        help=meaning,
        autocompletion=column_in_sql,
        rich_help_panel=FILTER,
    )
    return option


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilters:
    """Which rows a person asks for, as typed."""

    run_id: Annotated[_Texts, _texts("run_id", "ID", "A run; repeatable.")] = None
    geometry_id: Annotated[_Texts, _texts("geometry_id", "ID", "A geometry; repeatable.")] = None
    h11: Annotated[_Texts, _integers("h11", "A value, several (3,5) or a range (3..7).")] = None
    h12: Annotated[_Texts, _integers("h12")] = None
    ks_id: Annotated[_Texts, _integers("ks_id")] = None
    triang_id: Annotated[_Texts, _integers("triang_id")] = None
    conifold_id: Annotated[_Texts, _integers("conifold_id")] = None
    cicy_id: Annotated[_Texts, _integers("cicy_id")] = None
    solver_name: Annotated[_Texts, _texts("solver_name", "NAME", "A solver; repeatable.")] = None
    is_susy: Annotated[
        bool | None,
        typer.Option("--is-susy/--not-susy", help="Supersymmetric or not.", rich_help_panel=FILTER),
    ] = None
    is_isd: Annotated[
        bool | None,
        typer.Option(
            "--is-isd/--not-isd", help="Imaginary self-dual flux or not.", rich_help_panel=FILTER
        ),
    ] = None
    where: Annotated[
        _Texts,
        _condition("A condition on rows; elements of lists count from 1; of several, all hold."),
    ] = None

    def read(
        self,
        *,
        columns: Sequence[str] | None = None,
        sort: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Filters:
        """The filters that were typed, with what else is asked of their rows.

        Raises:
            UsageError: An integer or a range is none.
        """
        from vulcan_cli.dataset.filters import Filters, parse_integers  # noqa: PLC0415
        from vulcan_cli.vacua.geometry import KEYS  # noqa: PLC0415

        return Filters(
            run_id=tuple(self.run_id or ()),
            geometry_id=tuple(self.geometry_id or ()),
            **{key: parse_integers(getattr(self, key) or ()) for key in KEYS},
            solver_name=tuple(self.solver_name or ()),
            is_susy=self.is_susy,
            is_isd=self.is_isd,
            where=tuple(self.where or ()),
            columns=split_names(columns),
            sort=split_order(sort),
            limit=limit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFilters(RowFilters):
    """Which shards a person asks for: those with at least one such row."""

    where: Annotated[
        _Texts,
        _condition(
            "A condition on columns of the catalog, such as n_rows > 1000; of several, all hold."
        ),
    ] = None
