"""Times in tables: exact to the microsecond, and the same whenever and wherever they are written."""

import pytest
from psycopg import sql

from inbox.store.options import ColumnSource, Reading
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import Connect
from tests.support.records import record
from tests.support.store.table_routes import MakeRoute, Route, of

# Milliseconds since 1970, and the moment in UTC.
MOMENTS = [
    (0, "1970-01-01 00:00:00"),
    (1, "1970-01-01 00:00:00.001"),
    (1_700_000_000_123, "2023-11-14 22:13:20.123"),
    (9_007_199_254_741, "2255-06-05 23:47:34.741"),
    (253_402_300_799_999, "9999-12-31 23:59:59.999"),
    (253_402_300_800_001, "10000-01-01 00:00:00.001"),
    (9_224_318_015_999_999, "294276-12-31 23:59:59.999"),
]


@pytest.mark.parametrize(("milliseconds", "moment"), MOMENTS)
def test_a_records_timestamp_is_stored_exactly(route: MakeRoute, milliseconds: int, moment: str) -> None:
    it = route(
        "a timestamptz, b timestamp, c date, d bigint",
        {"a": "$timestamp", "b": "$timestamp", "c": "$timestamp", "d": "$timestamp"},
    )
    it.write(record(milliseconds=milliseconds))

    assert it.texts("a AT TIME ZONE 'UTC'") == it.texts("b") == [moment]
    assert it.texts("c") == [moment.partition(" ")[0]]
    assert it.texts("d") == [str(milliseconds)]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *((str(milliseconds), moment) for milliseconds, moment in MOMENTS),
        ("-1", "1969-12-31 23:59:59.999"),
        ("-86400001", "1969-12-30 23:59:59.999"),
        ("253402300799999.001", "9999-12-31 23:59:59.999001"),
        ("1.7E12", "2023-11-14 22:13:20"),
        ("-62135596800000", "0001-01-01 00:00:00"),
    ],
)
def test_milliseconds_in_a_document_are_stored_exactly(route: MakeRoute, number: str, moment: str) -> None:
    milliseconds = Reading.EPOCH_MS
    it = route(
        "a timestamptz, b timestamp[]",
        {"a": ColumnSource("/at", milliseconds), "b": ColumnSource("/list", milliseconds)},
    )
    it.write(record(value=f'{{"at": {number}, "list": [{number}]}}'.encode()))

    assert it.texts("a AT TIME ZONE 'UTC'") == it.texts("b[1]") == [moment]


@pytest.mark.parametrize("milliseconds", [None, -1, -2])
def test_a_record_without_a_timestamp_writes_null(route: MakeRoute, milliseconds: int | None) -> None:
    it = route("a timestamptz, b bigint, c text", {"a": "$timestamp", "b": "$timestamp", "c": "$timestamp"})
    it.write(record(milliseconds=milliseconds))

    assert it.rows() == [(None, None, None)]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York", "UTC"])
def test_milliseconds_are_of_utc_whatever_the_zone_of_the_session(
    connection: Connection, route: MakeRoute, zone: str
) -> None:
    connection.execute(f"SET timezone = '{zone}'".encode())
    source = ColumnSource("/at", Reading.EPOCH_MS)
    it = route("a timestamp, b date, c timestamptz", {"a": source, "b": source, "c": source})
    it.write(of({"at": 1_710_054_000_000}))  # the morning on which New York's clocks went forward

    assert it.texts("a") == it.texts("c AT TIME ZONE 'UTC'") == ["2024-03-10 07:00:00"]
    assert it.texts("b") == ["2024-03-10"]


# Text is a value, not a command.

TYPES = """
CREATE DOMAIN moment AS timestamptz;
CREATE DOMAIN period AS tstzrange;
CREATE TYPE visit AS (place text, at timestamp);
CREATE TYPE hours AS RANGE (subtype = time);
"""


@pytest.mark.parametrize(
    "word", ["now", "today", "tomorrow", "yesterday", "NOW", "  Today  ", "today 10:00", "10:00 tomorrow", "now10"]
)
@pytest.mark.parametrize("declared", ["timestamp with time zone", "timestamp without time zone", "date", "moment"])
def test_a_word_for_the_clock_is_no_time(connection: Connection, route: MakeRoute, declared: str, word: str) -> None:
    connection.execute(TYPES)
    it = route(f"a {declared}", {"a": "/at"})

    assert it.refusal(of({"at": word})) == (
        'column "a" from /at: a word for a time (now, today, tomorrow, yesterday or allballs), which would be another '
        "time at every reading; send the time itself"
    )
    assert it.refused(of({"at": "2026-01-31"}), of({"at": word}), of({"at": None})) == [1]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("time without time zone", "now"),
        ("time without time zone", "allballs"),
        ("time with time zone", "now"),
        ("timestamptz[]", ["2026-01-31T00:00:00Z", "now"]),
        ("date[]", '{2026-01-31,"tod\\\\ay"}'),
        ("moment[]", ["tomorrow"]),
        ("tsrange", "[now,today]"),
        ("tstzrange", '["2026-01-31 00:00+00","now"]'),
        ("daterange", "[2026-01-31, tomorrow )"),
        ("tsmultirange", "{[today,tomorrow]}"),
        ("period", "[n\\ow,]"),
        ("hours", "[now,]"),
        ("visit", '(home,"now")'),
        ("visit[]", ['(home,"today 10:00")']),
    ],
)
def test_no_type_that_holds_times_takes_a_word_for_one(
    connection: Connection, route: MakeRoute, declared: str, value: object
) -> None:
    connection.execute(TYPES)
    it = route(f"a {declared}", {"a": "/at"})

    assert "a word for a time" in it.refusal(of({"at": value}))


