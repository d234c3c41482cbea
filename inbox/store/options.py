"""The parts of the configuration that the store needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from inbox.reading.options import Envelope


@dataclass(frozen=True, kw_only=True)
class DatabaseOptions:
    """`[database]`: the libpq URL, the schema of the inbox's own tables, how long to wait at the start (seconds).

    `takeover_timeout_seconds`: how long a new owner of a partition lets its predecessor's
    transaction continue before it ends that session; 0 for never. `statement_timeout_seconds`:
    after how long the server cancels a statement; 0 for never, None for the value of the role or
    the URL. `credential`: the provider of the password (`inbox.credentials`), asked for each
    connection; None for the URL's own.
    """

    url: SecretStr
    credential: str | None = None
    schema: str = "inbox"
    start_timeout_seconds: float = 60.0
    takeover_timeout_seconds: float = 10.0
    statement_timeout_seconds: float | None = None


class OutboxPayload(StrEnum):
    """The type of the outbox's `payload` column."""

    JSON = "json"
    BYTEA = "bytea"


class OutboxEnvelope(StrEnum):
    """The envelope in which the relay sends events."""

    NONE = "none"
    CLOUDEVENTS = "cloudevents"


class RelayKind(StrEnum):
    """The publisher of the outbox."""

    INBOX = "inbox"
    DEBEZIUM = "debezium"


@dataclass(frozen=True, kw_only=True)
class ExternalTableColumns:
    """The names of the columns in a table of the user's (`[outbox.columns]`); None where it has no such column."""

    event_id: str = "event_id"
    type: str = "type"
    payload: str = "payload"
    status: str = "status"
    created_at: str = "created_at"
    topic: str | None = None
    aggregate_id: str | None = None
    traceparent: str | None = None
    sent_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExternalTableOptions:
    """A table of the user's that is relayed as it is.

    `topic` is that of all its events; None where a column holds it.
    """

    table: str
    topic: str | None
    columns: ExternalTableColumns


@dataclass(frozen=True, kw_only=True)
class OutboxOptions:
    """`[outbox]`: the type of the `payload` column, the publisher, and the relay's transactional id.

    `source` is the attribute `source` of all events in the envelope of CloudEvents. `existing` is
    None where the outbox is the one that `inbox migrate` creates.
    """

    payload: OutboxPayload = OutboxPayload.JSON
    relay: RelayKind = RelayKind.INBOX
    transactional_id: str = "outbox-relay-1"
    envelope: OutboxEnvelope = OutboxEnvelope.NONE
    source: str = "/outbox"
    existing: ExternalTableOptions | None = None


class TableMode(StrEnum):
    """The way in which a table route writes: see "Table modes" in the contract."""

    APPEND = "append"
    INSERT = "insert"
    UPSERT = "upsert"
    NEWEST = "newest"
    MERGE = "merge"
    UPDATE = "update"


class Tombstones(StrEnum):
    """The treatment of a record whose value is null, by a table route."""

    DELETE = "delete"
    MARK = "mark"
    IGNORE = "ignore"
    ERROR = "error"

    @property
    def removes(self) -> bool:
        """Return whether such a record takes a row away, by a DELETE or by a mark."""
        return self in (Tombstones.DELETE, Tombstones.MARK)


class Reading(StrEnum):
    """The way in which a value is read before it becomes one of its column's type: `as` of a column."""

    EPOCH_S = "epoch-s"
    EPOCH_MS = "epoch-ms"
    EPOCH_US = "epoch-us"
    EPOCH_NS = "epoch-ns"
    EPOCH_DAYS = "epoch-days"
    TIME_MS = "time-ms"
    TIME_US = "time-us"
    TIME_NS = "time-ns"
    BASE64 = "base64"
    HEX = "hex"
    DECIMAL_BYTES = "decimal-bytes"
    JSON = "json"
    TEXT = "text"


