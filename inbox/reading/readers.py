"""Compile how a route reads its records; a plain JSON route without an envelope needs no reading.

A reader returns the record with what it read, or None for a record that the route passes over. It
raises `EventError` for one that it cannot read.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from inbox.documents import DocumentError, parse, pointer_steps, without_nul
from inbox.errors import EventError, StartupError
from inbox.events import Header, Record, decoded
from inbox.reading.envelopes.cloudevents import CloudEvent, cloud_event_of, is_tombstone
from inbox.reading.envelopes.debezium import Change, change_of
from inbox.reading.envelopes.debezium_position import position_of
from inbox.reading.formats.decoded import Decoded, DecodedDocument, DecodedRow, RawValue, RecordFormat
from inbox.reading.formats.of_route import key_decoder, value_decoder
from inbox.reading.options import Envelope, Format, ReadOptions
from inbox.reading.pointers import finder
from inbox.reading.read_record import ReadRecord


class ReadResult(NamedTuple):
    """A record as it was read.

    `row` is the decoded row, in which a `value:` pointer looks, or None where nothing needs it; `type` is
    the type that the envelope gives.
    """

    record: ReadRecord
    row: Any
    type: str | None = None


Read = Callable[[Record, list[Header]], ReadResult | None]


def reader_of(options: ReadOptions) -> Read | None:
    """Return the reader for a route's options, or None if its records are taken as they are.

    Raises:
        StartupError: a package, the registry or a usable schema is missing.
    """
    decoders = _decoders(options)
    match options.envelope:
        case Envelope.NONE:
            return _format_reader(options, decoders)
        case Envelope.DEBEZIUM:
            moves = _moves(options.key_pointers)
            return lambda record, headers: _read_change(record, headers, options, decoders, moves)
        case Envelope.CLOUDEVENTS:
            if options.format.value is Format.JSON:
                return lambda record, headers: _read_cloud_event(record, headers, options)
            return lambda record, headers: _read_formatted_cloud_event(record, headers, options, decoders)


class _Decoders(NamedTuple):
    """The decoders of a route's values and keys; None for JSON, texts and raw bytes."""

    values: RecordFormat | None
    keys: RecordFormat | None

    def value(self, record: Record, headers: list[Header]) -> Decoded:
        """Return the decoded value: nothing for a tombstone, and for JSON the bytes as they are."""
        value = record.value()
        if value is None:
            return Decoded()
        return Decoded(document=value) if self.values is None else self.values.decode(value, headers)

    def key_row(self, record: Record, headers: list[Header]) -> Any:
        """Return the decoded key; None where it has no format, or there is none."""
        key = record.key()
        return None if self.keys is None or key is None else self.keys.decode(key, headers).row


def _decoders(options: ReadOptions) -> _Decoders:
    try:
        # A handler receives the bytes of its keys.
        keys = None if options.keeps_row else key_decoder(options.format)
        return _Decoders(value_decoder(options.format), keys)
    except EventError as error:  # the schema of a file
        raise StartupError(str(error)) from None


def _format_reader(options: ReadOptions, decoders: _Decoders) -> Read | None:
    if decoders.values is not None:
        read = _in_format(options)
        return lambda record, headers: read(record, headers, options, decoders)
    if options.format.value is Format.RAW and options.keeps_row:
        return lambda record, _: ReadResult(ReadRecord(record, whole=RawValue(record.value())), None)
    return None


def _in_format(options: ReadOptions) -> Callable[[Record, list[Header], ReadOptions, _Decoders], ReadResult]:
    """Return the function that reads a value of the route's format: into a decoded row, or as JSON."""
    is_decoded = options.format.value.has_decoded_rows and not options.format.as_documents
    return _read_row if is_decoded else _read_document


def _tombstone(record: Record, headers: list[Header], options: ReadOptions, decoders: _Decoders) -> ReadResult:
    key_row = decoders.key_row(record, headers)
    whole = DecodedRow(None) if options.keeps_row else None
    return ReadResult(ReadRecord(record, key_row=key_row, deletes=True, whole=whole), None)


def _read_row(record: Record, headers: list[Header], options: ReadOptions, decoders: _Decoders) -> ReadResult:
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
    return ReadResult(read, found.row)


