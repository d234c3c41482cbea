"""The SQL of one table route, composed once from the configuration and the catalog only.

It runs on the user's search path, which the user's triggers need: see
`inbox.store.tables.expressions`.
"""

import re
from collections.abc import Collection, Sequence
from typing import LiteralString, cast

from psycopg import sql

from inbox.reading.options import Envelope
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.tables.casts.refusals import CastRefusal, failing
from inbox.store.tables.casts.wording import cannot_be, reasons
from inbox.store.tables.changes.absences import absences_of
from inbox.store.tables.changes.elements import SHIFT, elements_of, has_array, replace
from inbox.store.tables.changes.existing import IS_NEW, LOCKED, PLACE, ROWS, change, change_before, same_row
from inbox.store.tables.changes.soft_deletes import MARK, Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.expressions import absence_from_row
from inbox.store.tables.enveloped_rows import takes_partial_rows
from inbox.store.tables.expressions import DOCUMENTS, as_stored, expression, is_whole_document, left_out, strict
from inbox.store.tables.parameters import Input
from inbox.store.tables.shape import TableShape

_PLACE = PLACE
_DEAD, _GONE, _LACKS = (sql.Identifier(f"inbox {name}") for name in ("dead", "gone", "lacks"))
"""Names with a space, to avoid those of the user's tables and columns."""

_FAILING = sql.SQL("pg_catalog.left({}::pg_catalog.text, 0)::integer{}")
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

_MARK = re.compile("\x01([0-9a-z_]+)\x01")


