"""Decode records into events: which route takes which event, and with which id."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any
from uuid import UUID

from inbox.documents import pointer_to
from inbox.errors import EventError, TryAgainError
from inbox.events import Header, Record, decoded
from inbox.reading.conditions import Condition
from inbox.reading.options import Envelope, ReadOptions
from inbox.reading.read_record import Read
from inbox.reading.readers import reader_of
from inbox.sink.batch import NO_ID, RouteEvents
from inbox.sink.event_id import Identify, ReadType, identifier, needs_document, needs_reading, type_reader
from inbox.sink.routes import HandlerTarget, Route
from inbox.sink.too_large import cut
from inbox.store.inbox.dead_letters import EventTooLargeError
from inbox.store.options import ColumnSource, TableTarget, Tombstones

_TOMBSTONE = EventError(
    "a tombstone (null value), which this route does not expect; set [routes.table] tombstones to delete or ignore"
)
_DELETE = EventError(
    'a delete (op "d"), which this route does not expect; set [routes.table] tombstones to delete or ignore'
)

# Kafka allows a header name that is not valid UTF-8. confluent-kafka then returns with an exception set. This
# surfaces as a SystemError if the call is made as here. If the interpreter has specialized the call, it surfaces
# only later, somewhere else.
_headers_of: Callable[[Record], list[Header] | None] = methodcaller("headers")
_UNREADABLE_HEADERS = EventError(
    "a header's name is not valid UTF-8, so that none of the record's headers can be read; fix its producer"
)

_HEADER_BYTES = 200
"""The bytes that Python needs for a header beside its name and value: a record may have 100,000 empty ones."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """A route, compiled for one topic.

    `read` is None for a route that takes records as they are; `give` adds a record to the events of the route.
    """

    name: str
    read: Read | None
    give: "Callable[[_Reader, RouteEvents, Record, list[Header], Any], None]"
    identify: Identify
    read_type: ReadType
    types: frozenset[str]
    type_needs_document: bool
    id_needs_document: bool
    id_needs_reading: bool
    type_in_envelope: bool
    tombstones: Tombstones | None
    when: Condition | None


PairedEvents = Sequence[tuple[_Reader, RouteEvents]]
"""The routes of a topic, each with its events so far."""


class TopicDecoder:
    """A decoder that sorts the records of one topic into the events of its routes.

    An event of more than `largest_event` bytes is refused, and only its small parts are kept.
    While a schema cannot be had, `put` raises TryAgainError, and the record is given to no route.
    """

    def __init__(
        self, topic: str, topic_id: UUID | None, routes: Sequence[Route], *, largest_event: int = sys.maxsize
    ) -> None:
        self._topic = topic
        self._routes = routes
        self._largest_event = largest_event
        self.topic_id = topic_id
        self._readers = [_reader(route, topic, topic_id) for route in routes if topic in route.topics]
        # A single route adds nothing before its schema is there.
        self._may_wait = len(self._readers) > 1 and any(route.format.needs_registry for route in routes)
        self._needs_document = any(
            reader.read is None
            and (
                reader.type_needs_document
                or reader.id_needs_document
                or (reader.when is not None and reader.when.needs_value)
            )
            for reader in self._readers
        )

    def of(self, topic_id: UUID | None) -> "TopicDecoder":
        """Return a decoder for another topic of the same name."""
        return TopicDecoder(self._topic, topic_id, self._routes, largest_event=self._largest_event)

    def new_columns(self) -> dict[str, RouteEvents]:
        """Return empty lists of events by route, in the order that `add` expects."""
        return {reader.name: RouteEvents() for reader in self._readers}

    def paired(self, events_by_route: Iterable[RouteEvents]) -> PairedEvents:
        """Return where `put` puts records. `add` looks this up for each record."""
        return list(zip(self._readers, events_by_route, strict=True))

    def add(self, record: Record, events_by_route: Iterable[RouteEvents]) -> int:
        """Give the record to every route that matches it, and return how many of its bytes are kept."""
        return self.put(record, self.paired(events_by_route))

    def put(self, record: Record, paired: PairedEvents) -> int:
        """Give the record to every route that matches it, like `add`, and return how many of its bytes are kept."""
        size = len(record.value() or b"") + len(record.key() or b"")
        try:
            headers = _headers_of(record) or []
        except SystemError:
            if size <= self._largest_event:
                self._refuse(_WithoutHeaders(record), paired)
                return size
            headers = []
        if headers:
            size += _size_of(headers)
        if size > self._largest_event:
            return self._put_cut(record, headers, paired)
        document = _document(record) if self._needs_document else None
        if self._may_wait:
            _give_to_all_or_none(paired, record, headers, document)
            return size
        for reader, events in paired:
            reader.give(reader, events, record, headers, document)
        return size

    def _put_cut(self, record: Record, headers: list[Header], paired: PairedEvents) -> int:
        """Refuse a record that is too large, on every route whose types it may have; return the bytes kept."""
        kept, error = cut(record, headers, _size_of(headers), self._largest_event)
        # The type or the id may be in a small header.
        small = [each for each in headers if _size_of([each]) <= self._largest_event // 2]
        for reader, events in paired:
            reader.give(reader, events, kept, small, error)
        return len(kept.key() or b"") + _size_of(kept.kept_headers)

    def _refuse(self, record: Record, paired: PairedEvents) -> None:
        for _, events in paired:
            events.refused[len(events.ids)] = _UNREADABLE_HEADERS
            events.ids.append(NO_ID)
            events.types.append(None)
            events.records.append(record)


class _WithoutHeaders:
    """A record whose headers cannot be read; its other parts can."""

    def __init__(self, record: Record) -> None:
        self.topic, self.partition, self.offset = record.topic, record.partition, record.offset
        self.key, self.value, self.timestamp = record.key, record.value, record.timestamp
        self.leader_epoch = record.leader_epoch

    def headers(self) -> list[Header] | None:
        return None


def _size_of(headers: Sequence[Header]) -> int:
    size = _HEADER_BYTES * len(headers)
    for name, value in headers:
        size += len(name) + len(value) if value else len(name)
    return size


def _give_to_all_or_none(paired: PairedEvents, record: Record, headers: list[Header], document: Any) -> None:
    """Give the record to each route, or to none if a schema cannot be had now."""
    before = [(len(events.ids), events.filtered) for _, events in paired]
    try:
        for reader, events in paired:
            reader.give(reader, events, record, headers, document)
    except TryAgainError:
        for (_, events), (count, filtered) in zip(paired, before, strict=True):
            for column in (events.ids, events.types, events.records):
                del column[count:]
            events.refused.pop(count, None)
            events.filtered = filtered
        raise


def _give(reader: _Reader, events: RouteEvents, record: Record, headers: list[Header], document: Any) -> None:
    """Add the record to the events of a route; `document` is the decoded value, or the error of decoding it."""
    event_id, event_type, refusal = NO_ID, None, None
    try:
        if reader.type_needs_document and isinstance(document, EventError):
            raise document
        event_type = reader.read_type(headers, document)
        if reader.types and event_type not in reader.types:
            events.filtered += 1
            return
        if reader.when is not None and not _holds(reader.when, document, record, headers, event_type):
            events.filtered += 1
            return
        if reader.tombstones is not None and record.value() is None:
            if reader.tombstones is Tombstones.IGNORE:
                events.filtered += 1
                return
            refusal = _TOMBSTONE
        if reader.id_needs_document and isinstance(document, EventError):
            raise document
        event_id = reader.identify(record, headers, document)
    except EventError as error:
        refusal, event_id = error, _id_of_refused(reader, record, headers)
    if document is not None and isinstance(document, EventTooLargeError):
        refusal = document
    if refusal is not None:
        events.refused[len(events.ids)] = refusal
    events.ids.append(event_id)
    events.types.append(event_type)
    events.records.append(record)


def _give_read(reader: _Reader, events: RouteEvents, record: Record, headers: list[Header], document: Any) -> None:
    """Add the record as the route reads it; `document` is None, or the error of a record that is too large."""
    event_id, event_type, refusal = NO_ID, None, None
    try:
        if not (reader.type_needs_document or reader.type_in_envelope):
            event_type = reader.read_type(headers, None)
            if reader.types and event_type not in reader.types:
                events.filtered += 1
                return
        if isinstance(document, EventTooLargeError):
            raise document
        reading = reader.read(record, headers) if reader.read is not None else None
        if reading is None:
            events.filtered += 1
            return
        record, row, given_type = reading
        if reader.type_in_envelope or reader.type_needs_document:
            event_type = given_type if reader.type_in_envelope else reader.read_type(headers, row)
            if reader.types and event_type not in reader.types:
                events.filtered += 1
                return
        if reader.when is not None and not _holds(reader.when, row, record, headers, event_type):
            events.filtered += 1
            return
        if reader.tombstones is not None and reading[0].deletes:
            if reader.tombstones is Tombstones.IGNORE:
                events.filtered += 1
                return
            refusal = _TOMBSTONE if record.value() is None else _DELETE
        event_id = reader.identify(record, headers, row)
    except EventError as error:
        refusal, event_id = error, _id_of_refused(reader, record, headers)
    if refusal is not None:
        events.refused[len(events.ids)] = refusal
    events.ids.append(event_id)
    events.types.append(event_type)
    events.records.append(record)


def _id_of_refused(reader: _Reader, record: Record, headers: list[Header]) -> bytes:
    """Return the id of an event that cannot be read, if a header, the key or the coordinates have it."""
    if reader.id_needs_reading:
        return NO_ID
    try:
        return reader.identify(record, headers, None)
    except EventError:
        return NO_ID


def _give_row(reader: _Reader, events: RouteEvents, record: Record, headers: list[Header], document: Any) -> None:
    """Add the record as `_give_read` does, on a route that asks nothing of an event but its id and its row.

    Whatever is unusual is left to `_give_read`.
    """
    try:
        reading = None if document is not None or reader.read is None else reader.read(record, headers)
        if reading is None or (reading[0].deletes and reader.tombstones is not None):
            _give_read(reader, events, record, headers, document)
            return
        read, row, _ = reading
        event_id = reader.identify(read, headers, row)
    except EventError:
        _give_read(reader, events, record, headers, document)
        return
    events.ids.append(event_id)
    events.types.append(None)
    events.records.append(read)


def _holds(when: Condition, value: Any, record: Record, headers: list[Header], event_type: str | None) -> bool:
    """Return whether an event meets the condition of its route; `value` may be the error of decoding it."""
    if isinstance(value, EventError):
        if when.needs_value:
            raise value
        value = None
    return when.holds(value, record.key(), headers, event_type, record.topic())


def _document(record: Record) -> Any:
    """Return the decoded value, None for a tombstone, or the error for every route that needs the value."""
    value = record.value()
    if value is None:
        return None
    try:
        return decoded(value)
    except EventError as error:
        return error


def _reader(route: Route, topic: str, topic_id: UUID | None) -> _Reader:
    tombstones = None
    if not isinstance(route.target, HandlerTarget) and not route.target.tombstones.removes:
        tombstones = route.target.tombstones
    read = reader_of(_read_options(route))
    type_in_envelope = route.envelope is Envelope.CLOUDEVENTS and route.event_type is None
    has_type = bool(route.types) or route.event_type is not None or type_in_envelope
    give_read = _give_read if has_type or route.when is not None else _give_row
    return _Reader(
        name=route.name,
        read=read,
        give=_give if read is None else give_read,
        identify=identifier(route.event_id, topic, topic_id, route.envelope),
        read_type=type_reader(route.event_type),
        types=route.types,
        type_needs_document=needs_document(route.event_type),
        id_needs_document=needs_document(route.event_id),
        id_needs_reading=needs_reading(route.event_id, route.envelope),
        type_in_envelope=type_in_envelope,
        tombstones=tombstones,
        when=None if route.when is None else Condition(route.when),
    )


def _read_options(route: Route) -> ReadOptions:
    """Return how the route's values are read; a table's columns are read from the row by their pointers."""
    handles = isinstance(route.target, HandlerTarget)
    sources = () if isinstance(route.target, HandlerTarget) else tuple(route.target.columns.values())
    by_name = not isinstance(route.target, HandlerTarget) and route.target.by_name
    reads_row = by_name or any(source.document == "$value" for source in sources)
    by_value = needs_document(route.event_type) or needs_document(route.event_id) or route.when is not None
    return ReadOptions(
        format=route.format,
        envelope=route.envelope,
        truncates=route.truncates,
        keeps_row=handles,
        needs_row=handles or reads_row or by_value,
        by_value=by_value,
        by_position=route.event_id == "debezium",
        cuts_rows=not handles and not any(source.document in ("$before", "$source") for source in sources),
        reads_about=handles or any(source.source in ("$op", "$ts") for source in sources),
        key_pointers=() if isinstance(route.target, HandlerTarget) else _key_pointers(route.target),
    )


def _key_pointers(target: TableTarget) -> tuple[str, ...]:
    """Return the pointers into the row that find a table's row; none if an update removes no row."""
    sources = [target.columns.get(name) or ColumnSource(pointer_to(name)) for name in target.key]
    if not target.tombstones.removes:
        return ()
    return tuple(source.pointer for source in sources if source.pointer is not None and source.document == "$value")
