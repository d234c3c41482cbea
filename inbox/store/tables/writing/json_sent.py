"""The inputs that go to the server with the events of a route whose values PostgreSQL decodes."""

from collections.abc import Sequence
from typing import Any

import orjson

from inbox.documents import DocumentError, parse, pointer_steps
from inbox.errors import EventError
from inbox.events import Record
from inbox.reading.options import Envelope
from inbox.reading.read_record import ReadRecord
from inbox.store.options import ColumnSource, TableTarget
from inbox.store.postgres import arrays
from inbox.store.tables.bounds import JsonInputs, is_value_as_json, require_bounded
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.enveloped_rows import (
    absent_members,
    are_rows,
    empties_table,
    json_of,
    key_of,
    leaves_out,
    members_of,
    removes,
    require_sent,
    row_to_remove,
    row_to_write,
    takes_partial_rows,
)
from inbox.store.tables.expressions import is_whole_document
from inbox.store.tables.parameters import TableEvents, counted, inputs_of, is_text, nulls, zeros


class JsonSent:
    """The inputs of a route: the JSON of its events, and an array for each other source of a column."""

    def __init__(
        self, target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]], marks: Marks | None = None
    ) -> None:
        self.decodes = target.for_each is not None or any(source.document == "$value" for _, source in sources)
        # In an envelope `e.document` is the row, and not the whole value.
        is_row = self.decodes and target.envelope is Envelope.NONE and target.for_each is None
        beside = [each for each in sources if not (is_row and is_whole_document(*each))]
        self.inputs = inputs_of([*beside, *(marks.sources if marks else [])])
        self.reads_json = self.decodes or any(is_value_as_json(*each) for each in sources)
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
        """Return whether an event removes its row."""
        return self._deletes and not are_rows(events.records) and any(map(self.removes, events.records))

    def removes(self, record: Record) -> bool:
        """Return whether the event removes its row instead of writing it."""
        return removes(record) if self._in_envelopes else record.value() is None

    def empties(self, events: TableEvents) -> bool:
        """Return whether one of the events removes all rows."""
        return self._in_envelopes and not are_rows(events.records) and any(map(empties_table, events.records))

    def has_partial_rows(self, events: TableEvents) -> bool:
        """Return whether an event leaves values of its row out, and the route can write that."""
        return self.takes_partial_rows and not are_rows(events.records) and any(map(self.leaves_out, events.records))

    def leaves_out(self, record: Record) -> bool:
        """Return whether the event leaves out a value that fills a column."""
        return leaves_out(record, self._members)

    def has_rows(self, events: TableEvents) -> bool:
        """Return whether an event writes a row."""
        return not all(map(self.removes, events.records))

    def parameters(self, events: TableEvents) -> dict[str, Any]:
        """Return the arrays to send.

        Raises:
            EventError: an input cannot be sent, or a delete names no row.
        """
        parameters: dict[str, Any] = {each.name: each.read(events) for each in self.inputs}
        count = len(events.records)
        parameters["place"] = counted(count)
        values = self._documents_in_envelopes(events, parameters) if self._in_envelopes else self._values(events)
        deletes = self.has_deletes(events)
        parameters["dead"] = (
            arrays.int4s([int(self.removes(each)) for each in events.records]) if deletes else zeros(count)
        )
        if self.reads_json:
            require_bounded(values)
        self._documents.require_bounded(events)
        if self.decodes:
            parameters["document"] = arrays.texts(values)
        parameters["elements"] = None  # all of them
        return parameters

    def _documents_in_envelopes(self, events: TableEvents, parameters: dict[str, Any]) -> list[bytes | None]:
        """Return the documents that hold the rows; add to the parameters where in them the rows are."""
        if are_rows(events.records):
            parameters["member"] = parameters["absent"] = nulls(len(events.records))
            return list(map(json_of, events.records))
        rows = [self._row(record) for record in events.records]
        parameters["member"] = arrays.texts([member for _, member in rows])
        parameters["absent"] = arrays.texts(list(map(absent_members, events.records)))
        return [document for document, _ in rows]

    def _values(self, events: TableEvents) -> list[bytes | None]:
        values = [json_of(record) for record in events.records]
        if self._deletes and None in values:
            return [self._key_document(r) if r.value() is None else json_of(r) for r in events.records]
        return values

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
        key = key_of(record)
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
