"""Say why a column cannot take a value, without the value."""

import json
from collections.abc import Mapping, Sequence

from inbox.store.options import ColumnSource
from inbox.store.tables.casts.refusals import CastRefusal
from inbox.store.tables.casts.times import TIMES_OF_DAY
from inbox.store.tables.columns import Column


def cannot_be(column: Column, source: ColumnSource) -> str:
    """Return the text for a value that PostgreSQL does not read as the column's type."""
    reading = f' (as = "{source.reading}")' if source.reading else ""
    return f"{_from(column, source)}: a value that cannot be {column.declared}{reading}"


_REMEDIES_OF_TEXTS: Mapping[str, str] = {
    "22021": "send valid UTF-8 without NUL",
    "22P05": 'send texts without NUL, or set nul = "remove" in the route, which takes it from values',
}
_REMEDIES: Mapping[str, str] = {
    **_REMEDIES_OF_TEXTS,
    "22001": "make the column longer, or send a shorter text",
    "22003": "make the column a larger type, or send a smaller number",
    "22008": "send a time that the type can hold, or make the column text",
    "23514": "send a value that the domain takes, or change its condition",
}


def remedy(state: str | None, *, of_column: bool = True) -> str:
    """Return what to do about a value of a column, or else about a whole document, refused with the SQLSTATE."""
    if of_column:
        return _REMEDIES.get(state or "", "correct what the producer sends, or the type of the column")
    return _REMEDIES_OF_TEXTS.get(state or "", "correct what the producer sends")


def reasons(column: Column, source: ColumnSource) -> dict[str, str]:
    """Return the text for each reason that an expression itself finds, by SQLSTATE."""
    return {
        CastRefusal.MISSING.value: (
            f"{_from(column, source)}: no value, which the column requires (required = true); "
            "send one, or set `default` in its place"
        ),
        **({CastRefusal.CLOCK_WORD.value: _clock_word(column, source)} if column.holds_times else {}),
        CastRefusal.NO_UNIT.value: f"{_from(column, source)}: {_no_unit(column)}",
        CastRefusal.LOSES.value: f"{_from(column, source)}: {_loses(column)}",
        CastRefusal.WRONG_KIND.value: f"{_from(column, source)}: {_wrong_kind(column)}",
    }


def numbers_at(document: bytes, path: Sequence[str]) -> str | None:
    """Return the number at a path into a document, for the payload of an error; in an array, its numbers."""
    try:
        found = json.loads(document, parse_int=_Number, parse_float=_Number)
        for step in path:
            found = found[int(step)] if isinstance(found, list) else found[step]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    numbers = [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, _Number)]
    return ", ".join(numbers) or None


class _Number(str):
    """A number with the digits that the document has."""

    __slots__ = ()


def _clock_word(column: Column, source: ColumnSource) -> str:
    return (
        f"{_from(column, source)}: a word for a time (now, today, tomorrow, yesterday or allballs), which "
        "would be another time at every reading; send the time itself"
    )


def _wrong_kind(column: Column) -> str:
    made_of = "text" if column.element is None else "array of what its elements are made of"
    return (
        f"{column.declared} is made of a JSON {made_of}, and this is another kind of value; "
        "correct what the producer sends, or make the column jsonb"
    )


def _no_unit(column: Column) -> str:
    kind = (column.element or column.base).name
    if kind in TIMES_OF_DAY or kind == "interval":
        return 'the number has no unit; set as = "time-us" (or time-ms, time-ns)'
    if kind == "date":
        return 'the number has no unit; set as = "epoch-days" (or epoch-s, epoch-ms, ...)'
    return 'the number has no unit; set as = "epoch-ms" (or epoch-s, epoch-us, ...)'


def _loses(column: Column) -> str:
    if (column.element or column.base).name == "date":
        return "a time of day other than midnight in UTC, which a date cannot hold; send the day, or use a timestamptz"
    if (column.element or column.base).name in ("timestamp", "tsrange", "tsmultirange"):
        return "a time with a zone, which the type would drop; send it in UTC, without a zone"
    return "not a time of day alone, such as 10:00:00; send it without a date"


def _from(column: Column, source: ColumnSource) -> str:
    return f'column "{column.name}" from {source}'
