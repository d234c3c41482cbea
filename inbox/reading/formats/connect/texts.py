"""Read the texts in which Java writes times: ISO 8601, with a sign before years beyond 0 to 9999."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from inbox.reading.days import DAY, days_of
from inbox.reading.values import INFINITE, Date, Interval, TimeOfDay, Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DATE = r"([+-]?\d{4,9})-(\d\d)-(\d\d)"
_TIME = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
_OFFSET = r"(Z|[+-]\d\d(?::\d\d){0,2})"
_IS_DATE = re.compile(f"{_DATE}{_OFFSET}?", re.ASCII)
_IS_TIME = re.compile(f"{_TIME}{_OFFSET}?", re.ASCII)
_IS_TIMESTAMP = re.compile(f"{_DATE}T{_TIME}{_OFFSET}?", re.ASCII)
_IS_INTERVAL = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,9}))?S)?)?", re.ASCII
)

_INFINITIES = {"infinity": INFINITE, "-infinity": -INFINITE}
_LONGEST_INTERVAL = 100
_SECOND = 1_000_000_000


def zoned_timestamp(text: str) -> Timestamp | None:
    """Return the point in time; None if the text is none, or has no zone."""
    # This form is that of most texts, and Python reads it in a third of the time.
    if 20 <= len(text) <= 27 and text[-1] == "Z" and text[4] == "-":
        try:
            since = datetime.fromisoformat(text) - _EPOCH
        except ValueError:
            pass
        else:
            return Timestamp(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000, True)
    if (infinity := _INFINITIES.get(text)) is not None:
        return Timestamp(infinity, True)
    found = _IS_TIMESTAMP.fullmatch(text)
    if found is None or found[8] is None:
        return None
    return _checked(lambda: Timestamp(_nanoseconds(found) - _offset(found[8]) * _SECOND, True))


def local_timestamp(text: str) -> Timestamp | None:
    """Return the time that a clock showed. `time.precision.mode = "isostring"` writes it as if it were of UTC."""
    if (infinity := _INFINITIES.get(text)) is not None:
        return Timestamp(infinity, False)
    found = _IS_TIMESTAMP.fullmatch(text)
    if found is None or found[8] not in (None, "Z"):
        return None
    return _checked(lambda: Timestamp(_nanoseconds(found), False))


def local_date(text: str) -> Date | None:
    """Return the date; a Z behind it means nothing."""
    if (infinity := _INFINITIES.get(text)) is not None:
        return Date(infinity)
    found = _IS_DATE.fullmatch(text)
    if found is None or found[4] not in (None, "Z"):
        return None
    return _checked(lambda: Date(_days(found)))


def zoned_time(text: str) -> TimeOfDay | None:
    """Return the time of day with its zone; None if the text is none, or has no zone."""
    found = _IS_TIME.fullmatch(text)
    if found is None or found[5] is None:
        return None
    return _checked(lambda: TimeOfDay(_of_day(*found.group(1, 2, 3, 4)), _offset(found[5])))


def local_time(text: str) -> TimeOfDay | None:
    """Return the time of day that a clock showed; a Z behind it means nothing."""
    found = _IS_TIME.fullmatch(text)
    if found is None or found[5] not in (None, "Z"):
        return None
    return _checked(lambda: TimeOfDay(_of_day(*found.group(1, 2, 3, 4))))


def interval(text: str) -> Interval | None:
    """Return the span of time that ISO 8601 writes as `P1Y2M3DT4H5M6.7S`, each number with a sign of its own."""
    found = _IS_INTERVAL.fullmatch(text) if len(text) <= _LONGEST_INTERVAL else None
    if found is None or len(text) < 3:
        return None
    years, months, days, hours, minutes = (int(each or 0) for each in found.group(1, 2, 3, 4, 5))
    rest = int(found[7] or 0) * _SECOND + _fraction(found[8])
    return Interval(years * 12 + months, days, (hours * 60 + minutes) * 60 * _SECOND + (-rest if found[6] else rest))


_Time = TypeVar("_Time")


class _NotOfTheCalendarError(Exception):
    """A month 13, a 30 February, a 25th hour."""


def _checked(make: Callable[[], _Time]) -> _Time | None:
    try:
        return make()
    except _NotOfTheCalendarError:
        return None


def _nanoseconds(found: re.Match[str]) -> int:
    return _days(found) * DAY + _of_day(*found.group(4, 5, 6, 7))


def _days(found: re.Match[str]) -> int:
    year, month, day = map(int, found.group(1, 2, 3))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise _NotOfTheCalendarError
    days = days_of(year, month, day)
    # Behind the last day of a month begins the next one, with a lower day.
    if days - days_of(year, month, 1) >= days_of(year + month // 12, month % 12 + 1, 1) - days_of(year, month, 1):
        raise _NotOfTheCalendarError
    return days


def _of_day(hour: str, minute: str, second: str | None, fraction: str | None) -> int:
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    nanoseconds = seconds * _SECOND + _fraction(fraction)
    if int(minute) > 59 or int(second or 0) > 59 or nanoseconds > DAY:
        raise _NotOfTheCalendarError
    return nanoseconds


def _fraction(digits: str | None) -> int:
    return int(digits.ljust(9, "0")) if digits else 0


def _offset(text: str) -> int:
    if text == "Z":
        return 0
    hour, minute, second = (*map(int, text[1:].split(":")), 0, 0)[:3]
    offset = hour * 3600 + minute * 60 + second
    return -offset if text[0] == "-" else offset
