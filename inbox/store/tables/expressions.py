"""Build from a source of the configuration a typed SQL expression that fits the table's own column.

The statements run on the user's search path, so each function, operator, type and collation has its
schema. Constructs for which PostgreSQL looks up an operator by a name without a schema are not
used: CASE with a value, NULLIF, IN, IS DISTINCT FROM.
"""

import json
import re
from typing import LiteralString, cast

from psycopg import sql

from inbox.documents import pointer_steps
from inbox.store.options import INDEX, ColumnSource, Constant, Reading
from inbox.store.tables.casts import times
from inbox.store.tables.casts.binary import decimal_of, from_encoded
from inbox.store.tables.casts.fragments import cast_to, is_of, matches, text_of, texts_of, when
from inbox.store.tables.casts.refusals import CastRefusal, failing
from inbox.store.tables.columns import Column, TypeName
from inbox.store.tables.decoded.expressions import absence_from_row, from_row
from inbox.store.tables.parameters import input_of

_LONGEST = {"name": 63, "char": 1}
"""The most bytes of types that both a cast and an assignment cut silently."""

_CUT_BY_A_CAST = {"varchar", "bpchar", "bit", "varbit"}
"""Types whose explicit cast to a length cuts silently where an assignment refuses (PostgreSQL manual, section 8.3)."""

_JSON = ("json", "jsonb")

_TRANSACTIONS = {"xid": 9, "cid": 9, "xid8": 19}
"""Types with the most digits that each of their numbers may have."""

_RANGES = ("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange")
_SHAPES = ("point", "line", "lseg", "box", "path", "polygon", "circle")
_MADE_OF_TEXT = frozenset(
    {"bytea", "bit", "varbit", "inet", "cidr", "macaddr", "macaddr8", "xml", "tsvector", "tsquery", "jsonpath"}
    | set(_SHAPES)
    | {name.replace("range", of) for name in _RANGES for of in ("range", "multirange")}
)
"""The types for which the text of a JSON number, boolean, object or array might mean something else."""

_LOOKS_LIKE_AN_INDEX = re.compile(r"\s*[+-]?[0-9]+\s*")
_INDEX = re.compile(r"0|[1-9][0-9]*")

DOCUMENTS: dict[str, LiteralString] = {
    "$value": "document",
    "$key": "key_document",
    "$before": "before_document",
    "$source": "source_document",
    "$event": "event",
}
"""The columns of the row `e` that hold documents, as jsonb, by the source whose pointers lead into them."""


def expression(column: Column, source: ColumnSource, *, decoded: bool) -> sql.Composable:
    """Return the value at `source` of an event as the column's type, over the row `e`.

    `decoded`: the row has `e.document`. A pointer's column is made in the client where it has none.
    """
    value = _filled(column, source, decoded=decoded)
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


def absence(source: ColumnSource) -> sql.Composable | None:
    """Return the condition that an event `e` has no value at `source`, not even null; None where that cannot be."""
    if source.pointer is None:
        return None
    path = pointer_steps(source.pointer)
    document = sql.SQL("e.") + sql.Identifier(DOCUMENTS[source.document or ""])
    missing = sql.SQL("{} OPERATOR(pg_catalog.#>) {} IS NULL").format(document, texts_of(path))
    odd = [
        is_of(sql.SQL("{} OPERATOR(pg_catalog.#>) {}").format(document, texts_of(path[:index])), "array")
        for index, step in enumerate(path)
        if _is_no_index(step)
    ]
    if not odd:
        return sql.SQL("({})").format(missing)
    return sql.SQL("(CASE WHEN {} THEN true ELSE {} END)").format(sql.SQL(" OR ").join(odd), missing)


def left_out(source: ColumnSource) -> sql.Composable | None:
    """Return the condition that the envelope of an event `e` leaves the value at `source` out."""
    if source.document != "$value":
        return None
    member = sql.Literal(pointer_steps(source.pointer or "")[0])
    return sql.SQL("coalesce(pg_catalog.jsonb_exists(e.absent, {}), false)").format(member)


def constant(column: Column, value: Constant) -> sql.Composable:
    """Return a value of the configuration as the column's base type, as if a document had it."""
    node = sql.SQL("{}::pg_catalog.jsonb").format(sql.Literal(json.dumps(value, ensure_ascii=False)))
    text = sql.SQL("({} OPERATOR(pg_catalog.#>>) {})").format(node, texts_of([]))
    return _of_json(column.base, column.element, ColumnSource(), node, text, holds_times=column.holds_times)


def _filled(column: Column, source: ColumnSource, *, decoded: bool) -> sql.Composable:
    """Return the value at the source, or what the configuration has in its place."""
    if source.value is not None:
        return constant(column, source.value)
    if source.document == "$value" and not decoded:
        value = from_row(column, _of_text)
    elif source.pointer is not None:
        value = _from_json(column, source)
    else:
        value = _from_input(column, source, decoded=decoded)
    if source.default is not None:
        return sql.SQL("coalesce({}, {})").format(value, constant(column, source.default))
    if source.or_default and column.default is not None:
        own = cast_to(column.base, sql.SQL("({})").format(sql.SQL(column.default)))
        return sql.SQL("coalesce({}, {})").format(value, own)
    if source.leaves and column.default is not None and source.document is not None:
        own = cast_to(column.base, sql.SQL("({})").format(sql.SQL(column.default)))
        missing = absence(source) if decoded or source.document != "$value" else absence_from_row(source)
        return value if missing is None else when(missing, own, value)
    return value


