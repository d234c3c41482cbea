"""`connect-json`: the payload has the types of its schema, and a schema is compiled once."""

import math
from base64 import b64encode
from decimal import Decimal
from typing import Any

import pytest

from inbox.errors import EventError
from inbox.reading.formats.connect import reader as connect_json
from inbox.reading.formats.connect.reader import ConnectJson
from inbox.reading.values import DAY, INFINITE, Bits, Date, Interval, Json, TimeOfDay, Timestamp
from tests.unit.reading.formats.connect import decimal, record, schema, struct

CONNECT, TIME, DATA = "org.apache.kafka.connect.data.", "io.debezium.time.", "io.debezium.data."
SECOND = 1_000_000_000
MOMENT = 1_700_000_000


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def decoded(of: Any, payload: Any) -> Any:
    return ConnectJson().payload(record(of, payload))


@pytest.mark.parametrize(
    ("of", "payload", "value"),
    [
        (schema("boolean"), True, True),
        (schema("int8"), -128, -128),
        (schema("int16"), 32_767, 32_767),
        (schema("int32"), -(2**31), -(2**31)),
        (schema("int64"), 2**63 - 1, 2**63 - 1),
        (schema("int64"), 2**64 + 1, 2**64 + 1),
        (schema("float"), 1, 1.0),
        (schema("double"), 1e300, 1e300),
        (schema("double"), "Infinity", math.inf),
        (schema("double"), "-Infinity", -math.inf),
        (schema("string"), "ü\U0001f600", "ü\U0001f600"),
        (schema("bytes"), base64(b"\x00\xff"), b"\x00\xff"),
        (schema("array", items=schema("int32")), [1, None], [1, None]),
        (schema("map", keys=schema("string"), values=schema("int32")), {"a": 1}, {"a": 1}),
        (schema("map", keys=schema("int32"), values=schema("string")), [[1, "a"]], [[1, "a"]]),
        (decimal(2), base64(b"\x30\x39"), Decimal("123.45")),
        (decimal(2), base64(b"\xff"), Decimal("-0.01")),
        (decimal(-3), base64(b"\x05"), Decimal("5E+3")),
        (schema("int32", CONNECT + "Date"), 19_749, Date(19_749)),
        (schema("int32", CONNECT + "Time"), 1, TimeOfDay(1_000_000)),
        (schema("int64", CONNECT + "Timestamp"), MOMENT * 1000, Timestamp(MOMENT * SECOND, True)),
        (schema("int32", TIME + "Date"), -1, Date(-1)),
        (schema("int32", TIME + "Date"), -2_147_472_692, Date(INFINITE)),
        (schema("int32", TIME + "Date"), -2_147_472_691, Date(-INFINITE)),
        (schema("int32", TIME + "Time"), 86_399_999, TimeOfDay(DAY - 1_000_000)),
        (schema("int64", TIME + "MicroTime"), 86_400_000_000, TimeOfDay(DAY)),
        (schema("int64", TIME + "NanoTime"), 1, TimeOfDay(1)),
        (schema("int64", TIME + "Timestamp"), -1, Timestamp(-1_000_000, False)),
        (schema("int64", TIME + "MicroTimestamp"), MOMENT * 10**6, Timestamp(MOMENT * SECOND, False)),
        (schema("int64", TIME + "MicroTimestamp"), 9_223_372_036_825_200_000, Timestamp(INFINITE, False)),
        (schema("int64", TIME + "MicroTimestamp"), -9_223_372_036_832_400_000, Timestamp(-INFINITE, False)),
        (schema("int64", TIME + "NanoTimestamp"), MOMENT * SECOND + 1, Timestamp(MOMENT * SECOND + 1, False)),
        (schema("string", TIME + "ZonedTimestamp"), "2023-11-14T22:13:20Z", Timestamp(MOMENT * SECOND, True)),
        (schema("string", TIME + "ZonedTimestamp"), "2023-11-14T23:13:20+01:00", Timestamp(MOMENT * SECOND, True)),
        (schema("string", TIME + "ZonedTimestamp"), "2023-11-14T22:13:20.000000001Z", Timestamp(MOMENT * SECOND + 1)),
        (schema("string", TIME + "ZonedTimestamp"), "infinity", Timestamp(INFINITE, True)),
        (schema("string", TIME + "ZonedTimestamp"), "0000-12-31T00:00:00Z", Timestamp(-719_163 * DAY, True)),
        (schema("string", TIME + "ZonedTimestamp"), "+10000-01-01T00:00Z", Timestamp(2_932_897 * DAY, True)),
        (schema("string", TIME + "ZonedTime"), "10:15:30+01:00", TimeOfDay(36_930 * SECOND, 3600)),
        (schema("string", TIME + "IsoDate"), "2024-01-27Z", Date(19_749)),
        (schema("string", TIME + "IsoTime"), "00:00:01.5Z", TimeOfDay(1_500_000_000)),
        (schema("string", TIME + "IsoTimestamp"), "2023-11-14T22:13:20Z", Timestamp(MOMENT * SECOND, False)),
        (schema("string", TIME + "Interval"), "P1Y2M-3DT4H5M6.7S", Interval(14, -3, 14_706_700_000_000)),
        (schema("string", TIME + "Interval"), "P0Y0M0DT0H0M-0.5S", Interval(0, 0, -500_000_000)),
        (schema("int64", TIME + "MicroDuration"), -1, Interval(0, 0, -1000)),
        (schema("int64", TIME + "NanoDuration"), 5, Interval(0, 0, 5)),
        (schema("int32", TIME + "Year"), 2024, 2024),
        (schema("bytes", DATA + "Bits", parameters={"length": "12"}), base64(b"\x05"), Bits("000000000101")),
        (schema("bytes", DATA + "Bits", parameters={"length": "2147483647"}), base64(b"\x01\x01"), Bits("100000001")),
        (schema("string", DATA + "Json"), '{"a": 1}', Json('{"a": 1}')),
        (schema("string", DATA + "Enum", parameters={"allowed": "a,b"}), "a", "a"),
        (schema("string", DATA + "Xml"), "<a/>", "<a/>"),
        (
            {**struct(scale=schema("int32"), value=schema("bytes")), "name": DATA + "VariableScaleDecimal"},
            {"scale": 20, "value": base64(b"\x01")},
            Decimal("1E-20"),
        ),
    ],
)
def test_a_value_has_the_type_and_the_unit_of_its_schema(of: Any, payload: Any, value: object) -> None:
    found = decoded(of, payload)
    assert (type(found), found) == (type(value), value)


