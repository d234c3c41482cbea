"""The result of decoding bytes, and the interface of whatever decodes them."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from inbox.documents import DocumentError, write
from inbox.errors import EventError
from inbox.events import Header, decoded, exactly_decoded
from inbox.reading.schemas import SchemaId
from inbox.reading.values import as_json, as_python


class Decoded(msgspec.Struct, gc=False):
    """Decoded bytes: either JSON text that the database decodes, or a decoded row.

    Attributes:
        document: JSON in UTF-8, or None.
        row: the values of `inbox.reading.values`; None where `document` has them.
        schema_id: the id by which the record names its schema, or None.
        behind_id: the bytes behind the schema id, or None if all of them are. A producer that is deployed again
            may have another id, and writes the same bytes behind it.
    """

    document: bytes | None = None
    row: Any = None
    schema_id: SchemaId | None = None
    behind_id: bytes | None = None


class DecodedRow(msgspec.Struct, frozen=True, gc=False):
    """The decoded value of an event, for its handler."""

    row: Any

    def data(self) -> Any:
        """Return the row with Python's types for times."""
        return as_python(self.row)

    def json(self) -> Any:
        """Return the row as JSON has it."""
        return as_json(self.row)

    def exact(self) -> Any:
        """Return the data, whose decimals are exact by their schema."""
        return self.data()


class DecodedDocument(msgspec.Struct, frozen=True, gc=False):
    """The JSON of an event behind its schema id, for its handler."""

    document: bytes

    def data(self) -> Any:
        """Return the decoded document."""
        return decoded(self.document)

    def json(self) -> Any:
        """Return the decoded document."""
        return decoded(self.document)

    def exact(self) -> Any:
        """Return the decoded document, with the digits of its numbers."""
        return exactly_decoded(self.document)


class RawValue(msgspec.Struct, frozen=True, gc=False):
    """The bytes of an event, for its handler."""

    value: bytes | None

    def data(self) -> Any:
        """Return the bytes."""
        return self.value

    def json(self) -> Any:
        """Decode the bytes as JSON."""
        return decoded(self.value)

    def exact(self) -> Any:
        """Return the bytes."""
        return self.value


class RecordFormat(Protocol):
    """A decoder of the keys or the values of one route."""

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes.

        Raises:
            EventError: they are not what the format says; the record becomes a dead letter.
            TryAgainError: the registry does not answer.
        """
        ...


class AsDocument:
    """A format whose decoded values become JSON, as `as_json` writes them."""

    def __init__(self, inner: RecordFormat) -> None:
        self._inner = inner

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes, as `RecordFormat` says."""
        found = self._inner.decode(data, headers)
        document = None if found.row is None else json_of(found.row)
        return Decoded(document, schema_id=found.schema_id, behind_id=found.behind_id)


def json_of(row: Any) -> bytes:
    """Return a decoded value as JSON.

    Raises:
        EventError: JSON cannot express it.
    """
    try:
        return write(as_json(row)).encode()
    except DocumentError as error:
        raise EventError(f"the value cannot be written as JSON: {error}") from None
