"""Work that needs a session of its own, through a pooler.

A pooler in transaction mode gives each transaction any free session of the server, so that nobody
in particular holds what a session holds. An open transaction holds a lock instead; work that needs
more is refused.
"""

import threading
from contextlib import ExitStack, closing
from typing import LiteralString

from inbox.errors import InboxError, StartupError, TryAgainError
from inbox.store.postgres.connection import Connection, transaction

_LOOKS = 5

_SESSIONS_OF_HANDLERS = 3
"""The sessions of the batch, of the notes, and of the lock that shows that their process lives."""

HOLD: LiteralString = (
    "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'"
)
"""The beginning of a transaction that is held open for its locks."""


def own_session(connection: Connection, doing: str) -> None:
    """Take the session for this connection alone.

    Raises:
        StartupError: a pooler in transaction mode is in between; `doing` is what needs a session.
    """
    if not connection.is_pooled:
        return
    if _is_shared(connection):
        raise StartupError(
            f"{doing} needs a session of its own, and [database] url leads to a pooler in transaction mode; name the "
            "server itself there, or a pool in session mode (INBOX_DATABASE__URL sets it for one command)"
        )
    connection.take_session()


def _is_shared(connection: Connection) -> bool:
    """Return whether another connection is given this one's session, or this one another session."""
    mine = _session(connection)
    with closing(connection.another()) as other:
        for _ in range(_LOOKS):
            with transaction(other):
                if _session(other) == mine or _session(connection) != mine:
                    return True
    return False


def require_sessions(connection: Connection, *, seconds: float = 5.0) -> None:
    """Make sure that a pooler lets handlers run: while a batch is open, its notes need two more sessions.

    Raises:
        TryAgainError: it does not give so many at a time. With fewer a batch would wait for its own notes for ever.
    """
    if not connection.is_pooled:
        return
    failures: list[InboxError] = []
    given_up = threading.Event()

    def take() -> None:
        try:
            with ExitStack() as taken:
                for _ in range(_SESSIONS_OF_HANDLERS - 1):
                    other = taken.enter_context(closing(connection.another()))
                    if given_up.is_set():
                        return
                    taken.enter_context(transaction(other))
                    _session(other)
        except InboxError as error:
            failures.append(error)

    # A pooler makes its clients wait without a message, so the thread is left behind. The session that this transaction
    # frees wakes it: it lets go of what it took, or the next try would wait for that.
    thread = threading.Thread(target=take, name="inbox-sessions", daemon=True)
    with transaction(connection):
        _session(connection)
        thread.start()
        thread.join(seconds)
        # Asked before this transaction ends: the session that it frees may be the one that was missing.
        too_few = thread.is_alive()
        given_up.set()
    if failures:
        raise failures[0]
    if too_few:
        text = (
            f"the pooler in [database] url does not give {_SESSIONS_OF_HANDLERS} sessions at a time, which a worker "
            "with handlers needs; raise its pool_size (default_pool_size) to three for each worker"
        )
        raise TryAgainError(text, away="database", reason="pooler", alert=True)


def _session(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def holding(connection: Connection, lock: LiteralString, key: int | str) -> Connection | None:
    """Return another connection in a transaction that holds the lock until it is closed; None if the lock is taken.

    `lock` is a call of one of the functions `pg_try_advisory_xact_lock...` with a placeholder for
    the key. A transaction without a snapshot keeps no row from being vacuumed.
    """
    other = connection.another()
    try:
        other.begin()
        other.execute(HOLD.encode(), prepare=False)
        row = other.execute(f"SELECT {lock}".encode(), (key,)).fetchone()
    except BaseException:
        other.close()
        raise
    if row and row[0]:
        return other
    other.close()
    return None