class Statements:
    """The statements of one route.

    If one statement holds several events of a row, only the last decides, unless the table can
    refuse one of them. In that case the statement fails where a condition refuses any (`write`).
    Where only writing shows it, the events are written in `rounds`.
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
        self._shape = shape
        self._marks = marks
        self._target = target
        self._columns = columns
        self._inputs = inputs
        self._decodes = decodes
        self._in_envelopes = target.envelope is not Envelope.NONE
        self._leaves_out = target.envelope is Envelope.DEBEZIUM
        self._reads_key = any(source.document == "$key" for _, source in columns)
        self._of_change = sorted({source.document or "" for _, source in columns} & {"$before", "$source"})
        self._table = shape.table
        self._written = [*target.columns, *([marks.column.name] if marks else [])]
        self._names = [sql.Identifier(name) for name in self._written]
        self._keys = sql.SQL(", ").join(map(sql.Identifier, target.key))
        self._absences = absences_of(target.mode, target.key, columns, shape, partial=partial, decodes=decodes)
        self._lacking: dict[Sequence[bool], bytes] = {}
        # An event may leave a column to one before it, so the last event of a row does not decide alone.
        folds = not (shape.refuses or self._absences or self._conditions(target.key))
        self.write_each = self._insert(self._rows(), folds=folds)
        self.write = self._insert(self._guarded()) if folds or self._guards else self.write_each
        if target.for_each is not None and not shape.refuses:  # an event may have two elements of one row
            self.write_each = self.write
        self.write_new = self._insert(self._rows(), new=True, folds=folds)
        self.always_in_rounds = bool(target.replaces) or (self._folds and (shape.refuses or bool(self._absences)))
        self.rounds = self._number_rounds() if self.always_in_rounds or marks else None
        self.unknown_rows = None
        if takes_partial_rows(target) and target.mode is not TableMode.UPDATE:
            self.unknown_rows = self._unknown_rows()
        self.evaluate = self._evaluate()
        self.explain, self.meanings = self._explain()
        self._first = 1 + self._reads_key + (target.for_each is not None)
        self.reasons = {place: reasons(*each) for place, each in enumerate(columns, start=self._first)}
        """The messages of a column for the reasons that its expression finds, by the row of `explain`."""
        self.replace = self._replace() if target.replaces else None
        if target.tombstones.removes and not target.replaces:
            self.remove = self._delete() if marks is None else self._mark(marks)
            self.empty = _finished(sql.SQL("DELETE FROM {}").format(self._table))
            self.write_after_deletes = self._insert(self._alive_after_deletes())

    def write_lacking(self, pattern: Sequence[bool]) -> bytes:
        """Return the statement for events of different rows that lack the same columns, as `rounds` says."""
        if pattern not in self._lacking:
            left_out = {name for name, lacks in zip(self._absences.split, pattern, strict=True) if lacks}
            self._lacking[pattern] = self._insert(self._rows(), folds=False, left_out=left_out)
        return self._lacking[pattern]

    @property
    def splits(self) -> bool:
        """Return whether events that lack different columns need different statements."""
        return bool(self._absences.split)

    def source_of(self, row: int) -> ColumnSource:
        """Return the source of the column that a row of `explain` is about."""
        return self._columns[row - self._first][1]

    def probe(self, column: Column, source: ColumnSource) -> bytes:
        """Return the statement that evaluates one column alone."""
        return _finished(sql.SQL("SELECT {} FROM {}").format(self._expression(column, source), self._events()))

    def _expression(self, column: Column, source: ColumnSource) -> sql.Composable:
        # In an envelope `e.document` is the row, and not the whole value.
        whole = is_whole_document(column, source)
        if whole and self._target.for_each is not None and not self._in_envelopes:
            return sql.SQL("e.event::{}").format(column.type.sql)  # there `e.document` is the element
        decoded = self._decodes and not (self._in_envelopes and whole)
        return expression(column, source, decoded=decoded)

    def _required(
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
        if not takes_partial_rows(self._target):
            return None
        return left_out(source) if self._decodes else absence_from_row(source)

    def _value(self, column: Column, source: ColumnSource, *, dead: bool = False) -> sql.Composable:
        """Return the value of a column; keys and versions as the table stores them, so that events compare as rows do.

        A NULL key fails even where the table itself accepts it: such rows would be folded into one,
        and no later event could find it.
        """
        value = self._expression(column, source)
        if column.name in self._target.key or column.name == self._target.version:
            value = as_stored(column, value)
        value = self._required(column, source, value, dead=dead)
        removes = self._target.tombstones.removes
        replaces = column.name in self._target.replaces
        if column.name not in self._target.key or (column.not_null and not removes and not replaces):
            return value
        nothing = _FAILING.format(sql.SQL("e.place"), sql.SQL("::pg_catalog.text::{}").format(column.type.sql))
        return sql.SQL("coalesce({}, {})").format(value, nothing)

    def _rows(self, *, dead: bool = False, strictly: bool = False) -> sql.Composable:
        """Return the batch as rows of the table's columns, with each event's index."""
        values = [
            sql.SQL("{} AS {}").format(strict(column, value) if strictly else value, sql.Identifier(column.name))
            for column, source in self._columns
            for value in [self._value(column, source, dead=dead)]
        ]
        values.append(sql.SQL("e.place AS {}").format(_PLACE))
        values += self._absences.flags()
        if self._marks is not None:
            values.append(sql.SQL("{} AS {}").format(self._marks.none, sql.Identifier(self._marks.column.name)))
        if dead:
            values.append(sql.SQL("e.dead AS {}").format(_DEAD))
        return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(values), self._events(dead=dead))

    def _events(self, *, dead: bool = False, whole: bool = False) -> sql.Composable:
        """Return the batch as rows: `e.document` as jsonb where a column needs it, the other inputs, and `e.place`.

        With `for_each` these are the elements, or with `whole` the events.
        """
        pointer = self._target.for_each
        if pointer is None:
            return sql.SQL("({}) AS e").format(self._event_rows(dead=dead))
        if whole:
            rows = sql.SQL("(SELECT w.*, w.document AS event FROM ({}) AS w OFFSET 0) AS e")
            return rows.format(self._event_rows(dead=dead))
        of_key = ["key_document"] if self._reads_key else []
        inputs = [*(each.name for each in self._inputs), *of_key, *(["dead"] if dead else [])]
        return elements_of(sql.SQL("({}) AS w").format(self._event_rows(dead=dead)), inputs, pointer)

    def _event_rows(self, *, dead: bool) -> sql.Composable:
        names: list[LiteralString] = [each.name for each in self._inputs]
        names.append("place")
        if dead:
            names.append("dead")
        selected: list[sql.Composable] = [sql.SQL("u.") + sql.Identifier(name) for name in names]
        if self._decodes:
            names.append("document")
            if self._in_envelopes:
                names.append("member")
            selected.append(self._row_of_document())
            if self._leaves_out:
                names.append("absent")
                selected.append(sql.SQL("u.absent::pg_catalog.jsonb AS absent"))
        if self._reads_key:
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
            sql.SQL(", ").join(sql.SQL("\x01{}\x01").format(sql.SQL(name)) for name in names),
            sql.SQL(", ").join(map(sql.Identifier, names)),
        )

    def _row_of_document(self) -> sql.Composable:
        if not self._in_envelopes:
            return sql.SQL("u.document::pg_catalog.jsonb AS document")
        row = sql.SQL(_IN_MEMBER)
        return sql.SQL("{} AS document").format(sql.SQL(_WITHOUT).format(row=row) if self._leaves_out else row)

    def _unknown_rows(self) -> bytes:
        """Return the query that finds an event without a row."""
        events = sql.SQL("SELECT {} FROM {}").format(self._named(self._target.key), self._events())
        return _finished(
            sql.SQL("SELECT FROM ({}) AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {} AND {}) LIMIT 1").format(
                events, self._table, same_row(self._shape, self._target.key, "s"), self._unmarked()
            )
        )

    def _insert(
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
        return _finished(statement)

    def _before(self, rows: sql.Composable) -> sql.Composable:
        """Return the WITH that holds the batch's rows, and that changes the rows which are there if it has to."""
        if not self._absences.changes_first:
            return sql.SQL("WITH {} AS MATERIALIZED ({}) ").format(ROWS, rows)
        changes = {name: self._kept_or_given(name) for name in self._target.columns if name not in self._target.key}
        return change_before(self._shape, self._target.key, rows, changes, self._unmarked())

    def _kept_or_given(self, name: str) -> sql.Composable:
        given, lacks = sql.Identifier("s", name), self._absences.in_row(name)
        if lacks is None:
            return given
        return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(lacks, sql.Identifier("t", name), given)

    def _unmarked(self) -> sql.Composable:
        """Return the condition that the row `t` is not softly deleted."""
        if self._marks is None:
            return sql.SQL("true")
        return sql.SQL("NOT {}").format(self._marks.is_marked(sql.Identifier("t")))

    def _update(self, rows: sql.Composable, *, folds: bool) -> bytes:
        """Return the UPDATE; with `folds` only a row's last event decides, otherwise several fail together."""
        changes = {name: self._kept_or_given(name) for name in self._target.columns if name not in self._target.key}
        order = self._order() if folds else None
        return _finished(change(self._shape, self._target.key, rows, changes, order=order, only=self._unmarked()))

    @property
    def _folds(self) -> bool:
        """Return whether one statement cannot write two events of one row."""
        if self._target.mode is TableMode.INSERT:
            return self._target.tombstones.removes
        return self._target.mode is not TableMode.APPEND

    def _distinct(self) -> sql.Composable:
        if self._target.mode is TableMode.APPEND or self._shape.refuses:
            return sql.SQL("")
        return sql.SQL("DISTINCT ON ({}) ").format(self._keys)

    def _order(self) -> sql.Composable:
        """Return the order by key, so that two workers lock rows in one order.

        Within a key the row to keep comes first.
        """
        if self._shape.in_order:
            return sql.SQL("ORDER BY {}").format(_PLACE)
        match self._target.mode:
            case TableMode.APPEND:
                return sql.SQL("ORDER BY {}").format(_PLACE)
            case TableMode.INSERT:
                return sql.SQL("ORDER BY {}, {}").format(self._keys, _PLACE)
            case TableMode.UPSERT | TableMode.MERGE | TableMode.UPDATE:
                return sql.SQL("ORDER BY {}, {} DESC").format(self._keys, _PLACE)
            case TableMode.NEWEST:
                return sql.SQL("ORDER BY {}, {} DESC NULLS LAST, {}").format(self._keys, self._version(), _PLACE)

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

    def _delete(self) -> bytes:
        """Return the DELETE, which locks in the order of the key, as `write`; a plain DELETE locks as it finds rows."""
        same = same_row(self._shape, self._target.key, "gone")
        of_table = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in self._target.key)
        gone = sql.SQL("SELECT DISTINCT {} FROM ({}) AS s WHERE {} OPERATOR(pg_catalog.=) 1").format(
            self._keys, self._rows(dead=True), _DEAD
        )
        statement = sql.SQL(
            "WITH {locked} AS MATERIALIZED (SELECT {of_table} FROM {table} AS t JOIN ({gone}) AS gone ON {same}"
            " ORDER BY {of_table} FOR UPDATE OF t) DELETE FROM {table} AS t USING {locked} AS gone WHERE {same}"
        )
        return _finished(statement.format(of_table=of_table, table=self._table, gone=gone, same=same, locked=LOCKED))

    def _mark(self, marks: Marks) -> bytes:
        """Return the statement that marks the rows of tombstones; no two of its events have one key."""
        version = self._target.version
        names = [*self._target.key, *([version] if version else [])]
        values = [
            sql.SQL("{} AS {}").format(self._value(column, source), sql.Identifier(column.name))
            for column, source in self._columns
            if column.name in names
        ]
        dead = sql.SQL("SELECT {}, {} AS {} FROM {} WHERE e.dead OPERATOR(pg_catalog.=) 1").format(
            sql.SQL(", ").join(values), marks.of_event(), MARK, self._events(dead=True)
        )
        return _finished(marks.mark(self._shape, self._target.key, dead, version))

    def _alive_after_deletes(self) -> sql.Composable:
        """Return the rows that no later tombstone of their key removes."""
        return sql.SQL(
            "SELECT * FROM (SELECT s.*, pg_catalog.max(CASE WHEN {dead} OPERATOR(pg_catalog.=) 1 THEN {place} ELSE -1"
            " END) OVER (PARTITION BY {keys}) AS {gone} FROM ({rows}) AS s) AS m"
            " WHERE {dead} OPERATOR(pg_catalog.=) 0 AND {place} OPERATOR(pg_catalog.>) {gone}"
        ).format(dead=_DEAD, place=_PLACE, keys=self._keys, gone=_GONE, rows=self._guarded_alive())

    def _guarded_alive(self) -> sql.Composable:
        return self._unless_refused(
            self._rows(dead=True, strictly=self._guards), '"inbox dead" OPERATOR(pg_catalog.=) 0'
        )

    def _guarded(self) -> sql.Composable:
        """Return the rows of a batch; they fail if a condition refuses any, even one that another event replaces."""
        return self._unless_refused(self._rows(strictly=self._guards))

    @property
    def _guards(self) -> bool:
        """Return whether one statement takes a row once, and only conditions can refuse a row."""
        return (
            self._folds and not self._shape.refuses and not self._absences and bool(self._conditions(self._target.key))
        )

    def _unless_refused(self, rows: sql.Composable, alive: LiteralString = "true") -> sql.Composable:
        if not self._guards:
            return rows
        return sql.SQL("SELECT * FROM ({}) AS s WHERE CASE WHEN {} AND ({}) THEN {} IS NULL ELSE true END").format(
            rows,
            sql.SQL(alive),
            sql.SQL(" OR ").join(self._conditions(self._target.key)),
            _FAILING.format(_PLACE, sql.SQL("")),
        )

    def _conditions(self, but: Sequence[str] = ()) -> list[sql.Composable]:
        """Return conditions that are true of a row that a CHECK refuses, or NOT NULL on a column outside `but`."""
        names = [column.name for column, _ in self._columns if column.not_null and column.name not in but]
        not_null = [sql.Identifier(name) for name in names]
        refused: list[sql.Composable] = [sql.SQL("{} IS NULL").format(name) for name in not_null]
        return refused + [sql.SQL("NOT coalesce({}, true)").format(sql.SQL(check)) for check in self._shape.checks]

    def _number_rounds(self) -> bytes:
        """Return the statement for each event's index, and the number of events of its row up to this one.

        The third column says which columns of `split` the event lacks.
        """
        if self._target.for_each is not None:
            return self._number_elements()
        rows = sql.SQL("SELECT {}, {} AS {}, e.place AS {} FROM {}").format(
            self._named(self._target.key), self._absences.pattern(), _LACKS, _PLACE, self._events()
        )
        return _finished(
            sql.SQL(
                "SELECT {place}, pg_catalog.row_number() OVER (PARTITION BY {keys} ORDER BY {place}), {lacks}"
                " FROM ({rows}) AS r"
            ).format(place=_PLACE, keys=self._keys, rows=rows, lacks=_LACKS)
        )

    def _number_elements(self) -> bytes:
        """Return the statement for each event's index, and a number for each row that it writes.

        With `replaces` it is one number: that of the rows which it replaces.
        """
        by_event = bool(self._target.replaces)
        names = self._target.replaces or self._target.key
        index: sql.Composable = sql.SQL("e.place")
        if not by_event:
            index = sql.SQL("e.place OPERATOR(pg_catalog.>>) ") + sql.Literal(SHIFT)
        rows = sql.SQL("SELECT {}, {} AS {} FROM {}").format(
            self._named(names), index, _PLACE, self._events(whole=by_event)
        )
        statement = sql.SQL("SELECT {}, pg_catalog.dense_rank() OVER (ORDER BY {}), NULL FROM ({}) AS r")
        return _finished(statement.format(_PLACE, sql.SQL(", ").join(map(sql.Identifier, names)), rows))

    def _named(self, names: Collection[str]) -> sql.Composable:
        """Return the values of these columns, under their names."""
        return sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(self._value(column, source), sql.Identifier(column.name))
            for column, source in self._columns
            if column.name in names
        )

    def _replace(self) -> bytes:
        """Return the DELETE of the rows that the events no longer have; no two of them replace the same rows.

        An event without the array, or with null, says nothing about its rows. A tombstone has none.
        """
        target = self._target
        replaces = sql.SQL("(e.dead OPERATOR(pg_catalog.=) 1 OR {})").format(has_array(target.for_each or ""))
        given = sql.SQL('SELECT {}, {} AS "inbox replaces" FROM {}').format(
            self._named(target.replaces), replaces, self._events(dead=True, whole=True)
        )
        elements = sql.SQL("SELECT {} FROM {}").format(self._named(target.key), self._events())
        return _finished(replace(self._shape, target.key, target.replaces, given, elements))

    def _evaluate(self) -> bytes:
        """Return the statement for each event's index, in order, and whether a condition refuses the event.

        It fails at a value that its column cannot take.
        """
        values = [
            sql.SQL("{} AS {}").format(
                strict(column, self._value(column, source, dead=True)), sql.Identifier(column.name)
            )
            for column, source in self._columns
        ]
        rows = sql.SQL("SELECT {}, e.dead AS {} FROM {}").format(
            sql.SQL(", ").join(values), _DEAD, self._events(dead=True)
        )
        # num_nonnulls of the whole row keeps the planner from leaving out columns that nobody reads.
        statement = sql.SQL(
            "SELECT {} OPERATOR(pg_catalog.=) 0 AND ({}), pg_catalog.num_nonnulls(r) FROM ({} OFFSET 0) AS r"
        )
        return _finished(statement.format(_DEAD, sql.SQL(" OR ").join(self._conditions() or [sql.SQL("false")]), rows))

    def _explain(self) -> tuple[bytes, list[str]]:
        """Return the statement with one row for each thing that can be wrong with an event.

        It fails at the first thing that is wrong.

        Returns:
            The statement, and for each of its rows what its failure means.
        """
        tried: list[sql.Composable] = [sql.SQL("e.document" if self._decodes else "e.place")]
        meanings = ["the value is not JSON that PostgreSQL accepts"]
        if self._reads_key:
            tried.append(sql.SQL("e.key_document"))
            meanings.append("the key is not JSON that PostgreSQL accepts")
        if self._target.for_each is not None:
            tried.append(sql.SQL("e.document"))
            meanings.append(f"for_each {self._target.for_each}: not an array of objects")
        for column, source in self._columns:
            tried.append(strict(column, self._required(column, source, self._expression(column, source), dead=True)))
            meanings.append(cannot_be(column, source))
        before_keys, keys = len(tried), [column.name for column, _ in self._columns if column.name in self._target.key]
        for column, source in self._columns:
            if column.name in self._target.key:
                tried.append(self._value(column, source, dead=True))
                meanings.append(f'column "{column.name}" from {source}: nothing, where the row\'s key needs a value')
        events, whole = self._events(dead=True), self._events(dead=True, whole=True)
        # One row for each thing, with `for_each` too.
        each_once = sql.SQL("SELECT pg_catalog.max(pg_catalog.num_nonnulls({})) FROM {}")
        before = 1 + self._reads_key  # what is asked of the whole event
        of_events = {row for row, each in enumerate(keys, start=before_keys) if each in self._target.replaces}
        of_events.update(range(before))
        selects = [each_once.format(each, whole if row in of_events else events) for row, each in enumerate(tried)]
        return _finished(sql.SQL(" UNION ALL ").join(selects)), meanings


def _finished(statement: sql.Composable) -> bytes:
    """Return the text with psycopg's placeholders; every other percent sign, in names and pointers, is doubled."""
    text = statement.as_string().replace("%", "%%")
    return _MARK.sub(r"%(\1)s", cast(str, text)).encode()
