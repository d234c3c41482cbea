"""Count what waits in the outbox, as far as the database knows, for any publisher."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from inbox.store.options import OutboxOptions
from inbox.store.outbox.external_table import waiting_of
from inbox.store.outbox.external_table_check import external_shape_of
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements

_SLOT: LiteralString = """
SELECT active, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint
FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True)
class PendingEvents:
    """The number of committed events not known to be sent, counted up to a limit, and the time of the oldest."""

    events: int
    oldest_at: datetime | None


@dataclass(frozen=True)
class ReplicationSlot:
    """The slot that a connector reads; `bytes_behind` is the WAL, of any table, that it has not confirmed yet."""

    name: str
    active: bool
    bytes_behind: int | None


def pending_events(connection: Connection, schema: str, outbox: OutboxOptions) -> PendingEvents:
    """Return what waits where the inbox's own relay publishes, since it marks what it sent.

    Raises:
        StartupError: a table of the user's does not fit.
    """
    if outbox.existing is not None:
        return PendingEvents(*waiting_of(connection, external_shape_of(connection, outbox.existing), outbox.existing))
    sql = statements("outbox", schema)
    row = connection.execute(sql["waiting"]).fetchone()
    return PendingEvents(*row) if row else PendingEvents(0, None)


def replication_slot(connection: Connection, name: str) -> ReplicationSlot | None:
    """Return the state of the slot; None where it does not exist, so that nobody publishes."""
    row = connection.execute(_SLOT, (name,)).fetchone()
    return ReplicationSlot(name, *row) if row else None
