"""The result of decoding bytes, and the interface of whatever decodes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inbox.events import Header
from inbox.reading.schemas import SchemaId


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded bytes: either JSON text that the database decodes, or a decoded row.

    Attributes:
        document: JSON in UTF-8, or None.
        row: the values of `inbox.reading.values`; None where `document` has them.
        schema_id: the id by which the record names its schema, or None.
    """

    document: bytes | None = None
    row: Any = None
    schema_id: SchemaId | None = None


class RecordFormat(Protocol):
    """A decoder of the keys or the values of one route."""

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes.

        Raises:
            EventError: they are not what the format says; the record becomes a dead letter.
            TryAgainError: the registry does not answer.
        """
        ...
