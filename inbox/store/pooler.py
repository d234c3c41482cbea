"""Work that needs a session of its own, where a pooler stands between.

A pooler in transaction mode gives each transaction whichever session of the server is free: what a session holds is
then held by nobody in particular. A lock is held by an open transaction instead, and the rest is refused.
"""

from contextlib import closing
from typing import LiteralString

from inbox.errors import StartupError
from inbox.store.database import SinkConnection, transaction

_LOOKS = 5

_HOLD: LiteralString = (
    "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'"
)


def own_session(connection: SinkConnection, doing: str) -> None:
    """Take the session for this connection alone.

    Raises:
        StartupError: a pooler in transaction mode stands between; `doing` is what needs a session.
    """
    if not connection.is_pooled:
        return
    if _is_shared(connection):
        raise StartupError(
            f"{doing} needs a session of its own, and [database] url leads to a pooler in transaction mode; name the "
            "server itself there, or a pool in session mode (INBOX_DATABASE__URL sets it for one command)"
        )
    connection.take_session()


def _is_shared(connection: SinkConnection) -> bool:
    """Whether another connection is given this one's session, or this one another session."""
    mine = _session(connection)
    with closing(connection.another()) as other:
        for _ in range(_LOOKS):
            with transaction(other):
                if _session(other) == mine or _session(connection) != mine:
                    return True
    return False


def _session(connection: SinkConnection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def holding(connection: SinkConnection, lock: LiteralString, key: int | str) -> SinkConnection | None:
    """Return another connection in a transaction that holds the lock until it is closed; None if it is not free.

    `lock` is a call of one of the functions `pg_try_advisory_xact_lock...` with a placeholder for the key. A
    transaction without a snapshot keeps no row from being vacuumed.
    """
    other = connection.another()
    try:
        other.begin()
        other.execute(_HOLD.encode(), prepare=False)
        row = other.execute(f"SELECT {lock}".encode(), (key,)).fetchone()
    except BaseException:
        other.close()
        raise
    if row and row[0]:
        return other
    other.close()
    return None