def _read_document(record: Record, headers: list[Header], options: ReadOptions, decoders: _Decoders) -> ReadResult:
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
    return ReadResult(read, decoded(document) if options.by_value else None)


def _moves(pointers: Sequence[str]) -> Callable[[Any, Any], bool]:
    """Return the test whether an update gave its row another key, by the rows before and after it.

    The connector makes a delete and a create of an update that changes the record's key. The key at
    these pointers may be another one.
    """
    finders = [finder(pointer_steps(pointer)) for pointer in pointers]

    def moves(before: Any, after: Any) -> bool:
        if not finders or not isinstance(before, dict):
            return False
        keys = [(find(before), find(after)) for find in finders]
        return all(old is not None for old, _ in keys) and any(old != new for old, new in keys)

    return moves


def _read_change(
    record: Record,
    headers: list[Header],
    options: ReadOptions,
    decoders: _Decoders,
    moves: Callable[[Any, Any], bool],
) -> ReadResult | None:
    found = decoders.value(record, headers)
    in_document = found.document is not None
    if not in_document and found == Decoded():  # the tombstone that Debezium sends behind a delete, for compaction
        return None
    change = change_of(decoded(found.document) if in_document else found.row, options.truncates)
    if change is None:
        return None
    document, op, member = change.document, change.op, change.member
    about = {"$op": op, "$ts": document.get("ts_ms")}
    if options.keeps_row:
        about["$before"] = document.get("before")
    deletes = op == "d"
    before = document.get("before") if op == "u" else None
    # The row before a delete may name the row to remove.
    keeps_row = not deletes if options.keeps_row else not in_document
    read = ReadRecord(
        record,
        document=found.document,
        text=found.document,
        member=member if in_document else None,
        row=change.row if keeps_row else None,
        key_row=decoders.key_row(record, headers) if deletes else None,
        deletes=deletes,
        before=before if before is not None and moves(before, change.row) else None,
        truncates=op == "t",
        absent=change.absent,
        about=about,
        identity=position_of(document.get("source"), op) if options.by_position else None,
        content=_content(change) if options.by_position else None,
        schema_id=found.schema_id,
        whole=DecodedRow(found.row) if options.keeps_row and not in_document else None,
    )
    return ReadResult(read, change.row)


def _content(change: Change) -> bytes:
    """Return what a repeated change has in common with the first: all but the times of reading."""
    said = (change.op, change.document.get("before"), change.document.get("after"))
    try:
        return orjson.dumps(said)
    except TypeError:  # a number beyond 64 bits
        return repr(said).encode()


def _read_cloud_event(record: Record, headers: list[Header], options: ReadOptions) -> ReadResult | None:
    value = record.value()
    if is_tombstone(value, headers):
        return ReadResult(ReadRecord(record, deletes=True, about={}), None)
    value = _cleaned(value, options)
    event = cloud_event_of(value, headers)
    if event.data is not None and event.is_json:
        event = event._replace(data=_cleaned(event.data, options))
    about = {f"$ce:{name}": text for name, text in event.attributes.items()}
    if value is None:
        return ReadResult(ReadRecord(record, deletes=True, about=about), None, about.get("$ce:type"))
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
    return ReadResult(found, row, about["$ce:type"])


def _read_formatted_cloud_event(
    record: Record, headers: list[Header], options: ReadOptions, decoders: _Decoders
) -> ReadResult:
    """Return a CloudEvent in binary mode whose data is in the route's format; the decoded data is the row."""
    if is_tombstone(record.value(), headers):
        tombstone = _tombstone(record, headers, options, decoders)
        return tombstone._replace(record=replace(tombstone.record, about={}))
    event = cloud_event_of(record.value(), headers)
    if event.document is not None:
        raise EventError(
            "a CloudEvent in structured mode, whose value is JSON as a whole, and this route expects values of format "
            f'"{options.format.value}"; send binary mode, or set format = "json" on the route'
        )
    read = _in_format(options)(record, headers, options, decoders)
    about = {f"$ce:{name}": text for name, text in event.attributes.items()}
    row = read.row
    if options.keeps_row and read.record.document is not None and row is None:
        row = decoded(read.record.document)
    found = replace(read.record, about=about, row=row if options.keeps_row else read.record.row)
    return ReadResult(found, row, about["$ce:type"])


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
