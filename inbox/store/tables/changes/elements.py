"""Routes with `for_each`: each element of an array in the event is a row, and `replaces` deletes the rows it lacks.

The row `e` of an event becomes one row for each element: `e.document` is the element, `e.event` the
whole document, `e.index` the position. `e.place` orders the elements of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from inbox.documents import pointer_steps
from inbox.store.tables.changes.existing import LOCKED, ROWS, repeated, same_row
from inbox.store.tables.changes.soft_deletes import MARK, Marks
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
{chosen} OFFSET 0) AS e
"""

_CHOSEN: LiteralString = """
WHERE \x01elements\x01::pg_catalog.int8[] IS NULL OR (w.place::pg_catalog.int8 OPERATOR(pg_catalog.<<) {shift})
    OPERATOR(pg_catalog.+) x.index OPERATOR(pg_catalog.=) ANY (\x01elements\x01::pg_catalog.int8[])
"""
"""The condition on an element that the parameter `elements` has its `place`, or is null."""

_FOUND: LiteralString = "{row}.document OPERATOR(pg_catalog.#>) {path}"

_FOUND_OR_READ: LiteralString = """
CASE WHEN pg_catalog.jsonb_typeof({row}.document OPERATOR(pg_catalog.#>) {path}) OPERATOR(pg_catalog.=)
    'string'::pg_catalog.text THEN ({row}.document OPERATOR(pg_catalog.#>>) {path})::pg_catalog.jsonb
    ELSE {row}.document OPERATOR(pg_catalog.#>) {path} END
"""

_ARRAY: LiteralString = """
CASE WHEN ({found}) IS NULL OR pg_catalog.jsonb_typeof({found}) OPERATOR(pg_catalog.=) 'null'::pg_catalog.text
THEN '[]'::pg_catalog.jsonb ELSE {found} END
"""

_REPLACE: LiteralString = """
WITH {groups} AS MATERIALIZED ({given}), {rows} AS MATERIALIZED ({elements}), {locked} AS MATERIALIZED (
    SELECT {of_table} FROM {table} AS t JOIN {groups} AS g ON {in_group} AND g."inbox replaces"
    WHERE NOT EXISTS (SELECT FROM {rows} AS r WHERE {same_element})
    ORDER BY {of_table} FOR UPDATE OF t
)
DELETE FROM {table} AS t USING {locked} AS s WHERE {same} AND {once}
"""

_MARK: LiteralString = """
WITH {groups} AS MATERIALIZED ({given}), {rows} AS MATERIALIZED ({elements}), {locked} AS MATERIALIZED (
    SELECT {of_table}, g.{mark} FROM {table} AS t JOIN {groups} AS g ON {in_group} AND g."inbox replaces"
    WHERE NOT EXISTS (SELECT FROM {rows} AS r WHERE {same_element}) AND NOT {marked}
    ORDER BY {of_table} FOR UPDATE OF t
)
UPDATE {table} AS t SET {deleted} = s.{mark} FROM {locked} AS s WHERE {same} AND {once} AND NOT {marked}
"""


@dataclass(frozen=True, kw_only=True)
class Elements:
    """The array of a route in its events.

    `of_texts`: a text in its place is read as JSON, as Debezium sends the columns of JSON types.
    """

    pointer: str
    of_texts: bool = False

    def found(self, row: LiteralString) -> sql.Composable:
        """Return what is in place of the array in the document of the row."""
        steps = sql.SQL(", ").join(map(sql.Literal, pointer_steps(self.pointer)))
        path = sql.SQL("ARRAY[{}]::pg_catalog.text[]").format(steps)
        return sql.SQL(_FOUND_OR_READ if self.of_texts else _FOUND).format(row=sql.SQL(row), path=path)


def elements_of(
    events: sql.Composable, inputs: Sequence[str], elements: Elements, *, chosen: bool = False
) -> sql.Composable:
    """Return the elements as rows `e`; `events` are the rows `w` of the events, with the given inputs.

    `chosen`: the parameter `elements` may choose among them.
    """
    return sql.SQL(_ELEMENTS).format(
        inputs=sql.SQL(", ").join(sql.Identifier("w", name) for name in inputs) if inputs else sql.SQL('true AS " "'),
        shift=sql.Literal(SHIFT),
        events=events,
        array=sql.SQL(_ARRAY).format(found=elements.found("w")),
        chosen=sql.SQL(_CHOSEN).format(shift=sql.Literal(SHIFT)) if chosen else sql.SQL(""),
    )


def has_array(elements: Elements) -> sql.Composable:
    """Return the condition that the event `e` has the array; its document is whole."""
    return sql.SQL(
        "coalesce(pg_catalog.jsonb_typeof({}) OPERATOR(pg_catalog.=) 'array'::pg_catalog.text, false)"
    ).format(elements.found("e"))


def replace(
    shape: TableShape,
    key: Sequence[str],
    replaces: Sequence[str],
    given: sql.Composable,
    elements: sql.Composable,
    marks: Marks | None = None,
) -> sql.Composable:
    """Return the DELETE of the rows that the events have no longer; with `marks` they are softly deleted.

    Args:
        shape: the table.
        key: its columns by which a row is found.
        replaces: those of them that the rows of an event share.
        given: a query for the values of `replaces` of each event, and whether it replaces its rows; with
            `marks` for its mark too.
        elements: a query for the rows of the events.
    """
    of_marks: dict[str, sql.Composable] = {}
    if marks is not None:
        deleted = sql.Identifier(marks.column.name)
        of_marks = {"mark": MARK, "deleted": deleted, "marked": marks.is_marked(sql.Identifier("t"))}
    return sql.SQL(_REPLACE if marks is None else _MARK).format(
        **of_marks,
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
