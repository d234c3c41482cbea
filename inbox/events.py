"""Define the values that flow through the sink. No I/O, so every layer may use them."""

import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from inbox.documents import DocumentError, parse, parse_exactly
from inbox.errors import EventError

Header = tuple[str, bytes | None]

_TIMESTAMP_NOT_AVAILABLE, _CREATE_TIME = 0, 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Record(Protocol):
    """A committed Kafka record, in the shape of `confluent_kafka.Message`."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> list[Header] | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def leader_epoch(self) -> int | None: ...


def timestamp_at(milliseconds: int | None) -> tuple[int, int]:
    """Return type and milliseconds as a `Message` has them; without milliseconds the record has no timestamp."""
    return (_TIMESTAMP_NOT_AVAILABLE, -1) if milliseconds is None else (_CREATE_TIME, milliseconds)


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record in memory, without the `Message` that it came with, which would hold all of its parts.

    `at` is its address: topic, partition, offset. `epoch` is the leader epoch, None where it was not kept.
    """

    at: tuple[str, int, int]
    kept_key: bytes | None
    kept_value: bytes | None
    kept_headers: list[Header]
    time: tuple[int, int]
    epoch: int | None = None

    def topic(self) -> str:
        """Return the topic, like a `Message`."""
        return self.at[0]

    def partition(self) -> int:
        """Return the partition, like a `Message`."""
        return self.at[1]

    def offset(self) -> int:
        """Return the offset, like a `Message`."""
        return self.at[2]

    def key(self) -> bytes | None:
        """Return the key, or None if there is none or it was not kept."""
        return self.kept_key

    def value(self) -> bytes | None:
        """Return the value; None is a tombstone."""
        return self.kept_value

    def headers(self) -> list[Header] | None:
        """Return the headers, or None without headers, as librdkafka does."""
        return self.kept_headers or None

    def timestamp(self) -> tuple[int, int]:
        """Return the timestamp's type and milliseconds, like a `Message`."""
        return self.time

    def leader_epoch(self) -> int | None:
        """Return the leader epoch, like a `Message`."""
        return self.epoch


@dataclass(frozen=True, slots=True)
class AlteredRecord(KeptRecord):
    """A kept record that is not as it came: a person edited or redacted it, or it was cut.

    `claim_hash` is the hash of what came, by which the claim recognises the producer's duplicates.
    """

    claim_hash: bytes = b""


class TopicPartition(NamedTuple):
    """The address of a partition; it prints as `orders[3]`."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Ending(StrEnum):
    """The way in which an offset is settled on a route: exactly one of these."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    DEAD_LETTERED = "dead_lettered"


@dataclass(slots=True)
class Settlement:
    """The number of offsets of one partition by their ending, summed over the routes."""

    applied: int = 0
    duplicate: int = 0
    filtered: int = 0
    dead_lettered: int = 0

    def add(self, other: "Settlement") -> None:
        """Add the counts of another settlement to this one."""
        self.applied += other.applied
        self.duplicate += other.duplicate
        self.filtered += other.filtered
        self.dead_lettered += other.dead_lettered

    def by_ending(self) -> Mapping[Ending, int]:
        """Return the count of each ending."""
        return {ending: getattr(self, ending.value) for ending in Ending}


class Content(Protocol):
    """The value of an event as its route decoded it."""

    def data(self) -> Any:
        """Return the value as Python's own types."""
        ...

    def json(self) -> Any:
        """Return the value as JSON has it."""
        ...

    def exact(self) -> Any:
        """Return the value as `data` does, in which a JSON number with a fraction keeps its digits as a `Decimal`."""
        ...


