"""The batch of a table route as rows of SQL: its events or their elements, and from them the table's columns.

It runs on the user's search path, which the user's triggers need: see
`inbox.store.tables.expressions`.
"""

from collections.abc import Collection, Sequence
from typing import LiteralString

from psycopg import sql

from inbox.reading.options import Envelope
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.tables.casts.refusals import CastRefusal, failing
from inbox.store.tables.changes.absences import Absences
from inbox.store.tables.changes.elements import Elements, elements_of
from inbox.store.tables.changes.existing import PLACE
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.expressions import absence_from_row
from inbox.store.tables.enveloped_rows import takes_partial_rows
from inbox.store.tables.expressions import DOCUMENTS, as_stored, is_whole_document, left_out, strict
from inbox.store.tables.expressions import expression as expression_of
from inbox.store.tables.parameters import Input
from inbox.store.tables.shape import TableShape
from inbox.store.tables.statements.finished import parameter

DEAD = sql.Identifier("inbox dead")
"""A column that says whether an event removes its row; with a space, to avoid the names of the user's columns."""

FAILING = sql.SQL("pg_catalog.left({}::pg_catalog.text, 0)::integer{}")
"""An expression that fails: an empty text is not a number."""

_IN_MEMBER: LiteralString = (
    "CASE WHEN u.member IS NULL THEN u.document::pg_catalog.jsonb"
    " ELSE u.document::pg_catalog.jsonb OPERATOR(pg_catalog.->) u.member END"
)
"""The row of an event in an envelope: the whole document, or a member of it."""

_WITHOUT: LiteralString = (
    "CASE WHEN u.absent IS NULL THEN {row} ELSE ({row}) OPERATOR(pg_catalog.-)"
    " ARRAY(SELECT pg_catalog.jsonb_array_elements_text(u.absent::pg_catalog.jsonb)) END"
)
"""The row without the members that the envelope marks as left out."""


