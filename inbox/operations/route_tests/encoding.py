"""Write the events of a test as the producers of its route would."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from inbox.errors import StartupError
from inbox.events import KeptRecord, timestamp_at
from inbox.operations.route_tests.file import GivenEvent
from inbox.reading.formats.protobuf.descriptors import Messages
from inbox.reading.options import Format, KeyFormat
from inbox.reading.schemas import SchemaError, SchemaId, SchemaKind, WrittenSchema
from inbox.relay.formats.avro.values import long_bytes
from inbox.relay.formats.avro.writer import compile_avro
from inbox.relay.formats.misfit import PayloadMisfitError
from inbox.settings.problems import hint
from inbox.sink.routes import Route

_Encode = Callable[[bytes], bytes]
_FORMATS: Mapping[KeyFormat, Format] = {KeyFormat.AVRO: Format.AVRO, KeyFormat.PROTOBUF: Format.PROTOBUF}


class FileSchemas:
    """The schemas of a test file by subject: a registry for its routes, in which ids count from 1."""

    def __init__(self, by_subject: Mapping[str, WrittenSchema]) -> None:
        self._by_subject = by_subject
        self._subjects = list(by_subject)

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        """Return a schema, as `Schemas` says."""
        found = self._by_subject[self._subjects[int(schema_id) - 1]]
        if found.kind is not kind:
            raise SchemaError(f"{found.name} is of type {found.kind}, and the route reads {kind}")
        return found

    def of_subject(self, subject: str) -> tuple[int, WrittenSchema]:
        """Return the id and the schema of a subject. Raises StartupError if the file names none."""
        if subject not in self._by_subject:
            raise StartupError(
                f'no schema is known for "{subject}"{hint(subject, self._subjects)}; name its file under [schemas] of '
                "this test file"
            )
        return self._subjects.index(subject) + 1, self._by_subject[subject]


class EventWriter:
    """A writer of the events of one route. `null` is the text that stands for null in their values."""

    def __init__(self, route: Route, schemas: FileSchemas, null: str | None = None) -> None:
        self._format = route.format
        self._schemas = schemas
        self._null = null
        self._encoders: dict[tuple[str, str | None], _Encode] = {}

    def record(self, topic: str, offset: int, event: GivenEvent) -> KeptRecord:
        """Return the record of an event.

        Raises:
            StartupError: its schema is unknown, or it does not fit.
        """
        headers = [(name, text.encode()) for name, text in event.headers.items()]
        time = timestamp_at(event.timestamp)
        return KeptRecord((topic, 0, offset), self._key(topic, event), self._value(topic, event), list(headers), time)

    def _key(self, topic: str, event: GivenEvent) -> bytes | None:
        if event.key is None:
            return None
        if (form := _FORMATS.get(self._format.key)) is not None:
            return self._framed(f"{topic}-key", form, None)(orjson.dumps(event.key))
        return orjson.dumps(event.key) if isinstance(event.key, dict) else event.key.encode() or None

    def _value(self, topic: str, event: GivenEvent) -> bytes | None:
        if event.text is not None:
            return event.text.encode()
        if event.base64 is not None:
            return b64decode(event.base64)
        if event.value is None:
            return None
        document, form = orjson.dumps(with_nulls(event.value, self._null)), self._format.value
        if not form.has_schema_ids:
            return document
        message = event.message or self._format.message
        if self._format.schema is not None:
            return encoder_of(self._format.schema, form, message)(document)
        if form is Format.JSON_SCHEMA and not self._format.validate:
            return b"\0\0\0\0\1" + document  # the id is not looked up
        return self._framed(event.schema_ or f"{topic}-value", form, message)(document)

    def _framed(self, subject: str, form: Format, message: str | None) -> _Encode:
        known = self._encoders.get((subject, message))
        if known is not None:
            return known
        schema_id, schema = self._schemas.of_subject(subject)
        encode = encoder_of(schema, form, message)
        frame = b"\0" + schema_id.to_bytes(4, "big")
        if form is Format.PROTOBUF:
            frame += _path(schema, message)
        made = self._encoders[subject, message] = lambda document: frame + encode(document)
        return made


def with_nulls(value: Any, null: str | None) -> Any:
    """Return a value with null wherever it has the text that stands for null; None: no text does."""
    if isinstance(value, dict):
        return {name: with_nulls(each, null) for name, each in value.items()}
    if isinstance(value, list):
        return [with_nulls(each, null) for each in value]
    return None if value == null and null is not None else value


def encoder_of(schema: WrittenSchema, form: Format, message: str | None) -> _Encode:
    """Return the function that writes a JSON document in a schema.

    Raises:
        StartupError: the schema is not valid, or of another language; the function too, if a value does not fit.
    """
    try:
        encode = _encoder(schema, form, message)
    except SchemaError as error:
        raise StartupError(str(error)) from None

    def checked(document: bytes) -> bytes:
        try:
            return encode(document)
        except PayloadMisfitError as error:
            raise StartupError(f"the value does not fit {schema.name}: {error}") from None

    return checked


def _encoder(schema: WrittenSchema, form: Format, message: str | None) -> _Encode:
    kind = {Format.AVRO: SchemaKind.AVRO, Format.PROTOBUF: SchemaKind.PROTOBUF}.get(form, SchemaKind.JSON)
    if schema.kind is not kind:
        raise SchemaError(f'{schema.name} is of type {schema.kind}, and the format is "{form}"')
    if form is Format.AVRO:
        return compile_avro(schema)
    return _in_protobuf(schema, message) if form is Format.PROTOBUF else bytes


def _in_protobuf(schema: WrittenSchema, message: str | None) -> _Encode:
    from google.protobuf.json_format import Parse, ParseError
    from google.protobuf.message_factory import GetMessageClass

    messages = Messages(schema)
    made: Any = GetMessageClass(messages.descriptor(message or messages.name_at((0,))))

    def encode(document: bytes) -> bytes:
        try:
            return bytes(Parse(document, made()).SerializeToString())
        except ParseError as error:
            raise PayloadMisfitError(str(error)) from None

    return encode


def _path(schema: WrittenSchema, message: str | None) -> bytes:
    """Return the path to a message of the file as a record has it."""
    index = 0 if message is None else Messages(schema).index_of(message)
    return b"\0" if index == 0 else long_bytes(1) + long_bytes(index)
