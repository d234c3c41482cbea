"""Compile how a route reads its records; a plain JSON route without an envelope needs no reading.

A reader returns the record with what it read, or None for a record that the route passes over. It
raises `EventError` for one that it cannot read.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from inbox.documents import DocumentError, parse, without_nul
from inbox.errors import EventError
from inbox.events import Header, Record, decoded
from inbox.reading.changes import change_reader
from inbox.reading.decoders import Decoders, decoders_of
from inbox.reading.envelopes.cloudevents import CloudEvent, cloud_event_of, is_tombstone
from inbox.reading.formats.decoded import DecodedDocument, DecodedRow, RawValue, RecordFormat
from inbox.reading.formats.framed_rows import FramedRows
from inbox.reading.options import Envelope, Format, ReadOptions
from inbox.reading.read_record import Read, ReadRecord, ReadResult


def reader_of(options: ReadOptions) -> Read | None:
    """Return the reader for a route's options, or None if its records are taken as they are.

    Raises:
        StartupError: a package, the registry or a usable schema is missing.
    """
    decoders = decoders_of(options)
    match options.envelope:
        case Envelope.NONE:
            return _format_reader(options, decoders)
        case Envelope.DEBEZIUM:
            return change_reader(options, decoders)
        case Envelope.CLOUDEVENTS:
            if options.format.value is Format.JSON:
                return lambda record, headers: _read_cloud_event(record, headers, options)
            return lambda record, headers: _read_formatted_cloud_event(record, headers, options, decoders)


def _format_reader(options: ReadOptions, decoders: Decoders) -> Read | None:
    if decoders.values is not None:
        if _gives_rows(options) and not options.keeps_row:
            return _row_reader(options, decoders, decoders.values)
        read = _in_format(options)
        return lambda record, headers: read(record, headers, options, decoders)
    if options.format.value is Format.RAW and options.keeps_row:
        return lambda record, _: (ReadRecord(record, whole=RawValue(record.value())), None, None)
    return None


def _in_format(options: ReadOptions) -> Callable[[Record, list[Header], ReadOptions, Decoders], ReadResult]:
    """Return the function that reads a value of the route's format: into a decoded row, or as JSON."""
    return _read_row if _gives_rows(options) else _read_document


def _gives_rows(options: ReadOptions) -> bool:
    return options.format.value.has_decoded_rows and not options.format.as_documents


def _row_reader(options: ReadOptions, decoders: Decoders, values: RecordFormat) -> Read:
    """Return the reader of a table's route: as `_read_row`, with the least work for each record."""
    if not isinstance(values, FramedRows):
        return lambda record, headers: _read_row(record, headers, options, decoders)
    open_frame = values.open

    def read(record: Record, headers: list[Header]) -> ReadResult:
        value = record.value()
        if value is None:
            return _tombstone(record, headers, options, decoders)
        read_row, data, schema_id = open_frame(value, headers)
        row = read_row(data)
        if row is None:
            return _tombstone(record, headers, options, decoders)
        return ReadRecord(record, None, None, row, content=data, schema_id=schema_id), row, None

    return read


def _tombstone(record: Record, headers: list[Header], options: ReadOptions, decoders: Decoders) -> ReadResult:
    key_row = decoders.key_row(record, headers)
    whole = DecodedRow(None) if options.keeps_row else None
    return ReadRecord(record, key_row=key_row, deletes=True, whole=whole), None, None


def _read_row(record: Record, headers: list[Header], options: ReadOptions, decoders: Decoders) -> ReadResult:
    """Return the record with its decoded row; one that is null in its format removes the row, as a tombstone does."""
    found = decoders.value(record, headers)
    if found.row is None:
        return _tombstone(record, headers, options, decoders)
    kept = options.keeps_row
    read = ReadRecord(
        record,
        row=None if kept else found.row,
        content=found.behind_id,
        schema_id=found.schema_id,
        whole=DecodedRow(found.row) if kept else None,
    )
    return read, found.row, None


def _read_document(record: Record, headers: list[Header], options: ReadOptions, decoders: Decoders) -> ReadResult:
    """Return the record with its JSON, which is decoded here only if an id or a type needs that."""
    found = decoders.value(record, headers)
    if found.document is None:
        return _tombstone(record, headers, options, decoders)
    document = found.document
    read = ReadRecord(
        record,
        document=document,
        text=document,
        content=found.behind_id,
        schema_id=found.schema_id,
        whole=DecodedDocument(document) if options.keeps_row else None,
    )
    return read, decoded(document) if options.by_value else None, None


def _read_cloud_event(record: Record, headers: list[Header], options: ReadOptions) -> ReadResult | None:
    value = record.value()
    if is_tombstone(value, headers):
        return ReadRecord(record, deletes=True, about={}), None, None
    value = _cleaned(value, options)
    event = cloud_event_of(value, headers)
    if event.data is not None and event.is_json:
        event = event._replace(data=_cleaned(event.data, options))
    about = {f"$ce:{name}": text for name, text in event.attributes.items()}
    if value is None:
        return ReadRecord(record, deletes=True, about=about), None, about.get("$ce:type")
    if not event.is_json and options.needs_row and not options.keeps_row:
        raise EventError(
            "the data of the CloudEvent is not JSON, as its datacontenttype says, and this route reads members of it"
        )
    in_document = event.document is not None and event.data is None
    row = _row_of(event) if options.needs_row else None
    found = ReadRecord(
        record,
        document=value if in_document else event.data,
        text=value,
        member="data" if in_document else None,
        row=row if options.keeps_row else None,
        about=about,
    )
    return found, row, about["$ce:type"]


def _read_formatted_cloud_event(
    record: Record, headers: list[Header], options: ReadOptions, decoders: Decoders
) -> ReadResult:
    """Return a CloudEvent in binary mode whose data is in the route's format; the decoded data is the row."""
    if is_tombstone(record.value(), headers):
        tombstone, _, _ = _tombstone(record, headers, options, decoders)
        return msgspec.structs.replace(tombstone, about={}), None, None
    event = cloud_event_of(record.value(), headers)
    if event.document is not None:
        raise EventError(
            "a CloudEvent in structured mode, whose value is JSON as a whole, and this route expects values of format "
            f'"{options.format.value}"; send binary mode, or set format = "json" on the route'
        )
    read, row, _ = _in_format(options)(record, headers, options, decoders)
    about = {f"$ce:{name}": text for name, text in event.attributes.items()}
    if options.keeps_row and read.document is not None and row is None:
        row = decoded(read.document)
    found = msgspec.structs.replace(read, about=about, row=row if options.keeps_row else read.row)
    return found, row, about["$ce:type"]


def _cleaned(value: bytes | None, options: ReadOptions) -> bytes | None:
    """Return JSON without NUL if the route wants that; other bytes are returned as they are."""
    if value is None or not options.format.removes_nul:
        return value
    try:
        return without_nul(value)
    except DocumentError:
        return value


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
