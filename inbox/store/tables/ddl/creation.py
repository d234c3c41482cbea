"""The SQL that creates a table, or adds to one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from sqlalchemy.dialects import postgresql

from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.tables.lookup import located_parts
from inbox.store.tables.names import parts_of

_OWNER: LiteralString = """
SELECT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
"""

_quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class NewColumn:
    """A column to create: its name, its type in SQL, and remarks without line breaks."""

    name: str
    type: str
    notes: Sequence[str] = ()


def quoted(name: str) -> str:
    """Return one name as SQL, in quotes where it needs them."""
    return str(_quote(name))


def quoted_table(name: str) -> str:
    """Return the name of a table as SQL; `name` is that of the configuration."""
    return ".".join(map(quoted, parts_of(name)))


def create_table(name: str, columns: Sequence[NewColumn], key: Sequence[str]) -> str:
    """Return the CREATE TABLE, with the remarks on its columns as comments."""
    lines: list[str] = []
    last = len(columns) - 1 + bool(key)
    for index, column in enumerate(columns):
        lines += [f"    -- {note}" for note in column.notes]
        not_null = " NOT NULL" if column.name in key else ""
        lines.append(f"    {quoted(column.name)} {column.type}{not_null}{',' if index < last else ''}")
    if key:
        lines.append(f"    PRIMARY KEY ({', '.join(map(quoted, key))})")
    return "\n".join([f"CREATE TABLE {quoted_table(name)} (", *lines, ");"])


def owner_of(connection: Connection, name: str) -> str | None:
    """Return the role that owns a table of the configuration; None if it does not exist."""
    *schema, table = located_parts(connection, name)
    row = connection.execute(_OWNER, {"schema": schema[-1] if schema else None, "table": table}).fetchone()
    return row[0] if row else None


def create(connection: Connection, statement: str, then: Callable[[], object]) -> None:
    """Run a CREATE or ALTER on the user's search path and do something else, or neither of the two."""
    with translating_errors(), connection.transaction():
        with connection.users_path():
            connection.execute(statement.encode())
        then()
