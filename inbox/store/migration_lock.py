"""One migration of a schema at a time: an advisory lock, polled."""

import hashlib
import time
from typing import Any

import psycopg

from inbox.errors import TryAgainError

_POLL_SECONDS = 0.2

_HOLDER = """
SELECT l.pid, a.application_name
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""


def take_lock(connection: psycopg.Connection[Any], schema: str, wait_seconds: float) -> None:
    """Holds the schema's lock until the connection is closed.

    Raises:
        TryAgainError: another session still has it after the time.
    """
    # Polled in autocommit: a session that waits inside pg_advisory_lock holds a snapshot, and so deadlocks
    # with a CREATE INDEX CONCURRENTLY of the session that it waits for.
    digest = hashlib.sha256(b"kafka-inbox migrations " + schema.encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    until = time.monotonic() + wait_seconds
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        if time.monotonic() >= until:
            raise _still_locked(connection, schema, key, wait_seconds)
        time.sleep(_POLL_SECONDS)


def _still_locked(connection: psycopg.Connection[Any], schema: str, key: int, waited: float) -> TryAgainError:
    holder = connection.execute(_HOLDER, (key,)).fetchone()
    who = f'pid {holder[0]}, application_name "{holder[1]}"' if holder else "a session that ended just now"
    return TryAgainError(
        f'another migration of the schema "{schema}" still runs after {waited:g} s ({who}); '
        "wait for it, or end it with pg_terminate_backend"
    )
