"""The values of decoded rows: Python's own, and types for times that reach beyond Python's `datetime`.

A decoded row (`ReadRecord.row`) holds None, bool, int, float, Decimal, str, bytes, UUID, the four types
below, lists, and dicts with texts as names. Each value has one text for PostgreSQL, one for JSON, and
one Python value for handlers. PostgreSQL keeps microseconds: nanoseconds are cut off, toward the past.
"""

import math
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
DAY = 24 * _HOUR
"""The nanoseconds of a day."""

_DAYS_BEFORE_1970 = 719_468
"""The days from 1 March of the year 0 to 1970, in the proleptic Gregorian calendar."""
_DAYS_OF_ERA = 146_097
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Date:
    """A date, in days since 1970."""

    days: int


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time of day, in nanoseconds since midnight. A `zoned` one is in UTC."""

    nanoseconds: int
    zoned: bool = False


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A point in time, in nanoseconds since 1970. Without a zone it is the time that a clock showed."""

    nanoseconds: int
    zoned: bool = True


@dataclass(frozen=True, slots=True)
class Interval:
    """A span of time. Its three parts are kept apart, because a month and a day have no fixed length."""

    months: int = 0
    days: int = 0
    nanoseconds: int = 0


def as_text(value: Any) -> str:
    """Return the text of a time as PostgreSQL reads it."""
    if isinstance(value, Date):
        return _date_text(value.days)
    if isinstance(value, TimeOfDay):
        return _clock_text(value.nanoseconds) + ("+00" if value.zoned else "")
    if isinstance(value, Timestamp):
        days, rest = divmod(value.nanoseconds, DAY)
        day, era, _ = _date_text(days).partition(" BC")
        return f"{day} {_clock_text(rest)}{'+00' if value.zoned else ''}{era}"
    if isinstance(value, Interval):
        sign, rest = ("-", -value.nanoseconds) if value.nanoseconds < 0 else ("", value.nanoseconds)
        return f"{value.months} mons {value.days} days {sign}{_clock_text(rest)}"
    raise TypeError(type(value).__name__)


def as_python(value: Any) -> Any:
    """Return a decoded value for handlers, with times as Python's types where these can hold them.

    A time that Python cannot hold, and an interval with months, stay as they are.
    """
    if isinstance(value, dict):
        return {name: as_python(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_python(each) for each in value]
    try:
        return _as_python(value)
    except (OverflowError, ValueError):
        return value


def as_json(value: Any) -> Any:
    """Return a decoded value as `inbox.documents.write` takes it.

    Bytes become base64. Times become ISO 8601 texts. NaN and the infinities, which JSON does not have,
    become the texts that Protobuf's JSON gives them.
    """
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, float | Decimal):
        return value if math.isfinite(value) else _unbounded_text(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Timestamp):
        return as_text(value).replace(" ", "T", 1)
    if isinstance(value, Date | TimeOfDay | Interval):
        return as_text(value)
    return value


def _as_python(value: Any) -> Any:
    if isinstance(value, Date):
        return date.fromordinal(value.days + date(1970, 1, 1).toordinal())
    if isinstance(value, TimeOfDay):
        at = (_EPOCH + timedelta(microseconds=value.nanoseconds // 1000)).time()
        return at.replace(tzinfo=UTC) if value.zoned else at
    if isinstance(value, Timestamp):
        moment = _EPOCH + timedelta(microseconds=value.nanoseconds // 1000)
        return moment.replace(tzinfo=UTC) if value.zoned else moment
    if isinstance(value, Interval) and not value.months:
        return timedelta(days=value.days, microseconds=value.nanoseconds // 1000)
    return value


def _date_text(days: int) -> str:
    year, month, day = _civil(days)
    return f"{year:04}-{month:02}-{day:02}" if year > 0 else f"{1 - year:04}-{month:02}-{day:02} BC"


def _clock_text(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, _SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    micro = rest // 1000
    return f"{hour:02}:{minute:02}:{second:02}" + (f".{micro:06}" if micro else "")


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day; the year 0 is 1 BC. Years begin in March, so that a leap day is the last."""
    era, of_era = divmod(days + _DAYS_BEFORE_1970, _DAYS_OF_ERA)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def _unbounded_text(value: float | Decimal) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
