"""A value that its column cannot take: an EventError, told by column, source and type, never by the value."""

from decimal import Decimal
from typing import Any

import pytest

from inbox.errors import EventError, StartupError
from inbox.events import Record
from inbox.store.options import ColumnSource, Reading, TableMode, Tombstones
from inbox.store.postgres.connection import Connection
from inbox.store.tables.casts.wording import remedy
from inbox.store.tables.diagnosis import Diagnosis
from tests.support.records import record
from tests.support.store.table_routes import MakeRoute, events_of, of

SECRET = "hunter2"  # stands in every refused value


# The declared type, the event's value, the SQLSTATE of the refusal.
REFUSED: list[tuple[str, Any, str]] = [
    ("smallint", 32768, "22003"),
    ("integer", SECRET, "22P02"),
    ("integer", 1.5, "22P02"),
    ("integer", True, "22P02"),
    ("integer", [1], "22P02"),
    ("bigint", 2**63, "22003"),
    ("numeric", SECRET, "22P02"),
    ("numeric(6,2)", 12345.67, "22003"),
    ("double precision", "1e999", "22003"),
    ("boolean", SECRET, "22P02"),
    ("boolean", 2, "22P02"),
    ("character varying(3)", SECRET, "22001"),
    ("character(3)", SECRET, "22001"),
    ("uuid", SECRET, "22P02"),
    ("uuid", 1, "22P02"),
    ("date", SECRET, "22007"),
    ("date", "2023-02-30", "22008"),
    ("timestamp without time zone", SECRET, "22007"),
    ("timestamp with time zone", SECRET, "22007"),
    ("timestamp with time zone", True, "22007"),
    ("time without time zone", "25:00", "22008"),
    ("interval", SECRET, "22007"),
    ("bytea", f"{SECRET}!", "22023"),
    ("inet", SECRET, "22P02"),
    ("integer[]", [1, SECRET], "22P02"),
    ("integer[]", SECRET, "22P02"),
    ("timestamp with time zone[]", [SECRET], "22007"),
    ("mood", SECRET, "22P02"),
    ("positive", -1, "23514"),
]


