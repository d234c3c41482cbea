"""Find out how the events of a topic are read: from a schema that is named, or from the events themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inbox.errors import EventError, StartupError
from inbox.events import Record
from inbox.operations.samples.shape import KindOf, Shape, frame_of, shape_of, shape_of_schema, with_envelope
from inbox.reading.formats.fields import Fields
from inbox.reading.formats.of_route import require_decoders
from inbox.reading.formats.protobuf.descriptors import Messages
from inbox.reading.options import Format, FormatOptions
from inbox.reading.schemas import NamedSchemas, SchemaId, SchemaKind, Schemas, WrittenSchema
from inbox.settings.formats import schema_of_any_file


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The schema that a person named.

    Attributes:
        subject: the subject of the registry whose newest schema counts; None for the sample alone.
        schema_file: a file with the schema of all values, which have no schema ids; None without one.
        message: the full name of the Protobuf message; None for the one that the records name.
    """

    subject: str | None = None
    schema_file: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The reading of a topic: its shape, the options of its format, and the fields of its schema, if one is known."""

    shape: Shape
    options: FormatOptions
    fields: Fields | None


def source_of(topic: str, records: Sequence[Record], schemas: NamedSchemas | None, named: Naming) -> Source:
    """Return how the records of a topic are read.

    Raises:
        StartupError: the records are nothing that a route reads, or the schema cannot be used.
        TryAgainError: the registry does not answer.
    """
    try:
        return _source_of(topic, records, schemas, named)
    except EventError as error:  # of a schema
        raise StartupError(str(error)) from None


def _source_of(topic: str, records: Sequence[Record], schemas: NamedSchemas | None, named: Naming) -> Source:
    kind_of = kinds_in(schemas)
    if named.schema_file is not None:
        schema: WrittenSchema | None = schema_of_any_file(Path.cwd(), named.schema_file)
    else:
        schema = None if named.subject is None else _newest(schemas, named.subject)
    shape = shape_of(topic, records, kind_of) if schema is None else shape_of_schema(schema, records, kind_of)
    shape = replace(shape, schema_file=named.schema_file, message=named.message)
    options = FormatOptions(
        value=shape.format,
        key=shape.key_format,
        schema=schema if named.schema_file is not None else None,
        message=named.message,
        schemas=schemas,
    )
    require_decoders(options)
    schema = schema or _of_sample(schemas, shape.format, records)
    fields = None if schema is None else Fields(schema, named.message or _message(schema, records))
    return Source(shape=with_envelope(shape, fields), options=options, fields=fields)


def kinds_in(schemas: Schemas | None) -> KindOf:
    """Return the function that asks a registry in which language a schema is."""
    known: dict[SchemaId, SchemaKind | None] = {}

    def kind_of(schema_id: SchemaId) -> SchemaKind | None:
        if schema_id not in known:
            known[schema_id] = next((kind for kind in SchemaKind if _has(schemas, schema_id, kind)), None)
        return known[schema_id]

    return kind_of


def _has(schemas: Schemas | None, schema_id: SchemaId, kind: SchemaKind) -> bool:
    try:
        return schemas is not None and schemas.schema(schema_id, kind) is not None
    except EventError:
        return False


def _newest(schemas: NamedSchemas | None, subject: str) -> WrittenSchema:
    """Return the newest schema of a subject, in any language."""
    if schemas is None:
        raise StartupError("--subject names a subject of a schema registry; set [registry] url")
    problem = ""
    for kind in SchemaKind:
        try:
            found = schemas.newest(subject, kind)
        except EventError as error:
            problem = str(error)
            continue
        if found is None:
            raise StartupError(f'the registry has no subject "{subject}"; correct --subject, or leave it out')
        return found
    raise StartupError(f'the newest schema of subject "{subject}" cannot be used: {problem}')


def _of_sample(schemas: Schemas | None, form: Format, records: Sequence[Record]) -> WrittenSchema | None:
    """Return the schema of the newest record that names one."""
    if schemas is None or not form.has_schema_ids:
        return None
    kinds = {Format.AVRO: SchemaKind.AVRO, Format.PROTOBUF: SchemaKind.PROTOBUF, Format.JSON_SCHEMA: SchemaKind.JSON}
    for record in reversed(records):
        frame = frame_of(record)
        if frame is not None and _has(schemas, frame.schema_id, kinds[form]):
            return schemas.schema(frame.schema_id, kinds[form])
    return None


def _message(schema: WrittenSchema, records: Sequence[Record]) -> str | None:
    """Return the Protobuf message of the newest record that names one, or else the first of the schema."""
    if schema.kind is not SchemaKind.PROTOBUF:
        return None
    messages = Messages(schema)
    for record in reversed(records):
        frame = frame_of(record, with_path=True)
        if frame is not None:
            return messages.name_at(frame.path)
    return messages.name_at((0,))