class BatchRows:
    """The batch of a route as rows.

    Args:
        absences: the columns that an event may leave as they are.
        decodes: PostgreSQL decodes the values.
    """

    def __init__(
        self,
        target: TableTarget,
        columns: Sequence[tuple[Column, ColumnSource]],
        inputs: Sequence[Input],
        shape: TableShape,
        *,
        decodes: bool,
        marks: Marks | None,
        absences: Absences,
    ) -> None:
        self.target = target
        self.shape = shape
        self.columns = columns
        self.inputs = inputs
        self.decodes = decodes
        self.marks = marks
        self.absences = absences
        self.keys = sql.SQL(", ").join(map(sql.Identifier, target.key))
        self.reads_key = any(source.document == "$key" for _, source in columns)
        self._in_envelopes = target.envelope is not Envelope.NONE
        self._leaves_out = target.envelope is Envelope.DEBEZIUM
        self.elements = Elements(pointer=target.for_each or "", of_texts=self._leaves_out)
        self._of_change = sorted({source.document or "" for _, source in columns} & {"$before", "$source"})

    @property
    def takes_a_row_once(self) -> bool:
        """Return whether one statement cannot write two events of one row."""
        if self.target.mode is TableMode.INSERT:
            return self.target.tombstones.removes
        return self.target.mode is not TableMode.APPEND

    def expression(self, column: Column, source: ColumnSource) -> sql.Composable:
        """Return the expression that makes the column's value of an event."""
        # In an envelope `e.document` is the row, and not the whole value.
        whole = is_whole_document(column, source)
        if whole and self.target.for_each is not None and not self._in_envelopes:
            return sql.SQL("e.event::{}").format(column.type.sql)  # there `e.document` is the element
        decoded = self.decodes and not (self._in_envelopes and whole)
        return expression_of(column, source, decoded=decoded)

    def required(
        self, column: Column, source: ColumnSource, value: sql.Composable, *, dead: bool = False
    ) -> sql.Composable:
        """Return the value; fail where it is NULL and the column requires one.

        A tombstone has none, and neither has an event whose envelope leaves the value out.
        """
        if not source.required:
            return value
        missing = failing(CastRefusal.MISSING, column.type, sql.SQL("e.place::pg_catalog.text"))
        if (unsent := self._left_out(source)) is not None:
            missing = sql.SQL("CASE WHEN NOT {} THEN {} END").format(unsent, missing)
        unless_dead = sql.SQL("CASE WHEN e.dead OPERATOR(pg_catalog.=) 0 THEN {} END").format(missing)
        return sql.SQL("coalesce({}, {})").format(value, unless_dead if dead else missing)

    def _left_out(self, source: ColumnSource) -> sql.Composable | None:
        """Return the condition that an envelope leaves a value out which the row then keeps; None if it cannot."""
        if not takes_partial_rows(self.target):
            return None
        return left_out(source) if self.decodes else absence_from_row(source)

    def value(self, column: Column, source: ColumnSource, *, dead: bool = False) -> sql.Composable:
        """Return the value of a column; keys and versions as the table stores them, so that events compare as rows do.

        A NULL key fails even where the table itself accepts it: such rows would be folded into one,
        and no later event could find it.
        """
        value = self.expression(column, source)
        if column.name in self.target.key or column.name == self.target.version:
            value = as_stored(column, value)
        value = self.required(column, source, value, dead=dead)
        removes = self.target.tombstones.removes
        replaces = column.name in self.target.replaces
        if column.name not in self.target.key or (column.not_null and not removes and not replaces):
            return value
        nothing = FAILING.format(sql.SQL("e.place"), sql.SQL("::pg_catalog.text::{}").format(column.type.sql))
        return sql.SQL("coalesce({}, {})").format(value, nothing)

    def named(self, names: Collection[str]) -> sql.Composable:
        """Return the values of these columns, under their names."""
        return sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(self.value(column, source), sql.Identifier(column.name))
            for column, source in self.columns
            if column.name in names
        )

    def rows(self, *, dead: bool = False, strictly: bool = False) -> sql.Composable:
        """Return the batch as rows of the table's columns, with each event's index."""
        values = [
            sql.SQL("{} AS {}").format(strict(column, value) if strictly else value, sql.Identifier(column.name))
            for column, source in self.columns
            for value in [self.value(column, source, dead=dead)]
        ]
        values.append(sql.SQL("e.place AS {}").format(PLACE))
        values += self.absences.flags()
        if self.marks is not None:
            values.append(sql.SQL("{} AS {}").format(self.marks.none, sql.Identifier(self.marks.column.name)))
        if dead:
            values.append(sql.SQL("e.dead AS {}").format(DEAD))
        return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(values), self.events(dead=dead))

    def events(self, *, dead: bool = False, whole: bool = False) -> sql.Composable:
        """Return the batch as rows: `e.document` as jsonb where a column needs it, the other inputs, and `e.place`.

        With `for_each` these are the elements, or with `whole` the events.
        """
        if self.target.for_each is None:
            return sql.SQL("({}) AS e").format(self._event_rows(dead=dead))
        if whole:
            rows = sql.SQL("(SELECT w.*, w.document AS event FROM ({}) AS w OFFSET 0) AS e")
            return rows.format(self._event_rows(dead=dead))
        of_key = ["key_document"] if self.reads_key else []
        inputs = [*(each.name for each in self.inputs), *of_key, *(["dead"] if dead else [])]
        events = sql.SQL("({}) AS w").format(self._event_rows(dead=dead))
        return elements_of(events, inputs, self.elements, chosen=bool(self.absences))

    def _event_rows(self, *, dead: bool) -> sql.Composable:
        names: list[LiteralString] = [each.name for each in self.inputs]
        names.append("place")
        if dead:
            names.append("dead")
        selected: list[sql.Composable] = [sql.SQL("u.") + sql.Identifier(name) for name in names]
        if self.decodes:
            names.append("document")
            if self._in_envelopes:
                names.append("member")
            selected.append(self._row_of_document())
            if self._leaves_out:
                names.append("absent")
                selected.append(sql.SQL("u.absent::pg_catalog.jsonb AS absent"))
        if self.reads_key:
            selected.append(sql.SQL("u.key_text::pg_catalog.jsonb AS key_document"))
        selected += [
            sql.SQL("(u.change_text::pg_catalog.jsonb OPERATOR(pg_catalog.->) {}) AS {}").format(
                sql.Literal(document.removeprefix("$")), sql.Identifier(DOCUMENTS[document])
            )
            for document in self._of_change
        ]
        # OFFSET 0 keeps the planner from copying the cast into every column's expression.
        return sql.SQL("SELECT {} FROM unnest({}) AS u ({}) OFFSET 0").format(
            sql.SQL(", ").join(selected),
            sql.SQL(", ").join(parameter(sql.SQL(name)) for name in names),
            sql.SQL(", ").join(map(sql.Identifier, names)),
        )

    def _row_of_document(self) -> sql.Composable:
        if not self._in_envelopes:
            return sql.SQL("u.document::pg_catalog.jsonb AS document")
        row = sql.SQL(_IN_MEMBER)
        return sql.SQL("{} AS document").format(sql.SQL(_WITHOUT).format(row=row) if self._leaves_out else row)