class Absent(StrEnum):
    """The effect of an absent member on its column: `absent` of a column."""

    NULL = "null"
    DEFAULT = "default"


class UnknownMembers(StrEnum):
    """The treatment of members of the row that fill no column, by a table route."""

    IGNORE = "ignore"
    COUNT = "count"
    PARK = "park"


Constant = str | int | float | bool | list[Any] | dict[str, Any]
"""A value of the configuration, as it would stand in a JSON document: times are ISO 8601 texts."""

INDEX = "$index"
"""The source of an element's position, with `for_each`."""

VALUE_AS_JSON = "$value as JSON"
"""The source of a column that takes a whole decoded row as JSON."""

_IN_JSON = re.compile(r"(?:(\$[a-z]+):)?(/.*)", re.DOTALL)


@dataclass(frozen=True)
class ColumnSource:
    """The source of a column, and the way in which its value is read.

    Attributes:
        source: a JSON pointer into the row (`/customer/name`), one into another document of the event
            (`$key:/id`), or one of `$key`, `$value`, `$header:NAME`, `$topic`, `$partition`, `$offset`,
            `$timestamp`, `$event_id`, `$type`. None for a constant.
        reading: `as`; None for the meaning that the value has by itself.
        scale: the digits behind the point of `decimal-bytes`.
        value: the constant.
        default: the column's value where the source has none, or null.
        required: whether an event without a value at its source is refused.
        leaves: whether an absent member leaves the column to the table: its default in a new row, what it holds in
            an existing one.
        or_default: whether the column's own default, if it has one, stands in for an absent or null value.
    """

    source: str | None = None
    reading: Reading | None = None
    scale: int | None = None
    value: Constant | None = None
    default: Constant | None = None
    required: bool = False
    or_default: bool = False
    leaves: bool = False

    def __str__(self) -> str:
        return "a constant" if self.source is None else self.source

    @property
    def pointer(self) -> str | None:
        """Return the pointer into a document of the event; None for a source that is not part of one."""
        if self.source == VALUE_AS_JSON:
            return ""
        found = _IN_JSON.fullmatch(self.source or "")
        return found[2] if found else None

    @property
    def document(self) -> str | None:
        """Return the document into which the pointer leads: `$value`, or another one such as `$key`."""
        if self.source == VALUE_AS_JSON:
            return "$value"
        found = _IN_JSON.fullmatch(self.source or "")
        return (found[1] or "$value") if found else None


class Overriding(StrEnum):
    """The values that a route writes although the database would make them itself."""

    SYSTEM = "system"


@dataclass(frozen=True, kw_only=True)
class TableTarget:
    """`[routes.table]`: the table that a route writes into; `columns` has the source of each column.

    `decoded`: the rows are decoded values, of which the client makes the columns. `binary`: the values are not JSON.
    `deleted` is the column in which `Tombstones.MARK` says that a row was deleted. `overriding` lets
    the route write an identity column that is GENERATED ALWAYS.
    With `for_each`, the pointer of an array, each of its elements is a row, and the pointers lead into
    the element; `$event:/x` leads into the whole value, and `$index` is the element's position.
    `replaces` are columns of the key: other rows with the event's values in them are deleted.
    `by_name`: each column of the table that `columns` does not name is filled from the member of its
    name, except for those in `skipped`.
    `read_members` are members of the row from which the route reads something else than a column.
    """

    name: str
    mode: TableMode
    columns: Mapping[str, ColumnSource]
    key: tuple[str, ...] = ()
    version: str | None = None
    tombstones: Tombstones = Tombstones.ERROR
    deleted: str | None = None
    overriding: Overriding | None = None
    for_each: str | None = None
    replaces: tuple[str, ...] = ()
    by_name: bool = False
    skipped: frozenset[str] = frozenset()
    unknown_members: UnknownMembers = UnknownMembers.IGNORE
    read_members: frozenset[str] = frozenset()
    envelope: Envelope = Envelope.NONE
    decoded: bool = False
    binary: bool = False
