"""Say before any event which columns cannot take the values that a schema allows at their pointers."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal

from inbox.store.options import ColumnSource, Reading
from inbox.store.tables.casts.times import TIMES
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.texts import taken
from inbox.store.tables.decoded.wording import refusal, word_of

_NUMBERS = frozenset({int, float, Decimal})
_READ: Mapping[Reading, frozenset[type]] = {
    **dict.fromkeys(
        (each for each in Reading if each.value.startswith(("epoch-", "time-"))), frozenset({*_NUMBERS, str})
    ),
    Reading.BASE64: frozenset({str}),
    Reading.HEX: frozenset({str}),
    Reading.DECIMAL_BYTES: frozenset({str, bytes}),
}
"""The types that an `as` takes; the others take all."""

_WHOLE, _FLOATING = ("int2", "int4", "int8"), ("float4", "float8", "numeric")
_OF_JSON: Mapping[str, frozenset[type]] = {
    **dict.fromkeys((*_WHOLE, *_FLOATING), frozenset({*_NUMBERS, str})),
    **dict.fromkeys(TIMES, frozenset({str})),
    "uuid": frozenset({str}),
}
"""The types of JSON that columns take which PostgreSQL makes of it; the others take all."""


def unfit(column: Column, source: ColumnSource, types: Collection[type], *, decoded: bool) -> str | None:
    """Return why a column can take no value of these types, or None if it can take some.

    `decoded`: the client makes the column of a decoded row, and not PostgreSQL of JSON.
    """
    found = set(types)
    if column.element is not None and list in found:
        return None
    if (reading := source.reading) is not None:
        takes = _READ.get(reading, found)
        if takes & found or not found:
            return None
        words = " or ".join(sorted(map(word_of, found)))
        return f'as = "{reading}" does not go with {words}, which the schema has there; remove `as`'
    kind = column.element or column.base
    fits = taken(kind).keys() if decoded else _OF_JSON.get(kind.name, found)
    if not found or found & set(fits):
        return None
    return f"{column.declared} cannot take {refusal(taken(kind), sorted(found, key=word_of)[0])}"


def only_texts(column: Column, source: ColumnSource, types: Collection[type]) -> str | None:
    """Return an advice for a column of numbers that gets texts alone, or None."""
    if source.reading is not None or column.element is not None or set(types) != {str}:
        return None
    if column.base.name not in (*_WHOLE, *_FLOATING, "bool"):
        return None
    return f"the schema has a text there; a text that is no {column.declared} becomes a dead letter"


def lines(
    columns: Iterable[tuple[Column, ColumnSource]], types: Mapping[str, Collection[type]], *, decoded: bool
) -> Iterator[tuple[bool, str]]:
    """Yield whether it is certain, and a line, for each column that takes no value, or hardly one, of its types."""
    for column, source in columns:
        if (of := types.get(column.name)) is None:
            continue
        for certain, problem in (
            (True, unfit(column, source, of, decoded=decoded)),
            (False, only_texts(column, source, of)),
        ):
            if problem is not None:
                yield certain, f'column "{column.name}" from {source}: {problem}'
