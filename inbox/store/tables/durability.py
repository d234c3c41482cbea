"""Find tables that may lose what is committed: a crash empties them, or another server commits their rows.

Source: the PostgreSQL manual on CREATE TABLE ("UNLOGGED", "TEMPORARY"), postgres_fdw ("Transaction
Management") and "Write Ahead Log".
"""

from collections.abc import Iterator, Sequence
from typing import LiteralString

from inbox.store.postgres.connection import Connection

# A row for a partitioned table goes into one of its partitions.
_WRITTEN: LiteralString = """
WITH RECURSIVE written (oid) AS (
    SELECT to_regclass(%s)::oid
    UNION
    SELECT i.inhrelid FROM written JOIN pg_class p ON p.oid = written.oid AND p.relkind = 'p'
    JOIN pg_inherits i ON i.inhparent = p.oid
)
SELECT format('%%I.%%I', n.nspname, c.relname), c.relkind::text, c.relpersistence::text
FROM written JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'f' OR c.relpersistence <> 'p'
ORDER BY 1
"""

_OF_SCHEMA: LiteralString = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY (%s) AND c.relkind = 'r' AND c.relpersistence = 'u' ORDER BY 1
"""

_REDIRECTS: LiteralString = """
SELECT c.relkind = 'v', EXISTS (
    SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '3' AND r.is_instead AND r.ev_enabled <> 'D'
) FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

_OF_SERVER: LiteralString = """
SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY 1
"""


def losable(connection: Connection, table: str) -> list[str]:
    """Return a line for each table that may receive a row written to this one, and may lose it."""
    return [_line(*row) for row in connection.execute(_WRITTEN, (table,)).fetchall()]


def _line(name: str, kind: str, persistence: str) -> str:
    if kind == "f":
        return (
            f"the table {name} is a foreign table: another server commits its rows, before or without the claims; "
            "write to a table of this database"
        )
    if persistence == "t":
        return f"the table {name} is temporary, and gone with its session; write to another one"
    return (
        f"the table {name} is unlogged: a crash of the server empties it, and its events count as applied; "
        f"ALTER TABLE {name} SET LOGGED"
    )


def losable_of_schema(connection: Connection, schema: str, tables: Sequence[str]) -> list[str]:
    """Return a line for each of the inbox's own tables that a crash of the server empties."""
    rows = connection.execute(_OF_SCHEMA, (schema, list(tables))).fetchall()
    return [
        f"the table {name} is unlogged: a crash of the server empties it, and the inbox forgets what it holds; "
        f"ALTER TABLE {name} SET LOGGED"
        for (name,) in rows
    ]


def advice_on_target(connection: Connection, table: str) -> Iterator[str]:
    """Yield a line where a row written to this table goes elsewhere, so that nobody can see whether it stays."""
    is_view, by_rule = connection.execute(_REDIRECTS, (table,)).fetchone() or (False, False)
    if is_view or by_rule:
        yield (
            f"{table} is a view or has a rule DO INSTEAD: what that does with an event is not seen, and the event "
            "counts as applied; make sure that it writes each row, to logged tables of this database"
        )


def advice_on_server(connection: Connection) -> Iterator[str]:
    """Yield a line for each server setting by which a crash may lose or damage what was committed."""
    for (name,) in connection.execute(_OF_SERVER).fetchall():
        yield (
            f"the server runs with {name} = off: a crash of its machine may damage the database, and claims and "
            f"effects with it; set {name} = on"
        )
