"""The parts of the configuration that the store needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from inbox.reading.options import Envelope


@dataclass(frozen=True, kw_only=True)
class DatabaseOptions:
    """`[database]`: the libpq URL, the schema of the inbox's own tables, how long to wait at the start (seconds).

    `takeover_timeout_seconds`: how long a new owner of a partition lets its predecessor's
    transaction continue before it ends that session; 0 for never. `statement_timeout_seconds`:
    after how long the server cancels a statement; 0 for never, None for the value of the role or
    the URL.
    """

    url: SecretStr
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


@dataclass(frozen=True, kw_only=True)
class TableTarget:
    """`[routes.table]`: the table that a route writes into.

    `columns` maps a column to its source: a JSON pointer into the value (`/customer/name`) or one of
    `$key`, `$value`, `$header:NAME`, `$topic`, `$partition`, `$offset`, `$timestamp`, `$event_id`, `$type`.
    `deleted` is the column in which `Tombstones.MARK` says that a row was deleted.
    """

    name: str
    mode: TableMode
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    version: str | None = None
    tombstones: Tombstones = Tombstones.ERROR
    deleted: str | None = None
    envelope: Envelope = Envelope.NONE
