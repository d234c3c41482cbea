"""The shape of a route's table: its columns, and what can refuse a row beyond their types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from inbox.errors import InboxError
from inbox.store.options import TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.tables.columns import Column, checks_of, columns_of, require_fit
from inbox.store.tables.comparison import Comparing
from inbox.store.tables.lookup import located
from inbox.store.tables.members.by_name import resolved
from inbox.store.tables.search_path import open_schemas

_REFUSES: LiteralString = """
SELECT c.relkind <> 'r' OR c.relrowsecurity
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '')
        OR EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f')
        OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid),
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D')
        OR EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
                AND (i.indisexclusion OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR %(key)s::text[] <> (
                    SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C") FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                ))
        ),
    (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'),
    c.relkind <> 'r' OR EXISTS (
        SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
            AND t.tgtype & 7 = 7)
FROM pg_class c WHERE c.oid = to_regclass(%(table)s)
"""

_VERSION: LiteralString = """
SELECT concat_ws(' ', c.oid, c.relkind, c.relpersistence, c.relnatts, c.relchecks, c.relhastriggers, c.relhasrules,
    c.relrowsecurity, c.relispartition, (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique),
    (SELECT string_agg(
        concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull), ',' ORDER BY a.attnum
    ) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

_UNALTERED: LiteralString = """
SELECT CASE WHEN NOT EXISTS (
        SELECT FROM unnest(%(names)s::text[], %(values)s::text[]) AS s (name, value)
        WHERE current_setting(name) <> value
    ) AND ({version}) = %(version)s
    THEN NULL
    ELSE format('kafka-inbox: the table %%s was altered, or a trigger changed a setting', %(table)s::text)::integer
END
"""
_REQUIRE_UNALTERED = sql.SQL(_UNALTERED).format(version=sql.SQL(_VERSION.replace("%s", "%(table)s")))
"""Fails, by a cast that says why, unless the table has the version and the session has the settings."""


@dataclass(frozen=True, kw_only=True)
class TableShape:
    """A table as the catalog describes it.

    Attributes:
        target: that of the route, with a source for each column that it fills.
        table: its name with its schema.
        checks: the CHECK constraints that can be evaluated on an event's columns alone.
        refuses: something beyond NOT NULL and `checks` can refuse a row, so that only writing it shows whether.
        in_order: whether a row is refused may depend on rows written before it.
        changes_rows: a trigger may change a row before it is inserted.
    """

    target: TableTarget
    table: sql.Identifier
    columns: Mapping[str, Column]
    comparing: Comparing
    checks: Sequence[LiteralString]
    refuses: bool
    in_order: bool
    changes_rows: bool


def shape_of(connection: Connection, target: TableTarget) -> TableShape:
    """Read the table's shape.

    Raises:
        StartupError: the table does not fit the route.
    """
    table = located(connection, target.name)
    columns = columns_of(connection, table)
    target = resolved(target, columns)
    require_fit(connection, target, table, columns)
    # PostgreSQL prints a condition without the schemas of what it calls: where others may create, it might
    # call theirs.
    conditions_here = [] if open_schemas(connection) else checks_of(connection, target, table)
    checks: list[LiteralString] = [
        check for check in conditions_here if _stands_alone(connection, target, columns, check)
    ]
    parameters = {"table": table.as_string(), "key": sorted(target.key)}
    row = connection.execute(_REFUSES, parameters).fetchone()
    refuses, in_order, conditions, changes_rows = row or (True, True, 0, True)
    compared = [*target.key, *([target.version] if target.version else [])]
    return TableShape(
        target=target,
        table=table,
        columns=columns,
        comparing=Comparing(connection, table, compared),
        checks=checks,
        refuses=refuses or in_order or conditions > len(checks),
        in_order=in_order,
        changes_rows=changes_rows,
    )


Look = psycopg.Cursor[tuple[Any, ...]]
"""A query for the version of a table; in a pipeline the answer is there at its end."""


def look_at(connection: Connection, table: sql.Identifier) -> Look:
    """Ask for the version of a table: a text that changes when the table is altered.

    It covers what may change the meaning of written values. Asked after a write, it is the version
    of the table that was written to, because the write locks the table.
    """
    return connection.execute(_VERSION, (table.as_string(),))


def require_unaltered(connection: Connection, table: sql.Identifier, version: str) -> None:
    """Send, in a pipeline, a statement that fails unless the table has this version and texts mean what they should."""
    settings = connection.pinned_meanings
    parameters = {
        "table": table.as_string(),
        "version": version,
        "names": list(settings),
        "values": [*settings.values()],
    }
    connection.execute(_REQUIRE_UNALTERED, parameters)


def version_in(look: Look) -> str:
    """Return the answer to a look."""
    row = look.fetchone()
    return row[0] if row else ""


def _stands_alone(
    connection: Connection, target: TableTarget, columns: Mapping[str, Column], check: LiteralString
) -> bool:
    """Return whether a condition can be evaluated without its table's row; one that names the row itself cannot."""
    nothing = [
        sql.SQL("NULL::{} AS {}").format(columns[name].type.sql, sql.Identifier(name)) for name in target.columns
    ]
    # LIMIT keeps the planner from evaluating the condition on these values.
    query = sql.SQL("SELECT {} FROM (SELECT {} LIMIT 0) AS {}").format(
        sql.SQL(check), sql.SQL(", ").join(nothing), sql.Identifier("inbox row")
    )
    try:
        with translating_errors(), connection.transaction():
            connection.execute(query)
    except InboxError as error:
        if error.refusal is None or not error.refusal.state.startswith("42"):
            raise
        return False
    return True
