"""Refuse rows before they are written, as NOT NULL and the CHECK constraints of the table would."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from inbox.store.tables.changes.existing import PLACE
from inbox.store.tables.statements.rows import FAILING, BatchRows


class RowConditions:
    """The conditions of the table on the rows of a batch."""

    def __init__(self, rows: BatchRows) -> None:
        self._rows = rows
        self._shape = rows.shape
        self._key = rows.target.key

    def guarded(self) -> sql.Composable:
        """Return the rows of a batch; they fail if a condition refuses any, even one that another event replaces."""
        return self._unless_refused(self._rows.rows(strictly=self.guards))

    def guarded_alive(self) -> sql.Composable:
        """Return the rows of a batch as `guarded` does, with those of tombstones, which no condition refuses."""
        return self._unless_refused(
            self._rows.rows(dead=True, strictly=self.guards), '"inbox dead" OPERATOR(pg_catalog.=) 0'
        )

    @property
    def guards(self) -> bool:
        """Return whether one statement takes a row once, and only conditions can refuse a row."""
        if not self._rows.takes_a_row_once or self._shape.refuses or self._rows.absences:
            return False
        return bool(self.conditions(self._key))

    def _unless_refused(self, rows: sql.Composable, alive: LiteralString = "true") -> sql.Composable:
        if not self.guards:
            return rows
        return sql.SQL("SELECT * FROM ({}) AS s WHERE CASE WHEN {} AND ({}) THEN {} IS NULL ELSE true END").format(
            rows,
            sql.SQL(alive),
            sql.SQL(" OR ").join(self.conditions(self._key)),
            FAILING.format(PLACE, sql.SQL("")),
        )

    def conditions(self, but: Sequence[str] = ()) -> list[sql.Composable]:
        """Return conditions that are true of a row that a CHECK refuses, or NOT NULL on a column outside `but`."""
        names = [column.name for column, _ in self._rows.columns if column.not_null and column.name not in but]
        not_null = [sql.Identifier(name) for name in names]
        refused: list[sql.Composable] = [sql.SQL("{} IS NULL").format(name) for name in not_null]
        return refused + [sql.SQL("NOT coalesce({}, true)").format(sql.SQL(check)) for check in self._shape.checks]
