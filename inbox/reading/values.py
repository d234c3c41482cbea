"""The values of decoded rows: Python's own, and types for times that reach beyond Python's `datetime`.

A decoded row (`ReadRecord.row`) holds None, bool, int, float, Decimal, str, bytes, UUID, the types below,
lists, and dicts with texts as names. Each value has one text for PostgreSQL, one for JSON, and one Python
value for handlers. PostgreSQL keeps microseconds: nanoseconds are cut off, toward the past.
"""

import math
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any
from uuid import UUID

import msgspec

from inbox.documents import parse, whole_number_text, write
from inbox.reading.days import DAY as DAY
from inbox.reading.days import clock_text, day_text

INFINITE = 1 << 100
"""The days or nanoseconds that stand for PostgreSQL's `infinity`; with a minus sign for `-infinity`."""

EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""A context that rounds nothing: that of the thread keeps 28 digits."""

_MOST_ZEROS = 1000
_EPOCH = datetime(1970, 1, 1)
_ORDINAL_OF_1970 = date(1970, 1, 1).toordinal()


class Date(msgspec.Struct, frozen=True, gc=False):
    """A date, in days since 1970."""

    days: int


class TimeOfDay(msgspec.Struct, frozen=True, gc=False):
    """A time of day, in nanoseconds since midnight, up to 24:00; `offset` is its zone's, in seconds east of UTC."""

    nanoseconds: int
    offset: int | None = None


class Timestamp(msgspec.Struct, frozen=True, gc=False):
    """A point in time, in nanoseconds since 1970. Without a zone it is the time that a clock showed."""

    nanoseconds: int
    zoned: bool = True


class Interval(msgspec.Struct, frozen=True, gc=False):
    """A span of time. Its three parts are kept apart, because a month and a day have no fixed length."""

    months: int = 0
    days: int = 0
    nanoseconds: int = 0


class Json(str):
    """A text that is a JSON document."""

    __slots__ = ()


class Bits(str):
    """A string of bits, as a text of 0 and 1."""

    __slots__ = ()


def decimal_of(unscaled: bytes, scale: int) -> Decimal:
    """Return the decimal whose digits are `unscaled`, a big-endian number in two's complement."""
    return EXACT.scaleb(Decimal(int.from_bytes(unscaled, "big", signed=True)), -scale)


def as_text(value: Any) -> str:
    """Return the text that PostgreSQL reads as the value, in any session; a dict or a list is a JSON document.

    Raises:
        DocumentError: a document cannot be written.
    """
    kind = type(value)
    if kind is str:
        return str(value)
    found = _TEXTS.get(kind)
    return write(as_json(value)) if found is None else found(value)


def as_python(value: Any) -> Any:
    """Return a decoded value for handlers, with times as Python's types where these can hold them.

    A time that Python cannot hold, and an interval with months, stay as they are.
    """
    kind = type(value)
    if kind is dict:
        return {name: as_python(each) for name, each in value.items()}
    if kind is list:
        return [as_python(each) for each in value]
    convert = _PYTHON.get(kind)
    if convert is None:
        return value
    try:
        return convert(value)
    except (OverflowError, ValueError):
        return value


def as_json(value: Any) -> Any:
    """Return a decoded value as `inbox.documents.write` takes it.

    Bytes become base64. Times become ISO 8601 texts. NaN and the infinities, which JSON does not have,
    become the texts that Protobuf and Kafka Connect give them.

    Raises:
        DocumentError: a text that should be a JSON document is not valid.
    """
    kind = type(value)
    if kind is dict:
        return {name: as_json(each) for name, each in value.items()}
    if kind is list:
        return [as_json(each) for each in value]
    convert = _JSON.get(kind)
    return value if convert is None else convert(value)


# Texts.


def _number_text(value: float | Decimal) -> str:
    if not _is_finite(value):
        return _unbounded_text(value)
    text = str(value)
    # `numeric` reads both, but a column of text should have digits; a large exponent stays short.
    return format(value, "f") if "E" in text and abs(Decimal(value).adjusted()) < _MOST_ZEROS else text


def _is_finite(value: float | Decimal) -> bool:
    """Return whether the value is a number; a decimal beyond the range of floats is one."""
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def _unbounded_text(value: float | Decimal) -> str:
    if value.is_nan() if isinstance(value, Decimal) else math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _infinity_text(value: int) -> str:
    return "infinity" if value > 0 else "-infinity"


def _date_text(value: Date) -> str:
    if abs(value.days) >= INFINITE:
        return _infinity_text(value.days)
    return "".join(day_text(value.days))


def _time_text(value: TimeOfDay) -> str:
    text = clock_text(value.nanoseconds)
    return text if value.offset is None else text + _offset_text(value.offset)


def _offset_text(offset: int) -> str:
    minutes, second = divmod(abs(offset), 60)
    hour, minute = divmod(minutes, 60)
    text = f"{'-' if offset < 0 else '+'}{hour:02}"
    return f"{text}:{minute:02}:{second:02}" if second else f"{text}:{minute:02}" if minute else text


def _timestamp_text(value: Timestamp, between: str = " ") -> str:
    if abs(value.nanoseconds) >= INFINITE:
        return _infinity_text(value.nanoseconds)
    days, rest = divmod(value.nanoseconds, DAY)
    day, era = day_text(days)
    return f"{day}{between}{clock_text(rest)}{'+00' if value.zoned else ''}{era}"


def _interval_text(value: Interval) -> str:
    sign, rest = ("-", -value.nanoseconds) if value.nanoseconds < 0 else ("", value.nanoseconds)
    return f"{value.months} mons {value.days} days {sign}{clock_text(rest)}"


_TEXTS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    int: whole_number_text,
    float: lambda value: repr(value) if math.isfinite(value) else _unbounded_text(value),
    Decimal: _number_text,
    bytes: lambda value: "\\x" + value.hex(),
    UUID: str,
    Date: _date_text,
    TimeOfDay: _time_text,
    Timestamp: _timestamp_text,
    Interval: _interval_text,
    Json: str,
    Bits: str,
}


# Python.


def _python_time(value: TimeOfDay) -> Any:
    if value.nanoseconds >= DAY:
        return value
    at = (_EPOCH + timedelta(microseconds=value.nanoseconds // 1000)).time()
    return at if value.offset is None else at.replace(tzinfo=timezone(timedelta(seconds=value.offset)))


def _python_timestamp(value: Timestamp) -> datetime:
    moment = _EPOCH + timedelta(microseconds=value.nanoseconds // 1000)
    return moment.replace(tzinfo=UTC) if value.zoned else moment


def _python_interval(value: Interval) -> Any:
    return value if value.months else timedelta(days=value.days, microseconds=value.nanoseconds // 1000)


_PYTHON: dict[type, Callable[[Any], Any]] = {
    Date: lambda value: date.fromordinal(value.days + _ORDINAL_OF_1970),
    TimeOfDay: _python_time,
    Timestamp: _python_timestamp,
    Interval: _python_interval,
    Json: str,
    Bits: str,
}


# JSON.


def _json_number(value: float | Decimal) -> Any:
    return value if _is_finite(value) else _unbounded_text(value)


_JSON: dict[type, Callable[[Any], Any]] = {
    float: _json_number,
    Decimal: _json_number,
    bytes: lambda value: b64encode(value).decode(),
    UUID: str,
    Date: _date_text,
    TimeOfDay: _time_text,
    Timestamp: lambda value: _timestamp_text(value, between="T"),
    Interval: _interval_text,
    Json: lambda value: parse(value.encode()),
    Bits: str,
}
