"""Check a table of the user's that is to be relayed as it is, by what the catalog says of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import LiteralString, NamedTuple

from psycopg import sql

from inbox.errors import StartupError
from inbox.store.options import ExternalTableColumns, ExternalTableOptions
from inbox.store.postgres.connection import Connection
from inbox.store.privileges.check import role_of
from inbox.store.tables.columns import TypeName
from inbox.store.tables.comparison import Comparing
from inbox.store.tables.durability import losable
from inbox.store.tables.lookup import located
from inbox.store.tables.names import parts_of
from inbox.store.tables.privileges import lacking_usage

_TABLE: LiteralString = """
SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%s)
"""

# A domain can hold what its base type can.
_COLUMNS: LiteralString = """
SELECT a.attname, n.nspname, t.typname, format_type(a.atttypid, a.atttypmod),
    format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL),
    CASE t.typtype WHEN 'e' THEN (SELECT array_agg(enumlabel) FROM pg_enum WHERE enumtypid = t.oid) END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_INDEXES: LiteralString = """
SELECT (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts),
    i.indisunique AND i.indimmediate, pg_get_expr(i.indpred, i.indrelid)
FROM pg_index i WHERE i.indrelid = to_regclass(%s) AND i.indisvalid
"""

NEW, SENT = "NEW", "SENT"

_TIMES = ("timestamp with time zone", "timestamp without time zone")
_TEXTS = ("text", "character varying", "character", "bpchar")
_FITTING = {
    "created_at": _TIMES,
    "sent_at": _TIMES,
    "payload": ("json", "jsonb", "bytea", *_TEXTS),
}


class ExternalColumn(NamedTuple):
    """A column: `declared` as in CREATE TABLE, `base` its type or its domain's, `labels` those of an enum."""

    name: str
    type: TypeName
    declared: str
    base: str
    labels: Sequence[str] | None


@dataclass(frozen=True)
class ExternalIndex:
    """An index: `columns` in order, None for an expression; `condition` is that of a partial index."""

    columns: Sequence[str | None]
    unique: bool
    condition: str | None


@dataclass(frozen=True)
class ExternalTableShape:
    """A table that fits. `columns` are found by the names that this program has for them."""

    schema: str
    table: str
    columns: dict[str, ExternalColumn]
    indexes: Sequence[ExternalIndex]
    comparing: Comparing

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def name(self) -> str:
        return self.identifier.as_string()

    def column(self, ours: str) -> sql.Identifier:
        return sql.Identifier(self.columns[ours].name)

    def has_status(self, status: str, row: str) -> sql.Composable:
        """Return the SQL for whether a row has the status, on any search path; `row` is its name in the statement."""
        column = self.columns["status"]
        wanted = sql.SQL("{}::{}").format(sql.Literal(status), column.type.sql)
        return self.comparing.equal(column.name, sql.Identifier(row, column.name), wanted)

    def advice(self) -> list[str]:
        """Return advice on what works without a change, but slowly."""
        status, created_at, event_id = (self.columns[ours].name for ours in ("status", "created_at", "event_id"))
        if any(_finds_new(index, status, created_at) for index in self.indexes):
            return []
        index = sql.SQL("CREATE INDEX CONCURRENTLY ON {} ({}, {}) WHERE {} = {}").format(
            self.identifier, *map(sql.Identifier, (created_at, event_id, status)), sql.Literal(NEW)
        )
        return [f"the table {self.name} has no index of what waits, so every read scans all of it; {index.as_string()}"]


def external_shape_of(connection: Connection, existing: ExternalTableOptions) -> ExternalTableShape:
    """Return the shape of the table.

    Raises:
        StartupError: a line for each thing that does not fit `[outbox]`.
    """
    *parent, _ = parts_of(existing.table)
    if parent and (lacking := lacking_usage(connection, parent[-1], role_of(connection), "relay")):
        raise StartupError(lacking)
    table = located(connection, existing.table).as_string()
    found = connection.execute(_TABLE, (table,)).fetchone()
    if found is None:
        raise StartupError(f'the table "{existing.table}" does not exist; create it, or correct [outbox] table')
    schema, name, kind = found
    if kind not in ("r", "p"):
        raise StartupError(f'"{existing.table}" is not a table; name the table itself in [outbox] table')
    there = {
        row[0]: ExternalColumn(row[0], TypeName(row[1], row[2]), *row[3:])
        for row in connection.execute(_COLUMNS, (table,))
    }
    indexes = [ExternalIndex(*row) for row in connection.execute(_INDEXES, (table,))]
    problems = [*_problems(existing, there, indexes), *losable(connection, table)]
    if problems:
        raise StartupError("\n".join(problems))
    columns = {ours: there[theirs] for ours, theirs in named(existing.columns).items()}
    comparing = Comparing(connection, sql.Identifier(schema, name), [column.name for column in columns.values()])
    return ExternalTableShape(schema, name, columns, indexes, comparing)