def test_not_a_number_stays_one() -> None:
    assert math.isnan(decoded(schema("double"), "NaN"))


def test_a_decimal_keeps_131072_digits() -> None:
    digits = 7 * 10**131_071 + 1
    unscaled = digits.to_bytes(54_500, "big", signed=True)
    assert decoded(decimal(0), base64(unscaled)) == Decimal("7" + "0" * 131_070 + "1")


@pytest.mark.parametrize("number", ["123456789012345678901234567890.10", "0.1", "1E+3", "5"])
def test_a_decimal_that_is_a_number_keeps_its_digits(number: str) -> None:
    reader = ConnectJson()
    of = struct(price=decimal(2), rate=schema("double"))
    for _ in range(3):
        row = reader.payload(record(of, f'raw:{{"price":{number},"rate":1.5}}'))
        assert row == {"price": Decimal(number), "rate": 1.5}
        assert str(row["price"]) == str(Decimal(number))


def test_a_member_that_json_writes_in_another_way_has_the_type_of_its_schema() -> None:
    row = decoded(struct(a=schema("double"), b=schema("double")), {"a": 1, "b": "-Infinity"})
    assert [(type(each), each) for each in row.values()] == [(float, 1.0), (float, -math.inf)]


def test_a_null_and_an_absent_member_are_told_apart() -> None:
    assert decoded(struct(a=schema("int32"), b=schema("int32")), {"a": None}) == {"a": None}


