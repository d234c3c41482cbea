"""Apply `as` to a typed value: give a number its unit, and bytes to a text.

A value whose schema says already what it is takes no `as` that says something else.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from inbox.reading.values import DAY, Date, Interval, Json, TimeOfDay, Timestamp, as_text, decimal_of
from inbox.reading.values import INFINITE as INFINITE_NUMBER
from inbox.store.options import Reading
from inbox.store.tables.casts.times import INFINITE
from inbox.store.tables.columns import TypeName
from inbox.store.tables.decoded.wording import ContradictionError, RefusedValueError, word_for

Apply = Callable[[Any], Any]

_UNITS = {
    Reading.EPOCH_S: 1_000_000_000,
    Reading.EPOCH_MS: 1_000_000,
    Reading.EPOCH_US: 1000,
    Reading.EPOCH_NS: 1,
    Reading.EPOCH_DAYS: DAY,
    Reading.TIME_MS: 1_000_000,
    Reading.TIME_US: 1000,
    Reading.TIME_NS: 1,
}
"""The nanoseconds of one of each unit."""

_MOST_DIGITS = 40
_BEYOND_TIMES = "a number beyond every time; set `as` to the unit that it has"
_BLANKS = re.compile(r"[ \t\r\n]")


def application(reading: Reading, scale: int | None, kind: TypeName) -> Apply:
    """Return the function that applies `as` to a value that is not null, for a column or its elements.

    The function raises RefusedValueError.
    """
    if reading in _UNITS:
        return _in_unit(reading, kind)
    match reading:
        case Reading.BASE64:
            return lambda value: _bytes(value, reading, _of_base64)
        case Reading.HEX:
            return lambda value: _bytes(value, reading, _of_hex)
        case Reading.DECIMAL_BYTES:
            return lambda value: _decimal(value, scale or 0)
        case Reading.JSON:
            return lambda value: Json(value) if type(value) is str else value
        case _:
            return _text


def _in_unit(reading: Reading, kind: TypeName) -> Apply:
    unit, of_a_day = _UNITS[reading], reading.value.startswith("time-")
    infinities = dict(zip(map(int, INFINITE.get(reading, ())), (INFINITE_NUMBER, -INFINITE_NUMBER), strict=False))

    def apply(value: Any) -> Any:
        if type(value) is int and (infinity := infinities.get(value)) is not None:
            return Date(infinity) if kind.name == "date" else Timestamp(infinity)
        nanoseconds = _times(value, unit, reading)
        if reading is Reading.EPOCH_DAYS and kind.name == "date":
            return Date(nanoseconds // DAY)
        if not of_a_day:
            return Timestamp(nanoseconds)
        if kind.name == "interval":
            return Interval(0, 0, nanoseconds)
        if not 0 <= nanoseconds <= DAY:
            raise RefusedValueError("a number that is not a time of day in its unit; set `as` to the unit that it has")
        return TimeOfDay(nanoseconds)

    return apply


def _times(value: Any, unit: int, reading: Reading) -> int:
    """Return a number of units in nanoseconds; what is finer is cut off, toward the past."""
    kind = type(value)
    if kind is int:
        return _within_times(value * unit)
    if kind not in (float, Decimal, str):
        raise _contradiction(value, reading)
    try:
        number = Decimal(repr(value) if kind is float else value)
        if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
            raise RefusedValueError(_BEYOND_TIMES)
    except InvalidOperation:
        raise RefusedValueError(
            f'a text that is not a number, which as = "{reading}" needs; remove `as`, or send a number'
        ) from None
    numerator, denominator = number.as_integer_ratio()
    return _within_times(numerator * unit // denominator)


def _within_times(nanoseconds: int) -> int:
    """Return the number if it cannot be taken for an infinity."""
    if not -INFINITE_NUMBER < nanoseconds < INFINITE_NUMBER:
        raise RefusedValueError(_BEYOND_TIMES)
    return nanoseconds


def _bytes(value: Any, reading: Reading, read: Callable[[str], bytes]) -> bytes:
    if type(value) is not str:
        raise _contradiction(value, reading)
    try:
        return read(value)
    except ValueError:
        raise RefusedValueError(f"a text that is not {reading}; set `as` to what it is") from None


def _of_base64(text: str) -> bytes:
    return b64decode(_BLANKS.sub("", text), validate=True)


def _of_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _decimal(value: Any, scale: int) -> Decimal:
    if type(value) is str:
        value = _bytes(value, Reading.DECIMAL_BYTES, _of_base64)
    if type(value) is not bytes:
        raise _contradiction(value, Reading.DECIMAL_BYTES)
    if not value:
        raise RefusedValueError("an empty value, which has no digits; send null for no number")
    return decimal_of(value, scale)


def _text(value: Any) -> str:
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RefusedValueError("bytes that are not UTF-8; make the column bytea") from None
    return as_text(value)


def _contradiction(value: Any, reading: Reading) -> ContradictionError:
    return ContradictionError(
        f'as = "{reading}" contradicts the schema, by which the value is {word_for(value)}; remove `as`'
    )
