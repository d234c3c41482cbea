"""Remove rows: those of tombstones, those marked as deleted, and the elements that an event no longer has."""

from psycopg import sql

from inbox.store.tables.changes.elements import has_array
from inbox.store.tables.changes.elements import replace as replace_rows
from inbox.store.tables.changes.existing import LOCKED, PLACE, ROWS, all_read, same_row
from inbox.store.tables.changes.soft_deletes import MARK, Marks
from inbox.store.tables.statements.finished import finished
from inbox.store.tables.statements.row_conditions import RowConditions
from inbox.store.tables.statements.rows import DEAD, BatchRows

_GONE = sql.Identifier("inbox gone")


class Deletes:
    """The statements that remove rows, and what is written after them."""

    def __init__(self, rows: BatchRows, conditions: RowConditions) -> None:
        self._rows = rows
        self._shape = rows.shape
        self._target = rows.target
        self._columns = rows.columns
        self._table = rows.shape.table
        self._conditions = conditions
        self._keys = rows.keys

    def delete(self) -> bytes:
        """Return the DELETE, which locks in the order of the key, as `write`; a plain DELETE locks as it finds rows."""
        same = same_row(self._shape, self._target.key, "gone")
        of_table = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in self._target.key)
        gone = sql.SQL("SELECT DISTINCT {} FROM ({}) AS s WHERE {} OPERATOR(pg_catalog.=) 1").format(
            self._keys, self._rows.rows(dead=True), DEAD
        )
        statement = sql.SQL(
            "WITH {all} AS MATERIALIZED ({gone}), {locked} AS MATERIALIZED ("
            "SELECT {of_table} FROM {table} AS t JOIN {all} AS gone ON {same}"
            " ORDER BY {of_table} FOR UPDATE OF t)"
            " DELETE FROM {table} AS t USING {locked} AS gone WHERE {same} AND {read}"
        )
        return finished(
            statement.format(
                all=ROWS,
                read=all_read(ROWS),
                of_table=of_table,
                table=self._table,
                gone=gone,
                same=same,
                locked=LOCKED,
            )
        )

    def mark(self, marks: Marks) -> bytes:
        """Return the statement that marks the rows of tombstones; no two of its events have one key."""
        version = self._target.version
        names = [*self._target.key, *([version] if version else [])]
        values = [
            sql.SQL("{} AS {}").format(self._rows.value(column, source), sql.Identifier(column.name))
            for column, source in self._columns
            if column.name in names
        ]
        dead = sql.SQL("SELECT {}, {} AS {} FROM {} WHERE e.dead OPERATOR(pg_catalog.=) 1").format(
            sql.SQL(", ").join(values), marks.of_event(), MARK, self._rows.events(dead=True)
        )
        return finished(marks.mark(self._shape, self._target.key, dead, version))

    def alive_after_deletes(self) -> sql.Composable:
        """Return the rows that no later tombstone of their key removes."""
        return sql.SQL(
            "SELECT * FROM (SELECT s.*, pg_catalog.max(CASE WHEN {dead} OPERATOR(pg_catalog.=) 1 THEN {place} ELSE -1"
            " END) OVER (PARTITION BY {keys}) AS {gone} FROM ({rows}) AS s) AS m"
            " WHERE {dead} OPERATOR(pg_catalog.=) 0 AND {place} OPERATOR(pg_catalog.>) {gone}"
        ).format(dead=DEAD, place=PLACE, keys=self._keys, gone=_GONE, rows=self._conditions.guarded_alive())

    def replace(self) -> bytes:
        """Return the DELETE, or the mark, of rows that the events no longer have; no two of them replace the same rows.

        An event without the array, or with null, says nothing about its rows. A tombstone has none.
        """
        target = self._target
        replaces = sql.SQL("(e.dead OPERATOR(pg_catalog.=) 1 OR {})").format(has_array(self._rows.elements))
        marks = self._rows.marks
        mark = sql.SQL("") if marks is None else sql.SQL(", {} AS {}").format(marks.of_event(), MARK)
        given = sql.SQL('SELECT {}, {} AS "inbox replaces"{} FROM {}').format(
            self._rows.named(target.replaces), replaces, mark, self._rows.events(dead=True, whole=True)
        )
        elements = sql.SQL("SELECT {} FROM {}").format(self._rows.named(target.key), self._rows.events())
        return finished(replace_rows(self._shape, target.key, target.replaces, given, elements, marks))
