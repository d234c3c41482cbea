"""Build from a source of the configuration a typed SQL expression that fits the table's own column.

The statements run on the user's search path, so each function, operator, type and collation has its
schema. Constructs for which PostgreSQL looks up an operator by a name without a schema are not
used: CASE with a value, NULLIF, IN, IS DISTINCT FROM.
"""

import re
from collections.abc import Sequence
from typing import LiteralString, cast

from psycopg import sql

from inbox.store.tables.columns import Column, TypeName
from inbox.store.tables.parameters import input_of

_TIMES = {"timestamptz", "timestamp", "date"}
_OF_THE_CLOCK = _TIMES | {"time", "timetz"}

_WORD = "(^|[^a-z])(now|today|tomorrow|yesterday|allballs)($|[^a-z])"
"""The words that PostgreSQL reads from its clock, alone or beside a time of day (manual, section 8.5.1.4).

A word ends where its letters do (`ParseDateTime` in datetime.c). allballs is of their kind, and no
producer writes it.
"""

_IN_A_WORD = ("%o%", "%s%", "%O%", "%S%")
"""Letters of which each word has one, and ISO 8601 none: a search for them costs less than one for the words."""

_PLAIN_TIMES = ("20__-__-__T__:__:__.___Z", "20__-__-__T__:__:__Z", "20__-__-__", "19__-__-__")
"""The forms that most producers write. No word fits between their letters and signs, and no JSON number matches one."""

WORD_FOUND = "22012"
"""The SQLSTATE by which such a word fails: division by zero, which no conversion of a value raises."""

_LONGEST = {"name": 63, "char": 1}
"""The most bytes of types that both a cast and an assignment cut silently."""

_CUT_BY_A_CAST = {"varchar", "bpchar", "bit", "varbit"}
"""Types whose explicit cast to a length cuts silently where an assignment refuses (PostgreSQL manual, section 8.3)."""

_LOOKS_LIKE_AN_INDEX = re.compile(r"\s*[+-]?[0-9]+\s*")
_INDEX = re.compile(r"0|[1-9][0-9]*")


def expression(column: Column, source: str, *, decoded: bool) -> sql.Composable:
    """Return the value at `source` of an event as the column's type, over the row `e`.

    `decoded`: the row has `e.document`.
    """
    value = _from_json(column, source) if source.startswith("/") else _from_input(column, source, decoded=decoded)
    if not column.is_domain:
        return value
    return sql.SQL("{}::{}").format(_within_length(column, value), column.type.sql)


def strict(column: Column, value: sql.Composable) -> sql.Composable:
    """Return `value`, of the column's type, checked as strictly as in an assignment to the column."""
    if column.is_domain or column.modifier < 0:
        return value
    if column.base.name in _CUT_BY_A_CAST:
        return _within_length(column, value)
    if column.element is not None and column.element.name in _CUT_BY_A_CAST:
        return value
    # From the catalog, which holds it as SQL.
    return sql.SQL("({})::{}").format(value, sql.SQL(cast(LiteralString, column.declared)))


def as_stored(column: Column, value: sql.Composable) -> sql.Composable:
    """Return `value` as the column stores it: rounded or trimmed, and compared in the column's collation."""
    stored = strict(column, value)
    if column.collation is None:
        return stored
    return sql.SQL("({}) COLLATE {}").format(stored, sql.Identifier(*column.collation))


def absence(source: str) -> sql.Composable | None:
    """Return the condition that an event `e` has no value at `source`, not even null; None where that cannot be."""
    if not source.startswith("/"):
        return None
    path = pointer_path(source)
    missing = sql.SQL("e.document OPERATOR(pg_catalog.#>) {} IS NULL").format(_texts(path))
    odd = [
        _is(sql.SQL("e.document OPERATOR(pg_catalog.#>) {}").format(_texts(path[:index])), "array")
        for index, step in enumerate(path)
        if _is_no_index(step)
    ]
    if not odd:
        return sql.SQL("({})").format(missing)
    return sql.SQL("(CASE WHEN {} THEN true ELSE {} END)").format(sql.SQL(" OR ").join(odd), missing)


def left_out(source: str) -> sql.Composable | None:
    """Return the condition that the envelope of an event `e` leaves the value at `source` out."""
    if not source.startswith("/"):
        return None
    member = sql.Literal(pointer_path(source)[0])
    return sql.SQL("coalesce(pg_catalog.jsonb_exists(e.absent, {}), false)").format(member)


