"""Pack the values of a column whose types are all the same into one of PostgreSQL's binary arrays.

The server then has nothing to parse. Which packing fits is decided once for each batch, from the set of
types that it has, not for each value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from inbox.reading.values import INFINITE, Bits, Date, Json, Timestamp
from inbox.store.postgres import arrays
from inbox.store.tables.columns import TypeName

Pack = Callable[[Sequence[Any]], arrays.PackedArray]

_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_LAST_DATE, _LAST_MOMENT = (1 << 31) - 1, (1 << 63) - 1
"""PostgreSQL's `infinity`, as it is sent; `-infinity` is the lowest number."""

_DATES = range(-2_451_545, 2_145_031_949)
_TIMESTAMPS = range(-211_813_488_000_000_000, 9_223_371_331_200_000_000)
"""The numbers that PostgreSQL takes for a date and for a timestamp (source: `datatype/timestamp.h`).

Of another number it says which only as "out of range", before it looks at any column.
"""


def texts(values: Sequence[str | None]) -> arrays.PackedArray:
    """Pack texts; raise UnicodeEncodeError for one that UTF-8 cannot hold."""
    if None in values:
        return arrays.texts([None if value is None else value.encode() for value in values])
    return arrays.texts([*map(str.encode, values)])  # type: ignore[arg-type]


_TO_SHAPE = bytes.maketrans(b"123456789", b"000000000")
_MOMENT = re.compile(rb"0000-00-00(?:[T ]00:00:00(?:[.]0{1,6})?(?:Z|[+-]00(?::?00)?)?)?")
_DAY = re.compile(rb"0000-00-00")
"""The shapes of the usual forms of ISO 8601: no word for a time, not digits alone, and nothing finer than a
microsecond.
"""


def _in_shape(values: Sequence[str | None], shape: re.Pattern[bytes]) -> arrays.PackedArray:
    """Pack texts of which each has the shape, digits aside; a batch has few shapes, so each is looked at once."""
    found = [value.encode() for value in values if value is not None]
    shapes = b"\n".join(found).translate(_TO_SHAPE).split(b"\n") if found else []
    if len(shapes) != len(found) or not all(map(shape.fullmatch, {*shapes})):
        raise OverflowError
    return arrays.texts(found) if len(found) == len(values) else texts(values)


def moments(values: Sequence[str | None]) -> arrays.PackedArray:
    """Pack texts of dates and timestamps as they are, if each is in a usual form of ISO 8601."""
    return _in_shape(values, _MOMENT)


def days(values: Sequence[str | None]) -> arrays.PackedArray:
    """Pack texts of days as they are, if each is in the usual form of ISO 8601."""
    return _in_shape(values, _DAY)


def _texts_without_nul(values: Sequence[str | None]) -> arrays.PackedArray:
    if "\x00" in "".join(filter(None, values)):
        raise OverflowError
    return texts(values)


def _decimals(values: Sequence[Decimal | None]) -> arrays.PackedArray:
    # PostgreSQL reads Python's own text too, whatever its exponent.
    return arrays.texts([None if value is None else str(value).encode() for value in values])


def _uuids(values: Sequence[UUID | None]) -> arrays.PackedArray:
    return arrays.nullable_uuids([None if value is None else value.bytes for value in values])


def _dates(values: Sequence[Date | None]) -> arrays.PackedArray:
    return arrays.dates([None if value is None else _day(value.days) for value in values])


def _day(days: int) -> int:
    if -INFINITE < days < INFINITE:
        if (number := days - _DAYS_TO_2000) not in _DATES:
            raise OverflowError
        return number
    return _LAST_DATE if days > 0 else ~_LAST_DATE


def _moments(values: Sequence[Timestamp | None]) -> arrays.PackedArray:
    if values and None not in values:
        numbers = [value.nanoseconds // 1000 - _MICROSECONDS_TO_2000 for value in values]  # type: ignore[union-attr]
        if min(numbers) in _TIMESTAMPS and max(numbers) in _TIMESTAMPS:
            return arrays.timestamptzs(numbers)
    return arrays.timestamptzs([None if value is None else _moment(value.nanoseconds) for value in values])


def _moment(nanoseconds: int) -> int:
    if -INFINITE < nanoseconds < INFINITE:
        if (number := nanoseconds // 1000 - _MICROSECONDS_TO_2000) not in _TIMESTAMPS:
            raise OverflowError
        return number
    return _LAST_MOMENT if nanoseconds > 0 else ~_LAST_MOMENT


_NUMBERS: Mapping[type, Pack] = {int: arrays.int8s, str: _texts_without_nul}
_FLOATS: Mapping[type, Pack] = {float: arrays.float8s, str: _texts_without_nul}
_STRINGS: Mapping[type, Pack] = {str: texts, Json: texts, Bits: texts}

_MOMENTS: Mapping[type, Pack] = {Timestamp: _moments, str: moments}

_PACKED: dict[str, Mapping[type, Pack]] = {
    **dict.fromkeys(("int2", "int4", "int8"), _NUMBERS),
    "numeric": {int: arrays.int8s, Decimal: _decimals, str: _texts_without_nul},
    **dict.fromkeys(("float4", "float8"), _FLOATS),
    "bool": {bool: arrays.bools},
    **dict.fromkeys(("text", "varchar", "bpchar"), _STRINGS),
    "bytea": {bytes: arrays.byteas},
    "uuid": {UUID: _uuids, str: texts},
    "date": {Date: _dates, str: moments},
    **dict.fromkeys(("timestamptz", "timestamp"), _MOMENTS),
}


def packings(kind: TypeName) -> Mapping[type, Pack]:
    """Return the packings that a type has, by the Python type of the values. They take None as well.

    A packing raises OverflowError for a number that does not fit, or that the server refuses before it looks at a
    column, and for a text that has to be looked at by itself; UnicodeEncodeError for one that UTF-8 cannot hold.
    """
    return _PACKED.get(kind.name, {}) if kind.schema == "pg_catalog" else {}