def test_a_whole_number_beyond_64_bits_in_a_decimal_keeps_its_digits() -> None:
    assert decoded(decimal(0), 2**70 + 1) == Decimal(2**70 + 1)


def test_a_member_that_the_schema_does_not_have_is_left_out() -> None:
    assert decoded(struct(a=schema("int32"), b=schema("int32")), {"a": 1, "c": 2}) == {"a": 1}


def test_a_null_payload_is_none() -> None:
    assert decoded(struct(a=schema("int32")), None) is None


def test_an_unavailable_value_stays_recognisable() -> None:
    of = struct(at=schema("array", items=schema("string", TIME + "ZonedTimestamp")), blob=schema("bytes"))
    unavailable = "__debezium_unavailable_value"
    payload = {"at": [unavailable], "blob": base64(unavailable.encode())}
    assert decoded(of, payload) == {"at": [unavailable], "blob": unavailable.encode()}


def test_a_repeated_schema_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = connect_json.compiled
    monkeypatch.setattr(connect_json, "compiled", lambda of: made.append(of) or real(of))
    reader = ConnectJson()
    one, other = struct(a=schema("int32")), struct(a=schema("string"))
    for number in range(4):
        assert reader.payload(record(one, {"a": number})) == {"a": number}
        assert reader.payload(record(other, {"a": str(number)})) == {"a": str(number)}
    assert made == [one, other]


def test_the_number_of_kept_schemas_is_bounded() -> None:
    reader = ConnectJson()
    for number in range(connect_json.MOST_SCHEMAS + 20):
        assert reader.payload(record(struct(**{f"a{number}": schema("int32")}), {f"a{number}": 1})) == {f"a{number}": 1}
    assert len(reader._schemas) == connect_json.MOST_SCHEMAS


def test_a_schema_may_hold_the_bytes_that_stand_before_a_payload() -> None:
    inner = schema("int32", default={"x": 1, "payload": 2})
    reader = ConnectJson()
    for number in range(3):
        assert reader.payload(record(struct(a=inner), {"a": number})) == {"a": number}


@pytest.mark.parametrize(
    "text",
    [
        '{"payload":{"a":1},"schema":%s}',
        '{ "schema" : %s , "payload" : {"a":1} }',
        '{"schema":%s,"payload":{"a":1}}\n',
    ],
)
def test_the_order_and_the_blanks_of_another_writer_do_not_matter(text: str) -> None:
    reader = ConnectJson()
    of = record(struct(a=schema("int32")), {"a": 1})
    schema_text = of[len(b'{"schema":') : of.index(b',"payload"')].decode()
    for _ in range(2):
        assert reader.payload((text % schema_text).encode()) == {"a": 1}
        assert reader.payload(of) == {"a": 1}


