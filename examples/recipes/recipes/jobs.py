"""Call a service exactly enough: the handler queues a job, and a process of its own makes the call.

A call cannot join the transaction. The job can: it is there if, and only if, the event took effect.
The service recognises a repeated call by the key, which is the event's id.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg

from inbox import Event, Transaction

SCHEMA = "CREATE TABLE mails (event_id uuid PRIMARY KEY, address text NOT NULL, sent_at timestamptz)"
QUEUE = "INSERT INTO mails (event_id, address) VALUES (%s, %s) ON CONFLICT (event_id) DO NOTHING"
TAKE = "SELECT event_id, address FROM mails WHERE sent_at IS NULL ORDER BY event_id LIMIT 1 FOR UPDATE SKIP LOCKED"
DONE = "UPDATE mails SET sent_at = now() WHERE event_id = %s"


def queue_mail(event: Event, tx: Transaction) -> None:
    """Queue a mail to the customer, once for each event."""
    tx.execute(QUEUE, (event.id, event.json()["address"]))


def send_next(connection: psycopg.Connection[Any], send: Callable[[UUID, str], None]) -> bool:
    """Send one mail, and return whether there was one; any number of processes may do so."""
    with connection.transaction():
        job = connection.execute(TAKE).fetchone()
        if job is None:
            return False
        event_id, address = job
        send(event_id, address)
        connection.execute(DONE, (event_id,))
        return True
