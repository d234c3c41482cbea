"""Send payloads with the schema of their subject, framed as Confluent's serializers do.

A payload that does not fit its schema holds everything behind it, as one that the brokers refuse
does. The schema is asked for again meanwhile, so that a newly registered version ends the wait.
"""

from collections.abc import Callable
from typing import NamedTuple

from inbox.documents import DocumentError, parse
from inbox.errors import EventError, TryAgainError
from inbox.kafka.registry.subjects import SubjectSchemas
from inbox.reading.formats.json_schema import compile_check
from inbox.reading.schemas import SchemaError, WrittenSchema
from inbox.relay.formats.avro.writer import compile_avro
from inbox.relay.formats.misfit import PayloadMisfitError
from inbox.relay.formats.options import EncodingOptions, OutboxFormat
from inbox.relay.producer import Headers, Producer, ProducerAround

Write = Callable[[bytes], bytes]
"""Return a JSON document as it is sent; raise PayloadMisfitError."""


_MOST_WRITERS = 1000


class _Writer(NamedTuple):
    """The way in which the events of a subject are written."""

    frame: bytes
    write: Write
    name: str


class PayloadEncoder:
    """An encoder of payloads, which keeps the schemas from one term of the relay to the next."""

    def __init__(self, options: EncodingOptions, schemas: SubjectSchemas) -> None:
        self._options = options
        self._schemas = schemas
        self._writers: dict[str, _Writer] = {}

    def encode(self, topic: str, event_type: str, payload: bytes) -> bytes:
        """Return a payload behind its schema id.

        Raises:
            TryAgainError: the registry does not have the schema, or the payload does not fit it.
        """
        if topic in self._options.plain_topics:
            return payload
        subject = self._options.naming.subject(topic, event_type)
        writer = self._writers.get(subject) or self._writer(subject)
        try:
            return writer.frame + writer.write(payload)
        except PayloadMisfitError as error:
            self._schemas.doubt(subject)
            del self._writers[subject]
            raise TryAgainError(
                f"the payload of an event for {topic} does not fit {writer.name}: {error}; register a schema that it "
                "fits, or remove the event from the outbox",
                away="registry",
                reason=f"misfit {subject}",
                alert=True,
            ) from None

    def refresh(self) -> None:
        """Take new versions of the schemas into use; not called within a transaction."""
        if self._schemas.refresh():
            self._writers.clear()

    def _writer(self, subject: str) -> _Writer:
        try:
            schema, version, schema_id = self._schemas.schema(subject)
            write = writer_of(self._options.format, schema)
        except SchemaError as error:
            self._schemas.doubt(subject)
            raise TryAgainError(
                f"subject {subject}: {error}", away="registry", reason=f"schema {subject}", alert=True
            ) from None
        if len(self._writers) >= _MOST_WRITERS:
            self._writers.clear()
        name = f"{subject} version {version}" if version else f"{schema.name} of {subject}"
        made = self._writers[subject] = _Writer(b"\0" + schema_id.to_bytes(4, "big"), write, name)
        return made


def writer_of(form: OutboxFormat, schema: WrittenSchema) -> Write:
    """Return a writer of JSON documents in a schema. Raises SchemaError if the schema is not valid."""
    return compile_avro(schema) if form is OutboxFormat.AVRO else _checked_json(schema)


def _checked_json(schema: WrittenSchema) -> Write:
    """Return a writer of JSON documents as they are, if the schema allows them."""
    check = compile_check(schema)

    def write(document: bytes) -> bytes:
        try:
            check(parse(document))
        except DocumentError as error:
            raise PayloadMisfitError(f"it is not valid JSON: {error}") from None
        except EventError as error:
            raise PayloadMisfitError(str(error)) from None
        return document

    return write


class EncodingProducer(ProducerAround):
    """A producer that sends payloads with the schema of their subject."""

    def __init__(self, producer: Producer, encoder: PayloadEncoder) -> None:
        super().__init__(producer)
        self._encoder = encoder
        self._is_open = False

    def send(self, token: int, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> None:
        """Send the message with its schema; a tombstone stays one. Raises TryAgainError as `encode` does.

        The copy of a dead letter, whose key is bytes or None, stays as it is.
        """
        if value is not None and isinstance(key, str):
            event_type = next((str(each) for name, each in headers if name == "type"), "")
            value = self._encoder.encode(topic, event_type, value)
        super().send(token, topic, key, value, headers)

    def poll(self, seconds: float) -> None:
        """Handle delivery reports, as the producer does."""
        super().poll(seconds)
        if not self._is_open:
            self._encoder.refresh()

    def begin(self) -> None:
        """Begin a transaction, all of which is written with the same schemas."""
        super().begin()
        self._is_open = True

    def commit(self) -> None:
        """Commit the transaction, if the producer has transactions."""
        super().commit()
        self._is_open = False