def named(columns: ExternalTableColumns) -> dict[str, str]:
    """Return the table's names of the existing columns, by this program's names."""
    given = {field.name: getattr(columns, field.name) for field in fields(columns)}
    return {ours: theirs for ours, theirs in given.items() if theirs is not None}


def missing_rights(connection: Connection, shape: ExternalTableShape, *, prunes: bool) -> list[str]:
    """Return one line for each right that a relay lacks on the table, with the GRANT that fixes it."""
    written = [shape.columns[ours].name for ours in ("status", "sent_at") if ours in shape.columns]
    wanted = [("SELECT", column.name) for column in shape.columns.values()] + [("UPDATE", name) for name in written]
    lacking = list(dict.fromkeys(right for right, name in wanted if not _may(connection, shape, right, name)))
    if prunes and not _may(connection, shape, "DELETE", None):
        lacking.append("DELETE")
    role = role_of(connection)
    return [
        f"the relay's role lacks {right} on {shape.name}; GRANT {_grant(right, written)} ON {shape.name} TO {role}"
        for right in lacking
    ]


def _grant(right: str, written: Sequence[str]) -> str:
    return f"UPDATE ({', '.join(sql.Identifier(name).as_string() for name in written)})" if right == "UPDATE" else right


def _problems(
    existing: ExternalTableOptions, there: dict[str, ExternalColumn], indexes: Sequence[ExternalIndex]
) -> Iterator[str]:
    table, mapped = existing.table, named(existing.columns)
    for ours, theirs in mapped.items():
        if theirs not in there:
            yield (
                f'the table "{table}" has no column "{theirs}", only {", ".join(there)}; '
                f"say in [outbox.columns] which one is {ours}"
            )
        elif ours in _FITTING and there[theirs].base not in _FITTING[ours]:
            yield (
                f'column "{theirs}" of table "{table}" is {there[theirs].declared}, and as {ours} it has to be '
                f"{_either(_FITTING[ours])}; name another one in [outbox.columns]"
            )
    status = there.get(existing.columns.status)
    if status is not None and not _holds_status(status):
        yield (
            f'column "{status.name}" of table "{table}" is {status.declared}, which cannot hold both {NEW} and {SENT}; '
            "name another one in [outbox.columns], or change it"
        )
    event_id = existing.columns.event_id
    if event_id in there and not any(_is_key(index, event_id) for index in indexes):
        yield (
            f'the table "{table}" has no unique index on {event_id}, so that two events could have one id; '
            "create one, or correct [outbox.columns] event_id"
        )


def _holds_status(column: ExternalColumn) -> bool:
    if column.labels is not None:
        return {NEW, SENT} <= set(column.labels)
    return column.base in _TEXTS


def _is_key(index: ExternalIndex, event_id: str) -> bool:
    return index.unique and index.condition is None and list(index.columns) == [event_id]


def _finds_new(index: ExternalIndex, status: str, created_at: str) -> bool:
    if index.condition is not None:
        return status in index.condition and index.columns[0] == created_at
    return list(index.columns[:2]) == [status, created_at]


def _either(types: Sequence[str]) -> str:
    return ", ".join(types[:-1]) + f" or {types[-1]}"


def _may(connection: Connection, shape: ExternalTableShape, right: str, column: str | None) -> bool:
    name = shape.name
    if column is None:
        row = connection.execute("SELECT has_table_privilege(to_regclass(%s), %s)", (name, right)).fetchone()
    else:
        row = connection.execute(
            "SELECT has_column_privilege(to_regclass(%s), %s, %s)", (name, column, right)
        ).fetchone()
    return row is None or row[0] is not False