def pointer_path(pointer: str) -> list[str]:
    """Return the steps of a JSON pointer (RFC 6901): `/a~1b/0` is ["a/b", "0"]."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _within_length(column: Column, value: sql.Composable) -> sql.Composable:
    if column.base.name not in _CUT_BY_A_CAST or column.modifier < 0:
        return value
    return sql.SQL("pg_catalog.{}({}, {}, false)").format(
        sql.Identifier(column.base.name), value, sql.Literal(column.modifier)
    )


def _from_json(column: Column, pointer: str) -> sql.Composable:
    """Return the value at `pointer` in the jsonb `e.document`; JSON null is NULL."""
    path = pointer_path(pointer)
    # A single member's name is cheaper than a path, which the server parses for each row.
    if len(path) == 1 and not _LOOKS_LIKE_AN_INDEX.fullmatch(path[0]):
        ways, step = (sql.SQL("->"), sql.SQL("->>")), _text(path[0])
    else:
        ways, step = (sql.SQL("#>"), sql.SQL("#>>")), _texts(path)
    node, text = (sql.SQL("(e.document OPERATOR(pg_catalog.{}) {})").format(way, step) for way in ways)
    value = _of_json(column.base, column.element, node, text, holds_times=column.holds_times)
    if not (odd := [index for index, step in enumerate(path) if _is_no_index(step)]):
        return value
    # PostgreSQL takes such a step as an index in any case, from the end if it is negative.
    is_array = sql.SQL(" OR ").join(
        _is(sql.SQL("e.document OPERATOR(pg_catalog.#>) {}").format(_texts(path[:index])), "array") for index in odd
    )
    return sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(is_array, value)


def _is_no_index(step: str) -> bool:
    return _LOOKS_LIKE_AN_INDEX.fullmatch(step) is not None and _INDEX.fullmatch(step) is None


def _of_json(
    kind: TypeName, element: TypeName | None, node: sql.Composable, text: sql.Composable, *, holds_times: bool
) -> sql.Composable:
    if kind.name in ("json", "jsonb"):
        return sql.SQL("(CASE WHEN {} THEN NULL ELSE {} END)::{}").format(_is(node, "null"), node, kind.sql)
    if element is not None:
        each, its_text = sql.SQL("x.value"), sql.SQL("(x.value OPERATOR(pg_catalog.#>>) {})").format(_texts([]))
        one = _of_json(element, None, each, its_text, holds_times=holds_times)
        elements = sql.SQL("ARRAY(SELECT {} FROM pg_catalog.jsonb_array_elements({}) AS x (value))").format(one, node)
        return _when(node, "array", elements, _of_text(kind, text, holds_times=holds_times))
    if kind.name in _TIMES:
        milliseconds = _from_milliseconds(kind, sql.SQL("({}::numeric)").format(text))
        other = _when(node, "number", milliseconds, _of_text(kind, text, holds_times=True))
        return _unless_plain(kind, text, other)
    if kind.name == "bytea":
        return sql.SQL("pg_catalog.decode({}, 'base64')").format(text)
    return _of_text(kind, text, holds_times=holds_times)


def is_whole_document(column: Column, source: str) -> bool:
    """Return whether the column is `e.document`, where that exists."""
    return source == "$value" and column.base.name == "jsonb"


def _from_input(column: Column, source: str, *, decoded: bool) -> sql.Composable:
    """Return a value that came beside the JSON."""
    if decoded and is_whole_document(column, source):
        return sql.SQL("e.document")
    name, kind = input_of(column, source)[:2]
    value = sql.SQL("e.") + sql.Identifier(name)
    if kind == "milliseconds" and column.base.name in _TIMES:
        # In bigint, which costs a third of numeric.
        days, rest = (
            sql.SQL("{} OPERATOR(pg_catalog.{}) 86400000").format(value, each) for each in (sql.SQL("/"), sql.SQL("%"))
        )
        return _moment(column.base, days, rest)
    if kind == "bytea" and column.base.name == "bytea":
        return value
    if column.base.name == "json":
        # Only `json` accepts texts and numbers that are not valid JSON for jsonb and for handlers.
        as_jsonb = (
            sql.SQL("e.document") if decoded and source == "$value" else sql.SQL("{}::pg_catalog.jsonb").format(value)
        )
        return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(as_jsonb, _cast(column.base, value))
    if kind == "text":
        checked = _of_text(column.base, value, holds_times=column.holds_times)
        return _unless_plain(column.base, value, checked) if column.base.name in _TIMES else checked
    return _cast(column.base, value)


def _of_text(kind: TypeName, text: sql.Composable, *, holds_times: bool) -> sql.Composable:
    """Return a text as a value of the type; fail where the value would differ from what the text says."""
    value = _cast(kind, text)
    if kind.schema == "pg_catalog" and kind.name in _LONGEST:
        too_long = sql.SQL("pg_catalog.octet_length({}) OPERATOR(pg_catalog.>) {}").format(
            text, sql.Literal(_LONGEST[kind.name])
        )
        failing = _cast(kind, sql.SQL("pg_catalog.left({}, 0)::integer::pg_catalog.text").format(text))
        return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(too_long, failing, value)
    if not holds_times:
        return value
    # In the text of an array, a range or a row, quotes and backslashes may occur within a word.
    bare = text if kind.name in _OF_THE_CLOCK else _bare(text)
    failing = _cast(kind, _DIVISION_BY_ZERO.format(text))
    found = _MATCHES.format(bare, _texts(_IN_A_WORD), _text(_WORD))
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(found, failing, value)


_DIVISION_BY_ZERO = sql.SQL("(1 OPERATOR(pg_catalog./) pg_catalog.length(pg_catalog.left({}, 0)))::pg_catalog.text")
_MATCHES = sql.SQL(
    '{0} COLLATE pg_catalog."C" OPERATOR(pg_catalog.~~) ANY ({1})'
    ' AND {0} COLLATE pg_catalog."C" OPERATOR(pg_catalog.~*) {2}'
)
_IS_PLAIN = sql.SQL('{} COLLATE pg_catalog."C" OPERATOR(pg_catalog.~~) ANY ({})')


def _unless_plain(kind: TypeName, text: sql.Composable, otherwise: sql.Composable) -> sql.Composable:
    """Return a time in one of the usual forms without a further check; `otherwise` for any other text."""
    plain = _IS_PLAIN.format(text, _texts(_PLAIN_TIMES))
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(plain, _cast(kind, text), otherwise)


def _bare(text: sql.Composable) -> sql.Composable:
    return sql.SQL("pg_catalog.translate({}, {}, '')").format(text, sql.Literal('"\\'))


def _cast(kind: TypeName, value: sql.Composable) -> sql.Composable:
    return sql.SQL("{}::{}").format(value, kind.sql)


def _from_milliseconds(kind: TypeName, value: sql.Composable) -> sql.Composable:
    """Return the moment that is this many milliseconds, a `numeric`, after 1970."""
    days = sql.SQL("pg_catalog.div({}, 86400000)").format(value)
    return _moment(kind, days, sql.SQL("pg_catalog.round(pg_catalog.mod({}, 86400000), 3)").format(value))


def _moment(kind: TypeName, days: sql.Composable, milliseconds: sql.Composable) -> sql.Composable:
    """Return the moment so many whole days, and milliseconds of a day, after 1970, exact to the microsecond.

    `to_timestamp` and the factor of an interval are double precision. That holds each of the two
    numbers exactly, but not the microseconds from 1970 to the year 9999.
    """
    moment = sql.SQL(
        "(timestamp 'epoch' OPERATOR(pg_catalog.+) (({})::double precision OPERATOR(pg_catalog.*) interval '1 day')"
        " OPERATOR(pg_catalog.+) (({})::double precision OPERATOR(pg_catalog.*) interval '1 millisecond'))"
    ).format(days, milliseconds)
    if kind.name == "timestamptz":
        return sql.SQL("({} AT TIME ZONE 'UTC')").format(moment)
    return sql.SQL("{}::{}").format(moment, kind.sql)


def _when(node: sql.Composable, kind: str, then: sql.Composable, otherwise: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(_is(node, kind), then, otherwise)


def _is(node: sql.Composable, kind: str) -> sql.Composable:
    return sql.SQL("pg_catalog.jsonb_typeof({}) OPERATOR(pg_catalog.=) {}").format(node, _text(kind))


def _text(value: str) -> sql.Composable:
    return sql.SQL("{}::pg_catalog.text").format(sql.Literal(value))


def _texts(values: Sequence[str]) -> sql.Composable:
    return sql.SQL("ARRAY[{}]::pg_catalog.text[]").format(sql.SQL(", ").join(map(sql.Literal, values)))