@pytest.mark.parametrize("source", ["$key", "$header:at", "$value"])
def test_a_word_beside_the_json_is_no_time_either(route: MakeRoute, source: str) -> None:
    it = route("a timestamptz", {"a": source})

    assert "a word for a time" in it.refusal(record(key=b"now", value=b"today", headers=[("at", b"yesterday")]))


@pytest.mark.parametrize(
    ("declared", "text", "stored"),
    [
        ("timestamptz", "infinity", "infinity"),
        ("timestamptz", "-infinity", "-infinity"),
        ("timestamp", "epoch", "1970-01-01 00:00:00"),
        ("timestamp", "Jan 31 2026 10:00 PM", "2026-01-31 22:00:00"),
        ("timestamp", "2026-01-31T10:00:00", "2026-01-31 10:00:00"),
        ("timestamp", "2026-01-31T10:00:00Z", "2026-01-31 10:00:00"),
        ("timestamptz", "2026-01-31T10:00:00.123Z", "2026-01-31 10:00:00.123+00"),
        ("date", "1999-12-31", "1999-12-31"),
        ("text", "now", "now"),
        ("jsonb", "today", '"today"'),
        ("text[]", "{now}", "{now}"),
        ("tsrange", "[2026-01-31,infinity)", '["2026-01-31 00:00:00",infinity)'),
        ("tsrange", "empty", "empty"),
    ],
)
def test_other_words_are_values(route: MakeRoute, declared: str, text: str, stored: str) -> None:
    it = route(f"a {declared}", {"a": "/at"})
    it.write(of({"at": text}))

    assert it.texts("a") == [stored]


@pytest.mark.parametrize(
    ("declared", "text"),
    [("name", "n" * 64), ("name", "é" * 32), ('"char"', "ab"), ('"char"', "é"), ("name[]", ["n" * 64])],
)
def test_no_text_is_cut(route: MakeRoute, declared: str, text: object) -> None:
    """A cast to these cuts silently, and so does an assignment."""
    it = route(f"a {declared}", {"a": "/a"})

    assert it.refusal(of({"a": text})).startswith(f'column "a" from /a: a value that cannot be {declared} (22P02); ')


def test_a_text_that_fits_a_short_type_is_kept(route: MakeRoute) -> None:
    it = route('a name, b "char"', {"a": "/a", "b": "/b"})
    it.write(of({"a": "n" * 63, "b": "x"}))

    assert it.rows() == [("n" * 63, "x")]


# What a text means is not the role's, nor the database's.


@pytest.fixture(name="abroad")
def abroad_(connection: Connection, open_connection: Connect) -> Connection:
    """A connection to a database whose settings are those of Japan, and whose dates begin with the day."""
    settings = {"TimeZone": "Asia/Tokyo", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard"}
    for name, value in settings.items():
        alter = sql.SQL("ALTER DATABASE {} SET {} = {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(name), sql.Literal(value)
        )
        connection.execute(alter)
    return open_connection()


@pytest.mark.parametrize(
    ("declared", "text", "stored"),
    [
        ("timestamptz", "2026-01-31T10:00:00", "2026-01-31 10:00:00+00"),
        ("timestamptz", "2026-01-31", "2026-01-31 00:00:00+00"),
        ("timestamptz", "2026-01-31T10:00:00+09:00", "2026-01-31 01:00:00+00"),
        ("timestamp", "2026-01-31T10:00:00+09:00", "2026-01-31 01:00:00"),
        ("timetz", "10:00", "10:00:00+00"),
        ("date", "02/03/2026", "2026-02-03"),
        ("date[]", "{02/03/2026}", "{2026-02-03}"),
        ("tstzrange", "[2026-01-31,)", '["2026-01-31 00:00:00+00",)'),
        ("interval", "-1 2:03:04", "-1 days +02:03:04"),
    ],
)
def test_a_text_means_the_same_whatever_the_databases_settings_are(
    abroad: Connection, declared: str, text: str, stored: str
) -> None:
    abroad.execute(f"CREATE TABLE t (a {declared})".encode())
    it = Route(abroad, {"a": "/a"})
    it.write(of({"a": text}))

    assert it.texts("a") == [stored]
