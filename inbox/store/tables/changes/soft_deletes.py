"""Soft deletes: a column of the table notes that, or when, a row was deleted.

The rows without a mark are those that `tombstones = "delete"` would leave.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from inbox.store.options import ColumnSource
from inbox.store.tables.changes.existing import change
from inbox.store.tables.columns import Column
from inbox.store.tables.expressions import expression
from inbox.store.tables.shape import TableShape

MARK = sql.Identifier("inbox mark")

TIMESTAMP = ColumnSource("$timestamp")
"""The source of the time of a deletion."""


@dataclass(frozen=True)
class Marks:
    """The column that notes a deletion: a time, or a boolean."""

    column: Column

    @property
    def _is_flag(self) -> bool:
        return self.column.base.name == "bool"

    @property
    def sources(self) -> list[tuple[Column, ColumnSource]]:
        """Return the column with the source of the time of a deletion."""
        return [] if self._is_flag else [(self.column, TIMESTAMP)]

    @property
    def none(self) -> sql.Composable:
        """Return the value of a row that is not deleted."""
        return sql.SQL("false") if self._is_flag else sql.SQL("NULL::{}").format(self.column.type.sql)

    def of_event(self) -> sql.Composable:
        """Return the value by which the event `e` marks a row: its record's time, or now for a record without one."""
        if self._is_flag:
            return sql.SQL("true")
        return sql.SQL("coalesce({}, pg_catalog.now()::{})").format(
            expression(self.column, TIMESTAMP, decoded=False), self.column.type.sql
        )

    def is_marked(self, row: sql.Identifier) -> sql.Composable:
        """Return the condition that a row of the table is deleted."""
        here = sql.SQL("{}.{}").format(row, sql.Identifier(self.column.name))
        return sql.SQL("coalesce({}, false)" if self._is_flag else "{} IS NOT NULL").format(here)

    def mark(self, shape: TableShape, key: Sequence[str], dead: sql.Composable, version: str | None) -> sql.Composable:
        """Return the statement that marks the rows of tombstones; `dead` has one for each key.

        A row that is marked keeps its mark. With a version, a tombstone that has one passes over a
        newer row and leaves its own version, so that no older event brings the row back.
        """
        name, marked = self.column.name, self.is_marked(sql.Identifier("t"))
        if version is None:
            only = sql.SQL("NOT {}").format(marked)
            return change(shape, key, dead, {name: MARK_OF_ROW}, order=None, only=only)
        there, given = sql.Identifier("t", version), sql.Identifier("s", version)
        newer = shape.comparing.greater(version, there, given)
        changes = {
            name: sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(marked, sql.Identifier("t", name), MARK_OF_ROW),
            version: sql.SQL("coalesce({}, {})").format(given, there),
        }
        return change(shape, key, dead, changes, order=None, only=sql.SQL("NOT coalesce({}, false)").format(newer))


MARK_OF_ROW = sql.SQL("s.{}").format(MARK)
