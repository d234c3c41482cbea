"""Count days and write them as PostgreSQL reads them: any year, in the proleptic Gregorian calendar."""

from datetime import date

_SECOND = 1_000_000_000
DAY = 86_400 * _SECOND
"""The nanoseconds of a day."""

_DAYS_BEFORE_1970 = 719_468
"""The days from 1 March of the year 0 to 1970."""
_DAYS_OF_ERA = 146_097
"""The days of 400 years, after which the calendar repeats itself."""

_ORDINAL_OF_1970 = date(1970, 1, 1).toordinal()
_LAST_ORDINAL = date.max.toordinal()


def day_text(days: int) -> tuple[str, str]:
    """Return the text of a day in days since 1970, and what follows it, and any time: " BC" before the year 1."""
    ordinal = days + _ORDINAL_OF_1970
    if 1 <= ordinal <= _LAST_ORDINAL:
        return date.fromordinal(ordinal).isoformat(), ""
    year, month, day = _civil(days)
    if year > 0:
        return f"{year:04}-{month:02}-{day:02}", ""
    return f"{1 - year:04}-{month:02}-{day:02}", " BC"


def clock_text(nanoseconds: int) -> str:
    """Return the text of a time of day, or of any number of hours, to the microsecond."""
    seconds, rest = divmod(nanoseconds, _SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    micro = rest // 1000
    return f"{hour:02}:{minute:02}:{second:02}.{micro:06}" if micro else f"{hour:02}:{minute:02}:{second:02}"


def days_of(year: int, month: int, day: int) -> int:
    """Return the days since 1970 of a day; the year 0 is 1 BC, as in ISO 8601."""
    era, of_era = divmod(year - (month <= 2), 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _DAYS_OF_ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _DAYS_BEFORE_1970


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day; the year 0 is 1 BC. Years begin in March, so that a leap day is the last."""
    era, of_era = divmod(days + _DAYS_BEFORE_1970, _DAYS_OF_ERA)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1
