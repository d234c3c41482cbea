"""The readings of a column's source: units of times, bytes, decimals, JSON and text."""

from base64 import b64encode
from decimal import Decimal
from typing import Any

import pytest
from psycopg import sql

from inbox.errors import EventError, StartupError
from inbox.events import Header
from inbox.reading.options import Envelope, FormatOptions
from inbox.reading.read_record import ReadRecord
from inbox.store.options import ColumnSource, Overriding, Reading, TableMode, TableTarget, Tombstones
from inbox.store.tables.casts.refusals import CastRefusal, failing
from inbox.store.tables.columns import TypeName
from tests.support.records import record
from tests.support.store.read_routes import ReadRoute
from tests.support.store.sources import sources
from tests.support.store.table_routes import MakeRoute, of


def test_each_unit_is_exact_to_the_microsecond(route: MakeRoute) -> None:
    numbers = {
        Reading.EPOCH_S: "253402300799.999999",
        Reading.EPOCH_MS: "253402300799999.999",
        Reading.EPOCH_US: "253402300799999999",
        Reading.EPOCH_NS: "253402300799999999999",
        Reading.EPOCH_DAYS: "2932896.5",
    }
    names = {reading: reading.value.replace("-", "_") for reading in numbers}
    it = route(
        ", ".join(f"{name} timestamptz" for name in names.values()),
        {name: ColumnSource(f"/{name}", reading) for reading, name in names.items()},
    )
    document = ", ".join(f'"{names[reading]}": {number}' for reading, number in numbers.items())
    it.write(record(value=f"{{{document}}}".encode()))

    last = "9999-12-31 23:59:59.999999+00"
    assert [it.texts(name) for name in names.values()] == [*[[last]] * 4, ["9999-12-31 12:00:00+00"]]


@pytest.mark.parametrize(
    ("declared", "reading", "value", "stored"),
    [
        ("timestamptz", Reading.EPOCH_S, -0.5, "1969-12-31 23:59:59.5+00"),
        ("timestamptz", Reading.EPOCH_S, -62_167_219_200, "0001-01-01 00:00:00+00 BC"),
        ("timestamp", Reading.EPOCH_US, 9_224_318_015_999_999_999, "294276-12-31 23:59:59.999999"),
        ("timestamptz", Reading.EPOCH_NS, -1, "1969-12-31 23:59:59.999999+00"),
        ("timestamptz", Reading.EPOCH_NS, 1999, "1970-01-01 00:00:00.000001+00"),
        ("date", Reading.EPOCH_DAYS, 19_749, "2024-01-27"),
        ("date", Reading.EPOCH_DAYS, "19749", "2024-01-27"),
        ("date", Reading.EPOCH_DAYS, -719_528, "0001-01-01 BC"),
        ("date", Reading.EPOCH_MS, -1, "1969-12-31"),
        ("timestamptz[]", Reading.EPOCH_S, [0, None], '{"1970-01-01 00:00:00+00",NULL}'),
        ("time", Reading.TIME_MS, 86_399_999, "23:59:59.999"),
        ("time", Reading.TIME_US, 86_400_000_000, "24:00:00"),
        ("time", Reading.TIME_NS, 86_399_999_999_999, "23:59:59.999999"),
        ("timetz", Reading.TIME_US, 36_000_000_001, "10:00:00.000001+00"),
        ("interval", Reading.TIME_US, -90_000_000_001, "-25:00:00.000001"),
        ("interval", Reading.TIME_US, 9_007_199_254_740_993, "2501999:47:34.740993"),
        ("interval", Reading.TIME_NS, -9_223_372_036_854_775_000, "-2562047:47:16.854775"),
        ("bytea", Reading.BASE64, "3q2+7w==", r"\xdeadbeef"),
        ("bytea", Reading.HEX, "DEADbeef", r"\xdeadbeef"),
        ("bytea", Reading.HEX, r"\xdeadbeef", r"\xdeadbeef"),
        ("bytea", Reading.TEXT, "é", r"\xc3a9"),
        ("jsonb", Reading.JSON, '{"a": [1.50]}', '{"a": [1.50]}'),
        ("jsonb", Reading.JSON, {"a": 1}, '{"a": 1}'),
        ("json", Reading.JSON, '{"a":1}', '{"a": 1}'),
        ("jsonb", Reading.JSON, "null", None),
        ("text", Reading.JSON, "a", '"a"'),
        ("text", Reading.JSON, None, None),
        ("jsonb", Reading.TEXT, {"a": 1}, '"{\\"a\\": 1}"'),
        ("integer[]", Reading.TEXT, "{{1,2},{3,4}}", "{{1,2},{3,4}}"),
    ],
)
def test_a_value_is_read_as_its_column_says(
    route: MakeRoute, declared: str, reading: Reading, value: Any, stored: str | None
) -> None:
    it = route(f"a {declared}", {"a": ColumnSource("/a", reading)})
    it.write(of({"a": value}))

    assert it.texts("a") == [stored]


