"""Columns that an event may leave as they are: their member is absent, which is something else than a JSON null."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql

from inbox.store.options import ColumnSource, TableMode
from inbox.store.tables.changes.existing import ROWS
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.expressions import absence_from_row
from inbox.store.tables.expressions import absence, left_out
from inbox.store.tables.shape import TableShape

_FAILS_AS_REPEATED = sql.SQL("(SELECT true FROM pg_catalog.generate_series(1, 2))")
"""A value that fails with 21000, as a row that comes twice does; it costs nothing until a row needs it."""

_FOUND: LiteralString = "({given}) OPERATOR(pg_catalog.=) ANY (SELECT {keys} FROM {rows} WHERE {flag})"


@dataclass(frozen=True, kw_only=True)
class Absences:
    """The columns of a route that an event may leave as they are, each with its condition on the event `e`.

    EXCLUDED says nothing about the event behind it. So the statement looks the row's key up among
    those of the events without the column's member (a hash table, made once), and writes the row's
    own value there, as ON CONFLICT has locked it.

    `split` are the columns for which that does not work: a new row takes the column's default, which
    PostgreSQL gives only to a column that the INSERT leaves out; or a trigger may change the key
    first. Events that lack different columns of `split` go in different statements.
    """

    conditions: Mapping[str, sql.Composable] = field(default_factory=dict)
    split: Sequence[str] = ()
    changes_first: bool = False
    """Whether the table may refuse a row that lacks a column, if it were inserted."""

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def flags(self) -> list[sql.Composed]:
        """Return the flags as columns of a SELECT over `e`."""
        return [sql.SQL("{} AS {}").format(when, _flag(name)) for name, when in self.conditions.items()]

    def pattern(self) -> sql.Composable:
        """Return the array that says of each column in `split` whether the event lacks it."""
        lacking = sql.SQL(", ").join(self.conditions[name] for name in self.split)
        return sql.SQL("ARRAY[{}]::boolean[]").format(lacking)

    def none_of_split(self) -> sql.Composable:
        """Return the condition on a row that fails where the row lacks a column in `split`."""
        if not self.split:
            return sql.SQL("true")
        lacking = sql.SQL(" OR ").join(_flag(name) for name in self.split)
        return sql.SQL("CASE WHEN {} THEN {} ELSE true END").format(lacking, _FAILS_AS_REPEATED)

    def in_row(self, name: str) -> sql.Composable | None:
        """Return the condition that the row `s` lacks the column; None where that cannot be."""
        return sql.SQL("s.{}").format(_flag(name)) if name in self.conditions else None

    def found(self, shape: TableShape, key: Sequence[str], name: str) -> sql.Composable | None:
        """Return the condition that the event behind EXCLUDED lacks the column; None where that cannot be."""
        if name not in self.conditions or name in self.split:
            return None
        given = sql.SQL(", ").join(sql.Identifier("excluded", column) for column in key)
        if len(key) == 1:
            keys = sql.SQL("SELECT {} FROM {} WHERE {}").format(sql.Identifier(key[0]), ROWS, _flag(name))
            return shape.comparing.equal_any(key[0], given, keys)
        keys = sql.SQL(", ").join(map(sql.Identifier, key))
        return sql.SQL(_FOUND).format(given=given, keys=keys, rows=ROWS, flag=_flag(name))


def absences_of(
    mode: TableMode,
    key: Sequence[str],
    columns: Sequence[tuple[Column, ColumnSource]],
    shape: TableShape,
    *,
    partial: bool,
    decodes: bool,
) -> Absences:
    """Return the columns that an event of the route may leave as they are.

    In mode `merge` those are the columns without a member, and in the modes `upsert` and `update` those of
    them that are left to the table. If `partial`, they are those that the envelope marks as left
    out. `decodes`: the event has `e.document`.
    """
    conditions = {
        column.name: when
        for column, source in columns
        if column.name not in key
        if (when := _condition(mode, source, partial=partial, decodes=decodes)) is not None
    }
    by_key = not shape.changes_rows and (len(key) == 1 or not any(map(shape.comparing.has_own, key)))
    filled = [
        column.name
        for column, source in columns
        if column.name in conditions and column.has_default and source.default is None and not source.leaves
    ]
    needed = any(column.not_null and not column.has_default for column, _ in columns if column.name in conditions)
    return Absences(
        conditions=conditions,
        split=filled if by_key else list(conditions),
        changes_first=needed or shape.refuses or bool(shape.checks),
    )


def _condition(mode: TableMode, source: ColumnSource, *, partial: bool, decodes: bool) -> sql.Composable | None:
    """Return the condition that an event leaves a column of this source as it is; a required one has to be there."""
    leaves = mode is TableMode.MERGE and not source.required
    leaves = leaves or (source.leaves and mode in (TableMode.UPSERT, TableMode.UPDATE))
    if not leaves and not partial:
        return None
    if not decodes:
        return absence_from_row(source)
    return absence(source) if leaves else left_out(source)


def _flag(name: str) -> sql.Identifier:
    return sql.Identifier(f"inbox absent {name}")