def _within_length(column: Column, value: sql.Composable) -> sql.Composable:
    if column.base.name not in _CUT_BY_A_CAST or column.modifier < 0:
        return value
    return sql.SQL("pg_catalog.{}({}, {}, false)").format(
        sql.Identifier(column.base.name), value, sql.Literal(column.modifier)
    )


def _from_json(column: Column, source: ColumnSource) -> sql.Composable:
    """Return the value at a pointer into one of the documents; JSON null is NULL."""
    path = pointer_steps(source.pointer or "")
    document = sql.SQL("e.") + sql.Identifier(DOCUMENTS[source.document or ""])
    # A single member's name is cheaper than a path, which the server parses for each row.
    if len(path) == 1 and not _LOOKS_LIKE_AN_INDEX.fullmatch(path[0]):
        ways, step = (sql.SQL("->"), sql.SQL("->>")), text_of(path[0])
    else:
        ways, step = (sql.SQL("#>"), sql.SQL("#>>")), texts_of(path)
    node, text = (sql.SQL("({} OPERATOR(pg_catalog.{}) {})").format(document, way, step) for way in ways)
    value = _of_json(column.base, column.element, source, node, text, holds_times=column.holds_times)
    if not (odd := [index for index, step in enumerate(path) if _is_no_index(step)]):
        return value
    # PostgreSQL takes such a step as an index in any case, from the end if it is negative.
    is_array = sql.SQL(" OR ").join(
        is_of(sql.SQL("{} OPERATOR(pg_catalog.#>) {}").format(document, texts_of(path[:index])), "array")
        for index in odd
    )
    return sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(is_array, value)


def _is_no_index(step: str) -> bool:
    return _LOOKS_LIKE_AN_INDEX.fullmatch(step) is not None and _INDEX.fullmatch(step) is None


def _of_json(
    kind: TypeName,
    element: TypeName | None,
    source: ColumnSource,
    node: sql.Composable,
    text: sql.Composable,
    *,
    holds_times: bool,
) -> sql.Composable:
    if kind.name in _JSON:
        return _json_of_json(kind, source.reading, node, text)
    if element is not None and source.reading is not Reading.TEXT:
        each, its_text = sql.SQL("x1.value"), sql.SQL("(x1.value OPERATOR(pg_catalog.#>>) {})").format(texts_of([]))
        one = _of_json(element, None, source, each, its_text, holds_times=holds_times)
        elements = _elements(one, node) if element.name in _JSON else _nested(one, node)
        return when(is_of(node, "array"), elements, _of_string(kind, node, text, holds_times=holds_times))
    if source.reading is Reading.JSON:
        return cast_to(
            kind, sql.SQL("CASE WHEN {} THEN NULL ELSE {}::pg_catalog.text END").format(is_of(node, "null"), node)
        )
    if source.reading is not None and source.reading is not Reading.TEXT:
        return _read(kind, source, text)
    if kind.name in times.TIMES:
        no_unit = failing(CastRefusal.NO_UNIT, kind, text)
        other = when(is_of(node, "number"), no_unit, times.checked(kind, text))
        return times.from_text(kind, text, otherwise=other)
    if kind.name in _MADE_OF_TEXT:
        value = _bytes(source, text) if kind.name == "bytea" else _of_text(kind, text, holds_times=holds_times)
        return value if source.reading is Reading.TEXT else _of_string(kind, node, text, value=value)
    return _of_text(kind, text, holds_times=holds_times)


def _elements(one: sql.Composable, node: sql.Composable, dimensions: int = 1) -> sql.Composable:
    """Return the array of a JSON array of so many dimensions; `one` is the value of the element `x1`."""
    inner = sql.Identifier(f"x{dimensions}")
    each = one if dimensions == 1 else _elements(one, inner + sql.SQL(".value"), dimensions - 1)
    return sql.SQL("ARRAY(SELECT {} FROM pg_catalog.jsonb_array_elements({}) AS {} (value))").format(each, node, inner)


def _nested(one: sql.Composable, node: sql.Composable) -> sql.Composable:
    """Return the array of a JSON array, whose first elements say how many dimensions it has, up to three."""
    second, third = (
        is_of(sql.SQL("({} OPERATOR(pg_catalog.#>) {})").format(node, texts_of(path)), "array")
        for path in (["0"], ["0", "0"])
    )
    deep = when(third, _elements(one, node, 3), _elements(one, node, 2))
    return when(second, deep, _elements(one, node))


