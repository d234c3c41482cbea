"""From a source of the configuration to a typed SQL expression, as the table's own columns want it."""

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from inbox.errors import StartupError
from inbox.store.database import SinkConnection
from inbox.store.options import TableTarget

_COLUMNS: LiteralString = """
SELECT a.attname, n.nspname, t.typname, format_type(a.atttypid, a.atttypmod), a.atttypmod, t.typcategory,
    a.attnotnull, a.atthasdef OR a.attidentity <> '' AS filled, a.attgenerated <> '' OR a.attidentity = 'a' AS computed,
    en.nspname, e.typname
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_UNIQUE_KEYS: LiteralString = """
SELECT array_agg(a.attname ORDER BY a.attname)
FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = i.indnatts
GROUP BY i.indexrelid
"""

_TIMES = {"timestamptz", "timestamp", "date"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the user's table as pg_attribute has it; `declared` is its type as in CREATE TABLE."""

    name: str
    type_schema: str
    type_name: str
    declared: str
    type_modifier: int
    is_array: bool
    not_null: bool
    filled: bool
    computed: bool
    element: tuple[str, str] | None

    @property
    def type(self) -> sql.Identifier:
        """Without length or precision: a cast to varchar(10) would cut silently, an assignment refuses."""
        return sql.Identifier(self.type_schema, self.type_name)


def columns_of(connection: SinkConnection, target: TableTarget) -> dict[str, Column]:
    """The table's columns by name.

    Raises:
        StartupError: one line with all that does not fit: table, columns, keys.
    """
    rows = connection.execute(_COLUMNS, (target.name,)).fetchall()
    if not rows:
        raise StartupError(f'the table "{target.name}" does not exist; create it, or correct [routes.table] name')
    found = {row[0]: _column(row) for row in rows}
    keys = [frozenset(row[0]) for row in connection.execute(_UNIQUE_KEYS, (target.name,))]
    if problems := _problems(target, found, keys):
        raise StartupError("\n".join(problems))
    return found


def _column(row: tuple[Any, ...]) -> Column:
    return Column(
        name=row[0],
        type_schema=row[1],
        type_name=row[2],
        declared=row[3],
        type_modifier=row[4],
        is_array=row[5] == "A",
        not_null=row[6],
        filled=row[7],
        computed=row[8],
        element=(row[9], row[10]) if row[10] else None,
    )


def _problems(target: TableTarget, found: dict[str, Column], keys: list[frozenset[str]]) -> list[str]:
    problems = [
        f'the table "{target.name}" has no column "{name}"; it has {", ".join(found)}'
        for name in target.columns
        if name not in found
    ]
    problems += [
        f'column "{name}" of table "{target.name}" is computed by the database; leave it out of the columns'
        for name in target.columns
        if name in found and found[name].computed
    ]
    problems += [
        f'column "{column.name}" of table "{target.name}" is NOT NULL without a default; give it a source'
        for column in found.values()
        if column.not_null and not column.filled and not column.computed and column.name not in target.columns
    ]
    if target.key and frozenset(target.key) not in keys and set(target.key) <= set(found):
        problems.append(
            f'the table "{target.name}" has no unique index on ({", ".join(target.key)}), which mode '
            f'"{target.mode}" needs; create one, or correct [routes.table] key'
        )
    return problems


def pointer_path(pointer: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901): `/a~1b/0` is ["a/b", "0"]."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def from_json(column: Column, pointer: str) -> sql.Composable:
    """The value at `pointer` in the jsonb `e.document`, as the column's type; JSON null is NULL."""
    path = sql.Literal(pointer_path(pointer))
    node, text = sql.SQL("(e.document #> {})").format(path), sql.SQL("(e.document #>> {})").format(path)
    if column.type_name in ("json", "jsonb"):
        return sql.SQL("nullif({}, 'null'::jsonb)::{}").format(node, column.type)
    if column.is_array and column.element is not None:
        elements = sql.SQL("ARRAY(SELECT x::{} FROM jsonb_array_elements_text({}) AS x)").format(
            sql.Identifier(*column.element), node
        )
        return _when(node, "array", elements, _from_text(column, text))
    if column.type_name in _TIMES:
        milliseconds = sql.SQL("{}::numeric").format(text)
        return _when(node, "number", _from_milliseconds(column, milliseconds), _from_text(column, text))
    if column.type_name == "bytea":
        return sql.SQL("decode({}, 'base64')").format(text)
    return _from_text(column, text)


def from_input(column: Column, name: LiteralString, kind: str) -> sql.Composable:
    """A value that came beside the JSON, of SQL type `kind`, as the column's type."""
    value = sql.SQL("e.") + sql.Identifier(name)
    if kind == "milliseconds" and column.type_name in _TIMES:
        return _from_milliseconds(column, value)
    if kind == "bytea" and column.type_name == "bytea":
        return value
    return _from_text(column, value)


def _from_text(column: Column, value: sql.Composable) -> sql.Composable:
    return sql.SQL("{}::{}").format(value, column.type)


def _from_milliseconds(column: Column, value: sql.Composable) -> sql.Composable:
    moment = sql.SQL("to_timestamp(({})::double precision / 1000)").format(value)
    if column.type_name == "timestamptz":
        return moment
    return sql.SQL("({} AT TIME ZONE 'UTC')::{}").format(moment, column.type)


def _when(node: sql.Composable, kind: str, then: sql.Composable, otherwise: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE jsonb_typeof({}) WHEN {} THEN {} ELSE {} END").format(node, kind, then, otherwise)
