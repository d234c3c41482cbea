"""Find the session that holds a lock, and whether its role is one of the schema's own.

Any login of a database can hold any advisory lock. The locks of this project are therefore on
tables and on the schema, which only its roles can reach. The advisory lock of earlier versions is
taken as well, so that an earlier version waits for this one. A session that holds it is waited for
if its role has the rights for the work, and passed over otherwise.
"""

import hashlib
from datetime import datetime
from typing import LiteralString, NamedTuple

from inbox.store.postgres.connection import Connection

# PostgreSQL shows the start of another role's transaction only to roles that may read all statistics.
_WHO: LiteralString = """
SELECT l.pid, a.usename::text, a.application_name, a.xact_start, a.usesysid
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.pid IS DISTINCT FROM pg_backend_pid()
"""

_OF_TABLE: LiteralString = "AND l.relation = to_regclass(%(lock)s) AND l.mode = 'ShareUpdateExclusiveLock'"
_OF_SCHEMA: LiteralString = """
AND l.locktype = 'object' AND l.classid = 'pg_namespace'::regclass AND l.mode = 'ShareUpdateExclusiveLock'
AND l.objid = (SELECT oid FROM pg_namespace WHERE nspname = %(lock)s)
"""
_ADVISORY: LiteralString = """
AND l.locktype = 'advisory' AND l.objsubid = 1 AND (l.classid::bigint << 32) | l.objid::bigint = %(lock)s
"""


class Holder(NamedTuple):
    """A session that holds a lock; `since` is None where this role may not see it, `pid` for a prepared transaction."""

    pid: int | None
    role: str | None
    application_name: str | None
    since: datetime | None
    role_id: int | None

    def __str__(self) -> str:
        if self.pid is None:
            return "a prepared transaction (pg_prepared_xacts)"
        since = "" if self.since is None else f", since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f'pid {self.pid}, role "{self.role}", application_name "{self.application_name}"{since}'


def advisory_key(what: str, schema: str) -> int:
    """Return the key of the advisory lock, which is the only lock that earlier versions take."""
    digest = hashlib.sha256(f"kafka-inbox {what} {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def holder_of_table(connection: Connection, table: str) -> Holder | None:
    """Return the holder of the table's lock; None where the lock is free again."""
    return _holder(connection, _OF_TABLE, table)


def holder_of_schema(connection: Connection, schema: str) -> Holder | None:
    """Return the holder of the schema's own lock, as `holder_of_table`."""
    return _holder(connection, _OF_SCHEMA, schema)


def holder_of_advisory(connection: Connection, key: int) -> Holder | None:
    """Return the holder of an advisory lock, as `holder_of_table`."""
    return _holder(connection, _ADVISORY, key)


def may_work_in(connection: Connection, holder: Holder, schema: str, *, migrates: bool) -> bool:
    """Return whether the holder's role may do the lock's work in this schema."""
    if holder.role_id is None:
        return False
    row = connection.execute(_MAY_MIGRATE if migrates else _MAY_PRUNE, (holder.role_id, schema)).fetchone()
    return row is not None and bool(row[0])


_MAY_MIGRATE: LiteralString = """
SELECT bool_or(pg_has_role(%s::oid, nspowner, 'USAGE')) FROM pg_namespace WHERE nspname = %s
"""
_MAY_PRUNE: LiteralString = """
SELECT bool_or(has_table_privilege(%s::oid, c.oid, 'UPDATE'))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname IN ('handling', 'outbox_relay', 'relay_leases')
"""


def _holder(connection: Connection, which: LiteralString, lock: str | int) -> Holder | None:
    row = connection.execute(_WHO + which + " ORDER BY l.pid LIMIT 1", {"lock": lock}).fetchone()
    return Holder(*row) if row else None
