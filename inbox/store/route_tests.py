"""The database side of `inbox test`: a database or a schema for the tests, and rows beside the rows expected."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, LiteralString, NamedTuple, cast

import orjson
from psycopg import sql
from pydantic import SecretStr

from inbox.errors import EventError, StartupError
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.database_urls import with_database
from inbox.store.schema.migrate import migrate
from inbox.store.tables.names import relation, resolvable

_COLUMNS = """
SELECT attname, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


class StoredRow(NamedTuple):
    """A row of a table, its values as PostgreSQL writes them as text; None is NULL."""

    values: Mapping[str, str | None]


@contextmanager
def made_database(options: DatabaseOptions) -> Iterator[DatabaseOptions]:
    """Yield a new database on the same server; drop it at the end.

    Raises:
        StartupError: the role may not create a database.
    """
    name = _new_name()
    with startup_errors("creating a database for the tests"), closing(connect(options)) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)), prepare=False)
    try:
        yield replace(options, url=SecretStr(with_database(options.url.get_secret_value(), name)))
    finally:
        with closing(connect(options)) as connection:
            dropping = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(dropping, prepare=False)


@contextmanager
def made_schema(options: DatabaseOptions) -> Iterator[DatabaseOptions]:
    """Yield the same database, with another schema for the inbox's own tables; drop it at the end."""
    name = _new_name()
    try:
        yield replace(options, schema=name)
    finally:
        with closing(connect(options)) as connection:
            dropping = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))
            connection.execute(dropping, prepare=False)


def prepare(options: DatabaseOptions, outbox: OutboxOptions | None, script: str | None) -> None:
    """Create the inbox's own tables, and run the script that creates the user's.

    Raises:
        StartupError: the script fails, or the role lacks a right.
    """
    migrate(options, outbox=outbox)
    if script is None:
        return
    with _mistakes("creating the tables of the tests"), closing(connect(options)) as connection:
        connection.begin()
        run_script(connection, script)
        connection.execute("COMMIT")


def run_script(connection: Connection, script: str) -> None:
    """Run any number of statements on the user's search path, in the transaction of the caller.

    Raises:
        StartupError: one of them fails.
    """
    with _mistakes("running the SQL of a test"), _users_path(connection):
        connection.execute(script.encode(), prepare=False)


@contextmanager
def _mistakes(doing: str) -> Iterator[None]:
    """Raise StartupError where the server refuses what a test file says."""
    try:
        with startup_errors(doing):
            yield
    except EventError as error:
        raise StartupError(f"{doing}: {error}; correct the file") from error


@contextmanager
def _users_path(connection: Connection) -> Iterator[None]:
    connection.execute(connection.to_users_path, prepare=False)
    yield
    for statement in connection.to_own_state:
        connection.execute(statement, prepare=False)


def rows_of(connection: Connection, table: str) -> list[StoredRow]:
    """Return the rows of a table in the order of their texts."""
    columns = list(columns_of(connection, table))
    texts = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in columns)
    query = sql.SQL("SELECT {} FROM {} AS t ORDER BY t::text").format(texts, relation(table))
    with _users_path(connection):
        rows = connection.execute(query, prepare=False).fetchall()
    return [StoredRow(dict(zip(columns, row, strict=True))) for row in rows]


def columns_of(connection: Connection, table: str) -> Mapping[str, str]:
    """Return the types of a table's columns by name.

    Raises:
        StartupError: there is no such table.
    """
    with _users_path(connection):
        found = connection.execute(_COLUMNS, (resolvable(table),), prepare=False).fetchall()
    if not found:
        raise StartupError(f"the table {table} does not exist; create it in the script that `schema` names")
    return dict(found)


def as_stored(connection: Connection, kinds: Sequence[str], values: Sequence[Any]) -> list[str | None]:
    """Return values of a test file as columns of these types would hold them, as texts.

    Raises:
        StartupError: a column cannot hold its value.
    """
    if not values:
        return []
    casts = sql.SQL(", ").join(_cast(kind, value) for kind, value in zip(kinds, values, strict=True))
    with _mistakes("reading the rows that a test expects"), connection.transaction():
        texts = [_text(kind, value) for kind, value in zip(kinds, values, strict=True)]
        found = connection.execute(sql.SQL("SELECT {}").format(casts), texts, prepare=False).fetchone()
    return list(found or ())


def _cast(kind: str, value: Any) -> sql.Composed:
    through = sql.SQL("text[]") if _is_array(kind, value) else sql.SQL("text")
    # The server's own text of a type is SQL.
    return sql.SQL("%s::{}::{}::text").format(through, sql.SQL(cast(LiteralString, kind.replace("%", "%%"))))


def _is_array(kind: str, value: Any) -> bool:
    return isinstance(value, list) and kind.endswith("[]")


def _text(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if _is_array(kind, value):
        return [_text("", each) for each in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _new_name() -> str:
    return f"inbox_test_{secrets.token_hex(6)}"
