"""Statements that change rows which are there, and never insert any.

They lock in the order of the key, as an INSERT does, so that two workers lock rows in one order. A
plain UPDATE locks rows as it finds them.
"""

from collections.abc import Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from inbox.store.tables.shape import TableShape

LOCKED, ROWS, PLACE = (sql.Identifier(f"inbox {name}") for name in ("locked", "rows", "place"))

CHANGED = sql.Identifier("inbox changed")

_LOCK: LiteralString = """
{all} AS MATERIALIZED ({rows}), {locked} AS MATERIALIZED (
    SELECT s.* FROM {table} AS t JOIN (SELECT {distinct}* FROM {all} {order}) AS s ON {same} AND ({only})
    ORDER BY {of_table} FOR UPDATE OF t
)
"""

_UPDATE: LiteralString = """
UPDATE {table} AS t SET {changes} FROM {locked} AS s WHERE {same} AND ({only}) AND ({once}) AND {read}
"""

_ONCE: LiteralString = """
(SELECT true FROM (
    SELECT true FROM {rows} GROUP BY {keys} HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1
) AS twice CROSS JOIN pg_catalog.generate_series(1, 2)) IS NULL
"""
"""A condition that fails with 21000, as ON CONFLICT does, if a row comes twice; UPDATE would take either."""


def change(
    shape: TableShape,
    key: Sequence[str],
    rows: sql.Composable,
    changes: Mapping[str, sql.Composable],
    *,
    order: sql.Composable | None,
    only: sql.Composable,
) -> sql.Composable:
    """Return an UPDATE of the rows `t` of the table that have the key of one of the `rows`, called `s`.

    Args:
        shape: the table.
        key: its columns by which a row is found.
        rows: a query for the rows of a batch, with a value for each column of the key.
        changes: the new value by column.
        order: the ORDER BY with which the first of the rows with one key decides; without it they
            fail together.
        only: a condition on `t` and `s`.
    """
    locked, update = _parts(shape, key, rows, changes, order=order, only=only)
    return sql.SQL("WITH {} {}").format(locked, update)


def change_before(
    shape: TableShape,
    key: Sequence[str],
    rows: sql.Composable,
    changes: Mapping[str, sql.Composable],
    only: sql.Composable,
) -> sql.Composable:
    """Return the WITH of a statement that changes the rows which are there, and inserts the rest: `IS_NEW`.

    PostgreSQL checks NOT NULL and CHECK on the row that is to be inserted before it looks for a
    conflict, so that a partial row cannot come to an existing one by ON CONFLICT.
    """
    locked, update = _parts(shape, key, rows, changes, order=None, only=only)
    return sql.SQL("WITH {}, {} AS ({} RETURNING s.{}) ").format(locked, CHANGED, update, PLACE)


IS_NEW = sql.SQL("NOT (r.{} OPERATOR(pg_catalog.=) ANY (SELECT {} FROM {}))").format(PLACE, PLACE, CHANGED)


def _parts(
    shape: TableShape,
    key: Sequence[str],
    rows: sql.Composable,
    changes: Mapping[str, sql.Composable],
    *,
    order: sql.Composable | None,
    only: sql.Composable,
) -> tuple[sql.Composable, sql.Composable]:
    keys = sql.SQL(", ").join(map(sql.Identifier, key))
    same = same_row(shape, key, "s")
    locked = sql.SQL(_LOCK).format(
        all=ROWS,
        rows=rows,
        locked=LOCKED,
        table=shape.table,
        distinct=sql.SQL("") if order is None else sql.SQL("DISTINCT ON ({}) ").format(keys),
        order=sql.SQL("") if order is None else order,
        same=same,
        only=only,
        of_table=sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
    )
    update = sql.SQL(_UPDATE).format(
        table=shape.table,
        locked=LOCKED,
        same=same,
        only=only,
        changes=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in changes.items()
        ),
        read=all_read(ROWS),
        once=sql.SQL("true") if order is not None else repeated(ROWS, key),
    )
    return locked, update


def all_read(rows: sql.Identifier) -> sql.Composable:
    """Return a condition that is true once all of these rows were read.

    It stands beside a join with a table, and is evaluated before it. Otherwise a join with an empty
    table would read none of the rows, and an invalid event would pass for one whose row is not there.
    """
    return sql.SQL("(SELECT pg_catalog.count(*) FROM {}) OPERATOR(pg_catalog.>=) 0").format(rows)


def repeated(rows: sql.Identifier, columns: Sequence[str]) -> sql.Composable:
    """Return a condition that fails with 21000 if two rows have the same values in the columns; else it is true."""
    return sql.SQL(_ONCE).format(rows=rows, keys=sql.SQL(", ").join(map(sql.Identifier, columns)))


def same_row(shape: TableShape, key: Sequence[str], other: str) -> sql.Composable:
    """Return the condition that the table's row `t` and the row `other` have the same key."""
    return sql.SQL(" AND ").join(
        shape.comparing.equal(name, sql.Identifier("t", name), sql.Identifier(other, name)) for name in key
    )
