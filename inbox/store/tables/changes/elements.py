"""Routes with `for_each`: each element of an array in the event is a row, and `replaces` deletes the rows it lacks.

The row `e` of an event becomes one row for each element: `e.document` is the element, `e.event` the
whole document, `e.index` the position. `e.place` orders the elements of a batch.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from inbox.documents import pointer_steps
from inbox.store.tables.changes.existing import LOCKED, ROWS, repeated, same_row
from inbox.store.tables.shape import TableShape

SHIFT = 32
"""`e.place` of an element is the event's index, shifted by so many bits, and the element's."""

_GROUPS = sql.Identifier("inbox groups")

_ELEMENTS: LiteralString = """
(SELECT {inputs}, w.document AS event, x.index OPERATOR(pg_catalog.-) 1 AS index,
    (w.place::pg_catalog.int8 OPERATOR(pg_catalog.<<) {shift}) OPERATOR(pg_catalog.+) x.index AS place,
    CASE WHEN pg_catalog.jsonb_typeof(x.value) OPERATOR(pg_catalog.=) 'object'::pg_catalog.text THEN x.value
        ELSE pg_catalog.left(x.value::pg_catalog.text, 0)::pg_catalog.jsonb END AS document
FROM {events} CROSS JOIN LATERAL pg_catalog.jsonb_array_elements({array}) WITH ORDINALITY AS x (value, index)
OFFSET 0) AS e
"""

_ARRAY: LiteralString = """
CASE WHEN w.document OPERATOR(pg_catalog.#>) {path} IS NULL
    OR pg_catalog.jsonb_typeof(w.document OPERATOR(pg_catalog.#>) {path}) OPERATOR(pg_catalog.=) 'null'::pg_catalog.text
THEN '[]'::pg_catalog.jsonb ELSE w.document OPERATOR(pg_catalog.#>) {path} END
"""

_REPLACE: LiteralString = """
WITH {groups} AS MATERIALIZED ({given}), {rows} AS MATERIALIZED ({elements}), {locked} AS MATERIALIZED (
    SELECT {of_table} FROM {table} AS t JOIN {groups} AS g ON {in_group} AND g."inbox replaces"
    WHERE NOT EXISTS (SELECT FROM {rows} AS r WHERE {same_element})
    ORDER BY {of_table} FOR UPDATE OF t
)
DELETE FROM {table} AS t USING {locked} AS s WHERE {same} AND {once}
"""


def elements_of(events: sql.Composable, inputs: Sequence[str], pointer: str) -> sql.Composable:
    """Return the elements as rows `e`; `events` are the rows `w` of the events, with the given inputs."""
    path = sql.SQL("ARRAY[{}]::pg_catalog.text[]").format(sql.SQL(", ").join(map(sql.Literal, pointer_steps(pointer))))
    return sql.SQL(_ELEMENTS).format(
        inputs=sql.SQL(", ").join(sql.Identifier("w", name) for name in inputs) if inputs else sql.SQL('true AS " "'),
        shift=sql.Literal(SHIFT),
        events=events,
        array=sql.SQL(_ARRAY).format(path=path),
    )


def has_array(pointer: str) -> sql.Composable:
    """Return the condition that the event `e` has an array at the pointer; its document is whole."""
    path = sql.SQL("ARRAY[{}]::pg_catalog.text[]").format(sql.SQL(", ").join(map(sql.Literal, pointer_steps(pointer))))
    return sql.SQL(
        "coalesce(pg_catalog.jsonb_typeof(e.document OPERATOR(pg_catalog.#>) {}) OPERATOR(pg_catalog.=)"
        " 'array'::pg_catalog.text, false)"
    ).format(path)


def replace(
    shape: TableShape, key: Sequence[str], replaces: Sequence[str], given: sql.Composable, elements: sql.Composable
) -> sql.Composable:
    """Return the DELETE of the rows that the events have no longer.

    Args:
        shape: the table.
        key: its columns by which a row is found.
        replaces: those of them that the rows of an event share.
        given: a query for the values of `replaces` of each event, and whether it replaces its rows.
        elements: a query for the rows of the events.
    """
    return sql.SQL(_REPLACE).format(
        groups=_GROUPS,
        given=given,
        rows=ROWS,
        elements=elements,
        locked=LOCKED,
        of_table=sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
        table=shape.table,
        in_group=same_row(shape, replaces, "g"),
        same_element=same_row(shape, key, "r"),
        same=same_row(shape, key, "s"),
        once=repeated(_GROUPS, replaces),
    )
