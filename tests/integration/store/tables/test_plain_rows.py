"""Plain JSON rows, whose columns the client makes, leave in a table what PostgreSQL makes of the same documents."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inbox.errors import EventError, InboxError
from inbox.reading.options import Envelope
from inbox.store.options import ColumnSource, Reading, TableMode, Tombstones, UnknownMembers
from inbox.store.postgres.connection import Connection
from inbox.store.tables.parameters import TableEvents
from tests.support.records import record
from tests.support.store.table_routes import MakeRoute, Route, events_of, of

DECLARED = (
    "n bigint, i integer, s smallint, t text, v varchar(5), c char(3), d numeric, p numeric(6,2), f double precision,"
    ' r real, b boolean, u uuid, z timestamptz, l timestamp, m timestamptz(0), y date, j jsonb, deep text, "at %" text,'
    " s_ timestamptz, ms timestamptz, us timestamp, ns timestamptz, days date"
)
COLUMNS = {name: f"/{name}" for name in "nistvcdpfrbuzlmyj"} | {"deep": "/o/deep/er", "at %": "/at '%"}
UNITS = {
    "s_": Reading.EPOCH_S,
    "ms": Reading.EPOCH_MS,
    "us": Reading.EPOCH_US,
    "ns": Reading.EPOCH_NS,
    "days": Reading.EPOCH_DAYS,
}
SOURCES = {**COLUMNS, **{name: ColumnSource(f"/{name}", reading=reading) for name, reading in UNITS.items()}}

ORDINARY: dict[str, Sequence[str]] = {
    **dict.fromkeys("nis", ("0", "-1", "7", "32767", "null")),
    **dict.fromkeys("tvc", ('""', '"ab"', '"\\u00e9"', '"é"', '"\\ud83d\\ude00"', '"a\\nb"', "null")),
    **dict.fromkeys("dp", ("1", "1.50", "-0.5", "1e2", '"19.90"', "0.10", "null")),
    **dict.fromkeys("fr", ("1", "0.1", "1.5e-7", "-0.5", '"1.25"', "null")),
    "b": ("true", "false", "null"),
    "u": ('"6f9619ff-8b86-d011-b42d-00c04fc964ff"', '"{6F9619FF8B86D011B42D00C04FC964FF}"', "null"),
    **dict.fromkeys(
        "zlm",
        (
            *('"2026-01-31T10:00:00Z"', '"2026-01-31T10:00:00.123456Z"', '"2026-01-31 23:59:60+05:30"'),
            *('"2026-01-31T10:00:00.5-0800"', '"2026-01-31T10:00:00"', '"2026-01-31"', "null"),
        ),
    ),
    "y": ('"2026-01-31"', '"0001-01-01"', "null"),
    "j": ('{"b":1.10,"a":[1e2,null]}', "[]", '"x"', "1.0", "true", "null"),
    "deep": ('"x"', "null"),
    "at %": ('"x"', "null"),
    **dict.fromkeys(UNITS, ("0", "-1", "1700000000", "19749", "null")),
}
INFINITE = ("9223372036825200", "9223372036825200000", "-9223372036832400000", "-2147472692", "2147483647", "1" * 19)
ODD = (
    *(
        "9223372036854775807",
        "9223372036854775808",
        "-0",
        "-0.0",
        "1.0",
        "1e400",
        "1e-400",
        "1e1000",
        "01",
        "1.",
        "NaN",
    ),
    *('"12"', '" 12 "', '"1e2"', '"NaN"', '"-Infinity"', '"1_000"', '"\\u0031"', '"-0"', '"0x1A"', '"1e400"', '"\\\\"'),
    *(
        '"\\u0000"',
        '"\\\\u0000"',
        '"\\ud800"',
        '"\\udc00"',
        '"\t"',
        '"\x7f"',
        '"now"',
        '"today"',
        '"epoch"',
        '"infinity"',
    ),
    *('"20260131"', '"2026"', '"12"', '"2026-02-30"', '"2026-01-31\\n2026-01-31"', '"2026-01-31T24:00:00Z"'),
    *('"2026-01-31T10:00:00.1234567Z"', '"2026-01-31T10:00:00 UTC"', '"2026-01-31T10:00:00z"', '"10000-01-01"'),
    *(
        '"2026-01-31T10:00:00+16"',
        '"0000-01-01"',
        '"2026-01-31 BC"',
        '"\\u0662\\u0660\\u0662\\u0666-01-31"',
        '"t"',
        '"yes"',
        '"true"',
        "0",
    ),
    *("{}", "[]", '[1,"2"]', '{"x":1,"x":2}', '{"deep":1}', '{"deep":{"er":"y"}}', '{"deep":null}', "1" * 30),
    *INFINITE,
    *('"abcdef"', '"abc   "', '"é\\u0301"', "true", "false", "nul", '{"a":01}', '{"a":"\\x"}', "[1,]", "1e5", "1E+05"),
)


def quoted(name: str) -> str:
    return json.dumps(name)


PATHS = {
    **{name: (name,) for name in "nistvcdpfrbuzlmyj"},
    **{name: (name,) for name in UNITS},
    "deep": ("o", "deep", "er"),
    "at %": ("at '%",),
}


def member(name: str, value: str) -> str:
    """Return the member of a document that fills a column, as JSON."""
    for step in reversed(PATHS[name]):
        value = f"{quoted(step)}:{value}"
        if step != PATHS[name][0]:
            value = f"{{{value}}}"
    return value


def document_of(members: Sequence[tuple[str, str]], rest: Sequence[str] = ()) -> bytes:
    return ("{" + ",".join([*(member(*each) for each in members), *rest]) + "}").encode()


ordinary = st.lists(
    st.sampled_from(list(ORDINARY)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(ORDINARY[name]))),
    max_size=24,
    unique_by=lambda each: each[0],
)
some_odd = st.lists(
    st.sampled_from(list(ORDINARY)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from([*ORDINARY[name], *ODD]))
    ),
    max_size=4,
)
others = st.lists(
    st.sampled_from([f'"other":{value}' for value in ODD] + ['"\\u0061":1', '"o":{}', '"o":1', "x"]), max_size=2
)
documents = st.builds(document_of, ordinary, others) | st.builds(document_of, some_odd, others)
mutated = st.tuples(st.builds(document_of, ordinary), st.integers(0, 200), st.binary(max_size=2)).map(
    lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + 1 :]
)
many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Outcome = tuple[bool, Any]


class BothWays:
    """A route whose events are written as plain rows, and as documents that PostgreSQL decodes."""

    def __init__(self, connection: Connection, made: Route) -> None:
        self.connection = connection
        self.writer = made.writer
        assert self.writer._plain is not None
        self.plain = self.writer._plain

    def outcome(self, write: Callable[[], bool]) -> Outcome:
        """Return whether the write was possible, and the rows that it left, or that it failed."""
        try:
            with self.connection.transaction(force_rollback=True):
                if not write():
                    return False, None
                rows = self.connection.execute(b"SELECT t::text FROM t ORDER BY 1").fetchall()
                return True, rows
        except InboxError:
            return True, "refused"

    def as_plain(self, events: TableEvents) -> Outcome:
        self.plain._skipped = 0
        return self.outcome(lambda: self.plain.send(self.connection, events, new=False, distinct=False))

    def as_documents(self, events: TableEvents) -> Outcome:
        def write() -> bool:
            self.writer._send(self.connection, events, self.writer._statements)
            return True

        return self.outcome(write)


@pytest.fixture(name="both")
def both_(connection: Connection, route: MakeRoute) -> BothWays:
    """Over a table with a column of each type that a plain row may fill."""
    return BothWays(connection, route(DECLARED, SOURCES))


def test_a_plain_row_is_what_postgresql_makes_of_its_document(both: BothWays) -> None:
    @many
    @given(st.lists(documents | mutated, min_size=1, max_size=3))
    @example([b'{"n":1,"n":2}', b'{"t":"a","t":"b"}'])
    @example([b'{"o":{"deep":{"er":"x"}}}', b'{"o":{"deep":null}}', b'{"o":{}}'])
    @example([b'{"n":1},{"n":2', b'"t":"x"}'])
    @example([b'{"other":"\xff"}'])
    @example([b'{"other":1e131072}'])
    @example([b'{"other":"\\u0000"}'])
    @example([b'{"t":"\\u0000"}'])
    @example([b'{"f":-0.0}'])
    @example([b'{"j":1e1000}'])
    @example([b" \t\r\n{} "])
    def check(values: list[bytes]) -> None:
        events = events_of(*(record(number, value=value) for number, value in enumerate(values)))
        is_plain, found = both.as_plain(events)
        if is_plain:
            assert found == both.as_documents(events)[1]

    check()


@pytest.mark.parametrize(
    "documents",
    [
        (b'{"other":"\xff"}',),
        (b'{"other":"\\u0000"}',),
        (b'{"other":1e131072}',),
        (b'{"d":1e1000}',),
        (b'{"j":1e1000}',),
        (b'{"j":"\\u0000"}',),
        (b'{"t":"\\u0000"}',),
        (b'{"t":"' + b"x" * 3000 + b'","j":' + b"[" * 1100 + b"]" * 1100 + b"}",),
        (b'{"n":1},{"n":2', b'"t":"x"}'),
        (b'{"d":"1\\u0030"}',),
        (b'{"d":true}',),
        (b'{"f":-0.0}',),
        (b'{"r":-0}',),
        (b'{"y":"2026-01-31\\n2026-01-31"}',),
        (b'{"y":"2026-01-31T10:00:00Z"}',),
        (b'{"z":"now"}',),
        (b'{"z":"20260131"}',),
        (b'{"l":"2026-01-31T10:00:00.1234567Z"}',),
        (b'{"n":"12"}',),
        (b'{"n":12.0}',),
        (b'{"t":12}',),
        (b'{"b":"true"}',),
        (b'{"d":"\xff","d":1}',),
        (b'{"j":1e1000,"j":1}',),
        (b'{"o":{"deep":{"er":"\xff"}},"o":{}}',),
        (b'{"n":1,"x":0.' + b"0" * 16_383 + b"1}",),
        (b'{"f":1.' + b"0" * 15_900 + b"1e-999}",),
        (b'{"ms":1267650600228229401497}',),
        (b'{"s_":1267650600228229401497}',),
        (b'{"days":-1' + b"0" * 40 + b"}",),
        (b'{"ms":1700000000000.5}',),
        (b'{"ms":"1700000000000"}',),
        (b"[]",),
        (b"",),
    ],
)
def test_what_the_client_might_read_otherwise_is_not_plain(both: BothWays, documents: Sequence[bytes]) -> None:
    events = events_of(*(record(number, value=value) for number, value in enumerate(documents)))
    assert both.as_plain(events) == (False, None)


def test_ordinary_rows_are_plain(both: BothWays) -> None:
    @many
    @given(st.lists(st.builds(document_of, ordinary), min_size=1, max_size=3))
    def check(values: list[bytes]) -> None:
        events = events_of(*(record(number, value=value) for number, value in enumerate(values)))
        assert both.as_plain(events) == (True, both.as_documents(events)[1])
        assert both.as_plain(events)[1] != "refused"

    check()


def rows_of(*documents: Any) -> TableEvents:
    return events_of(*(of(document, offset=number) for number, document in enumerate(documents)))


@pytest.mark.parametrize("mode", [TableMode.INSERT, TableMode.UPSERT, TableMode.NEWEST, TableMode.UPDATE])
def test_repeated_rows_are_decided_as_by_their_documents(
    connection: Connection, route: MakeRoute, mode: TableMode
) -> None:
    made = route(
        "k text PRIMARY KEY, v integer, at timestamptz",
        {"k": "/k", "v": "/v", "at": "/at"},
        mode=mode,
        key=("k",),
        version="v" if mode is TableMode.NEWEST else None,
    )
    both = BothWays(connection, made)
    connection.execute("INSERT INTO t VALUES ('a', 2, NULL), ('b', 9, NULL)")
    events = rows_of(
        {"k": "a", "v": 1, "at": "2026-01-31T10:00:00Z"},
        {"k": "c", "v": 5},
        {"k": "a", "v": 3, "at": None},
        {"k": "b", "v": 4},
        {"k": "c", "v": 4, "at": "2026-01-31"},
    )
    assert both.as_plain(events) == (True, both.as_documents(events)[1])


def test_defaults_and_required_members_are_those_of_documents(connection: Connection, route: MakeRoute) -> None:
    sources = {
        "n": ColumnSource("/n", required=True),
        "t": ColumnSource("/t", default="none"),
        "b": ColumnSource("/b", or_default=True),
        "x": ColumnSource(value="always"),
    }
    both = BothWays(connection, route("n integer, t text, b boolean DEFAULT true, x text", sources))
    given = rows_of({"n": 1}, {"n": 2, "t": None, "b": None}, {"n": 3, "t": "", "b": False})
    assert both.as_plain(given) == (True, both.as_documents(given)[1])
    missing = rows_of({"n": 1}, {"t": "x"})
    assert both.as_plain(missing) == both.as_documents(missing) == (True, "refused")


def test_a_key_that_is_null_is_refused(connection: Connection, route: MakeRoute) -> None:
    both = BothWays(
        connection, route("k text UNIQUE, v integer", {"k": "/k", "v": "/v"}, mode=TableMode.UPSERT, key=("k",))
    )
    assert both.as_plain(rows_of({"v": 1})) == (True, "refused")


def test_domains_and_lengths_refuse_what_they_refuse_of_documents(connection: Connection, route: MakeRoute) -> None:
    connection.execute("CREATE DOMAIN public.short AS varchar(3) CHECK (VALUE <> 'no')")
    both = BothWays(connection, route("s short, v varchar(3)", {"s": "/s", "v": "/v"}))
    for document in (
        {"s": "abc", "v": "abc"},
        {"s": "abcd"},
        {"s": "no"},
        {"v": "abcd"},
        {"v": "abc   "},
        {"s": "a  "},
    ):
        assert both.as_plain(rows_of(document)) == (True, both.as_documents(rows_of(document))[1])


def test_beside_a_row_stand_the_parts_of_its_record(connection: Connection, route: MakeRoute) -> None:
    columns = {"k": "$key:/id", "o": "$offset", "h": "$header:h", "v": "/v", "at": "$timestamp"}
    both = BothWays(connection, route("k text, o bigint, h text, v integer, at timestamptz", columns))
    one = record(7, key=b'{"id":"k1"}', value=b'{"v":1}', headers=[("h", b"x")])
    assert both.as_plain(events_of(one)) == (True, both.as_documents(events_of(one))[1])


def test_a_document_beside_a_row_has_its_bounds(route: MakeRoute) -> None:
    made = route("k text, h jsonb, n integer", {"k": "$key:/id", "h": "$header:h", "n": "/n"})
    for beyond in ({"key": b'{"id":1e1000}'}, {"key": b"{}", "headers": [("h", b"1e1000")]}):
        with pytest.raises(EventError, match="exponent"), made.connection.transaction():
            made.writer.send(made.connection, events_of(record(value=b'{"n":1}', **beyond)))  # type: ignore[arg-type]


def test_plain_rows_are_sent_without_their_documents(route: MakeRoute, monkeypatch: pytest.MonkeyPatch) -> None:
    made = route("n integer", {"n": "/n"})

    def decodes(*_: Any, **__: Any) -> None:
        raise AssertionError("the documents were sent")

    monkeypatch.setattr(made.writer, "_send", decodes)
    made.writer.send(made.connection, rows_of({"n": 1}, {"n": 2}))
    assert made.rows() == [(1,), (2,)]


def test_one_odd_row_sends_the_documents_of_all(route: MakeRoute) -> None:
    made = route("n integer", {"n": "/n"})
    made.writer.send(made.connection, rows_of({"n": 1}, {"n": "2"}, {"n": 3}))
    assert made.rows() == [(1,), (2,), (3,)]


@pytest.mark.parametrize("new", [True, False])
def test_a_member_that_fills_no_column_is_refused_where_the_route_parks_it(route: MakeRoute, new: bool) -> None:
    made = route("n integer", {"n": "/n"}, unknown_members=UnknownMembers.PARK)
    with pytest.raises(EventError, match='"other"'), made.connection.transaction():
        made.writer.send(made.connection, rows_of({"n": 1}, {"n": 2, "other": 3}), new=new)
    with pytest.raises(EventError, match='"other"'):
        made.write(of({"n": 2, "other": 3}))


def test_a_tombstone_is_no_plain_row(connection: Connection, route: MakeRoute) -> None:
    both = BothWays(
        connection,
        route("k text PRIMARY KEY", {"k": "/k"}, mode=TableMode.UPSERT, key=("k",), tombstones=Tombstones.DELETE),
    )
    assert both.as_plain(events_of(record(0, key=b"a", value=None), of({"k": "b"}, 1))) == (False, None)


@pytest.mark.parametrize(
    ("declared", "source"),
    [
        ("inet", "/c"),
        ("time", "/c"),
        ("interval", "/c"),
        ("integer[]", "/c"),
        ("bytea", "/c"),
        ("json", "/c"),
        ("xid", "/c"),
        ("text", '/a"b'),
        ("text", "/a\\b"),
        ("date", ColumnSource("/c", reading=Reading.EPOCH_MS)),
        ("bytea", ColumnSource("/c", reading=Reading.HEX)),
        ("text", ColumnSource("/c", reading=Reading.TEXT)),
    ],
)
def test_postgresql_makes_columns_that_only_it_can_make(
    route: MakeRoute, declared: str, source: str | ColumnSource
) -> None:
    assert route(f"c {declared}, n integer", {"c": source, "n": "/n"}).writer._plain is None


def test_a_column_from_a_part_of_another_s_member_leaves_the_route_to_postgresql(route: MakeRoute) -> None:
    assert route("a jsonb, b text", {"a": "/a", "b": "/a/b"}).writer._plain is None


def test_two_columns_of_one_member_leave_the_route_to_postgresql(route: MakeRoute) -> None:
    assert route("a text, b text", {"a": "/a", "b": "/a"}).writer._plain is None


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": TableMode.MERGE, "key": ("k",)},
        {"for_each": "/lines"},
        {"mode": TableMode.UPSERT, "key": ("k", "n"), "replaces": ("k",), "for_each": "/lines"},
    ],
)
def test_rows_of_other_ways_are_left_to_postgresql(route: MakeRoute, changes: dict[str, Any]) -> None:
    made = route("k text, n integer, UNIQUE (k), UNIQUE (k, n)", {"k": "/k", "n": "/n"}, **changes)
    assert made.writer._plain is None


def test_a_column_that_an_event_may_leave_is_left_to_postgresql(route: MakeRoute) -> None:
    sources = {"k": "/k", "n": ColumnSource("$key:/n", leaves=True)}
    made = route("k text PRIMARY KEY, n integer DEFAULT 1", sources, mode=TableMode.UPSERT, key=("k",))
    assert made.writer._plain is None


def test_a_cast_of_the_user_s_own_leaves_the_route_to_postgresql(connection: Connection, route: MakeRoute) -> None:
    connection.execute("CREATE FUNCTION public.digits(text) RETURNS integer LANGUAGE sql RETURN 5")
    connection.execute("CREATE CAST (text AS integer) WITH FUNCTION public.digits(text)")
    assert route("n integer", {"n": "/n"}).writer._plain is None


def test_a_cast_by_the_text_of_a_value_changes_nothing(connection: Connection, route: MakeRoute) -> None:
    connection.execute("CREATE CAST (text AS numeric) WITH INOUT AS ASSIGNMENT")
    both = BothWays(connection, route("d numeric", {"d": "/d"}))
    given = rows_of({"d": "1.50"}, {"d": 1.5}, {"d": None})
    assert both.as_plain(given) == (True, both.as_documents(given)[1])


def test_rows_of_many_columns_are_left_to_postgresql(route: MakeRoute) -> None:
    names = [f"c{number}" for number in range(101)]
    made = route(", ".join(f"{name} integer" for name in names), {name: f"/{name}" for name in names})
    assert made.writer._plain is None


def test_rows_that_are_never_plain_are_looked_at_less_and_less(
    route: MakeRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = route("n integer", {"n": "/n"})
    assert made.writer._plain is not None
    looked: list[int] = []
    read = made.writer._plain._sent.parameters

    def noted(events: TableEvents) -> Any:
        looked.append(events.records[0].offset())
        return read(events)

    monkeypatch.setattr(made.writer._plain._sent, "parameters", noted)
    for offset in range(300):
        plain = offset >= 260
        made.writer.send(made.connection, events_of(of({"n": offset if plain else str(offset)}, offset)))
    assert looked[:8] == [0, 2, 5, 10, 19, 36, 69, 134]
    assert looked[8:] == [199, *range(264, 300)]
    assert [row[0] for row in made.rows()] == list(range(300))


def test_the_whole_value_as_json_is_left_to_postgresql(route: MakeRoute) -> None:
    assert route("n integer, whole jsonb", {"n": "/n", "whole": "$value"}).writer._plain is None


def test_in_an_envelope_only_rows_that_are_written_are_plain(route: MakeRoute) -> None:
    made = route("n integer", {"n": "/n"}, envelope=Envelope.DEBEZIUM)
    assert made.writer._plain is not None
    assert made.writer._plain._sent.parameters(rows_of({"n": 1})) is None


def test_a_cloud_event_is_left_to_postgresql(route: MakeRoute) -> None:
    assert route("n integer", {"n": "/n"}, envelope=Envelope.CLOUDEVENTS).writer._plain is None