def _of_string(
    kind: TypeName,
    node: sql.Composable,
    text: sql.Composable,
    *,
    value: sql.Composable | None = None,
    holds_times: bool = False,
) -> sql.Composable:
    """Return the value of a JSON text; fail for every other kind, which PostgreSQL might read as something else.

    `[1, 5]` is a range to it, `{}` an empty array, and `true` are three bytes in base64.
    """
    others = sql.SQL("pg_catalog.jsonb_typeof({}) OPERATOR(pg_catalog.=) ANY ({})").format(
        node, texts_of(["number", "boolean", "object", "array"])
    )
    value = value or _of_text(kind, text, holds_times=holds_times)
    return when(others, failing(CastRefusal.WRONG_KIND, kind, text), value)


def _json_of_json(
    kind: TypeName, reading: Reading | None, node: sql.Composable, text: sql.Composable
) -> sql.Composable:
    """Return a part of a document as JSON; with `json` a string is JSON itself, with `text` all becomes a string."""
    if reading is Reading.TEXT:
        return cast_to(kind, sql.SQL("pg_catalog.to_jsonb({})").format(text))
    if reading is Reading.JSON:
        node = when(is_of(node, "string"), sql.SQL("{}::pg_catalog.jsonb").format(text), node)
    return sql.SQL("(CASE WHEN {} THEN NULL ELSE {} END)::{}").format(is_of(node, "null"), node, kind.sql)


def _read(kind: TypeName, source: ColumnSource, text: sql.Composable) -> sql.Composable:
    """Return a text or a number as `as` says."""
    match source.reading:
        case Reading.BASE64 | Reading.HEX as reading:
            return from_encoded(reading, text)
        case Reading.DECIMAL_BYTES:
            return decimal_of(kind, source.scale or 0, text)
        case reading:
            return times.from_number(kind, cast(Reading, reading), text)


def _bytes(source: ColumnSource, text: sql.Composable) -> sql.Composable:
    if source.reading is Reading.TEXT:
        return sql.SQL("pg_catalog.convert_to({}, 'UTF8')").format(text)
    return from_encoded(Reading.BASE64, text)


def is_whole_document(column: Column, source: ColumnSource) -> bool:
    """Return whether the column is `e.document`, where that exists."""
    return source == ColumnSource("$value") and column.base.name == "jsonb"


def _from_input(column: Column, source: ColumnSource, *, decoded: bool) -> sql.Composable:
    """Return a value that came beside the JSON."""
    if source.source == INDEX:
        return cast_to(column.base, sql.SQL("e.index"))
    if decoded and is_whole_document(column, source):
        return sql.SQL("e.document")
    found = input_of(column, source)
    if found is None:
        raise AssertionError(f"{source} is no input")
    value = sql.SQL("e.") + sql.Identifier(found.name)
    if found.kind == "milliseconds" and column.base.name in times.MOMENTS:
        # In bigint, which costs a third of numeric.
        days, rest = (
            sql.SQL("{} OPERATOR(pg_catalog.{}) 86400000").format(value, each) for each in (sql.SQL("/"), sql.SQL("%"))
        )
        return times.moment(column.base, days, rest, sql.SQL("millisecond"))
    if found.kind == "bytea":
        return value
    if source.reading not in (None, Reading.JSON, Reading.TEXT):
        return _read(column.base, source, value)
    if column.base.name in _JSON and source.reading is Reading.TEXT:
        return cast_to(column.base, sql.SQL("pg_catalog.to_jsonb({})").format(value))
    if column.base.name == "json":
        # Only `json` accepts texts and numbers that are not valid JSON for jsonb and for handlers.
        as_jsonb = (
            sql.SQL("e.document")
            if decoded and source.source == "$value"
            else sql.SQL("{}::pg_catalog.jsonb").format(value)
        )
        return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(as_jsonb, cast_to(column.base, value))
    return (
        _of_text(column.base, value, holds_times=column.holds_times)
        if found.kind == "text"
        else (cast_to(column.base, value))
    )


def _of_text(kind: TypeName, text: sql.Composable, *, holds_times: bool) -> sql.Composable:
    """Return a text as a value of the type; fail where the value would differ from what the text says."""
    value = cast_to(kind, text)
    if kind.schema == "pg_catalog" and kind.name in _LONGEST:
        too_long = sql.SQL("pg_catalog.octet_length({}) OPERATOR(pg_catalog.>) {}").format(
            text, sql.Literal(_LONGEST[kind.name])
        )
        failed = cast_to(kind, sql.SQL("pg_catalog.left({}, 0)::integer::pg_catalog.text").format(text))
        return when(too_long, failed, value)
    if kind.name in times.TIMES:
        return times.from_text(kind, text)
    if kind.name in _TRANSACTIONS:
        # Their input functions read any text as a number, perhaps 0.
        is_whole = matches(text, f"^[0-9]{{1,{_TRANSACTIONS[kind.name]}}}$")
        failed = sql.SQL("pg_catalog.left({}, 0)::integer::pg_catalog.text").format(text)
        return cast_to(kind, sql.SQL("({})").format(when(is_whole, text, failed)))
    return times.of_several(kind, text, value) if holds_times else value
