"""A record together with what a route has read from its value."""

from collections.abc import Callable
from typing import Any

import msgspec

from inbox.events import Content, Event, Header, Record, decoded, event_from
from inbox.reading.schemas import SchemaId
from inbox.reading.values import as_python


class ReadRecord(msgspec.Struct, eq=False, gc=False):
    """A record whose value is in a format or an envelope that a route had to read.

    It is a record as well: its key, value and headers are those that Kafka holds, so that a dead letter
    keeps them byte for byte. What the route writes is either in `document`, JSON text that the
    database decodes, or, where `document` is None, in `row`, the decoded value.

    Attributes:
        record: the record as it was polled.
        document: JSON in UTF-8.
        member: the member of `document` that is the row; None if the whole document is.
        row: the decoded row; None for a row that is in `document`, and for one without a value.
        key_row: of a decoded row that is removed: the decoded key, which names it.
        deletes: whether the event removes the row instead of writing it.
        before: the decoded row before an update that gave it another key; None for any other event.
        truncates: whether the event removes all rows.
        absent: the members of the row that the envelope marks as left out, so that their columns stay as they are.
        about: what the envelope says beside the row, by source: `$op`, `$ts`, `$before`, `$ce:subject`.
        identity: the text from which an id is made that the envelope gives; None where it gives none, and after
            `take_identity`.
        content: what two deliveries of the event have in common; None if that is the value.
        text: the value as a text, where that is not all of its bytes, or is without their NUL; None if it is.
        schema_id: the id by which the record names its schema in a registry, or None.
        whole: the decoded value for a handler; None if the value is JSON.
    """

    record: Record
    document: bytes | None = None
    member: str | None = None
    row: Any = None
    key_row: Any = None
    deletes: bool = False
    before: Any = None
    truncates: bool = False
    absent: tuple[str, ...] = ()
    about: Any = None
    identity: str | None = None
    content: bytes | None = None
    text: bytes | None = None
    schema_id: SchemaId | None = None
    whole: Content | None = None

    def take_identity(self) -> str | None:
        """Return `identity` once, so that a batch does not keep the texts of its ids."""
        identity, self.identity = self.identity, None
        return identity

    def topic(self) -> str:
        """Return the topic, like a `Message`."""
        return self.record.topic()

    def partition(self) -> int:
        """Return the partition, like a `Message`."""
        return self.record.partition()

    def offset(self) -> int:
        """Return the offset, like a `Message`."""
        return self.record.offset()

    def key(self) -> bytes | None:
        """Return the key as Kafka holds it."""
        return self.record.key()

    def value(self) -> bytes | None:
        """Return the value as Kafka holds it; None is a tombstone."""
        return self.record.value()

    def headers(self) -> list[Header] | None:
        """Return the headers, or None without headers, as librdkafka does."""
        return self.record.headers()

    def timestamp(self) -> tuple[int, int]:
        """Return the timestamp's type and milliseconds, like a `Message`."""
        return self.record.timestamp()

    def leader_epoch(self) -> int | None:
        """Return the leader epoch, like a `Message`."""
        return self.record.leader_epoch()


class RowRecord(ReadRecord, eq=False, gc=False):
    """A record whose document is the row that it writes, and which does nothing else."""


ReadResult = tuple[ReadRecord, Any, str | None]
"""A record as it was read; the decoded row, in which a `value:` pointer looks, or None where nothing needs it; and
the type that the envelope gives. A plain tuple, because a named one takes ten times as long to make."""

Read = Callable[[Record, list[Header]], ReadResult | None]


def event_of(record: Record, event_id: bytes, event_type: str | None) -> Event:
    """Return the event of a record, as a handler sees it, with what was read from an envelope; the id is 16 bytes."""
    if not isinstance(record, ReadRecord):
        return event_from(record, event_id, event_type)
    about = record.about or {}
    return event_from(
        record.record,
        event_id,
        event_type,
        op=about.get("$op"),
        row=as_python(record.row),
        row_in=(record.document, record.member),
        before=as_python(about.get("$before")),
        schema_id=record.schema_id,
        content=record.whole,
    )


def json_of(record: Record) -> Any:
    """Return the decoded value of a record, as the `json()` of its event. Raises EventError."""
    if isinstance(record, ReadRecord) and record.whole is not None:
        return record.whole.json()
    return decoded(record.value())