@pytest.mark.parametrize(
    ("of", "payload", "text"),
    [
        (schema("int32"), "1", "the payload is not a whole number"),
        (schema("int64"), 1.5, "the payload is not a whole number"),
        (schema("int64"), True, "the payload is not a whole number"),
        (schema("string"), 1, "the payload is not a text"),
        (schema("boolean"), 1, "the payload is not true or false"),
        (schema("double"), "1", "is not a number within the range of a double"),
        (schema("bytes"), "A===", "is not bytes in base64"),
        (decimal(2), True, "is not a decimal"),
        (struct(a=struct(b=schema("int32"))), {"a": {"b": "x"}}, "/a/b is not a whole number"),
        (struct(a=schema("array", items=schema("int32"))), {"a": [1, "x"]}, "/a/* is not a whole number"),
        (struct(a=schema("map", keys=schema("string"), values=schema("int32"))), {"a": {"k": ""}}, "/a/* is not"),
        (struct(a=schema("int32", TIME + "Time")), {"a": -1}, "/a is not a time of a day"),
        (struct(a=schema("string", TIME + "ZonedTimestamp")), {"a": "2023-11-14T22:13:20"}, "with an offset"),
        (struct(a=schema("string", TIME + "ZonedTimestamp")), {"a": "2023-02-30T22:13:20Z"}, "with an offset"),
        (struct(a=schema("string", TIME + "Interval")), {"a": "P"}, "/a is not an ISO 8601 interval"),
    ],
)
def test_a_payload_that_does_not_fit_its_schema_is_refused(of: Any, payload: Any, text: str) -> None:
    with pytest.raises(EventError, match="does not fit its own schema: ") as refused:
        decoded(of, payload)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ({"type": "decimal"}, 'has the type "decimal"'),
        ({"optional": True}, 'has no "type"'),
        ({"type": "struct"}, 'has no "fields"'),
        ({"type": "struct", "fields": [{"type": "int32"}]}, 'has no "field"'),
        ({"type": "array"}, 'has no "type"'),
        (schema("string", TIME + "Date"), "io.debezium.time.Date is of string, where it is of int32"),
        (schema("bytes", "org.apache.kafka.connect.data.Decimal"), 'has no "scale"'),
        (decimal(1_000_000), 'has no "scale"'),
        ("int32", 'has no "type"'),
    ],
)
def test_a_schema_that_kafka_connect_does_not_know_is_refused(of: Any, text: str) -> None:
    with pytest.raises(EventError, match="schema in the value is not one of Kafka Connect's: ") as refused:
        decoded(of, 1)
    assert text in str(refused.value)


def test_a_schema_that_nests_too_deep_is_refused() -> None:
    of: Any = schema("int32")
    for _ in range(200):
        of = schema("array", items=of)
    with pytest.raises(EventError, match="more than 100 levels"):
        decoded(of, [])


def test_json_without_a_schema_is_refused_with_both_forms() -> None:
    with pytest.raises(EventError) as refused:
        ConnectJson().payload(b'{"op":"c","after":{"id":1}}')
    assert str(refused.value) == (
        'the value is JSON without a schema, and the route expects {"schema", "payload"} (format = "connect-json"); '
        'set schemas.enable = true in the converter of its producer, or format = "json" in the route'
    )


def test_a_null_schema_is_refused() -> None:
    with pytest.raises(EventError, match="its schema is null"):
        ConnectJson().payload(b'{"schema":null,"payload":{"id":1}}')


def test_a_member_beside_schema_and_payload_is_refused() -> None:
    reader = ConnectJson()
    of = record(schema("int32"), 1)
    assert reader.payload(of) == 1
    for _ in range(2):
        with pytest.raises(EventError, match="members beside"):
            reader.payload(of[:-1] + b',"headers":[]}')


@pytest.mark.parametrize("data", [b"", b"{", b'{"schema":{"type":"int32"},"payload":1', b"\x00\x01", b"\xff"])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    reader = ConnectJson()
    assert reader.payload(record({"type": "int32"}, 1)) == 1
    with pytest.raises(EventError, match="the value is not valid JSON"):
        reader.payload(data)


def test_an_error_names_the_key() -> None:
    with pytest.raises(EventError, match="the key is JSON without a schema"):
        ConnectJson("key").payload(b"42")


def test_a_record_with_thousands_of_payloads_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(
        connect_json.orjson, "loads", lambda data, of=connect_json.orjson.loads: (looks.append(1), of(data))[1]
    )
    of = '{"type":"struct","fields":[]' + ',"payload":0' * 20_000 + "}"
    assert ConnectJson().payload(f'{{"schema":{of},"payload":{{}}}}'.encode()) == {}
    assert len(looks) < 20