@pytest.mark.parametrize("scale", [0, 2, -3, 40])
@pytest.mark.parametrize(
    "unscaled", [0, 1, -1, 127, 128, -128, -129, 2**63, -(2**63), 10**38 - 1, -(10**300), 2**4000 + 1]
)
def test_decimal_bytes_keep_every_digit(route: MakeRoute, unscaled: int, scale: int) -> None:
    content = unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)
    it = route("a numeric", {"a": ColumnSource("/a", Reading.DECIMAL_BYTES, scale=scale)})
    it.write(of({"a": b64encode(content).decode()}))

    [(found,)] = it.rows()
    sign, digits, exponent = found.as_tuple()
    assert (-1) ** sign * int("".join(map(str, digits))) * 10 ** max(0, exponent + scale) == unscaled * 10 ** max(
        0, -scale if exponent == 0 else 0
    )
    assert exponent == min(0, -scale)


@pytest.mark.parametrize(
    ("declared", "reading", "value", "state"),
    [
        ("timestamp with time zone", Reading.EPOCH_US, 10**20, "22008"),
        ("timestamp with time zone", Reading.EPOCH_US, "2026-01-31T10:00:00Z", "22P02"),
        ("timestamp with time zone", Reading.EPOCH_S, True, "22P02"),
        ("date", Reading.EPOCH_DAYS, "NaN", "22003"),
        ("time without time zone", Reading.TIME_US, -1, "22008"),
        ("time without time zone", Reading.TIME_US, 86_400_000_001, "22008"),
        ("bytea", Reading.HEX, "abc", "22023"),
        ("jsonb", Reading.JSON, "{", "22P02"),
        ("numeric", Reading.DECIMAL_BYTES, "", "2202E"),
        ("numeric", Reading.DECIMAL_BYTES, "A" * 4096, "22P02"),
    ],
)
def test_what_cannot_be_read_so_is_a_dead_letter(
    route: MakeRoute, declared: str, reading: Reading, value: Any, state: str
) -> None:
    it = route(f"a {declared}", {"a": ColumnSource("/a", reading, scale=0)})

    assert it.refusal(of({"a": value})).startswith(
        f'column "a" from /a: a value that cannot be {declared} (as = "{reading}") ({state}); '
    )


@pytest.mark.parametrize("value", [19_749, "19749", 1_700_000_000, "1711111111", 20_260_131, 1.5, "1e9"])
@pytest.mark.parametrize(
    ("declared", "remedy"),
    [
        ("date", 'as = "epoch-days" (or epoch-s, epoch-ms, ...)'),
        ("timestamptz", 'as = "epoch-ms" (or epoch-s, epoch-us, ...)'),
        ("timestamp", 'as = "epoch-ms" (or epoch-s, epoch-us, ...)'),
        ("time", 'as = "time-us" (or time-ms, time-ns)'),
        ("timetz", 'as = "time-us" (or time-ms, time-ns)'),
        ("interval", 'as = "time-us" (or time-ms, time-ns)'),
    ],
)
def test_a_number_without_a_unit_is_no_time(route: MakeRoute, declared: str, remedy: str, value: Any) -> None:
    it = route(f"a {declared}", {"a": "/at"})

    assert it.refusal(of({"at": value})) == f'column "a" from /at: the number has no unit; set {remedy}'
    assert it.refused(of({"at": None}), of({"at": value}), of({})) == [1]


def test_the_number_itself_is_kept_with_the_payload(route: MakeRoute) -> None:
    it = route("a date, b date[]", {"a": "/at", "b": "/list"})
    for name, value, numbers in (("at", 19749, "19749"), ("list", ["2026-01-31", 1.50, 7], "1.5, 7")):
        error = it.explained(of({name: value}))

        assert numbers not in str(error)
        assert error.__notes__ == [f"the number {numbers} has no unit"]


@pytest.mark.parametrize(("declared", "text"), [("date", "20260131"), ("timestamp", "20260131")])
def test_eight_digits_are_a_day_of_iso_8601(route: MakeRoute, declared: str, text: str) -> None:
    it = route(f"a {declared}", {"a": "/at"})
    it.write(of({"at": text}))

    assert it.texts("a::date") == ["2026-01-31"]


