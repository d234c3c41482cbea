"""What the store needs to know from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class DatabaseOptions:
    """`[database]`: the libpq URL, the schema of the inbox's own tables, how long to wait at the start (seconds).

    `takeover_timeout_seconds`: how long a new owner of a partition lets the transaction of the one before continue
    before it ends that session; 0 for never. `statement_timeout_seconds`: after how long the server cancels a
    statement; 0 for never, None for what the role or the URL says.
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


class RelayKind(StrEnum):
    """Who publishes the outbox."""

    INBOX = "inbox"
    DEBEZIUM = "debezium"


@dataclass(frozen=True, kw_only=True)
class ExistingColumns:
    """`[outbox.columns]`: what the columns of a table of the user's are called; None: it has none such."""

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
class ExistingOutbox:
    """A table of the user's that is relayed as it is. `topic` is that of all its events; None where a column has it."""

    table: str
    topic: str | None
    columns: ExistingColumns


@dataclass(frozen=True, kw_only=True)
class OutboxOptions:
    """`[outbox]`: the type of its `payload` column, who publishes it, and under which id where in transactions.

    `existing` is None where the outbox is the one that `inbox migrate` makes.
    """

    payload: OutboxPayload = OutboxPayload.JSON
    relay: RelayKind = RelayKind.INBOX
    transactional_id: str = "outbox-relay-1"
    existing: ExistingOutbox | None = None


class TableMode(StrEnum):
    """How a table route writes: see "Table modes" in the contract."""

    APPEND = "append"
    INSERT = "insert"
    UPSERT = "upsert"
    NEWEST = "newest"


class Tombstones(StrEnum):
    """What a table route does with a record whose value is null."""

    DELETE = "delete"
    IGNORE = "ignore"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class TableTarget:
    """`[routes.table]`: the table that a route writes into.

    `columns` maps a column to its source: a JSON pointer into the value (`/customer/name`) or one of
    `$key`, `$value`, `$header:NAME`, `$topic`, `$partition`, `$offset`, `$timestamp`, `$event_id`, `$type`.
    """

    name: str
    mode: TableMode
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    version: str | None = None
    tombstones: Tombstones = Tombstones.ERROR
