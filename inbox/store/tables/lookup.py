"""Find on the user's search path a table that the configuration names without a schema."""

from typing import LiteralString

from psycopg import sql

from inbox.store.postgres.connection import Connection, transaction
from inbox.store.tables.names import parts_of, resolvable

# Runs on the user's path, so each name has its schema.
_FIND: LiteralString = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s::pg_catalog.text)
"""


def located(connection: Connection, name: str) -> sql.Identifier:
    """Return the table with its schema; `name` is that of the configuration.

    A table that somebody creates later in a schema earlier on the path is a different table.
    """
    return sql.Identifier(*located_parts(connection, name))


def located_parts(connection: Connection, name: str) -> list[str]:
    """Return the names of schema and table, or the given name where the table does not exist."""
    parts = parts_of(name)
    if len(parts) > 1:
        return parts
    with transaction(connection), connection.users_path():
        row = connection.execute(_FIND, (resolvable(name),)).fetchone()
    return list(row) if row else parts
