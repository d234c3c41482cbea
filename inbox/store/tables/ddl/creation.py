"""The SQL that creates a table, or adds to one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, LiteralString

from inbox.errors import StartupError
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.tables.lookup import located_parts
from inbox.store.tables.names import parts_of

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import IdentifierPreparer

_OWNER: LiteralString = """
SELECT pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
"""


@dataclass(frozen=True)
class NewColumn:
    """A column to create: its name, its type in SQL, and remarks without line breaks."""

    name: str
    type: str
    notes: Sequence[str] = ()


def quoted(name: str) -> str:
    """Return one name as SQL, in quotes where it needs them."""
    return str(_preparer().quote(name))


@cache
def _preparer() -> "IdentifierPreparer":
    # Imported here: SQLAlchemy is a sixth of what `inbox check` imports, and most checks come to no SQL.
    from sqlalchemy.dialects import postgresql

    # With a style of parameters that has percent signs, SQLAlchemy doubles those of names.
    return postgresql.dialect(paramstyle="named").identifier_preparer  # type: ignore[no-untyped-call]


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
    found = _ownership(connection, name)
    return found[0] if found else None


def _ownership(connection: Connection, name: str) -> tuple[str, bool] | None:
    """Return the owner of a table, and whether this role may act as the owner; None if there is no such table."""
    *schema, table = located_parts(connection, name)
    return connection.execute(_OWNER, {"schema": schema[-1] if schema else None, "table": table}).fetchone()


def define(connection: Connection, statements: Sequence[str], then: Callable[[], object] = lambda: None) -> None:
    """Run each CREATE or ALTER on the user's search path and do something else, or nothing at all.

    Somebody who waits for a lock on a table holds up all who come later, so a lock is awaited for 5 s.
    """
    with translating_errors(), connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        with connection.users_path():
            for statement in statements:
                connection.execute(statement.encode())
        then()


def add_column(table: str, name: str, kind: str) -> str:
    """Return the statement that adds a column which may be NULL."""
    return f"ALTER TABLE {quoted_table(table)} ADD COLUMN {quoted(name)} {kind};"


def change_type(table: str, name: str, kind: str, *, using: bool = False) -> str:
    """Return the statement that gives a column another type; `using`: its values are converted by a cast."""
    cast = f" USING {quoted(name)}::{kind}" if using else ""
    return f"ALTER TABLE {quoted_table(table)} ALTER COLUMN {quoted(name)} TYPE {kind}{cast};"


def drop_not_null(table: str, name: str) -> str:
    """Return the statement that lets a column be NULL."""
    return f"ALTER TABLE {quoted_table(table)} ALTER COLUMN {quoted(name)} DROP NOT NULL;"


def require_owner(connection: Connection, name: str) -> None:
    """Raise StartupError unless the role may alter the table."""
    found = _ownership(connection, name)
    if found is not None and not found[1]:
        raise StartupError(
            f'the table "{name}" belongs to {found[0]}, and this role may not alter it; run the command with the '
            "owner's login (INBOX_DATABASE__URL=...)"
        )
