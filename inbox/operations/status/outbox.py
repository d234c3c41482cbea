"""The outbox's part of the status: the events that wait for a relay, or the connector's position."""

from contextlib import closing
from dataclasses import dataclass

from inbox.errors import InboxError
from inbox.operations.debezium_connector import capture_of
from inbox.store.options import DatabaseOptions, OutboxOptions, RelayKind
from inbox.store.outbox.pending import PendingEvents, ReplicationSlot, pending_events, replication_slot
from inbox.store.postgres.connection import connect, startup_errors
from inbox.store.schema.compatibility import require_outbox


@dataclass(frozen=True)
class OutboxStatus:
    """The state of the outbox: `pending_events` if a relay publishes, `slot` if Debezium does and there is one.

    A relay marks what it sent, so that the waiting events can be counted.
    """

    relay: RelayKind
    waiting: PendingEvents | None = None
    slot: ReplicationSlot | None = None


def outbox_status(database: DatabaseOptions, outbox: OutboxOptions) -> OutboxStatus | str:
    """Return the state of the outbox, or a text that says why it is unknown."""
    try:
        connection = connect(database, application_name="inbox status")
        with closing(connection), startup_errors("reading the outbox"):
            require_outbox(connection, database.schema, outbox)
            if outbox.relay is RelayKind.DEBEZIUM:
                return OutboxStatus(outbox.relay, slot=replication_slot(connection, capture_of(database).name))
            return OutboxStatus(outbox.relay, waiting=pending_events(connection, database.schema, outbox))
    except InboxError as error:
        return f"the outbox could not be read: {error}"
