"""One prunes a schema at a time: a worker, a relay or a person."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from inbox.errors import TryAgainError
from inbox.store.database import SinkConnection


class AnotherPrunesError(TryAgainError):
    """One at a time: another worker, or a person, is at it."""


@contextmanager
def pruning_alone(connection: SinkConnection, schema: str) -> Iterator[None]:
    """Raises AnotherPrunesError at once where another session is in it."""
    # Tried, not waited for: a session that waits inside pg_advisory_lock holds a snapshot.
    digest = hashlib.sha256(b"kafka-inbox prune " + schema.encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    if row is None or not row[0]:
        raise AnotherPrunesError("another session prunes this schema at the moment; nothing was done here")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
