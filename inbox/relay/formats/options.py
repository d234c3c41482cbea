"""The parts of `[outbox]` that say with which schema the relay sends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from inbox.kafka.registry.options import RegistryOptions
from inbox.reading.schemas import SchemaKind, WrittenSchema


class OutboxFormat(StrEnum):
    """The format of the values that the relay sends."""

    JSON = "json"
    AVRO = "avro"
    JSON_SCHEMA = "json-schema"

    @property
    def kind(self) -> SchemaKind:
        """Return the language of its schemas; those of plain JSON, which has none, would be JSON Schemas."""
        return SchemaKind.AVRO if self is OutboxFormat.AVRO else SchemaKind.JSON


class SubjectNaming(StrEnum):
    """The subject of an event, as Confluent's serializers name it: by its topic, by its type, or by both."""

    TOPIC = "topic"
    RECORD = "record"
    TOPIC_RECORD = "topic-record"

    def subject(self, topic: str, event_type: str) -> str:
        """Return the subject of an event's value."""
        if self is SubjectNaming.TOPIC:
            return f"{topic}-value"
        return event_type if self is SubjectNaming.RECORD else f"{topic}-{event_type}"


@dataclass(frozen=True, kw_only=True)
class EncodingOptions:
    """The schemas with which the relay sends.

    Attributes:
        files: the schemas of `[outbox.schemas]`, by subject; any other subject has its newest in the registry.
        register: whether the schemas of the files are registered; otherwise they are looked up.
        plain_topics: topics whose events are sent as they are: that of the copies of dead letters.
    """

    format: OutboxFormat
    registry: RegistryOptions
    naming: SubjectNaming = SubjectNaming.TOPIC
    register: bool = False
    files: Mapping[str, WrittenSchema] = field(default_factory=dict)
    plain_topics: frozenset[str] = frozenset()
