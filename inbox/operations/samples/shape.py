"""Recognise the format and the envelope of records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from inbox.documents import DocumentError, parse
from inbox.errors import StartupError
from inbox.events import Record, last_header
from inbox.reading.formats.framing import KEY_HEADER, VALUE_HEADER, unframed
from inbox.reading.options import Envelope, Format, KeyFormat
from inbox.reading.schemas import SchemaId, SchemaKind, WrittenSchema

KindOf = Callable[[SchemaId], SchemaKind | None]
"""The language of a schema in the registry, or None if there is no such schema or no registry."""

_OPERATIONS = frozenset({"c", "r", "u", "d", "t", "m"})
_STRUCTURED = b"application/cloudevents"
_FORMATS = {
    SchemaKind.AVRO: (Format.AVRO, KeyFormat.AVRO),
    SchemaKind.PROTOBUF: (Format.PROTOBUF, KeyFormat.PROTOBUF),
    SchemaKind.JSON: (Format.JSON_SCHEMA, KeyFormat.TEXT),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The format of the values and keys of a topic, and by what it was recognised."""

    format: Format = Format.JSON
    key_format: KeyFormat = KeyFormat.TEXT
    envelope: Envelope = Envelope.NONE
    why: str = ""


def shape_of(topic: str, records: Sequence[Record], kind_of: KindOf) -> Shape:
    """Return the shape that the records have, by majority.

    Raises:
        StartupError: the records have none that a route reads.
    """
    written = [record for record in records if record.value() is not None]
    if not written:
        which = "has no records" if not records else f"has {len(records)} records, and each is a tombstone"
        raise StartupError(
            f"topic {topic} {which}, so nothing says which columns it needs; send events, or set --subject"
        )
    if _most(_is_cloud_event(record) for record in written):
        return Shape(envelope=Envelope.CLOUDEVENTS, why="the headers of CloudEvents (ce_id, or content-type)")
    framed = [record for record in written if _frame(record, key=False) is not None]
    if _most(record in framed for record in written) and (found := _framed(framed, kind_of)) is not None:
        return found
    documents = [found for record in written if (found := _document(record.value())) is not None]
    if not _most([True] * len(documents) + [False] * (len(written) - len(documents))):
        raise StartupError(_unreadable(topic, written, len(documents), bool(framed)))
    return _of_json(topic, documents, records)


def shape_of_schema(schema: WrittenSchema) -> Shape:
    """Return the shape of values with a schema of the registry."""
    return Shape(format=_FORMATS[schema.kind][0], why=f"{schema.name} in {schema.kind.value}")


def _of_json(topic: str, documents: Sequence[Any], records: Sequence[Record]) -> Shape:
    objects = [each for each in documents if isinstance(each, dict)]
    if not _most(isinstance(each, dict) for each in documents):
        raise StartupError(
            f"topic {topic}: {len(documents) - len(objects)} of {len(documents)} values are no JSON objects, so they "
            'have no members; fill a column from "$value"'
        )
    wrapped = [each["payload"] for each in objects if each.keys() == {"schema", "payload"}]
    if wrapped and len(wrapped) * 2 > len(objects):
        is_change = _most(_is_change(each) for each in wrapped)
        keys = [_document(record.key()) for record in records if record.key() is not None]
        has_schema = bool(keys) and all(isinstance(k, dict) and k.keys() == {"schema", "payload"} for k in keys)
        return Shape(
            format=Format.CONNECT_JSON,
            key_format=KeyFormat.CONNECT_JSON if has_schema else KeyFormat.TEXT,
            envelope=Envelope.DEBEZIUM if is_change else Envelope.NONE,
            why='"schema" and "payload" in each value'
            + (', with "op" and "after" in the payload' if is_change else ""),
        )
    if _most(_is_change(each) for each in objects):
        return Shape(envelope=Envelope.DEBEZIUM, why='"op", "after" and "source" in each value')
    return Shape(why="JSON objects")


def _framed(records: Sequence[Record], kind_of: KindOf) -> Shape | None:
    kinds = [kind for each in {_frame(record, key=False) for record in records} if (kind := kind_of(each)) is not None]
    if not kinds:
        return None
    value_format, _ = _FORMATS[kinds[0]]
    ids = {each for record in records if (each := _frame(record, key=True)) is not None}
    key_kinds = {kind for each in ids if (kind := kind_of(each)) is not None}
    key_format = _FORMATS[key_kinds.pop()][1] if len(key_kinds) == 1 else KeyFormat.TEXT
    return Shape(format=value_format, key_format=key_format, why=f"a schema id, of a schema in {kinds[0].value}")


def _frame(record: Record, *, key: bool) -> Any:
    """Return the schema id of a value or a key; None without one."""
    data = record.key() if key else record.value()
    if data is None:
        return None
    try:
        return unframed(data, record.headers() or [], KEY_HEADER if key else VALUE_HEADER).schema_id
    except Exception:  # noqa: BLE001 - any other bytes
        return None


def _is_cloud_event(record: Record) -> bool:
    headers = record.headers() or []
    content_type = last_header(headers, "content-type") or b""
    return content_type.startswith(_STRUCTURED) or (
        last_header(headers, "ce_id") is not None and last_header(headers, "ce_specversion") is not None
    )


def _is_change(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and document.get("op") in _OPERATIONS
        and ("after" in document or "before" in document)
        and "source" in document
    )


def _document(data: bytes | None) -> Any:
    try:
        return None if data is None else parse(data)
    except DocumentError:
        return None


def _most(found: Iterable[bool]) -> bool:
    given = list(found)
    return sum(given) > len(given) / 2


def _unreadable(topic: str, written: Sequence[Record], documents: int, framed: bool) -> str:
    text = f"topic {topic}: {len(written) - documents} of {len(written)} values are not JSON"
    if framed:
        return f"{text} and begin with a schema id, which no [registry] of the configuration knows; set [registry] url"
    return (
        f'{text}; write the route by hand: Avro or Protobuf without a registry needs schema_file, bytes format = "raw"'
    )
