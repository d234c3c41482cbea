"""The writer of a table route: it puts a batch of events into the user's own table, in one or two statements.

The values go to the server as they came, and PostgreSQL extracts the columns. Nothing is decoded in
Python, every digit of a decimal is kept, and a value has the meaning that PostgreSQL gives it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any, Union

import orjson
import psycopg

from inbox.documents import DocumentError, parse, pointer_steps
from inbox.errors import EventError, Guess, InboxError, StartupError, TryAgainError
from inbox.events import Record
from inbox.reading.options import Envelope
from inbox.reading.read_record import ReadRecord
from inbox.store.options import ColumnSource, TableTarget
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.tables.bounds import JsonInputs, require_bounded
from inbox.store.tables.casts.fit import advice_on_units, misreadings
from inbox.store.tables.casts.wording import cannot_be
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.sent_inputs import DecodedSent
from inbox.store.tables.decoded.whole_values import sources_of
from inbox.store.tables.diagnosis import Diagnosis, Search
from inbox.store.tables.enveloped_rows import (
    absent_members,
    empties_table,
    json_of,
    leaves_out,
    members_of,
    moves_row,
    removal_of_old,
    removes,
    require_sent,
    row_to_remove,
    row_to_write,
    takes_partial_rows,
    unknown_row,
)
from inbox.store.tables.expressions import is_whole_document
from inbox.store.tables.lookup import located
from inbox.store.tables.parameters import TableEvents, document_of, input_of, inputs_of, is_text
from inbox.store.tables.shape import Look, TableShape, look_at, shape_of, version_in
from inbox.store.tables.statements import Statements

_NOBODY = TableEvents((), (), ())


class TableWriter:
    """The writer of one table route's events; the caller has the transaction.

    Raises on construction:
        StartupError: the table or its columns do not fit the route.
    """

    def __init__(self, connection: Connection, target: TableTarget) -> None:
        self._configured = target
        # The version is read before the shape: if the table is altered between the two, the next look
        # finds that.
        self._version = version_in(look_at(connection, located(connection, target.name)))
        self._adopt(connection, shape_of(connection, target))

    def _adopt(self, connection: Connection, shape: TableShape) -> None:
        """Compose the statements for a table of this shape; raise StartupError where it does not fit the route."""
        target = shape.target
        sources = sources_of(target, shape.columns)
        marks = Marks(shape.columns[target.deleted]) if target.deleted else None
        sent: Sent = DecodedSent(target, sources, marks) if target.decoded else _Sent(target, sources, marks)
        statements = Statements(target, sources, sent.inputs, shape, decodes=sent.decodes, marks=marks)
        _require_casts(connection, target, sources, statements, sent)
        texts = [
            (each, cannot_be(column, source))
            for column, source in sources
            if (each := input_of(column, source)) is not None and each.kind == "text"
        ]
        texts += [
            (each, "the key is not JSON that PostgreSQL accepts")
            for _, source in sources
            if (each := document_of(source)) is not None
        ]
        self._target, self._shape, self._sent, self._statements = target, shape, sent, statements
        self._partial = statements
        if sent.takes_partial_rows:
            self._partial = Statements(
                target, sources, sent.inputs, shape, decodes=sent.decodes, marks=marks, partial=True
            )
        self._search = Search(statements, texts, sent)

    def advice(self) -> list[str]:
        """Return a line for each column that would refuse a number for want of a unit."""
        return list(advice_on_units((self._shape.columns[name], each) for name, each in self._target.columns.items()))

    def look(self, connection: Connection) -> Look:
        """Ask, after a write in a pipeline, for the version that `require_as_written` judges."""
        return look_at(connection, self._shape.table)

    def require_as_written(self, connection: Connection, look: Look | None = None) -> None:
        """Raise unless what was written in this transaction means what the events say.

        `look` is the one from the last write; without it the server is asked now.

        Raises:
            TryAgainError: the table was altered, so that the values went through types which are no longer its own, or
                a trigger changed a setting that affects the meaning of a text.
        """
        if changed := connection.changed_meanings():
            names = ", ".join(f'{name} to "{value}"' for name, value in changed.items())
            text = (
                f'a trigger of the table "{self._target.name}" set {names} for the session, which changes what the '
                "values of other events mean; give its function a SET clause instead (CREATE FUNCTION ... SET)"
            )
            raise TryAgainError(text, away="database", reason="statement", alert=True)
        if (version := version_in(look or self.look(connection))) != self._version:
            self._version = version
            self.require_unchanged(connection)

    def require_unchanged(self, connection: Connection) -> None:
        """Read the table's shape again after an event failed under the known shape.

        Raises:
            TryAgainError: the shape has changed, so that the events are to be tried again, or no longer fits the route.
        """
        try:
            shape = shape_of(connection, self._configured)
            if shape == self._shape:
                return
            self._adopt(connection, shape)
        except StartupError as error:
            raise TryAgainError(str(error), away="database", reason="table", alert=True) from error
        text = f'the table "{self._target.name}" was altered; its events are tried again by its new shape'
        raise TryAgainError(text, away="database", reason="table")

    def write(self, connection: Connection, events: TableEvents, *, new: bool = False) -> None:
        """Apply the events in their order; `new`: in one statement, which fails where a row exists or comes twice.

        Raises:
            EventError: one of them cannot be written; the caller finds out which one.
            TryAgainError: the database is away.
        """
        if new and not self.has_rounds(events):
            self.send(connection, events, new=True)
            return
        for run in self._runs(_with_removals(events)):
            statements = self._partial if self._sent.has_partial_rows(run) else self._statements
            for part, lacking in self._rounds(connection, run, statements):
                self._require_rows(connection, part)
                self._send(connection, part, statements, lacking=lacking)

    def _require_rows(self, connection: Connection, events: TableEvents) -> None:
        """Raise EventError where an event leaves a value out that no row has."""
        query = self._statements.unknown_rows
        if query is None or not self._sent.has_partial_rows(events):
            return
        partial = events.only([at for at, record in enumerate(events.records) if self._sent.leaves_out(record)])
        with connection.users_path():
            if connection.execute(query, self._sent.parameters(partial)).fetchone() is not None:
                raise unknown_row()

    def send(
        self,
        connection: Connection,
        events: TableEvents,
        *,
        new: bool = False,
        distinct: bool = False,
    ) -> None:
        """Write as `write`, but in one statement.

        This is cheaper. It may fail where rows are expected to be `new`, or each to come once
        (`distinct`).
        """
        self._send(connection, events, self._statements, new=new, distinct=distinct)

    def _send(
        self,
        connection: Connection,
        events: TableEvents,
        statements: Statements,
        *,
        new: bool = False,
        distinct: bool = False,
        lacking: Sequence[bool] | None = None,
    ) -> None:
        """Write in one statement; `lacking` is what all the events lack, as the statement `rounds` says it."""
        parameters = self._sent.parameters(events)
        with connection.users_path():
            if self._sent.empties(events):
                connection.execute(statements.empty)
            elif statements.replace is not None:
                connection.execute(statements.replace, parameters)
                connection.execute(statements.write, parameters)
            elif self._sent.has_deletes(events):
                connection.execute(statements.remove, parameters)
                if self._sent.has_rows(events):
                    connection.execute(statements.write_after_deletes, parameters)
            elif lacking is not None:
                connection.execute(statements.write_lacking(lacking), parameters)
            elif new:
                connection.execute(statements.write_new, parameters)
            else:
                each = distinct or len(events.records) == 1
                connection.execute(statements.write_each if each else statements.write, parameters)

    @property
    def writes_in_rounds(self) -> bool:
        """Return whether events of one row never share a statement."""
        return self._statements.always_in_rounds

    def has_rounds(self, events: TableEvents) -> bool:
        """Return whether events of one row may need more than one statement, which `send` does not find out."""
        if self._sent.empties(events) or self._sent.has_partial_rows(events) or any(map(moves_row, events.records)):
            return True
        return self._statements.rounds is not None and self._sent.has_deletes(events)

    def _runs(self, events: TableEvents) -> Iterator[TableEvents]:
        """Yield the events in runs that end where tombstones begin or end, if a row may depend on earlier rows.

        One statement deletes before it writes, and a trigger may have written a different key from
        the event's. Truncates are runs of their own.
        """
        ends_at_deletes = self._shape.in_order and self._sent.has_deletes(events)
        empties = self._sent.empties(events)
        if not (ends_at_deletes or empties):
            yield events
            return
        kinds = [
            (empties and empties_table(record), ends_at_deletes and self._sent.removes(record))
            for record in events.records
        ]
        start = 0
        for _, run in groupby(kinds):
            stop = start + len(list(run))
            yield events.part(start, stop)
            start = stop

    def _rounds(
        self, connection: Connection, events: TableEvents, statements: Statements
    ) -> Iterator[tuple[TableEvents, Sequence[bool] | None]]:
        """Yield the events that one statement can write, in order, and what all of them lack where that matters.

        Where only the write shows whether the table refuses a row, or where an event leaves columns
        to the event before it, each event is written: the second event of a row comes in a second
        statement.
        """
        if self._sent.empties(events):
            yield events, None
            return
        deletes = self._sent.has_deletes(events)
        needed = statements.always_in_rounds or (statements.rounds is not None and deletes)
        alone = len(events.records) < 2 and not statements.splits
        if statements.rounds is None or not needed or alone:
            yield events, None
            return
        if self._target.for_each is not None:
            yield from ((part, None) for part in self._rounds_of_elements(connection, statements.rounds, events))
            return
        rounds: dict[tuple[int, tuple[bool, ...] | None], list[int]] = {}
        with connection.users_path():
            numbered = connection.execute(statements.rounds, self._sent.parameters(events)).fetchall()
        for index, number, lacks in numbered:
            deletes_row = deletes and self._sent.removes(events.records[index])
            lacking = tuple(lacks) if statements.splits and not deletes_row else None
            rounds.setdefault((number, lacking), []).append(index)
        for (_, lacking), indexes in sorted(rounds.items(), key=lambda each: each[0][0]):
            yield events.only(sorted(indexes)) if len(rounds) > 1 else events, lacking

    def _rounds_of_elements(self, connection: Connection, numbers: bytes, events: TableEvents) -> Iterator[TableEvents]:
        """Yield the events in parts in which no two write, or replace, the same row; `numbers` finds these rows."""
        with connection.users_path():
            found = connection.execute(numbers, self._sent.parameters(events)).fetchall()
        rows_of: dict[int, set[int]] = {}
        for index, number, _ in found:
            rows_of.setdefault(index, set()).add(number)
        last: dict[int, int] = {}
        rounds: dict[int, list[int]] = {}
        for index in range(len(events.records)):
            written = rows_of.get(index, set())
            number = 1 + max((last.get(each, 0) for each in written), default=0)
            last.update(dict.fromkeys(written, number))
            rounds.setdefault(number, []).append(index)
        for number in sorted(rounds):
            yield events.only(rounds[number]) if len(rounds) > 1 else events

    def find(self, connection: Connection, events: TableEvents) -> Diagnosis:
        """Find the events that fail by themselves, at a fraction of an attempt's cost: nothing is written.

        A search that itself fails finds nothing.
        """
        if self._target.for_each is not None:  # an event has several rows, so that their order names none
            return Diagnosis()
        try:
            return self._search.find(connection, events)
        except InboxError as error:
            if error.refusal is None or connection.closed:
                raise
            return Diagnosis()

    def explain(self, connection: Connection, event: TableEvents, failure: InboxError) -> InboxError:
        """Return the failure of a single event, with the column and the source that caused it where known."""
        try:
            found = self._search.explain(connection, event, failure)
        except InboxError as error:
            if error.refusal is None or connection.closed:
                raise
            found = failure
        return self._guessed(found) if found is failure else found

    def _guessed(self, failure: InboxError) -> InboxError:
        """Return the failure of an event whose values all fit their types: they alone do not explain it."""
        refusal = failure.refusal
        if refusal is None:
            return failure
        if refusal.state == "23502" and refusal.column not in self._target.columns:
            failure.refusal = replace(refusal, guess=Guess.DATABASE)
        elif refusal.guess is Guess.VALUE and refusal.state.startswith("22"):
            failure.refusal = replace(refusal, guess=Guess.EVENT)
        return failure


def _require_casts(
    connection: Connection,
    target: TableTarget,
    sources: Sequence[tuple[Column, ColumnSource]],
    statements: Statements,
    sent: "Sent",
) -> None:
    """Raise StartupError for a missing cast. PostgreSQL looks for casts before the first row, so no row is needed."""
    if problems := list(misreadings(target.name, sources)):
        raise StartupError("\n".join(problems))
    for column, source in sources:
        try:
            with translating_errors(), connection.transaction():
                connection.execute(statements.probe(column, source), sent.parameters(_NOBODY))
        except InboxError as error:
            if not isinstance(error.__cause__, psycopg.errors.CannotCoerce):
                raise
            problems.append(
                f'column "{column.name}" of table "{target.name}" is {column.declared}, which cannot be made of '
                f"{source}; choose another source, or change the column's type"
            )
    if problems:
        raise StartupError("\n".join(problems))


Sent = Union["_Sent", DecodedSent]


class _Sent:
    """The inputs that go to the server with the events of one route."""

    def __init__(
        self, target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]], marks: Marks | None = None
    ) -> None:
        self.decodes = target.for_each is not None or any(source.document == "$value" for _, source in sources)
        # In an envelope `e.document` is the row, and not the whole value.
        is_row = self.decodes and target.envelope is Envelope.NONE and target.for_each is None
        beside = [each for each in sources if not (is_row and is_whole_document(*each))]
        self.inputs = inputs_of([*beside, *(marks.sources if marks else [])])
        self.reads_json = self.decodes or any(
            source.source == "$value" and column.base.name in ("json", "jsonb") for column, source in sources
        )
        self._documents = JsonInputs(sources)
        self._deletes = target.tombstones.removes
        self._in_envelopes = target.envelope is not Envelope.NONE
        self.takes_partial_rows = takes_partial_rows(target)
        self._members = members_of(target)
        self._key_pointers = [
            source.pointer or ""
            for column, source in sources
            if column.name in (target.replaces or target.key) and source.document in ("$value", "$event")
        ]
        self._reads_key_as_text = bool(self._key_pointers) or any(
            source.source == "$key" and column.base.name != "bytea"
            for column, source in sources
            if column.name in target.key
        )

    def has_deletes(self, events: TableEvents) -> bool:
        return self._deletes and any(self.removes(record) for record in events.records)

    def removes(self, record: Record) -> bool:
        """Return whether the event removes its row instead of writing it."""
        return removes(record) if self._in_envelopes else record.value() is None

    def empties(self, events: TableEvents) -> bool:
        """Return whether one of the events removes all rows."""
        return self._in_envelopes and any(map(empties_table, events.records))

    def has_partial_rows(self, events: TableEvents) -> bool:
        """Return whether an event leaves values of its row out, and the route can write that."""
        return self.takes_partial_rows and any(map(self.leaves_out, events.records))

    def leaves_out(self, record: Record) -> bool:
        """Return whether the event leaves out a value that fills a column."""
        return leaves_out(record, self._members)

    def has_rows(self, events: TableEvents) -> bool:
        return not all(map(self.removes, events.records))

    def parameters(self, events: TableEvents) -> dict[str, Any]:
        parameters: dict[str, Any] = {each.name: each.read(events) for each in self.inputs}
        parameters["place"] = _counted(len(events.records))
        if self._in_envelopes:
            rows = [self._row(record) for record in events.records]
            values: list[bytes | None] = [document for document, _ in rows]
            parameters["member"] = arrays.texts([member for _, member in rows])
            parameters["absent"] = arrays.texts(list(map(absent_members, events.records)))
        else:
            values = [json_of(record) for record in events.records]
            if self._deletes and None in values:
                values = [self._key_document(r) if r.value() is None else json_of(r) for r in events.records]
        if self.has_deletes(events):
            parameters["dead"] = arrays.int4s([int(self.removes(record)) for record in events.records])
        else:
            parameters["dead"] = _zeros(len(values))
        if self.reads_json:
            require_bounded(values)
        self._documents.require_bounded(events)
        if self.decodes:
            parameters["document"] = arrays.texts(values)
        return parameters

    def refused(self, events: TableEvents) -> dict[int, EventError]:
        """Return the errors of the events with an input beside the value that cannot be sent, by index."""
        return self._documents.refused(events)

    def document(self, record: Record) -> bytes | None:
        """Return the value, or the document that stands in for a tombstone's.

        Raises:
            EventError: the document cannot be sent.
        """
        if self._in_envelopes:
            value = self._row(record)[0]
        elif record.value() is None and self._deletes:
            return self._key_document(record)
        else:
            value = json_of(record)
        if self.decodes and not is_text(value):
            raise EventError("the value is not JSON that PostgreSQL accepts (22021)")
        if self.reads_json:
            require_bounded((value,))
        return value

    def _row(self, record: Record) -> tuple[bytes | None, bytes | None]:
        """Return the document that holds the event's row, and the member of it that is the row."""
        if not isinstance(record, ReadRecord):
            return record.value(), None
        if not (record.deletes and self._deletes):
            if record.absent and not self.takes_partial_rows:
                require_sent(record, self._members)
            return row_to_write(record)
        if record.document is None or not self._key_pointers:
            return self._key_document(record), None
        return row_to_remove(record, [pointer_steps(pointer) for pointer in self._key_pointers])

    def _key_document(self, record: Record) -> bytes:
        """Return the record key of a tombstone, in the shape in which values carry it."""
        key = record.key()
        if key is None:
            raise EventError("a tombstone without a key names no row to delete")
        if not self._reads_key_as_text:
            return b"null"
        if not is_text(key):
            raise EventError("the key of a tombstone is not text: it is not valid UTF-8, or it holds NUL")
        if not self._key_pointers:
            return b"null"
        named = _named(key)
        if isinstance(named, dict):
            return key
        if len(self._key_pointers) > 1:
            raise EventError("the key of a tombstone has to be a JSON object where the row's key has several columns")
        return _nested(pointer_steps(self._key_pointers[0]), named)