class _OfRecord:
    """The base of an event that takes most of its fields from its record, each when it is first asked for.

    A handler looks at few of the fields, and to make all of them costs more than most handlers.
    """

    __slots__ = ("_source",)

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Return a field that is not there yet, and keep it."""
            made = _FIELDS.get(name)
            if made is None:
                raise AttributeError(f"an event has no {name}")
            value = made(*self._source)
            object.__setattr__(self, name, value)
            return value


@dataclass(frozen=True, slots=True)
class Event(_OfRecord):
    """A committed record with an identity, as a handler sees it.

    `timestamp` is the record's own (the producer's or the broker's) in UTC. It is None if the
    record has none (Kafka's -1), or one after the year 9999.

    Attributes:
        op: Debezium's operation: `c`, `r`, `u`, `d` or `t`; None on a route without its envelope.
        row: on a route with an envelope, the row after the change, or the data of the CloudEvent; None after a delete.
        before: the row before the change, as far as Debezium knows it.
        schema_id: the id by which the record names its schema in a registry: a number or a GUID; None without one.
        content: the decoded value; None on a route of plain JSON, whose value is decoded when a handler asks for it.
    """

    id: UUID
    type: str | None
    topic: str
    partition: int
    offset: int
    timestamp: datetime | None
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    op: str | None = None
    row: Any = None
    before: Any = None
    schema_id: int | UUID | None = None
    content: Content | None = field(default=None, repr=False, compare=False)

    @property
    def data(self) -> Any:
        """Return the decoded value: Python's own types on a route with a schema, the bytes on one with format "raw".

        Raises:
            EventError: as `json`, on a route of plain JSON.
        """
        return self.json() if self.content is None else self.content.data()

    @property
    def address(self) -> str:
        """Return the event's address in Kafka: `orders[3]@1842`."""
        return address(self.topic, self.partition, self.offset)

    def header(self, name: str) -> bytes | None:
        """Return the value of the last header with this name, like Kafka's `lastHeader`, or None."""
        return last_header(self.headers, name)

    def json(self) -> Any:
        """Decode the value as JSON, like the JSON of ids, types and table columns.

        Whole numbers keep every digit. Numbers with a fraction or an exponent become floats, or a
        `Decimal` if they are beyond the range of floats. To keep every digit of a decimal, decode
        `value`. On a route with a schema the value is converted to what JSON has.

        Raises:
            EventError: the value is null or not valid JSON, so that the event becomes a dead
                letter.
        """
        return decoded(self.value) if self.content is None else self.content.json()


def address(topic: str, partition: int, offset: int) -> str:
    """Return the address of a record as text: `orders[3]@1842`."""
    return f"{topic}[{partition}]@{offset}"


def address_of(record: Record) -> str:
    """Return the record's address as text: `orders[3]@1842`."""
    return address(record.topic(), record.partition(), record.offset())


def last_header(headers: tuple[Header, ...] | list[Header], name: str) -> bytes | None:
    """Return the value of the last header with this name, or None."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def decoded(value: bytes | None) -> Any:
    """Decode the value as JSON, as `inbox.documents` defines it.

    Raises:
        EventError: the value is null or not valid JSON.
    """
    if value is None:
        raise EventError("the value is null where JSON is needed")
    try:
        return parse(value)
    except DocumentError as error:
        raise EventError(f"the value is not valid JSON: {error}") from None


def exactly_decoded(value: bytes) -> Any:
    """Decode the value as JSON, as `decoded` does, in which a number with a fraction keeps its digits as a `Decimal`.

    Raises:
        EventError: the value is not valid JSON.
    """
    try:
        return parse_exactly(value)
    except DocumentError as error:
        raise EventError(f"the value is not valid JSON: {error}") from None


def exact_data(event: Event) -> Any:
    """Return the data of an event as `Content.exact` does; None for a tombstone."""
    if event.content is not None:
        return event.content.exact()
    return None if event.value is None else exactly_decoded(event.value)


def exact_row(event: Event) -> Any:
    """Return the row of an event with an envelope; a number with a fraction keeps its digits as a `Decimal`."""
    row = event.row
    source = getattr(event, "_source", None)
    document, member = source[3].get("row_in", (None, None)) if source is not None else (None, None)
    if document is None or not isinstance(row, dict | list):
        return row
    exact = exactly_decoded(document)
    return exact if member is None else exact[member]


def as_base64(value: bytes | None) -> str | None:
    """Return any bytes as base64 text for JSON, or None for None."""
    return None if value is None else b64encode(value).decode()


def record_time(record: Record) -> datetime | None:
    """Return the record's timestamp, or None if it has none or `datetime` cannot hold it (after the year 9999).

    Such timestamps come from producers that write microseconds for milliseconds. Their events can
    still be handled and parked.
    """
    milliseconds = record_milliseconds(record)
    if milliseconds is None:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    try:
        # In half of the time that `milliseconds=` takes: each event of a handler comes here.
        return _EPOCH + timedelta(0, seconds, rest * 1000)
    except OverflowError:
        return None


def record_milliseconds(record: Record) -> int | None:
    """Return the record's timestamp as Kafka has it, in milliseconds since 1970, or None if it has none.

    A log marks a record without a timestamp by -1 (Kafka, `RecordBatch.NO_TIMESTAMP`). No timestamp
    is negative (`ProducerRecord`).
    """
    kind, milliseconds = record.timestamp()
    return None if kind == _TIMESTAMP_NOT_AVAILABLE or milliseconds < 0 else milliseconds


def milliseconds_until(time: datetime) -> int:
    """Return the first whole millisecond since 1970 at or after `time`, exactly, or 0 for a time before 1970.

    Kafka looks up the first offset at a time by this number. It gives negative numbers a special
    meaning (-1 is the end of the log).
    """
    return max(0, -((_EPOCH - time) // _MILLISECOND))


def event_from(record: Record, event_id: bytes, event_type: str | None, **read: Any) -> Event:
    """Return the event of a record, as a handler sees it; `event_id` is 16 bytes, `read` what its route has read."""
    event = _new_event(Event)
    _set_source(event, (record, event_id, event_type, read))
    _set_value(event, record.value())
    _set_content(event, read.get("content") if read else None)
    return event


_FIELDS: Mapping[str, Callable[[Record, bytes, str | None, Mapping[str, Any]], Any]] = {
    "id": lambda record, event_id, event_type, read: UUID(bytes=event_id),
    "type": lambda record, event_id, event_type, read: event_type,
    "topic": lambda record, event_id, event_type, read: record.topic(),
    "partition": lambda record, event_id, event_type, read: record.partition(),
    "offset": lambda record, event_id, event_type, read: record.offset(),
    "timestamp": lambda record, event_id, event_type, read: record_time(record),
    "key": lambda record, event_id, event_type, read: record.key(),
    "headers": lambda record, event_id, event_type, read: tuple(record.headers() or ()),
    "op": lambda record, event_id, event_type, read: read.get("op"),
    "row": lambda record, event_id, event_type, read: read.get("row"),
    "before": lambda record, event_id, event_type, read: read.get("before"),
    "schema_id": lambda record, event_id, event_type, read: read.get("schema_id"),
}
_new_event = object.__new__
# The class forbids assignments, and its slots know nothing of that.
_set_source, _set_value, _set_content = (getattr(Event, name).__set__ for name in ("_source", "value", "content"))


def new_event_id() -> UUID:
    """Return a UUIDv7 (RFC 9562, section 5.7). Its 12 bits after the milliseconds refine the time (6.2, method 3).

    Ids that rise with time keep the primary keys that contain them small and fast.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    finely = (rest << 12) // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | finely << 64 | 0b10 << 62 | secrets.randbits(62))
