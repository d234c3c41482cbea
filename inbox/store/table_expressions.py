"""From a source of the configuration to a typed SQL expression, as the table's own columns want it."""

import re
from typing import LiteralString, cast

from psycopg import sql

from inbox.store.table_columns import Column, TypeName
from inbox.store.table_inputs import input_of

_TIMES = {"timestamptz", "timestamp", "date"}

_CUT_BY_A_CAST = {"varchar", "bpchar", "bit", "varbit"}
"""An explicit cast to a length cuts silently where an assignment refuses (PostgreSQL manual, section 8.3)."""

_LOOKS_LIKE_AN_INDEX = re.compile(r"\s*[+-]?[0-9]+\s*")
_INDEX = re.compile(r"0|[1-9][0-9]*")


def expression(column: Column, source: str) -> sql.Composable:
    """The value at `source` of an event as the column's type, over the row `e`."""
    value = _from_json(column, source) if source.startswith("/") else _from_input(column, source)
    if not column.is_domain:
        return value
    return sql.SQL("{}::{}").format(_within_length(column, value), column.type.sql)


def strict(column: Column, value: sql.Composable) -> sql.Composable:
    """`value`, of the column's type, as strictly as an assignment to the column."""
    if column.is_domain or column.modifier < 0:
        return value
    if column.base.name in _CUT_BY_A_CAST:
        return _within_length(column, value)
    if column.element is not None and column.element.name in _CUT_BY_A_CAST:
        return value
    # From the catalog, where it stands as SQL.
    return sql.SQL("({})::{}").format(value, sql.SQL(cast(LiteralString, column.declared)))


def pointer_path(pointer: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901): `/a~1b/0` is ["a/b", "0"]."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _within_length(column: Column, value: sql.Composable) -> sql.Composable:
    if column.base.name not in _CUT_BY_A_CAST or column.modifier < 0:
        return value
    return sql.SQL("pg_catalog.{}({}, {}, false)").format(
        sql.Identifier(column.base.name), value, sql.Literal(column.modifier)
    )


def _from_json(column: Column, pointer: str) -> sql.Composable:
    """The value at `pointer` in the jsonb `e.document`; JSON null is NULL."""
    path = pointer_path(pointer)
    # A member's name alone is cheaper than a path, for the server takes a path apart for each row.
    if len(path) == 1 and not _LOOKS_LIKE_AN_INDEX.fullmatch(path[0]):
        ways, step = (sql.SQL("->"), sql.SQL("->>")), sql.Literal(path[0])
    else:
        ways, step = (sql.SQL("#>"), sql.SQL("#>>")), sql.Literal(path)
    node, text = (sql.SQL("(e.document {} {})").format(way, step) for way in ways)
    value = _of_json(column.base, column.element, node, text)
    if not (odd := [place for place, step in enumerate(path) if _is_no_index(step)]):
        return value
    # PostgreSQL takes such a step as an index all the same, from the end if it is negative.
    is_array = sql.SQL(" OR ").join(
        sql.SQL("jsonb_typeof(e.document #> {}) = 'array'").format(sql.Literal(path[:place])) for place in odd
    )
    return sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(is_array, value)


def _is_no_index(step: str) -> bool:
    return _LOOKS_LIKE_AN_INDEX.fullmatch(step) is not None and _INDEX.fullmatch(step) is None


def _of_json(kind: TypeName, element: TypeName | None, node: sql.Composable, text: sql.Composable) -> sql.Composable:
    if kind.name in ("json", "jsonb"):
        return sql.SQL("nullif({}, 'null'::jsonb)::{}").format(node, kind.sql)
    if element is not None:
        one = _of_json(element, None, sql.SQL("x.value"), sql.SQL("(x.value #>> '{}')"))
        elements = sql.SQL("ARRAY(SELECT {} FROM jsonb_array_elements({}) AS x (value))").format(one, node)
        return _when(node, "array", elements, _cast(kind, text))
    if kind.name in _TIMES:
        milliseconds = sql.SQL("({}::numeric)").format(text)
        return _when(node, "number", _from_milliseconds(kind, milliseconds), _cast(kind, text))
    if kind.name == "bytea":
        return sql.SQL("decode({}, 'base64')").format(text)
    return _cast(kind, text)


def _from_input(column: Column, source: str) -> sql.Composable:
    """A value that came beside the JSON."""
    name, kind = input_of(column, source)[:2]
    value = sql.SQL("e.") + sql.Identifier(name)
    if kind == "milliseconds" and column.base.name in _TIMES:
        return _from_milliseconds(column.base, sql.SQL("({}::numeric)").format(value))
    if kind == "bytea" and column.base.name == "bytea":
        return value
    if column.base.name == "json":
        # `json` alone takes texts and numbers that are no JSON for jsonb and for handlers.
        return sql.SQL("CASE WHEN {0}::jsonb IS NOT NULL THEN {1} END").format(value, _cast(column.base, value))
    return _cast(column.base, value)


def _cast(kind: TypeName, value: sql.Composable) -> sql.Composable:
    return sql.SQL("{}::{}").format(value, kind.sql)


def _from_milliseconds(kind: TypeName, value: sql.Composable) -> sql.Composable:
    """The moment that many milliseconds after 1970, to the microsecond.

    In whole days and whole microseconds of a day: `to_timestamp` and the factor of an interval are double precision,
    which holds these two exactly, and not the microseconds from 1970 to the year 9999.
    """
    moment = sql.SQL(
        "(timestamp 'epoch' + div({0}, 86400000)::double precision * interval '1 day'"
        " + (mod({0}, 86400000) * 1000)::bigint * interval '1 microsecond')"
    ).format(value)
    if kind.name == "timestamptz":
        return sql.SQL("({} AT TIME ZONE 'UTC')").format(moment)
    return sql.SQL("{}::{}").format(moment, kind.sql)


def _when(node: sql.Composable, kind: str, then: sql.Composable, otherwise: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE jsonb_typeof({}) WHEN {} THEN {} ELSE {} END").format(node, kind, then, otherwise)