@pytest.mark.parametrize(
    ("declared", "text", "stored"),
    [
        ("timestamptz", "2026-12-31T23:59:59.999999999Z", "2026-12-31 23:59:59.999999+00"),
        ("timestamp", "1969-12-31T23:59:59.9999999", "1969-12-31 23:59:59.999999"),
        ("time", "23:59:59.9999999", "23:59:59.999999"),
        ("timestamptz", "2026-12-31T23:59:59.1234567+05:30", "2026-12-31 18:29:59.123456+00"),
    ],
)
def test_digits_beyond_the_microsecond_are_cut_off(route: MakeRoute, declared: str, text: str, stored: str) -> None:
    it = route(f"a {declared}", {"a": "/at"})
    it.write(of({"at": text}))

    assert it.texts("a") == [stored]


def test_a_header_is_read_in_its_unit(route: MakeRoute) -> None:
    it = route("a timestamptz", {"a": ColumnSource("$header:at", Reading.EPOCH_S)})
    it.write(record(headers=[("at", b"1700000000.5")]))

    assert it.texts("a") == ["2023-11-14 22:13:20.5+00"]


def test_a_header_of_digits_has_no_unit_either(route: MakeRoute) -> None:
    it = route("a timestamptz", {"a": "$header:at"})

    assert "the number has no unit" in it.refusal(record(headers=[("at", b"1711111111")]))


def test_a_type_that_a_reading_cannot_give_is_refused_at_the_start(route: MakeRoute) -> None:
    with pytest.raises(StartupError) as refused:
        route("a text, b date", {"a": ColumnSource("/a", Reading.EPOCH_MS), "b": ColumnSource("/b", Reading.TIME_US)})

    assert str(refused.value).splitlines() == [
        'column "a" of table "public.t" is text, which as = "epoch-ms" cannot give; it gives date, timestamp, '
        "timestamp with time zone",
        'column "b" of table "public.t" is date, which as = "time-us" cannot give; it gives interval, time, '
        "time with time zone",
    ]


# Constants, defaults and required members.


def test_constants_and_defaults_are_values_of_their_columns(route: MakeRoute) -> None:
    it = route(
        "a text, b numeric, c timestamptz, d jsonb, e integer[]",
        {
            "a": ColumnSource(value="EU"),
            "b": ColumnSource("/b", default="1.50"),
            "c": ColumnSource("/c", Reading.EPOCH_S, default="2026-01-31T00:00:00Z"),
            "d": ColumnSource(value={"x": [1, None]}),
            "e": ColumnSource("/e", default=[1, 2]),
        },
    )
    it.write(of({"b": None}), of({"b": 2, "c": 0, "e": []}))

    assert it.rows()[0][:2] == ("EU", Decimal("1.50"))
    assert it.texts("(b, c, d, e)") == [
        '(1.50,"2026-01-31 00:00:00+00","{""x"": [1, null]}","{1,2}")',
        '(2,"1970-01-01 00:00:00+00","{""x"": [1, null]}",{})',
    ]


def test_a_required_member_that_is_absent_or_null_is_a_dead_letter(route: MakeRoute) -> None:
    it = route("a text", {"a": ColumnSource("/a", required=True)})

    assert it.refused(of({"a": ""}), of({}), of({"a": None})) == [1, 2]
    assert it.refusal(of({})) == (
        'column "a" from /a: no value, which the column requires (required = true); '
        "send one, or set `default` in its place"
    )


def test_a_tombstone_needs_no_required_member(route: MakeRoute) -> None:
    it = route(
        "id integer PRIMARY KEY, a text NOT NULL",
        {"id": "/id", "a": ColumnSource("/a", required=True)},
        mode=TableMode.UPSERT,
        key=("id",),
        tombstones=Tombstones.DELETE,
    )
    it.write(of({"id": 1, "a": "x"}), of({"id": 2, "a": "y"}))
    it.write(record(2, key=b"1", value=None), of({"id": 3, "a": "z"}))

    assert it.rows() == [(2, "y"), (3, "z")]
    assert it.refused(record(2, key=b"1", value=None), of({"id": 3})) == [1]


# Identity columns, and NUL.


def test_an_identity_that_is_always_generated_needs_a_word(route: MakeRoute) -> None:
    identity = "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text"
    columns: dict[str, str | ColumnSource] = {"id": "/id", "a": "/a"}
    more = {"mode": TableMode.UPSERT, "key": ("id",)}
    with pytest.raises(StartupError, match=r'set .routes.table. overriding = "system" to write the values of events'):
        route(identity, columns, **more)


