"""Dates and times: from texts, which mean the same at every reading, and from numbers, which need a unit."""

from typing import LiteralString

from psycopg import sql

from inbox.store.options import Reading
from inbox.store.tables.casts.fragments import cast_to, is_like, matches, text_of, when
from inbox.store.tables.casts.refusals import CastRefusal, failing
from inbox.store.tables.columns import TypeName

MOMENTS = frozenset({"timestamptz", "timestamp", "date"})
TIMES_OF_DAY = frozenset({"time", "timetz"})
TIMES = MOMENTS | TIMES_OF_DAY | {"interval"}
"""The types that a number can become with a unit alone."""

_WORD = "(^|[^a-z])(now|today|tomorrow|yesterday|allballs)($|[^a-z])"
"""The words that PostgreSQL reads from its clock, alone or beside a time of day (manual, section 8.5.1.4).

A word ends where its letters do (`ParseDateTime` in datetime.c). allballs is of their kind, and no
producer writes it.
"""

_IN_A_WORD = ("%o%", "%s%", "%O%", "%S%")
"""Letters of which each word has one, and ISO 8601 none: a search for them costs less than one for the words."""

_PLAIN_DAYS = ("20__-__-__", "19__-__-__")
_PLAIN = ("20__-__-__T__:__:__.___Z", "20__-__-__T__:__:__Z", *_PLAIN_DAYS)
"""The forms that most producers write. No word fits between their letters and signs, and no JSON number matches one."""

_DIGITS = r"^\s*[-+]?[0-9]*[.,]?[0-9]*([eE][-+]?[0-9]+)?\s*$"
_DAY_OF_DIGITS = "________"
"""Eight digits are a day in ISO 8601 (20260131); PostgreSQL reads other numbers of digits in ways of its own."""

_ZONE = r"(z|[a-z]{3,5}|[-+][0-9]{1,2}(:?[0-9]{2}){0,2})"
_ZONED = rf"{_ZONE}\s*$"
_OF_A_DAY = rf"^\s*T?[0-9]{{1,2}}:[0-9]{{2}}(:[0-9]{{2}}([.,][0-9]*)?)?\s*([ap]m)?\s*{_ZONE}?\s*$"
_WITHOUT_ZONE = frozenset({"tsrange", "tsmultirange", "_timestamp", "_time"})
_ZONE_WITHIN = r":[0-9]{2}([.][0-9]+)?\s*(z|[a-z]{3,5}|[-+][0-9])"

_FINE = "[.][0-9]{7}"
_CUT = "([.][0-9]{6})[0-9]+"

_MICROSECONDS: dict[Reading, LiteralString] = {
    Reading.EPOCH_S: "1000000",
    Reading.EPOCH_MS: "1000",
    Reading.EPOCH_US: "1",
    Reading.EPOCH_NS: "0.001",
    Reading.EPOCH_DAYS: "86400000000",
    Reading.TIME_MS: "1000",
    Reading.TIME_US: "1",
    Reading.TIME_NS: "0.001",
}
"""The microseconds of one of each unit."""

INFINITE: dict[Reading, tuple[str, str]] = {
    Reading.EPOCH_MS: ("9223372036825200", "-9223372036832400"),
    Reading.EPOCH_US: ("9223372036825200000", "-9223372036832400000"),
    Reading.EPOCH_DAYS: ("-2147472692", "-2147472691"),
}
"""The numbers that Debezium's connector for PostgreSQL sends for infinity and -infinity."""

EPOCHS = frozenset(each for each in Reading if each.value.startswith("epoch-"))
OF_A_DAY = frozenset(each for each in Reading if each.value.startswith("time-"))


def from_text(kind: TypeName, text: sql.Composable, *, otherwise: sql.Composable | None = None) -> sql.Composable:
    """Return the date or time of a text; `otherwise` is that of a text in none of the usual forms."""
    rest = otherwise or checked(kind, text)
    if kind.name not in MOMENTS:
        return rest
    plain = _PLAIN_DAYS if kind.name == "date" else _PLAIN
    return when(is_like(text, plain), cast_to(kind, text), rest)


def checked(kind: TypeName, text: sql.Composable) -> sql.Composable:
    """Return the date or time of a text; fail where the text has no unit, or names the clock."""
    digits = sql.SQL("NOT {} AND {}").format(is_like(text, ["%:%"]), matches(text, _DIGITS))
    if kind.name in MOMENTS:
        digits = sql.SQL("{} AND NOT {}").format(digits, is_like(text, [_DAY_OF_DIGITS]))
    no_unit = failing(CastRefusal.NO_UNIT, kind, text)
    return when(digits, no_unit, without_clock(kind, text, _in_the_zone(kind, _to_microseconds(text))))


