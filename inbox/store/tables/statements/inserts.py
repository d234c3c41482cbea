"""Write the rows of a batch: INSERT with what happens on a conflict, or UPDATE, by the route's mode."""

from collections.abc import Collection

from psycopg import sql

from inbox.store.options import TableMode
from inbox.store.tables.changes.existing import IS_NEW, PLACE, ROWS, change, change_before
from inbox.store.tables.statements.finished import finished
from inbox.store.tables.statements.rows import BatchRows


class Inserts:
    """The statements that write the rows of a batch."""

    def __init__(self, rows: BatchRows) -> None:
        self._rows = rows
        self._shape = rows.shape
        self._target = rows.target
        self._columns = rows.columns
        self._absences = rows.absences
        self._marks = rows.marks
        self._table = rows.shape.table
        marked = [rows.marks.column.name] if rows.marks else []
        self._written = [*rows.target.columns, *marked]
        self._keys = rows.keys

    def insert(
        self, rows: sql.Composable, *, new: bool = False, folds: bool = True, left_out: Collection[str] | None = None
    ) -> bytes:
        """Return the INSERT; with `folds` it writes only a row's deciding event, otherwise several fail together.

        `left_out` are the columns that all its events lack; None if an event that lacks one of those
        is to fail.
        """
        if self._target.mode is TableMode.UPDATE:
            return self._update(rows, folds=folds)
        # A column that the INSERT leaves out takes the table's default; one with a default of the route takes that.
        own = {column.name for column, source in self._columns if source.default is not None}
        omitted = set(left_out or ()) - own
        columns = sql.SQL(", ").join(sql.Identifier(each) for each in self._written if each not in omitted)
        asks = bool(self._absences) and not new
        statement = sql.SQL("{}INSERT INTO {} ({}) {}SELECT {}{} FROM {} AS r WHERE {} AND {} {} {}").format(
            self._before(rows) if asks else sql.SQL(""),
            self._table,
            columns,
            sql.SQL("OVERRIDING SYSTEM VALUE " if self._target.overriding else ""),
            self._distinct() if folds else sql.SQL(""),
            columns,
            ROWS if asks else sql.SQL("({})").format(rows),
            sql.SQL("true") if left_out is not None else self._absences.none_of_split(),
            IS_NEW if asks and self._absences.changes_first else sql.SQL("true"),
            self._order(),
            sql.SQL("") if new else self._on_conflict(left_out or ()),
        )
        return finished(statement)

    def _before(self, rows: sql.Composable) -> sql.Composable:
        """Return the WITH that holds the batch's rows, and that changes the rows which are there if it has to."""
        if not self._absences.changes_first:
            return sql.SQL("WITH {} AS MATERIALIZED ({}) ").format(ROWS, rows)
        changes = {name: self._kept_or_given(name) for name in self._target.columns if name not in self._target.key}
        return change_before(self._shape, self._target.key, rows, changes, self.unmarked())

    def _kept_or_given(self, name: str) -> sql.Composable:
        given, lacks = sql.Identifier("s", name), self._absences.in_row(name)
        if lacks is None:
            return given
        return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(lacks, sql.Identifier("t", name), given)

    def unmarked(self) -> sql.Composable:
        """Return the condition that the row `t` is not softly deleted."""
        if self._marks is None:
            return sql.SQL("true")
        return sql.SQL("NOT {}").format(self._marks.is_marked(sql.Identifier("t")))

    def _update(self, rows: sql.Composable, *, folds: bool) -> bytes:
        """Return the UPDATE; with `folds` only a row's last event decides, otherwise several fail together."""
        changes = {name: self._kept_or_given(name) for name in self._target.columns if name not in self._target.key}
        order = self._order() if folds else None
        return finished(change(self._shape, self._target.key, rows, changes, order=order, only=self.unmarked()))

    def _distinct(self) -> sql.Composable:
        if self._target.mode is TableMode.APPEND or self._shape.refuses:
            return sql.SQL("")
        return sql.SQL("DISTINCT ON ({}) ").format(self._keys)

    def _order(self) -> sql.Composable:
        """Return the order by key, so that two workers lock rows in one order.

        Within a key the row to keep comes first.
        """
        if self._shape.in_order:
            return sql.SQL("ORDER BY {}").format(PLACE)
        match self._target.mode:
            case TableMode.APPEND:
                return sql.SQL("ORDER BY {}").format(PLACE)
            case TableMode.INSERT:
                return sql.SQL("ORDER BY {}, {}").format(self._keys, PLACE)
            case TableMode.UPSERT | TableMode.MERGE | TableMode.UPDATE:
                return sql.SQL("ORDER BY {}, {} DESC").format(self._keys, PLACE)
            case TableMode.NEWEST:
                return sql.SQL("ORDER BY {}, {} DESC NULLS LAST, {}").format(self._keys, self._version(), PLACE)

    def _on_conflict(self, left_out: Collection[str]) -> sql.Composable:
        mode = self._target.mode
        others = [name for name in self._written if name not in self._target.key]
        if mode is TableMode.APPEND:
            return sql.SQL("")
        if (mode is TableMode.INSERT and self._marks is None) or not others:
            return sql.SQL("ON CONFLICT ({}) DO NOTHING").format(self._keys)
        changes = sql.SQL(", ").join(self._changed(name, left_out) for name in others)
        update = sql.SQL("ON CONFLICT ({}) DO UPDATE SET {}").format(self._keys, changes)
        if mode is TableMode.INSERT and self._marks is not None:
            return update + sql.SQL(" WHERE ") + self._marks.is_marked(self._table)
        if mode in (TableMode.UPSERT, TableMode.MERGE):
            return update
        # A missing version is older than any, and an equal one does not overwrite, as DISTINCT ON chose
        # within the batch.
        there, given = (sql.SQL("{}.{}").format(row, self._version()) for row in (self._table, sql.SQL("EXCLUDED")))
        newer = sql.SQL(" WHERE {} OR ({} IS NULL AND {} IS NOT NULL)")
        greater = self._shape.comparing.greater(self._target.version or "", given, there)
        return update + newer.format(greater, there, given)

    def _changed(self, name: str, left_out: Collection[str]) -> sql.Composable:
        """Return what ON CONFLICT does to a column: it takes the event's value, or keeps its own where that is absent.

        A row that is softly deleted is overwritten as a whole: EXCLUDED has the column's default then.
        """
        column = sql.Identifier(name)
        lacks = self._absences.found(self._shape, self._target.key, name)
        if name in left_out:
            lacks = sql.SQL("true")
        if lacks is None:
            return sql.SQL("{0} = EXCLUDED.{0}").format(column)
        if self._marks is not None:
            lacks = sql.SQL("{} AND NOT {}").format(lacks, self._marks.is_marked(self._table))
        kept = sql.SQL("{}.{}").format(self._table, column)
        return sql.SQL("{0} = CASE WHEN {1} THEN {2} ELSE EXCLUDED.{0} END").format(column, lacks, kept)

    def _version(self) -> sql.Composable:
        return sql.Identifier(self._target.version or "")