def test_events_decide_an_identity_that_is_always_generated(route: MakeRoute) -> None:
    it = route(
        "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text",
        {"id": "/id", "a": "/a"},
        mode=TableMode.UPSERT,
        key=("id",),
        overriding=Overriding.SYSTEM,
    )
    it.write(of({"id": 7, "a": "x"}), of({"id": 9, "a": "y"}))
    it.write(of({"id": 7, "a": "z"}))

    assert it.rows() == [(7, "z"), (9, "y")]


def test_no_statement_changes_the_identity_of_a_row(route: MakeRoute) -> None:
    with pytest.raises(StartupError, match="which no existing row changes; make it part of the key"):
        route(
            "id integer PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY",
            {"id": "/id", "n": "/n"},
            mode=TableMode.UPSERT,
            key=("id",),
            overriding=Overriding.SYSTEM,
        )


@pytest.mark.parametrize("envelope", [Envelope.NONE, Envelope.CLOUDEVENTS])
def test_nul_is_removed_where_that_is_configured(route: MakeRoute, envelope: Envelope) -> None:
    columns = {"a": "/a", "b": "/b", "c": "$value", "d": "$value", "e": "/b"}
    declared = "a text, b jsonb, c json, d text, e json"
    target = TableTarget(name="t", mode=TableMode.APPEND, columns=sources(columns), envelope=envelope)
    it = ReadRoute(route(declared, columns, envelope=envelope), target, "auto", format=FormatOptions(removes_nul=True))
    headers: list[Header] = [("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_type", b"T"), ("ce_id", b"1")]
    it.write(record(value=rb'{"a": "x\u0000\u0000y\\u0000", "b": {"c": ["\u0000"]}}', headers=headers))

    written = r'{"a": "xy\\u0000", "b": {"c": [""]}}'
    assert it.route.texts("c") == it.route.texts("d") == [written]
    assert it.route.texts("a || b || e") == [r'xy\u0000{"c": [""]}{"c": [""]}']


# Members of the key.


def test_a_member_of_the_key_fills_a_column(route: MakeRoute) -> None:
    it = route("id integer, a text", {"id": "$key:/id", "a": "/a"})
    it.write(record(key=b'{"id": 7}', value=b'{"a": "x"}'), record(key=None, value=b'{"a": "y"}'))

    assert it.rows() == [(7, "x"), (None, "y")]


@pytest.mark.parametrize("key", [b"7a", b"\xff", b'"\\u0000"', b'{"id": NaN}'])
def test_a_key_that_is_no_json_is_a_dead_letter_where_a_member_of_it_is_needed(route: MakeRoute, key: bytes) -> None:
    it = route("id integer, a text", {"id": "$key:/id", "a": "/a"})
    good, bad = record(key=b'{"id": 7}', value=b'{"a": "x"}'), record(key=key, value=b"{}")

    assert it.refusal(bad).startswith("the key is not JSON that PostgreSQL accepts")
    assert it.refused(good, bad) == [1]


def test_the_states_of_our_refusals_are_those_that_postgresql_raises(route: MakeRoute) -> None:
    """Each expression fails as it says: nothing else would tell the reasons apart."""
    connection = route("a text", {"a": "/a"}).connection
    for reason in CastRefusal:
        query = sql.SQL("SELECT {} FROM (SELECT 'x'::text AS x OFFSET 0) AS s").format(
            failing(reason, TypeName("pg_catalog", "date"), sql.SQL("s.x"))
        )
        with pytest.raises(EventError) as failed, connection.transaction():
            connection.execute(query)
        assert failed.value.refusal is not None
        assert failed.value.refusal.state == reason.value


@pytest.mark.parametrize(
    ("kind", "reading", "numbers"),
    [
        ("date", Reading.EPOCH_DAYS, (-2147472692, -2147472691)),
        ("timestamp", Reading.EPOCH_US, (9223372036825200000, -9223372036832400000)),
        ("timestamptz", Reading.EPOCH_MS, (9223372036825200, -9223372036832400)),
    ],
)
@pytest.mark.parametrize("decoded", [False, True])
def test_the_numbers_that_stand_for_infinity_are_infinite(
    route: MakeRoute, kind: str, reading: Reading, numbers: tuple[int, int], decoded: bool
) -> None:
    it = route(f"id int, a {kind}", {"id": "/id", "a": ColumnSource("/a", reading)}, decoded=decoded)
    rows = [{"id": at, "a": number} for at, number in enumerate(numbers)]
    it.write(*(ReadRecord(record(), row=row) if decoded else of(row) for row in rows))

    assert it.texts("id || ' ' || a") == ["0 infinity", "1 -infinity"]
