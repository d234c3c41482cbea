"""What the values of a schema leave in the columns of a table, and what is refused."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from inbox.events import Record
from inbox.reading.envelopes.debezium import UNAVAILABLE
from inbox.reading.options import Envelope
from inbox.store.options import ColumnSource, TableMode
from tests.support.records import record
from tests.support.store.decoded_routes import UPSERT, DecodedRoute, typed
from tests.support.store.table_routes import MakeRoute
from tests.unit.reading.formats.connect import decimal, schema, struct
from tests.unit.reading.formats.connect import record as connect_record

CONNECT, TIME, DATA = "org.apache.kafka.connect.data.", "io.debezium.time.", "io.debezium.data."
ZONED, MICRO = TIME + "ZonedTimestamp", TIME + "MicroTimestamp"
MICROS = 1_700_000_000_123_456

UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
RANGE = '["2024-01-01 00:00:00","2024-02-01 00:00:00")'
NESTED = '{"a": "1970-01-01", "b": 0.10}'
LAST = "294276-12-31 23:59:59.999999+00"

MakeDecoded = Callable[..., DecodedRoute]


def base64(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.fixture(name="decoded")
def decoded_(route: MakeRoute) -> MakeDecoded:
    """Creates the table `t` with the given columns, and a route over it that reads `connect-json`."""

    def decoded(
        declared: str,
        columns: dict[str, str],
        *,
        envelope: Envelope = Envelope.NONE,
        key_format: str = "text",
        **changes: Any,
    ) -> DecodedRoute:
        made = route(declared, columns, decoded=True, envelope=envelope, **changes)
        return DecodedRoute(made, made.writer._target, key_format)

    return decoded


TAKEN = [
    (schema("boolean"), True, "boolean", "true"),
    (schema("boolean"), True, "bit", "1"),
    (schema("int32"), 5, "smallint", "5"),
    (schema("int64"), 2**63 - 1, "bigint", str(2**63 - 1)),
    (schema("int64"), 2**63 - 1, "numeric", str(2**63 - 1)),
    (schema("int32"), 7, "real", "7"),
    (schema("int32"), 7, "text", "7"),
    (schema("int32"), 7, "jsonb", "7"),
    (schema("int64"), 7, "oid", "7"),
    (schema("double"), 0.1, "double precision", "0.1"),
    (schema("double"), "NaN", "double precision", "NaN"),
    (schema("double"), "-Infinity", "real", "-Infinity"),
    (schema("double"), -0.0, "double precision", "-0"),
    (schema("float"), 1.1, "real", "1.1"),
    (schema("double"), 0.1, "numeric", "0.1"),
    (schema("double"), 1e-20, "numeric", "0.00000000000000000001"),
    (schema("double"), "NaN", "jsonb", '"NaN"'),
    (decimal(2), base64(b"\x30\x39"), "numeric(10,2)", "123.45"),
    (decimal(2), "raw:123456789012345678901234567890.10", "numeric", "123456789012345678901234567890.10"),
    (decimal(0), base64(b"\x05"), "bigint", "5"),
    (decimal(2), base64(b"\x05"), "text", "0.05"),
    (decimal(2), base64(b"\x05"), "jsonb", "0.05"),
    (decimal(20), base64(b"\x01"), "numeric", "0.00000000000000000001"),
    (schema("string"), "ü\U0001f600 \\ \" {", "text", "ü\U0001f600 \\ \" {"),
    (schema("string"), "1E+3", "numeric", "1000"),
    (schema("string"), "10.0.0.1/8", "inet", "10.0.0.1/8"),
    (schema("string", DATA + "Uuid"), UUID.upper(), "uuid", UUID),
    (schema("string", DATA + "Xml"), "<a>1</a>", "xml", "<a>1</a>"),
    (schema("string"), "[1,5)", "int4range", "[1,5)"),
    (schema("string"), RANGE, "tsrange", RANGE),
    (schema("string", DATA + "Json"), '{"b": 1, "a": [1.10]}', "jsonb", '{"a": [1.10], "b": 1}'),
    (schema("string", DATA + "Json"), '{"b": 1}', "json", '{"b": 1}'),
    (schema("string"), "plain", "jsonb", '"plain"'),
    (schema("bytes"), base64(b"\x00\xff"), "bytea", "\\x00ff"),
    (schema("bytes", DATA + "Bits", parameters={"length": "6"}), base64(b"\x05"), "bit(6)", "000101"),
    (schema("int32", TIME + "Date"), 19_749, "date", "2024-01-27"),
    (schema("int32", TIME + "Date"), 19_749, "timestamptz", "2024-01-27 00:00:00+00"),
    (schema("int32", TIME + "Date"), -2_147_472_692, "date", "infinity"),
    (schema("int32", TIME + "Date"), -2_147_472_691, "date", "-infinity"),
    (schema("int32", TIME + "Date"), -719_163, "date", "0001-12-31 BC"),
    (schema("int32", TIME + "Date"), 2_932_896, "date", "9999-12-31"),
    (schema("int32", TIME + "Date"), 19_749, "text", "2024-01-27"),
    (schema("int64", MICRO), MICROS, "timestamp", "2023-11-14 22:13:20.123456"),
    (schema("int64", MICRO), MICROS, "timestamptz", "2023-11-14 22:13:20.123456+00"),
    (schema("int64", MICRO), MICROS, "timestamp(0)", "2023-11-14 22:13:20"),
    (schema("int64", MICRO), MICROS, "date", "2023-11-14"),
    (schema("int64", MICRO), 9_223_372_036_825_200_000, "timestamp", "infinity"),
    (schema("int64", MICRO), -9_223_372_036_832_400_000, "timestamp", "-infinity"),
    (schema("int64", MICRO), -99_999_999_999_999_999, "timestamp", "1200-02-15 14:13:20.000001 BC"),
    (schema("int64", TIME + "NanoTimestamp"), MICROS * 1000 + 999, "timestamp", "2023-11-14 22:13:20.123456"),
    (schema("int64", CONNECT + "Timestamp"), MICROS // 1000, "timestamptz", "2023-11-14 22:13:20.123+00"),
    (schema("string", ZONED), "2023-11-14T23:13:20.5+01:00", "timestamp", "2023-11-14 22:13:20.5"),
    (schema("string", ZONED), "-0043-03-15T12:00:00Z", "timestamptz", "0044-03-15 12:00:00+00 BC"),
    (schema("string", ZONED), "+294276-12-31T23:59:59.999999Z", "timestamptz", LAST),
    (schema("string", ZONED), "infinity", "timestamptz", "infinity"),
    (schema("string"), "2023-11-14T23:13:20.123456789+01:00", "timestamp", "2023-11-14 22:13:20.123456"),
    (schema("int64", TIME + "MicroTime"), 86_400_000_000, "time", "24:00:00"),
    (schema("int64", TIME + "MicroTime"), 1, "interval", "00:00:00.000001"),
    (schema("string", TIME + "ZonedTime"), "10:15:30+01:00", "timetz", "10:15:30+01"),
    (schema("string", TIME + "ZonedTime"), "10:15:30+01:00", "time", "09:15:30"),
    (schema("string", TIME + "Interval"), "P1Y2M-3DT4H5M6.7S", "interval", "1 year 2 mons -3 days +04:05:06.7"),
    (schema("int64", TIME + "MicroDuration"), -1, "interval", "-00:00:00.000001"),
    (schema("array", items=schema("int32")), [1, None, 3], "integer[]", "{1,NULL,3}"),
    (schema("array", items=schema("int32")), [], "integer[]", "{}"),
    (schema("array", items=schema("array", items=schema("int32"))), [[1, 2], [3, 4]], "integer[]", "{{1,2},{3,4}}"),
    (schema("array", items=schema("string")), ['a"b', "NULL", None], "text[]", '{"a\\"b","NULL",NULL}'),
    (schema("array", items=schema("int32", TIME + "Date")), [0, None], "date[]", "{1970-01-01,NULL}"),
    (schema("array", items=decimal(1)), [base64(b"\x0f")], "numeric[]", "{1.5}"),
    (schema("array", items=schema("bytes")), [base64(b"\x01")], "bytea[]", '{"\\\\x01"}'),
    (schema("array", items=schema("string", DATA + "Json")), ['{"a":1}'], "jsonb[]", '{"{\\"a\\": 1}"}'),
    (schema("array", items=schema("int32")), [1, 2], "jsonb", "[1, 2]"),
    (struct(a=schema("int32", TIME + "Date"), b=decimal(2)), {"a": 0, "b": base64(b"\x0a")}, "jsonb", NESTED),
    (schema("map", keys=schema("string"), values=schema("int32")), {"a": 1}, "jsonb", '{"a": 1}'),
    (struct(x=schema("double"), y=schema("double")), {"x": 1.5, "y": 2.0}, "point", "(1.5,2)"),
]  # fmt: skip

REFUSED = [
    (struct(a=schema("int32")), {"a": 1}, "integer", 'integer cannot take an object; point'),
    (schema("double"), 1.5, "integer", 'integer cannot take a floating-point number; make'),
    (schema("int32"), 19_749, "date", 'date cannot take a number without a unit; set as = "epoch-ms"'),
    (schema("string"), "now", "timestamptz", "a word for a time"),
    (schema("bytes"), "AQ==", "date", "date cannot take bytes"),
    (schema("string"), "x", "bytea", 'bytea cannot take a text; set as = "base64"'),
    (schema("int64"), 2**40, "integer", 'a value that cannot be integer (22003)'),
    (schema("string"), "x", "integer", 'a value that cannot be integer (22P02)'),
    (schema("string"), "abc", "varchar(2)", 'a value that cannot be character varying(2)'),
    (schema("string"), "[now,]", "tstzrange", "a word for a time"),
    (schema("array", items=schema("string")), ["now"], "timestamptz[]", "a word for a time"),
]  # fmt: skip


def test_a_typed_value_is_the_columns_value(decoded: MakeDecoded) -> None:
    names = [f"c{number}" for number in range(len(TAKEN))]
    declared = ", ".join(f"{name} {case[2]}" for name, case in zip(names, TAKEN, strict=True))
    made = decoded(f"n integer, {declared}", {"n": "/n", **{name: f"/{name}" for name in names}})
    row = struct(n=schema("int32"), **{name: case[0] for name, case in zip(names, TAKEN, strict=True)})
    values = ",".join(f'"{name}":{_json(case[1])}' for name, case in zip(names, TAKEN, strict=True))
    nulls = dict.fromkeys(names) | {"n": 2}
    made.write(typed(row, f'raw:{{"n":1,{values}}}'), typed(row, nulls, 1), typed(row, {"n": 3}, 2))
    for name, (_, _, kind, text) in zip(names, TAKEN, strict=True):
        assert (kind, made.route.texts(name)) == (kind, [text, None, None])


def _json(payload: Any) -> str:
    return payload[4:] if isinstance(payload, str) and payload.startswith("raw:") else json.dumps(payload)


def test_what_a_column_cannot_take_is_refused_alone(decoded: MakeDecoded) -> None:
    names = [f"c{number}" for number in range(len(REFUSED))]
    declared = ", ".join(f"{name} {case[2]}" for name, case in zip(names, REFUSED, strict=True))
    made = decoded(f"n integer, {declared}", {"n": "/n", **{name: f"/{name}" for name in names}})
    row = struct(n=schema("int32"), **{name: case[0] for name, case in zip(names, REFUSED, strict=True)})
    payloads = [{"n": at, name: case[1]} for at, (name, case) in enumerate(zip(names, REFUSED, strict=True), 1)]
    good, *bad = made.read(typed(row, {"n": 0}), *(typed(row, each) for each in payloads))
    assert made.route.refused(good, *bad, good) == list(range(1, len(bad) + 1))
    for name, one, (_, _, kind, text) in zip(names, bad, REFUSED, strict=True):
        refusal = made.route.refusal(one)
        assert refusal.startswith(f'column "{name}" from /{name}: ')
        assert (kind, text in refusal) == (kind, True), refusal
    made.route.write(good)
    assert [row[0] for row in made.route.rows()] == [0]


def test_values_of_different_types_share_a_batch(decoded: MakeDecoded) -> None:
    made = decoded("n integer, at timestamptz", {"n": "/n", "at": "/at"})
    made.write(
        typed(struct(n=schema("int32"), at=schema("int64", CONNECT + "Timestamp")), {"n": 1, "at": 0}),
        typed(struct(n=schema("string"), at=schema("string")), {"n": "2", "at": "2024-01-01"}, 1),
        typed(struct(n=schema("int64"), at=schema("int32", TIME + "Date")), {"n": 3, "at": 1}, 2),
    )
    assert made.route.texts("at") == [
        "1970-01-01 00:00:00+00",
        "1970-01-02 00:00:00+00",
        "2024-01-01 00:00:00+00",
    ]


ROW = struct(id=schema("int64"), name=schema("string"))
KEY = struct(id=schema("int64"))


@pytest.mark.parametrize(
    ("key", "key_format"),
    [
        (connect_record(KEY, {"id": 1}), "connect-json"),
        (connect_record(KEY, {"id": 1}), "text"),
        (b'{"id":1}', "text"),
        (b"1", "text"),
        (b'"1"', "text"),
    ],
)
@pytest.mark.parametrize("null", [None, connect_record(ROW, None)], ids=["no value", "null payload"])
def test_a_tombstone_deletes_the_row_of_its_key(
    decoded: MakeDecoded, key: bytes, key_format: str, null: bytes | None
) -> None:
    made = decoded("id bigint PRIMARY KEY, name text", {"id": "/id", "name": "/name"}, key_format=key_format, **UPSERT)
    made.write(typed(ROW, {"id": 1, "name": "a"}), typed(ROW, {"id": 2, "name": "b"}, 1))
    made.write(record(2, key=key, value=null))
    assert made.route.rows() == [(2, "b")]


def test_a_row_comes_back_behind_its_tombstone_in_one_batch(decoded: MakeDecoded) -> None:
    made = decoded("id bigint PRIMARY KEY, name text", {"id": "/id", "name": "/name"}, **UPSERT)
    made.write(
        typed(ROW, {"id": 1, "name": "a"}),
        record(1, key=b'{"id":1}', value=None),
        typed(ROW, {"id": 1, "name": "c"}, 2),
    )
    assert made.route.rows() == [(1, "c")]


def test_a_tombstone_that_names_no_row_is_refused(decoded: MakeDecoded) -> None:
    made = decoded("id bigint PRIMARY KEY, name text", {"id": "/id", "name": "/name"}, **UPSERT)
    [gone] = made.read(record(1, key=b'{"other":1}', value=None))
    assert made.route.refused(gone) == [0]
    assert "the delete names no row" in made.route.refusal(gone)


def changed(op: str, offset: int, before: Any = None, after: Any = None, key: Any = None) -> Record:
    source = {"connector": "postgresql", "lsn": offset, "txId": 1, "schema": "public", "table": "t", "db": "shop"}
    fields = {name: schema("string") for name in ("connector", "schema", "table", "db")}
    change = struct(
        before=ROW,
        after=ROW,
        op=schema("string"),
        ts_ms=schema("int64"),
        source=struct(lsn=schema("int64"), txId=schema("int64"), **fields),
    )
    payload = {"before": before, "after": after, "op": op, "ts_ms": 1, "source": source}
    return typed(change, payload, offset, key=connect_record(KEY, key or {"id": (after or before)["id"]}))


def test_debeziums_changes_compose_with_a_schema(decoded: MakeDecoded) -> None:
    made = decoded(
        "id bigint PRIMARY KEY, name text",
        {"id": "/id", "name": "/name"},
        envelope=Envelope.DEBEZIUM,
        key_format="connect-json",
        **UPSERT,
    )
    made.write(
        changed("r", 1, after={"id": 1, "name": "a"}),
        changed("c", 2, after={"id": 2, "name": "b"}),
        changed("u", 3, after={"id": 1, "name": "c"}),
        changed("d", 4, before={"id": 2, "name": None}),
        record(5, key=connect_record(KEY, {"id": 2}), value=None),
    )
    assert made.route.rows() == [(1, "c")]
    made.write(changed("d", 6, before={"id": 1}, key={"id": 1}))
    assert made.route.rows() == []


def test_an_absent_member_leaves_its_column_in_mode_merge(decoded: MakeDecoded) -> None:
    columns = {"id": "/id", "name": "/name", "size": "/size"}
    made = decoded("id bigint PRIMARY KEY, name text, size integer", columns, mode=TableMode.MERGE, key=("id",))
    row = struct(id=schema("int64"), name=schema("string"), size=schema("int32"))
    made.write(
        typed(row, {"id": 1, "name": "a", "size": 1}),
        typed(row, {"id": 1, "name": None}, 1),
        typed(row, {"id": 2, "size": 5}, 2),
    )
    assert made.route.rows() == [(1, None, 1), (2, None, 5)]


@pytest.mark.parametrize("mode", [TableMode.MERGE, TableMode.UPSERT])
def test_a_value_that_the_connector_could_not_read_leaves_its_column(decoded: MakeDecoded, mode: TableMode) -> None:
    columns = {"id": "/id", "name": "/name"}
    declared = "id bigint PRIMARY KEY, name text"
    made = decoded(declared, columns, envelope=Envelope.DEBEZIUM, mode=mode, key=("id",))
    unavailable = changed("u", 2, after={"id": 1, "name": UNAVAILABLE})
    made.write(changed("c", 1, after={"id": 1, "name": "long"}), unavailable, changed("c", 3, after={"id": 2}))
    assert made.route.rows() == [(1, "long"), (2, None)]


def test_an_update_that_changes_another_key_than_the_records_takes_its_row_along(decoded: MakeDecoded) -> None:
    columns = {"id": "/id", "name": "/name"}
    made = decoded("id bigint PRIMARY KEY, name text", columns, envelope=Envelope.DEBEZIUM, **UPSERT)
    moved = changed("u", 2, before={"id": 1}, after={"id": 5, "name": "a"}, key={"id": 5})
    made.write(changed("c", 1, after={"id": 1, "name": "a"}), moved)
    assert made.route.rows() == [(5, "a")]


@pytest.mark.parametrize("mode", [TableMode.MERGE, TableMode.UPSERT])
def test_a_value_that_was_left_out_is_not_missing(decoded: MakeDecoded, mode: TableMode) -> None:
    columns = {"id": "/id", "name": ColumnSource("/name", required=True)}
    declared = "id bigint PRIMARY KEY, name text NOT NULL"
    made = decoded(declared, columns, envelope=Envelope.DEBEZIUM, mode=mode, key=("id",))
    made.write(changed("c", 1, after={"id": 1, "name": "long"}))
    made.write(changed("u", 2, after={"id": 1, "name": UNAVAILABLE}))
    assert made.route.rows() == [(1, "long")]
    without, unknown = made.read(
        changed("u", 3, after={"id": 1}), changed("u", 4, after={"id": 2, "name": UNAVAILABLE})
    )
    assert "which the column requires" in made.route.refusal(without)
    assert "the table has no row with this key" in made.route.refusal(unknown)


def test_a_mode_that_writes_whole_rows_refuses_a_value_that_the_connector_could_not_read(decoded: MakeDecoded) -> None:
    made = decoded("id bigint, name text", {"id": "/id", "name": "/name"}, envelope=Envelope.DEBEZIUM)
    [one] = made.read(changed("u", 2, after={"id": 1, "name": UNAVAILABLE}))
    assert 'the connector did not send "name"' in made.route.refusal(one)


def test_cloud_events_write_their_data_and_attributes_and_remove_rows(decoded: MakeDecoded) -> None:
    columns = {"id": "/id", "subject": "$ce:subject"}
    made = decoded("id bigint PRIMARY KEY, subject text", columns, envelope=Envelope.CLOUDEVENTS, **UPSERT)
    headers = [(f"ce_{name}", b"1.0") for name in ("specversion", "id", "source", "type", "subject")]
    values = [connect_record(struct(id=schema("int64")), {"id": number}) for number in (1, 2)]
    made.write(*[record(offset, value=value, headers=headers) for offset, value in enumerate(values)])
    made.write(record(2, key=b"1", value=None, headers=headers))
    assert made.route.rows() == [(2, "1.0")]
