"""The outbox's part of the status: the events that wait for a relay, or the connector's position."""

from contextlib import closing
from dataclasses import dataclass

from inbox.errors import InboxError
from inbox.operations.debezium_connector import capture_of
from inbox.store.options import DatabaseOptions, OutboxOptions, RelayKind
from inbox.store.outbox.pending import SlotNow, Waiting, slot_now, waiting
from inbox.store.postgres.connection import connect, starting
from inbox.store.schema.compatibility import require_outbox


@dataclass(frozen=True)
class OutboxNow:
    """The state of the outbox: `waiting` if a relay publishes, `slot` if Debezium does and there is one.

    A relay marks what it sent, so that the waiting events can be counted.
    """

    relay: RelayKind
    waiting: Waiting | None = None
    slot: SlotNow | None = None


def outbox_now(database: DatabaseOptions, outbox: OutboxOptions) -> OutboxNow | str:
    """Return the state of the outbox, or a text that says why it is unknown."""
    try:
        connection = connect(database, application_name="inbox status")
        with closing(connection), starting("reading the outbox"):
            require_outbox(connection, database.schema, outbox)
            if outbox.relay is RelayKind.DEBEZIUM:
                return OutboxNow(outbox.relay, slot=slot_now(connection, capture_of(database).name))
            return OutboxNow(outbox.relay, waiting=waiting(connection, database.schema, outbox))
    except InboxError as error:
        return f"no word of the outbox: {error}"