def of_several(kind: TypeName, text: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return `value`, made of the text of an array, a range or a row; fail where its times lose a zone."""
    kept = without_clock(kind, text, value)
    if kind.name not in _WITHOUT_ZONE:
        return kept
    return when(matches(text, _ZONE_WITHIN, any_case=True), failing(CastRefusal.LOSES, kind, text), kept)


def without_clock(kind: TypeName, text: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return `value`, made of `text`; fail where the text has a word for the clock."""
    # In the text of an array, a range or a row, quotes and backslashes may occur within a word.
    bare = text if kind.name in TIMES else sql.SQL("pg_catalog.translate({}, {}, '')").format(text, sql.Literal('"\\'))
    found = sql.SQL("{} AND {}").format(is_like(bare, _IN_A_WORD), matches(bare, _WORD, any_case=True))
    return when(found, failing(CastRefusal.CLOCK_WORD, kind, text), value)


def _to_microseconds(text: sql.Composable) -> sql.Composable:
    """Return the text without the digits beyond the microsecond, which PostgreSQL would round."""
    cut = sql.SQL("pg_catalog.regexp_replace({}, {}, {}, 'g')").format(text, text_of(_CUT), text_of(r"\1"))
    return when(matches(text, _FINE), cut, text)


def _in_the_zone(kind: TypeName, text: sql.Composable) -> sql.Composable:
    """Return the value in the session's zone, UTC; fail where the type would drop a part of the text.

    A cast to `timestamp` or `time` alone drops the zone of a text, one to `date` the time of day,
    and one to `time` or `timetz` the date.
    """
    as_moment = sql.SQL("({})::pg_catalog.timestamptz").format(text)
    plain = cast_to(kind, sql.SQL("({})").format(text))
    loses = failing(CastRefusal.LOSES, kind, text)
    match kind.name:
        case "timestamp":
            return cast_to(kind, as_moment)
        case "date":
            day = sql.SQL("({}::pg_catalog.timestamp)").format(as_moment)
            is_midnight = sql.SQL("{}::time OPERATOR(pg_catalog.=) time '00:00'").format(day)
            return when(is_like(text, ["%:%", "%T%"]), when(is_midnight, cast_to(kind, day), loses), plain)
        case "time":
            in_utc = sql.SQL("((({})::pg_catalog.timetz AT TIME ZONE 'UTC')::time)").format(text)
            value = when(matches(text, _ZONED, any_case=True), in_utc, plain)
            return when(matches(text, _OF_A_DAY, any_case=True), value, loses)
        case "timetz":
            return when(matches(text, _OF_A_DAY, any_case=True), plain, loses)
    return plain


def from_number(kind: TypeName, reading: Reading, text: sql.Composable) -> sql.Composable:
    """Return the date or time of a number in a unit; digits beyond the microsecond are cut off, into the past."""
    number = sql.SQL("({}::numeric OPERATOR(pg_catalog.*) {})").format(text, sql.SQL(_MICROSECONDS[reading]))
    if kind.name == "interval":
        return _span(sql.SQL("pg_catalog.trunc({})").format(number))
    if kind.name == "date" and reading is Reading.EPOCH_DAYS:
        # Of NaN `numeric` says that it does not support the cast, which is what it says of an altered table.
        day = sql.SQL(
            "('epoch'::pg_catalog.date OPERATOR(pg_catalog.+) pg_catalog.floor({}::numeric)::double precision::integer)"
        )
        return _or_infinite(kind, reading, text, day.format(text))
    whole = sql.SQL("pg_catalog.floor({})").format(number)
    if reading in OF_A_DAY:
        return _time_of_day(kind, whole)
    days, rest = (sql.SQL("pg_catalog.{}({}, 86400000000)").format(sql.SQL(each), whole) for each in ("div", "mod"))
    return _or_infinite(kind, reading, text, moment(kind, days, rest, sql.SQL("microsecond")))


def _or_infinite(kind: TypeName, reading: Reading, text: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return the value of a number, or the infinity that it stands for."""
    for number, word in zip(INFINITE.get(reading, ()), ("infinity", "-infinity"), strict=False):
        is_it = sql.SQL("{} OPERATOR(pg_catalog.=) {}").format(text, text_of(number))
        value = when(is_it, cast_to(kind, text_of(word)), value)
    return value


def _span(microseconds: sql.Composable) -> sql.Composable:
    """Return the interval of whole microseconds, exact where `double precision` alone is not (285 years)."""
    hours, rest = (
        sql.SQL("pg_catalog.{}({}, 3600000000)::double precision").format(sql.SQL(each), microseconds)
        for each in ("div", "mod")
    )
    return sql.SQL(
        "(({} OPERATOR(pg_catalog.*) interval '1 hour') OPERATOR(pg_catalog.+)"
        " ({} OPERATOR(pg_catalog.*) interval '1 microsecond'))"
    ).format(hours, rest)


def moment(kind: TypeName, days: sql.Composable, rest: sql.Composable, unit: sql.SQL) -> sql.Composable:
    """Return the moment so many whole days, and units of a day, after 1970, exact to the microsecond.

    `to_timestamp` and the factor of an interval are double precision. That holds each of the two
    numbers exactly, but not the microseconds from 1970 to the year 9999.
    """
    found = sql.SQL(
        "(timestamp 'epoch' OPERATOR(pg_catalog.+) (({})::double precision OPERATOR(pg_catalog.*) interval '1 day')"
        " OPERATOR(pg_catalog.+) (({})::double precision OPERATOR(pg_catalog.*) interval '1 {}'))"
    ).format(days, rest, unit)
    if kind.name == "timestamptz":
        return sql.SQL("({} AT TIME ZONE 'UTC')").format(found)
    return cast_to(kind, found)


def _time_of_day(kind: TypeName, microseconds: sql.Composable) -> sql.Composable:
    """Return the time of a day, up to 24:00:00."""
    hours = sql.SQL("pg_catalog.div({}, 3600000000)::integer").format(microseconds)
    minutes = sql.SQL("pg_catalog.mod(pg_catalog.div({}, 60000000), 60)::integer").format(microseconds)
    seconds = sql.SQL(
        "(pg_catalog.mod({}, 60000000)::double precision OPERATOR(pg_catalog./) 1000000::double precision)"
    ).format(microseconds)
    made = sql.SQL("pg_catalog.make_time({}, {}, {})").format(hours, minutes, seconds)
    if kind.name == "timetz":
        return cast_to(kind, sql.SQL("({}::pg_catalog.text OPERATOR(pg_catalog.||) '+00')").format(made))
    return made
