"""One prunes a schema at a time: a worker, a relay or a person."""

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from inbox.errors import InboxError, TryAgainError
from inbox.store.database import SinkConnection
from inbox.store.pooler import holding


class AnotherPrunesError(TryAgainError):
    """One at a time: another worker, or a person, is at it."""


@contextmanager
def pruning_alone(connection: SinkConnection, schema: str) -> Iterator[None]:
    """Raises AnotherPrunesError at once where another session is in it."""
    # Tried, not waited for: a session that waits inside pg_advisory_lock holds a snapshot.
    digest = hashlib.sha256(b"kafka-inbox prune " + schema.encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    with _held(connection, key) as is_held:
        if not is_held:
            raise AnotherPrunesError("another session prunes this schema at the moment; nothing was done here")
        yield


@contextmanager
def _held(connection: SinkConnection, key: int) -> Iterator[bool]:
    if connection.is_pooled:
        holder = holding(connection, "pg_try_advisory_xact_lock(%s)", key)
        if holder is None:
            yield False
            return
        with closing(holder):
            try:
                yield True
            finally:
                with suppress(InboxError):
                    holder.execute("ROLLBACK")  # else the pooler frees it some time after the connection is closed
        return
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    if row is None or not row[0]:
        yield False
        return
    try:
        yield True
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
