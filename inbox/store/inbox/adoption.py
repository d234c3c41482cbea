"""The rows that a table has already, as the ids for which `inbox adopt` makes claims."""

from collections.abc import Iterator
from typing import LiteralString, NamedTuple

from psycopg import sql

from inbox.errors import StartupError
from inbox.store.postgres.connection import Connection, snapshot
from inbox.store.tables.lookup import located

_TYPES = ("uuid", "text", "varchar", "bpchar", "int2", "int4", "int8")

_COLUMNS: LiteralString = """
SELECT a.attname, t.typname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute AS a
JOIN pg_type AS own ON own.oid = a.atttypid
JOIN pg_type AS t ON t.oid = CASE WHEN own.typtype = 'd' THEN own.typbasetype ELSE own.oid END
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_COUNT: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE {column} IS NULL), count(*) FILTER (WHERE {column}::text = '') FROM {table}
"""

# A UUID is one id in either case, as everywhere.
_DISTINCT: LiteralString = """
SELECT DISTINCT CASE
    WHEN {column}::text ~ '^[0-9A-Fa-f]{{8}}(-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}$' THEN lower({column}::text)
    ELSE {column}::text
END
FROM {table} WHERE {column}::text <> ''
"""


class RowCount(NamedTuple):
    """The number of rows in the table, and of those whose column is null or an empty text, which is not an id."""

    rows: int
    nulls: int
    empty: int


class AdoptableTable:
    """A column of event ids; `name` is that of the table or view, with its schema where needed.

    Raises:
        StartupError: the table or column does not exist, or its type holds no event ids.
    """

    def __init__(self, connection: Connection, name: str, column: str) -> None:
        self._connection = connection
        table = located(connection, name)
        self._require(table, name, column)
        parts = {"table": table, "column": sql.Identifier(column)}
        self._count = sql.SQL(_COUNT).format(**parts)
        self._distinct = sql.SQL(_DISTINCT).format(**parts)

    def _require(self, table: sql.Identifier, name: str, column: str) -> None:
        types = {row[0]: row[1:] for row in self._connection.execute(_COLUMNS, (table.as_string(),))}
        if not types:
            raise StartupError(f'the table "{name}" does not exist; correct --table, with its schema if needed')
        if column not in types:
            raise StartupError(f'the table "{name}" has no column "{column}"; it has {", ".join(types)}')
        base, declared = types[column]
        if base not in _TYPES:
            raise StartupError(
                f'column "{column}" of table "{name}" is of type {declared}; an event id is a uuid, a text or a whole '
                "number, so create a view that casts the column to one of these, and pass the view as --table"
            )

    def ids(self, most: int) -> Iterator[list[str]]:
        """Yield each distinct value of the column as text, in lists of at most `most`, all from one snapshot."""
        with snapshot(self._connection), self._connection.cursor(name="inbox_adopted_ids") as cursor:
            cursor.execute(self._distinct)
            while rows := cursor.fetchmany(most):
                yield [row[0] for row in rows]

    def count(self) -> RowCount:
        row = self._connection.execute(self._count).fetchone()
        return RowCount(*row) if row else RowCount(0, 0, 0)
