"""Hold the statements of a table route, by name."""

from collections.abc import Sequence

from psycopg import sql

from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.tables.casts.wording import reasons
from inbox.store.tables.changes.absences import absences_of
from inbox.store.tables.changes.existing import same_row
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.enveloped_rows import takes_partial_rows
from inbox.store.tables.parameters import Input
from inbox.store.tables.shape import TableShape
from inbox.store.tables.statements import searches
from inbox.store.tables.statements.deletes import Deletes
from inbox.store.tables.statements.finished import finished
from inbox.store.tables.statements.inserts import Inserts
from inbox.store.tables.statements.rounds import number_rounds, number_rows
from inbox.store.tables.statements.row_conditions import RowConditions
from inbox.store.tables.statements.rows import BatchRows


class Writes:
    """The statements that write the events of one route.

    If one statement holds several events of a row, only the last decides, unless the table can
    refuse one of them. In that case the statement fails where a condition refuses any (`write`).
    """

    def __init__(
        self,
        target: TableTarget,
        columns: Sequence[tuple[Column, ColumnSource]],
        inputs: Sequence[Input],
        shape: TableShape,
        *,
        decodes: bool,
        marks: Marks | None = None,
        partial: bool = False,
    ) -> None:
        """Compose the statements; `partial` are those for events whose envelope leaves values out."""
        absences = absences_of(target.mode, target.key, columns, shape, partial=partial, decodes=decodes)
        self._rows = BatchRows(target, columns, inputs, shape, decodes=decodes, marks=marks, absences=absences)
        self._conditions = RowConditions(self._rows)
        self._inserts = Inserts(self._rows)
        self._compose()

    def _compose(self) -> None:
        rows, shape, target = self._rows, self._rows.shape, self._rows.target
        guards = self._conditions.guards
        # An event may leave a column to one before it, so the last event of a row does not decide alone.
        folds = not (shape.refuses or rows.absences or self._conditions.conditions(target.key))
        self.write_each = self._inserts.insert(rows.rows(), folds=folds)
        self.write = self._inserts.insert(self._conditions.guarded()) if folds or guards else self.write_each
        if target.for_each is not None and not shape.refuses:  # an event may have two elements of one row
            self.write_each = self.write
        self.write_new = self._inserts.insert(rows.rows(), new=True, folds=folds)

    def write_of(self, *, new: bool, distinct: bool) -> bytes:
        """Return the statement that writes rows: of which each is `new`, or of which none comes twice (`distinct`)."""
        if new:
            return self.write_new
        return self.write_each if distinct else self.write


class Statements(Writes):
    """The statements of one route: those that write, that find the events at fault, and that delete.

    Where only writing shows whether the table refuses an event of a row, the events are written in `rounds`.
    """

    def _compose(self) -> None:
        super()._compose()
        rows, shape, target = self._rows, self._rows.shape, self._rows.target
        self._lacking: dict[Sequence[bool], bytes] = {}
        once = rows.takes_a_row_once
        self.always_in_rounds = bool(target.replaces) or (once and (shape.refuses or bool(rows.absences)))
        self.element_rounds = number_rows(rows) if target.for_each is not None and rows.absences else None
        """The statement by whose rounds elements are written, one after the other where they have one row."""
        by_element = self.element_rounds is not None and not target.replaces
        self.rounds = number_rounds(rows) if (self.always_in_rounds or rows.marks) and not by_element else None
        self.unknown_rows = None
        if takes_partial_rows(target) and target.mode is not TableMode.UPDATE:
            self.unknown_rows = self._unknown_rows()
        self.evaluate = searches.evaluate(rows, self._conditions.conditions())
        self.explain, self.meanings = searches.explain(rows)
        self._first = searches.before_columns(rows)
        self.reasons = {place: reasons(*each) for place, each in enumerate(rows.columns, start=self._first)}
        """The messages of a column for the reasons that its expression finds, by the row of `explain`."""
        self._compose_deletes()

    def _compose_deletes(self) -> None:
        target, marks = self._rows.target, self._rows.marks
        deletes = Deletes(self._rows, self._conditions)
        self.replace = deletes.replace() if target.replaces else None
        self.empty = finished(sql.SQL("DELETE FROM {}").format(self._rows.shape.table))
        if target.tombstones.removes and not target.replaces:
            self.remove = deletes.delete() if marks is None else deletes.mark(marks)
            self.write_after_deletes = self._inserts.insert(deletes.alive_after_deletes())

    def write_lacking(self, pattern: Sequence[bool]) -> bytes:
        """Return the statement for events of different rows that lack the same columns, as `rounds` says."""
        if pattern not in self._lacking:
            split = self._rows.absences.split
            left_out = {name for name, lacks in zip(split, pattern, strict=True) if lacks}
            self._lacking[pattern] = self._inserts.insert(self._rows.rows(), folds=False, left_out=left_out)
        return self._lacking[pattern]

    @property
    def splits(self) -> bool:
        """Return whether events that lack different columns need different statements."""
        return bool(self._rows.absences.split)

    def source_of(self, row: int) -> ColumnSource:
        """Return the source of the column that a row of `explain` is about."""
        return self._rows.columns[row - self._first][1]

    def is_of_column(self, row: int) -> bool:
        """Return whether a row of `explain` is about a column, and not about a whole document."""
        return row >= self._first

    def probe(self, column: Column, source: ColumnSource) -> bytes:
        """Return the statement that evaluates one column alone."""
        return searches.probe(self._rows, column, source)

    def _unknown_rows(self) -> bytes:
        """Return the query that finds an event without a row."""
        rows, shape, key = self._rows, self._rows.shape, self._rows.target.key
        events = sql.SQL("SELECT {} FROM {}").format(rows.named(key), rows.events())
        return finished(
            sql.SQL("SELECT FROM ({}) AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {} AND {}) LIMIT 1").format(
                events, shape.table, same_row(shape, key, "s"), self._inserts.unmarked()
            )
        )
