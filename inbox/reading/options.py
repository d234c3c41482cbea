"""The settings of a route that say how its values are read."""

from dataclasses import dataclass, field
from enum import StrEnum

from inbox.reading.schemas import Schemas, WrittenSchema


class Format(StrEnum):
    """The format in which the values of a route are written."""

    JSON = "json"
    CONNECT_JSON = "connect-json"
    AVRO = "avro"
    PROTOBUF = "protobuf"
    JSON_SCHEMA = "json-schema"
    RAW = "raw"

    @property
    def has_schema_ids(self) -> bool:
        """Return whether a record names its schema in a registry."""
        return self in (Format.AVRO, Format.PROTOBUF, Format.JSON_SCHEMA)

    @property
    def has_decoded_rows(self) -> bool:
        """Return whether values are decoded here; those of the other formats are JSON that the database decodes."""
        return self in (Format.CONNECT_JSON, Format.AVRO, Format.PROTOBUF)

    @property
    def is_binary(self) -> bool:
        """Return whether a value is no JSON text."""
        return self in (Format.AVRO, Format.PROTOBUF)


class KeyFormat(StrEnum):
    """The format in which the keys of a route are written."""

    TEXT = "text"
    JSON = "json"
    CONNECT_JSON = "connect-json"
    AVRO = "avro"
    PROTOBUF = "protobuf"
    RAW = "raw"


@dataclass(frozen=True, kw_only=True)
class FormatOptions:
    """The format of a route's values and keys.

    Attributes:
        message: the full name of the Protobuf message; None if each record says which one it is.
        schema: the schema of all values, from a file; None if each record names its own in the registry.
        validate: whether JSON is checked against its schema.
        as_documents: whether decoded values become JSON, whose elements the database finds.
        removes_nul: whether NUL is removed from the texts of values.
        schemas: the registry; None if there is none.
    """

    value: Format = Format.JSON
    key: KeyFormat = KeyFormat.TEXT
    message: str | None = None
    schema: WrittenSchema | None = None
    validate: bool = False
    removes_nul: bool = False
    as_documents: bool = False
    schemas: Schemas | None = field(default=None, repr=False, compare=False)

    @property
    def needs_registry(self) -> bool:
        """Return whether schemas come from a registry."""
        by_value = self.schema is None and self.value.has_schema_ids
        if self.value is Format.JSON_SCHEMA and not self.validate:
            by_value = False
        return by_value or self.key in (KeyFormat.AVRO, KeyFormat.PROTOBUF)

    @property
    def is_read_here(self) -> bool:
        """Return whether values or keys need a decoder, and so perhaps a package or a schema."""
        return self.value.has_schema_ids or self.key in (KeyFormat.AVRO, KeyFormat.PROTOBUF)


PLAIN_JSON = FormatOptions()
"""The format of a route that says nothing of it."""


class Nul(StrEnum):
    """The treatment of the character NUL in a text, which no text of PostgreSQL can hold."""

    REFUSE = "refuse"
    REMOVE = "remove"


class Envelope(StrEnum):
    """The envelope in which the values of a route arrive."""

    NONE = "none"
    DEBEZIUM = "debezium"
    CLOUDEVENTS = "cloudevents"


class Truncates(StrEnum):
    """The treatment of a change event that says that the whole source table was emptied."""

    ERROR = "error"
    IGNORE = "ignore"
    APPLY = "apply"


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options of one route.

    Attributes:
        keeps_row: whether the decoded row is kept for a handler.
        needs_row: whether the id, the type or a column is read from the row.
        by_value: whether the id or the type is read from the row.
        by_position: whether the event's id is made of the source position.
        cuts_rows: whether nothing reads what a change of Debezium has beside its row, so that the row may be cut out.
        reads_about: whether anything reads what the envelope says beside the row.
        key_pointers: the pointers into the row by which a table's row is found, if an event may remove one.
    """

    format: FormatOptions = PLAIN_JSON
    envelope: Envelope = Envelope.NONE
    truncates: Truncates = Truncates.ERROR
    keeps_row: bool = False
    needs_row: bool = True
    by_value: bool = False
    by_position: bool = False
    cuts_rows: bool = False
    reads_about: bool = True
    key_pointers: tuple[str, ...] = ()
