"""Say why a column cannot take a typed value, and what to do, without the value."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any
from uuid import UUID

from inbox.reading.values import Bits, Date, Interval, Json, TimeOfDay, Timestamp


class RefusedValueError(Exception):
    """A value that its column cannot take. The text says what it is and what to do, without any part of it."""


class ContradictionError(RefusedValueError):
    """An `as` that says something else than the value's schema. The text is a whole sentence."""


_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a floating-point number",
    Decimal: "a decimal",
    str: "a text",
    bytes: "bytes",
    UUID: "a UUID",
    dict: "an object",
    list: "an array",
    Date: "a date",
    TimeOfDay: "a time of day",
    Timestamp: "a timestamp",
    Interval: "an interval",
    Json: "a JSON document",
    Bits: "a string of bits",
}

_COLUMNS: dict[type, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    Decimal: "numeric",
    str: "text",
    bytes: "bytea",
    UUID: "uuid",
    Date: "date",
    TimeOfDay: "time",
    Timestamp: "timestamptz or timestamp",
    Interval: "interval",
    Json: "jsonb",
    Bits: "bit varying",
}


def word_for(value: Any) -> str:
    """Return what an error calls a value of this type."""
    return word_of(type(value))


def word_of(kind: type) -> str:
    """Return what an error calls the values of a type."""
    return _WORDS.get(kind, "a value")


def refusal(taken: Collection[type], kind: type) -> str:
    """Return why a type that takes some Python types does not take another, and what to do."""
    if kind in (int, float, Decimal) and (Timestamp in taken or TimeOfDay in taken):
        unit = "epoch-ms" if Timestamp in taken else "time-us"
        return f'a number without a unit; set as = "{unit}" (or another unit), or give its schema a logical type'
    if kind is str and bytes in taken:
        return 'a text; set as = "base64" (or hex, text), or make the column text'
    if kind in (dict, list):
        return f"{_WORDS[kind]}; point to a part of it, or make the column jsonb"
    return f"{word_of(kind)}; make the column {_COLUMNS.get(kind, 'text')}"