def _with_removals(events: TableEvents) -> TableEvents:
    """Return the events with a removal before each update that gave its row another key."""
    if not any(map(moves_row, events.records)):
        return events
    indexes = [index for index, record in enumerate(events.records) for _ in range(1 + moves_row(record))]
    given = events.only(indexes)
    records = [
        removal_of_old(record) if isinstance(record, ReadRecord) and indexes[at : at + 2] == [index, index] else record
        for at, (index, record) in enumerate(zip(indexes, given.records, strict=True))
    ]
    return given._replace(records=records)


@lru_cache(maxsize=4)
def _counted(count: int) -> arrays.Int4s:
    """Return the numbers from 0; cached, because most parts need the same."""
    return arrays.int4s(range(count))


@lru_cache(maxsize=4)
def _zeros(count: int) -> arrays.Int4s:
    return arrays.int4s([0] * count)


def _named(key: bytes) -> str | dict[str, Any]:
    """Return the content of a record key: a JSON object, a JSON string, or a text that stands for itself."""
    try:
        found = parse(key)
    except DocumentError:
        found = None
    return found if isinstance(found, str | dict) else key.decode()


def _nested(path: Sequence[str], key: str) -> bytes:
    """Return the text where the pointer will look for it: `42` under `/order_id` is {"order_id": "42"}."""
    document: Any = key
    for step in reversed(path):
        document = {step: document}
    return orjson.dumps(document)
