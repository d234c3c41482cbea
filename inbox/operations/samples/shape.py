"""Recognise the format and the envelope of records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inbox.documents import DocumentError, parse
from inbox.errors import EventError, StartupError
from inbox.events import Record, last_header
from inbox.reading.formats.fields import Fields
from inbox.reading.formats.framing import KEY_HEADER, VALUE_HEADER, Frame, unframed
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
    """The format of the values and keys of a topic, and by what it was recognised.

    `schema_file` and `message` are those that the route has to name.
    """

    format: Format = Format.JSON
    key_format: KeyFormat = KeyFormat.TEXT
    envelope: Envelope = Envelope.NONE
    why: str = ""
    schema_file: str | None = None
    message: str | None = None


def shape_of(topic: str, records: Sequence[Record], kind_of: KindOf) -> Shape:
    """Return the shape that the records have, by majority.

    Raises:
        StartupError: the records have none that a route reads.
    """
    written = [record for record in records if record.value() is not None]
    if not written:
        which = "has no records" if not records else f"has {len(records)} records, and each is a tombstone"
        raise StartupError(
            f"topic {topic} {which}, so nothing says which columns it needs; send events, or "
            "name its schema with --subject or --schema-file"
        )
    framed = [record for record in written if frame_of(record) is not None]
    is_cloud = _most(_is_cloud_event(record) for record in written)
    if _most(record in framed for record in written) and (found := _framed(framed, kind_of)) is not None:
        return _in_cloud_events(found) if is_cloud else found
    if is_cloud:
        return _in_cloud_events(Shape())
    documents = [found for record in written if (found := _document(record.value())) is not None]
    if not _most([True] * len(documents) + [False] * (len(written) - len(documents))):
        raise StartupError(_unreadable(topic, written, len(documents), bool(framed)))
    return _of_json(topic, documents, records)


def shape_of_schema(schema: WrittenSchema, records: Sequence[Record], kind_of: KindOf) -> Shape:
    """Return the shape of values with a schema that is known without them; the records say what the keys are."""
    written = [record for record in records if record.value() is not None]
    found = Shape(
        format=_FORMATS[schema.kind][0],
        key_format=_key_format(records, kind_of),
        why=f"{schema.name} in {schema.kind.value}",
    )
    return _in_cloud_events(found) if written and _most(map(_is_cloud_event, written)) else found


def with_envelope(shape: Shape, fields: Fields | None) -> Shape:
    """Return the shape with Debezium's envelope, if the schema of the values has its fields."""
    names = (fields.names([]) if fields is not None else None) or ()
    if shape.envelope is not Envelope.NONE or not {"op", "after", "source"} <= set(names):
        return shape
    return replace(shape, envelope=Envelope.DEBEZIUM, why=f'{shape.why}, with "op", "after" and "source"')


def frame_of(record: Record, *, key: bool = False, with_path: bool = False) -> Frame | None:
    """Return the frame of a value or a key; None without one."""
    data = record.key() if key else record.value()
    if data is None:
        return None
    try:
        return unframed(data, record.headers() or [], KEY_HEADER if key else VALUE_HEADER, with_path=with_path)
    except EventError:
        return None


def _in_cloud_events(shape: Shape) -> Shape:
    why = f"{shape.why}; " if shape.why else ""
    return replace(
        shape, envelope=Envelope.CLOUDEVENTS, why=f"{why}the headers of CloudEvents (ce_id, or content-type)"
    )


def _of_json(topic: str, documents: Sequence[Any], records: Sequence[Record]) -> Shape:
    objects = [each for each in documents if isinstance(each, dict)]
    if not _most(isinstance(each, dict) for each in documents):
        raise StartupError(
            f"topic {topic}: {len(documents) - len(objects)} of {len(documents)} values are not JSON objects, so they "
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
    kinds = _kinds(records, kind_of, key=False)
    if not kinds:
        return None
    return Shape(
        format=_FORMATS[kinds[0]][0],
        key_format=_key_format(records, kind_of),
        why=f"a schema id, of a schema in {kinds[0].value}",
    )


def _key_format(records: Sequence[Record], kind_of: KindOf) -> KeyFormat:
    kinds = _kinds(records, kind_of, key=True)
    return _FORMATS[kinds[0]][1] if len(kinds) == 1 else KeyFormat.TEXT


def _kinds(records: Sequence[Record], kind_of: KindOf, *, key: bool) -> list[SchemaKind]:
    """Return the languages of the schemas that the values or the keys name."""
    ids = dict.fromkeys(frame.schema_id for record in records if (frame := frame_of(record, key=key)) is not None)
    return list(dict.fromkeys(kind for each in ids if (kind := kind_of(each)) is not None))


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
        f"{text}; Avro or Protobuf without a registry: name its schema with --schema-file; other bytes: write the "
        'route by hand, with format = "raw"'
    )
