"""Compile how a route reads its records; a plain JSON route without an envelope needs no reading.

A reader returns the record with what it read, or None for a record that the route passes over. It
raises `EventError` for one that it cannot read.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from inbox.documents import DocumentError, parse, write
from inbox.errors import EventError, StartupError
from inbox.events import Header, Record, decoded
from inbox.reading.envelopes.cloudevents import CloudEvent, cloud_event_of, is_tombstone
from inbox.reading.envelopes.debezium import Change, change_of
from inbox.reading.envelopes.debezium_position import position_of
from inbox.reading.formats.decoded import DecodedDocument, DecodedRow, RawValue, RecordFormat
from inbox.reading.formats.of_route import value_decoder
from inbox.reading.options import Envelope, Format, ReadOptions
from inbox.reading.read_record import ReadRecord
from inbox.reading.values import as_json


class Reading(NamedTuple):
    """A record as it was read.

    `row` is the decoded row, in which a `value:` pointer looks, or None where nothing needs it; `type` is
    the type that the envelope gives.
    """

    record: ReadRecord
    row: Any
    type: str | None = None


Read = Callable[[Record, list[Header]], Reading | None]


def reader_of(options: ReadOptions) -> Read | None:
    """Return the reader for a route's options, or None if its records are taken as they are.

    Raises:
        StartupError: a package, the registry or a usable schema is missing.
    """
    match options.envelope:
        case Envelope.NONE:
            return _format_reader(options)
        case Envelope.DEBEZIUM:
            return lambda record, _: _read_change(record, options)
        case Envelope.CLOUDEVENTS:
            return lambda record, headers: _read_cloud_event(record, headers, options)


def _format_reader(options: ReadOptions) -> Read | None:
    try:
        decoder = value_decoder(options.format)
    except EventError as error:  # the schema of a file
        raise StartupError(str(error)) from None
    if decoder is not None:
        read = _read_row if options.format.value.has_decoded_rows else _read_document
        return lambda record, headers: read(record, headers, options, decoder)
    if options.format.value is Format.RAW and options.keeps_row:
        return lambda record, _: Reading(ReadRecord(record, whole=RawValue(record.value())), None)
    return None


def _tombstone(record: Record, options: ReadOptions) -> Reading:
    return Reading(ReadRecord(record, deletes=True, whole=DecodedRow(None) if options.keeps_row else None), None)


def _read_row(record: Record, headers: list[Header], options: ReadOptions, decoder: RecordFormat) -> Reading:
    """Return the record with its decoded row."""
    value = record.value()
    if value is None:
        return _tombstone(record, options)
    found = decoder.decode(value, headers)
    kept = options.keeps_row
    read = ReadRecord(
        record,
        document=None if kept else write(as_json(found.row)).encode(),
        content=found.behind_id,
        schema_id=found.schema_id,
        whole=DecodedRow(found.row) if kept else None,
    )
    return Reading(read, found.row)


def _read_document(record: Record, headers: list[Header], options: ReadOptions, decoder: RecordFormat) -> Reading:
    """Return the record with its JSON, which is decoded here only if an id or a type needs that."""
    value = record.value()
    if value is None:
        return _tombstone(record, options)
    found = decoder.decode(value, headers)
    document = found.document or b""
    read = ReadRecord(
        record,
        document=document,
        content=found.behind_id,
        schema_id=found.schema_id,
        whole=DecodedDocument(document) if options.keeps_row else None,
    )
    return Reading(read, decoded(document) if options.by_value else None)


def _read_change(record: Record, options: ReadOptions) -> Reading | None:
    value = record.value()
    if value is None:  # the tombstone that Debezium sends behind a delete, for compaction
        return None
    change = change_of(decoded(value), options.truncates)
    if change is None:
        return None
    document, op, member = change.document, change.op, change.member
    about = {"$op": op, "$ts": document.get("ts_ms")}
    if options.keeps_row:
        about["$before"] = document.get("before")
    found = ReadRecord(
        record,
        document=value,
        member=member,
        row=change.row if options.keeps_row and op != "d" else None,
        deletes=op == "d",
        truncates=op == "t",
        absent=change.absent,
        about=about,
        identity=position_of(document.get("source"), op) if options.by_position else None,
        content=_content(change) if options.by_position else None,
    )
    return Reading(found, change.row)


def _content(change: Change) -> bytes:
    """Return what a repeated change has in common with the first: all but the times of reading."""
    said = (change.op, change.document.get("before"), change.document.get("after"))
    try:
        return orjson.dumps(said)
    except TypeError:  # a number beyond 64 bits
        return repr(said).encode()


def _read_cloud_event(record: Record, headers: list[Header], options: ReadOptions) -> Reading | None:
    value = record.value()
    if is_tombstone(value, headers):
        return Reading(ReadRecord(record, deletes=True, about={}), None)
    event = cloud_event_of(value, headers)
    about = {f"$ce:{name}": text for name, text in event.attributes.items()}
    if value is None:
        return Reading(ReadRecord(record, deletes=True, about=about), None, about.get("$ce:type"))
    if not event.is_json and options.needs_row and not options.keeps_row:
        raise EventError(
            "the data of the CloudEvent is not JSON, as its datacontenttype says, and this route reads members of it"
        )
    in_document = event.document is not None and event.data is None
    row = _row_of(event) if options.needs_row else None
    found = ReadRecord(
        record,
        document=value if in_document else event.data,
        member="data" if in_document else None,
        row=row if options.keeps_row else None,
        about=about,
    )
    return Reading(found, row, about["$ce:type"])


def _row_of(event: CloudEvent) -> Any:
    """Return the data decoded, or its bytes if it is not JSON."""
    if event.data is None:
        return None if event.document is None else event.document.get("data")
    if not event.is_json:
        return event.data
    try:
        return parse(event.data)
    except DocumentError as error:
        raise EventError(f"the data of the CloudEvent is not valid JSON: {error}") from None
