"""Check whether this version can use a schema as it is. Every start asks, so nothing here needs alembic."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from inbox.errors import StartupError
from inbox.store.options import OutboxOptions
from inbox.store.schema.revisions import INBOX, OUTBOX, RevisionHistory, history_of, usability

_PAYLOAD_TYPE = """
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'payload'
"""

_MAY_READ = """
SELECT has_schema_privilege(n.oid, 'USAGE') AND coalesce(has_table_privilege(c.oid, 'SELECT'), true),
    quote_ident(current_user)
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %(table)s
WHERE n.nspname = %(schema)s
"""


def head_revision() -> str:
    """Return the revision that this version of the software needs, without the outbox."""
    return INBOX.head()


def current_revision(connection: psycopg.Connection[Any], schema: str, history: RevisionHistory = INBOX) -> str | None:
    """Return the schema's revision; None where the schema, or the history's tables in it, do not exist."""
    table = sql.Identifier(schema, history.version_table)
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT to_regclass(%s)", (table.as_string(connection),))
        if cursor.fetchone() == (None,):
            return None
        cursor.execute(sql.SQL("SELECT version_num FROM {}").format(table))
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def require_current(connection: psycopg.Connection[Any], schema: str, outbox: OutboxOptions | None = None) -> None:
    """Raise unless this version can use the schema, and the outbox in it if one is configured.

    The schema must be at the revision that this version needs, or at a newer one that only added to
    it.

    Raises:
        StartupError: there are no tables, they are behind this version or changed for a newer one, or the outbox has
            the other payload type.
    """
    require_readable(connection, schema, INBOX)
    current = current_revision(connection, schema)
    if current is None:
        raise StartupError(f'the schema "{schema}" holds no tables of the inbox; run `inbox migrate`')
    _require(connection, INBOX, schema, current, head_revision())
    if outbox is not None:
        require_outbox(connection, schema, outbox)


def require_readable(connection: psycopg.Connection[Any], schema: str, history: RevisionHistory) -> None:
    """Raise StartupError if the role may not read the revision, which would look like a missing schema."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_MAY_READ, {"schema": schema, "table": history.version_table}).fetchone()
    if row is None or row[0]:
        return
    shown, table = sql.Identifier(schema).as_string(), sql.Identifier(schema, history.version_table).as_string()
    raise StartupError(
        f"the role {row[1]} may not read the schema {shown}; GRANT USAGE ON SCHEMA {shown} TO {row[1]}; "
        f"GRANT SELECT ON {table} TO {row[1]}"
    )


def require_outbox(connection: psycopg.Connection[Any], schema: str, outbox: OutboxOptions) -> None:
    """Raise as `require_current`, for the outbox alone."""
    history = history_of(outbox)
    require_readable(connection, schema, history)
    current = current_revision(connection, schema, history)
    if current is None:
        holds = "no outbox" if outbox.existing is None else "nothing for the relay of a table of yours"
        raise StartupError(f'[outbox] is configured and the schema "{schema}" holds {holds}; run `inbox migrate`')
    _require(connection, history, schema, current, history.head())
    if history is OUTBOX:
        require_payload(connection, schema, outbox)


def _require(
    connection: psycopg.Connection[Any], history: RevisionHistory, schema: str, current: str, needed: str
) -> None:
    if is_newer_and_usable(connection, history, schema, current):
        return
    history.refuse_unknown(schema, current)
    if current != needed:
        raise StartupError(
            f'the schema "{schema}" is at revision {current}, this version needs {needed}; run `inbox migrate`'
        )


def refuse_newer(connection: psycopg.Connection[Any], schema: str, outbox: OutboxOptions | None = None) -> None:
    """Raise if the schema was migrated, while this process ran, to a revision that this version cannot use.

    A schema that is gone or behind is an outage for a running process, and may come back.

    Raises:
        StartupError: a newer version of the software changed what this one uses.
    """
    for history in (INBOX, *([history_of(outbox)] if outbox is not None else [])):
        current = current_revision(connection, schema, history)
        if current is not None and not is_newer_and_usable(connection, history, schema, current):
            history.refuse_unknown(schema, current)


def is_newer_and_usable(
    connection: psycopg.Connection[Any], history: RevisionHistory, schema: str, current: str
) -> bool:
    """Return whether a newer version of the software migrated the schema and kept what this version needs."""
    if history.knows(current):
        return False
    table = sql.Identifier(schema, history.version_table).as_string(connection)
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", (table,)).fetchone()
    return row is not None and row[0] in [usability(current, known) for known in history.upward()]


def require_payload(connection: psycopg.Connection[Any], schema: str, outbox: OutboxOptions) -> None:
    table = sql.Identifier(schema, "outbox").as_string(connection)
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_PAYLOAD_TYPE, (table,)).fetchone()
    found = row[0] if row else "absent"
    if found != outbox.payload.value:
        raise StartupError(
            f'the payload of the outbox in the schema "{schema}" is {found}, [outbox] payload is "{outbox.payload}"; '
            "correct the setting, or, once its events are all sent, create it again: "
            "`inbox migrate --to outbox@base`, then `inbox migrate`"
        )
