"""Run one migration of a schema at a time: the lock is on the schema itself, and only its owner can hold it."""

import time
from typing import LiteralString

import psycopg
from psycopg import errors, sql

from inbox.errors import InboxError, TryAgainError
from inbox.log_lines import log
from inbox.store.locks.holders import Holder, advisory_key, holder_of_advisory, holder_of_schema, may_work_in
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.pooler import HOLD

_POLL_SECONDS = 0.2

_IS_THERE: LiteralString = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
_IS_OWNED: LiteralString = "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s"


def is_there(connection: Connection, schema: str) -> bool:
    """Return whether the schema exists."""
    return connection.execute(_IS_THERE, (schema,)).fetchone() == (1,)


def take_lock(connection: Connection, schema: str, wait_seconds: float) -> Connection:
    """Return another connection that holds the schema's lock until it is closed; create the schema if necessary.

    Raises:
        TryAgainError: another session still has the lock after the time.
    """
    until = time.monotonic() + wait_seconds
    _make(connection, schema)
    # A role that may create in another role's schema has only the advisory lock, which any login can hold.
    is_owned = connection.execute(_IS_OWNED, (schema,)).fetchone() == (True,)
    holder = connection.another()
    try:
        while is_owned and not _lock(holder, schema):
            _wait(until, schema, wait_seconds, _at_work(connection, schema))
        _lock_for_earlier_versions(connection, schema, until, wait_seconds, passes_over=is_owned)
    except BaseException:
        holder.close()
        raise
    return holder


def _at_work(connection: Connection, schema: str) -> Holder | None:
    """Return the session that runs the other migration, while another session of it holds the schema's lock."""
    working = holder_of_advisory(connection, advisory_key("migrations", schema))
    if working is not None and may_work_in(connection, working, schema, migrates=True):
        return working
    return holder_of_schema(connection, schema)


def _make(connection: Connection, schema: str) -> None:
    # IF NOT EXISTS alone needs the right to create even when the schema exists.
    if is_there(connection, schema):
        return
    try:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    except InboxError as error:
        cause = error.__cause__
        if isinstance(cause, errors.UniqueViolation):
            return  # another session created it at the same moment
        if isinstance(cause, psycopg.Error):
            raise cause from None  # `migrate` reports what follows
        raise


def _lock(holder: Connection, schema: str) -> bool:
    """Take the lock that PostgreSQL takes for a comment on the schema; the comment is not committed.

    Each try waits only briefly: a session that waits holds a snapshot, and so deadlocks with a
    CREATE INDEX CONCURRENTLY of the session that it waits for.
    """
    holder.begin()
    holder.execute(f"{HOLD}; SET LOCAL lock_timeout = '50ms'".encode(), prepare=False)
    try:
        holder.execute(sql.SQL("COMMENT ON SCHEMA {} IS NULL").format(sql.Identifier(schema)))
    except InboxError as error:
        holder.execute("ROLLBACK")
        if not isinstance(error.__cause__, errors.LockNotAvailable):
            raise
        return False
    return True


def _lock_for_earlier_versions(
    connection: Connection, schema: str, until: float, wait_seconds: float, *, passes_over: bool
) -> None:
    """Take the advisory lock too, so that this version and one that takes it alone never migrate together."""
    key = advisory_key("migrations", schema)
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        other = holder_of_advisory(connection, key)
        if passes_over and other is not None and not may_work_in(connection, other, schema, migrates=True):
            log().warning("advisory-lock-passed-over", holder=str(other), reason="its role may not migrate this schema")
            return
        _wait(until, schema, wait_seconds, other)


def _wait(until: float, schema: str, wait_seconds: float, holder: Holder | None) -> None:
    if time.monotonic() >= until:
        who = "a session that ended just now" if holder is None else str(holder)
        raise TryAgainError(
            f'another migration of the schema "{schema}" still runs after {wait_seconds:g} s ({who}); '
            "wait for it, or end it with pg_terminate_backend"
        )
    time.sleep(_POLL_SECONDS)
