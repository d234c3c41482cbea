"""Copy dead letters to a Kafka topic, through the outbox and in the transaction that parks them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from inbox.events import as_base64, record_time
from inbox.failure_policy import CopyFormat
from inbox.store.inbox.dead_letters import DeadLetter, letter_columns
from inbox.store.options import OutboxOptions
from inbox.store.outbox.publisher import Outbox
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.storable_text import Storable, storable_in
from inbox.store.sql import statements

EVENT_TYPE = "DeadLetter"
RECORD_TYPE = "DeadLetterRecord"
"""The type of a copy that the relay sends as the record that it holds."""

CONTEXT = "__connect.errors."
"""The beginning of the names of Kafka Connect's headers (`DeadLetterQueueReporter`, KIP-298)."""


class LetterCopies:
    """A writer of dead letters' copies into the outbox, under ids from their coordinates, so that none is copied twice.

    `routes` are the names of the routes by their ids.
    """

    def __init__(
        self,
        connection: Connection,
        schema: str,
        options: OutboxOptions,
        *,
        sink: str,
        topic: str,
        routes: Mapping[int, str],
        copy_format: CopyFormat = CopyFormat.JSON,
    ) -> None:
        self._connection = connection
        self._insert = statements("outbox", schema)["publish"]
        self._sink = sink
        self._topic = topic
        self._as_record = copy_format is CopyFormat.RECORD
        self._routes = routes
        self._outboxes = {route_id: Outbox(schema, options, sink=sink, route=name) for route_id, name in routes.items()}

    def add(self, letters: Sequence[DeadLetter]) -> None:
        storable = storable_in(self._connection)
        for letter in letters:
            outbox = self._outboxes[letter.route_id]
            row = {
                "event_id": outbox.id_of_letter(letter.partition_id, letter.record.offset()),
                "topic": self._topic,
                "key": _text(letter.record.key(), storable),
                "type": RECORD_TYPE if self._as_record else EVENT_TYPE,
                "payload": outbox.stored(
                    self._record(letter, storable) if self._as_record else self._payload(letter, storable)
                ),
            }
            self._connection.execute(self._insert, row)

    def _record(self, letter: DeadLetter, storable: Storable) -> dict[str, Any]:
        """Return the record in base64, with the headers that Kafka Connect adds to a dead letter."""
        record, columns = letter.record, letter_columns(letter, storable)
        context = {
            "topic": record.topic(),
            "partition": str(record.partition()),
            "offset": str(record.offset()),
            "connector.name": self._sink,
            "stage": "TASK_PUT",
            "class.name": self._routes[letter.route_id],
            "exception.class.name": columns["error_class"],
            "exception.message": columns["error"],
        }
        headers = [*(record.headers() or ()), *((CONTEXT + name, text.encode()) for name, text in context.items())]
        return {
            "key": as_base64(record.key()),
            "value": as_base64(record.value()),
            "headers": [[storable(name), as_base64(value)] for name, value in headers],
        }

    def _payload(self, letter: DeadLetter, storable: Storable) -> dict[str, Any]:
        record = letter.record
        moment = record_time(record)
        return {
            "sink": self._sink,
            "route": self._routes[letter.route_id],
            "topic": record.topic(),
            "partition": record.partition(),
            "offset": record.offset(),
            "timestamp": moment.isoformat() if moment else None,
            "event_id": str(UUID(bytes=letter.event_id)) if letter.event_id else None,
            "key": as_base64(record.key()),
            "value": as_base64(record.value()),
            **letter_columns(letter, storable),
        }


def _text(key: bytes | None, storable: Storable) -> str | None:
    """Return the key as the outbox's column holds it; None for a key that it cannot hold.

    The copies of such a key have no order.
    """
    if key is None:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    return text if storable(text) == text else None