@pytest.mark.parametrize(("declared", "value", "sqlstate"), REFUSED)
def test_a_value_that_its_column_cannot_take_is_told_without_being_shown(
    connection: Connection, route: MakeRoute, declared: str, value: Any, sqlstate: str
) -> None:
    connection.execute("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
    it = route(f"before text, it {declared}, after text", {"before": "/a", "it": "/v/it", "after": "/a"})
    text = it.refusal(of({"a": "x", "v": {"it": value}}))
    assert text == f'column "it" from /v/it: a value that cannot be {declared} ({sqlstate}); {remedy(sqlstate)}'
    assert SECRET not in text


@pytest.mark.parametrize(
    ("source", "declared", "one"),
    [
        ("$key", "integer", record(key=b"hunter2")),
        ("$header:n", "integer", record(headers=[("n", b"hunter2")])),
        ("$value", "jsonb", record(value=b"hunter2")),
        ("$key", "text", record(key=b"\xff")),
        ("$value", "text", record(value=b"a\x00b")),
        ("$topic", "character varying(3)", record()),
        ("$offset", "smallint", record(100_000)),
        ("$timestamp", "timestamp with time zone", record(milliseconds=2**62)),
    ],
)
def test_a_value_beside_the_json_is_told_by_its_source(
    route: MakeRoute, source: str, declared: str, one: Record
) -> None:
    it = route(f"before text, it {declared}", {"before": "$topic", "it": source})
    assert it.refusal(one).startswith(f'column "it" from {source}: a value that cannot be {declared} (')


def test_a_null_where_the_column_wants_a_value_is_told_by_its_column(route: MakeRoute) -> None:
    text = route("a integer NOT NULL, b text", {"a": "/a", "b": "/b"}).refusal(of({"b": "hunter2"}))
    assert text == 'null value in column "a" of relation "t" violates not-null constraint (23502)'


def test_a_constraint_of_the_table_is_told_by_its_name(route: MakeRoute) -> None:
    text = route("a text CONSTRAINT short CHECK (length(a) < 3)", {"a": "/a"}).refusal(of({"a": "hunter2"}))
    assert text == 'new row for relation "t" violates check constraint "short" (23514)'


def test_a_value_that_is_no_json_is_told_as_such(route: MakeRoute) -> None:
    text = route("k text, a integer", {"k": "$key", "a": "/a"}).refusal(record(key=b"k", value=b"hunter2"))
    assert "not JSON" in text
    assert "column" not in text


def test_what_is_cut_silently_by_the_standard_is_not_blamed_for_another_column(route: MakeRoute) -> None:
    """Trailing spaces beyond a varchar's length are cut without an error (PostgreSQL manual, section 8.3)."""
    it = route("a character varying(3), b integer", {"a": "/a", "b": "/b"})
    it.write(of({"a": "abc   ", "b": 1}))
    assert it.refusal(of({"a": "abc   ", "b": "x"})).startswith('column "b" from /b')


def test_a_numeric_that_rounds_to_the_left_is_not_blamed_for_another_column(route: MakeRoute) -> None:
    """PostgreSQL 15 and newer allow a negative scale."""
    it = route("a numeric(5,-2), b integer", {"a": "/a", "b": "/b"})
    assert it.refusal(of({"a": 12345, "b": "x"})).startswith('column "b" from /b')


def test_one_bad_event_fails_its_batch_and_is_found(route: MakeRoute) -> None:
    it = route("a integer", {"a": "/a"})
    batch = [of({"a": number}) for number in range(20)]
    batch[13] = of({"a": "hunter2"})
    with pytest.raises(EventError):
        it.write(*batch)
    assert it.refused(*batch) == [13]
    assert it.rows() == []


def test_all_bad_events_of_a_batch_are_found_each_with_its_own_error(route: MakeRoute) -> None:
    it = route("a integer, b text, c numeric(4,2)", {"a": "/a", "b": "$key", "c": "/c"})
    bad = {
        0: (of({"a": "x"}), 'column "a" from /a: a value that cannot be integer (22P02)'),
        1: (record(value=b"{"), "the value is not JSON that PostgreSQL accepts (22P02)"),
        7: (record(value=b"\xff"), "the value is not JSON that PostgreSQL accepts (22021)"),
        300: (of({"a": 1}, key=b"\xff"), 'column "b" from $key: a value that cannot be text (22021)'),
        301: (of({"c": 1000}), 'column "c" from /c: a value that cannot be numeric(4,2) (22003)'),
        599: (of({"a": "x"}), 'column "a" from /a: a value that cannot be integer (22P02)'),
    }
    batch = [bad[place][0] if place in bad else of({"a": place}) for place in range(600)]
    found = it.writer.find(it.connection, events_of(*batch))
    texts = {place: str(error).partition("; ")[0] for place, error in found.refused.items()}
    assert texts == {place: text for place, (_, text) in bad.items()}
    assert found.candidates == []


def test_what_a_condition_of_the_table_refuses_is_to_be_tried_alone(route: MakeRoute) -> None:
    """Not refused at once: a trigger may mend it before the condition is asked."""
    it = route("a integer NOT NULL, b text CHECK (b NOT LIKE 'x%')", {"a": "/a", "b": "/b"})
    found = it.writer.find(
        it.connection, events_of(of({"a": 1}), of({"b": "y"}), of({"a": 2, "b": "xy"}), of({"a": 3}))
    )
    assert found == Diagnosis(candidates=[1, 2])


def test_what_only_other_rows_refuse_is_not_found_by_values(route: MakeRoute) -> None:
    it = route("a integer UNIQUE", {"a": "/a"})
    assert it.writer.find(it.connection, events_of(of({"a": 1}), of({"a": 1}))) == Diagnosis()


def test_a_condition_over_a_column_of_its_own_is_not_evaluated(route: MakeRoute) -> None:
    it = route("a integer, b integer DEFAULT 1, CHECK (a <> b), CHECK (b > 0)", {"a": "/a"})
    assert it.writer.find(it.connection, events_of(of({"a": 1}))) == Diagnosis()


@pytest.mark.parametrize(
    ("base", "sqlstate"), [("varchar(3)", "22001"), ("char(3)", "22001"), ("bit(3)", "22026"), ("varbit(3)", "22001")]
)
def test_a_domain_over_a_length_cuts_nothing(
    connection: Connection, route: MakeRoute, base: str, sqlstate: str
) -> None:
    connection.execute(f"CREATE DOMAIN inner_domain AS {base}; CREATE DOMAIN short AS inner_domain".encode())
    it = route("a short", {"a": "/a"})
    it.write(of({"a": "101"}))
    assert it.refusal(of({"a": "1010"})).startswith(f'column "a" from /a: a value that cannot be short ({sqlstate}); ')
    assert it.rows() == [("101",)]


def test_a_domain_takes_what_its_base_takes(connection: Connection, route: MakeRoute) -> None:
    connection.execute("CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN document AS jsonb")
    it = route("a moment, b document", {"a": "/a", "b": "/b"})
    it.write(of({"a": "2023-11-14T22:13:20Z", "b": "5"}))
    assert it.connection.execute("SELECT extract(epoch FROM a)::bigint, jsonb_typeof(b) FROM t").fetchall() == [
        (1_700_000_000, "string")
    ]


def test_elements_of_an_array_mean_what_a_column_of_their_type_means(route: MakeRoute) -> None:
    it = route("a timestamptz[], b bytea[]", {"a": ColumnSource("/a", Reading.EPOCH_MS), "b": "/b"})
    it.write(of({"a": [1_700_000_000_000, "1700000000000", None], "b": ["aGk="]}))
    found = it.connection.execute("SELECT a[1] = '2023-11-14T22:13:20Z', a[1] = a[2], a[3] IS NULL, b FROM t")
    assert found.fetchall() == [(True, True, True, [b"hi"])]


def test_names_may_hold_percent_signs_and_be_those_of_our_own(route: MakeRoute) -> None:
    columns = {"a%b": "/x%y", "place": "/place", "dead": "/dead", "gone": "/gone"}
    it = route(
        '"a%b" integer, place integer PRIMARY KEY, dead text, gone text', columns, **{**KEYED, "key": ("place",)}
    )
    one = {"x%y": 1, "place": 2, "dead": "d", "gone": "g"}
    it.write(of(one), record(1, key=b"3", value=None))
    assert it.rows() == [(1, 2, "d", "g")]
    assert it.refused(of(one), of({**one, "x%y": "z"})) == [1]


@pytest.mark.parametrize(("declared", "value"), [("text", "a\x00b"), ("text[]", ["\x00"]), ("jsonb", {"a": ["\x00"]})])
def test_a_nul_that_postgresql_cannot_store_is_its_event_s_fault_alone(
    route: MakeRoute, declared: str, value: Any
) -> None:
    it = route(f"a {declared}", {"a": "/v/a"})
    assert it.refused(of({"v": {"a": None}}), of({"v": {"a": value}}), of({"v": {}})) == [1]


def test_a_decimal_in_exponent_notation_is_its_number(route: MakeRoute) -> None:
    it = route("a numeric", {"a": "/a"})
    it.write(record(value=b'{"a": 1.50e3}'), record(value=b'{"a": 1e-10}'))
    assert it.rows() == [(Decimal("1E-10"),), (Decimal(1500),)]


def test_arrays_of_documents_keep_their_texts(route: MakeRoute) -> None:
    it = route("a jsonb[]", {"a": "/a"})
    it.write(of({"a": ["x", 1, {"b": "y"}, None]}))
    assert it.rows() == [(["x", 1, {"b": "y"}, None],)]


def test_an_array_index_with_a_sign_or_a_leading_zero_finds_nothing(route: MakeRoute) -> None:
    """As in the rules for ids and types (RFC 6901, section 4)."""
    it = route("a text, b text, c text", {"a": "/l/-1", "b": "/l/01", "c": "/l/1"})
    it.write(of({"l": ["x", "y"]}))
    assert it.rows() == [(None, None, "y")]


# Keys.


KEYED: dict[str, Any] = {"mode": TableMode.UPSERT, "key": ("id",), "tombstones": Tombstones.DELETE}


def test_an_event_without_its_rows_key_is_refused(route: MakeRoute) -> None:
    it = route("id integer UNIQUE, a text", {"id": "/id", "a": "/a"}, **KEYED)
    with pytest.raises(EventError):
        it.write(of({"a": "x"}), of({"a": "y"}))
    assert it.refused(of({"a": "x"}), of({"id": 1}), of({"a": "y"})) == [0, 2]
    expected = 'column "id" from /id: nothing, where the row\'s key needs a value (22P02); '
    assert it.refusal(of({"a": "x"})).startswith(expected)


def test_a_tombstone_without_a_key_is_refused(route: MakeRoute) -> None:
    it = route("id integer PRIMARY KEY", {"id": "/id"}, **KEYED)
    with pytest.raises(EventError, match="a tombstone without a key names no row to delete"):
        it.write(record(value=None))


@pytest.mark.parametrize(
    "key",
    [
        b"7",
        b'"7"',
        b'{"id": 7}',
        b'{"id": "7", "other": 1}',
    ],
)
def test_a_tombstone_names_its_row_by_text_or_by_a_json_key(route: MakeRoute, key: bytes) -> None:
    it = route("id integer PRIMARY KEY", {"id": "/id"}, **KEYED)
    it.write(of({"id": 7}), of({"id": 8}))
    it.write(record(2, key=key, value=None))
    assert it.rows() == [(8,)]


def test_a_tombstone_whose_key_names_no_row_is_refused(route: MakeRoute) -> None:
    it = route("id integer PRIMARY KEY", {"id": "/id"}, **KEYED)
    lost = record(2, key=b'{"order": 7}', value=None)
    expected = 'column "id" from /id: nothing, where the row\'s key needs a value (22P02); '
    assert it.refusal(lost).startswith(expected)
    assert it.refused(of({"id": 7}), lost, record(2, key=b"7", value=None)) == [1]


def test_a_tombstone_of_a_row_that_is_not_there_deletes_nothing(route: MakeRoute) -> None:
    it = route("id integer PRIMARY KEY", {"id": "/id"}, **KEYED)
    it.write(of({"id": 7}))
    it.write(record(2, key=b"8", value=None))
    assert it.rows() == [(7,)]


def test_a_tombstone_of_several_columns_names_them_all(route: MakeRoute) -> None:
    columns = {"a": "/a", "b": "/x/b"}
    it = route("a integer, b text, PRIMARY KEY (a, b)", columns, **{**KEYED, "key": ("a", "b")})
    it.write(of({"a": 1, "x": {"b": "p"}}), of({"a": 1, "x": {"b": "q"}}))
    it.write(record(2, key=b'{"a": 1, "x": {"b": "p"}}', value=None))
    assert it.rows() == [(1, "q")]
    with pytest.raises(EventError, match="has to be a JSON object where the row's key has several columns"):
        it.write(record(3, key=b"1", value=None))


@pytest.mark.parametrize("key", [b"\xff", b"\x00\x00\x00\x00\x00\x00\x00\x2a", b"a\x00b"])
@pytest.mark.parametrize("source", ["/id", "$key"])
def test_a_tombstones_key_that_is_not_text_is_told_as_such(route: MakeRoute, source: str, key: bytes) -> None:
    """A producer that writes its keys as 8 bytes writes valid UTF-8, and NUL."""
    it = route("id text PRIMARY KEY", {"id": source}, **KEYED)
    one = record(key=key, value=None)

    with pytest.raises(EventError, match="the key of a tombstone is not text: it is not valid UTF-8, or it holds NUL"):
        it.write(one)
    assert it.refusal(one) == "the key of a tombstone is not text: it is not valid UTF-8, or it holds NUL"


def test_a_tombstone_may_name_its_row_by_bytes(route: MakeRoute) -> None:
    it = route("id bytea PRIMARY KEY, a text", {"id": "$key", "a": "/a"}, **KEYED)
    it.write(record(0, key=b"\xff\x00", value=b"{}"), record(1, key=b"\xfe", value=b"{}"))
    it.write(record(2, key=b"\xff\x00", value=None))

    assert it.rows() == [(b"\xfe", None)]


def test_a_table_of_nothing_but_its_key_takes_duplicates(route: MakeRoute) -> None:
    it = route("id integer PRIMARY KEY", {"id": "/id"}, **KEYED)
    it.write(of({"id": 7}), of({"id": 7}))
    it.write(of({"id": 7}))
    assert it.rows() == [(7,)]


# A route that can never work is refused at the start, or its first event waits for ever.


@pytest.mark.parametrize(
    ("declared", "source"), [("timestamptz", "$offset"), ("bytea", "$event_id"), ("boolean", "$event_id")]
)
def test_a_source_that_no_cast_takes_to_its_column_is_refused_at_the_start(
    route: MakeRoute, declared: str, source: str
) -> None:
    with pytest.raises(StartupError, match='column "a"'):
        route(f"a {declared}", {"a": source})
