"""Avro: every type becomes its exact value, and no value or schema from outside harms the process."""

import math
import struct
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest

from inbox.errors import EventError
from inbox.reading.formats.avro.reader import AvroFile, AvroFormat, compile_avro
from inbox.reading.formats.framing import VALUE_HEADER
from inbox.reading.schemas import DEEPEST, LARGEST_SCHEMA, MOST_REFERENCES, CompiledSchemas, SchemaError, SchemaKind
from inbox.reading.values import Date, Interval, TimeOfDay, Timestamp
from tests.support.schemas import MemorySchemas, avro, json_schema


def written(schema: Any, value: Any) -> bytes:
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), value)
    return buffer.getvalue()


def read(schema: Any, value: Any) -> Any:
    """The value as it comes back, written without the meaning of its logical type."""
    return compile_avro(avro(schema))(written(_plain(schema), value))


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _plain(each) for name, each in schema.items() if name != "logicalType"}
    return [_plain(each) for each in schema] if isinstance(schema, list) else schema


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


BYTES_DECIMAL = logical("bytes", "decimal", precision=38, scale=4)
FIXED_DECIMAL = logical("fixed", "decimal", name="F", size=16, precision=30, scale=2)


@pytest.mark.parametrize(
    ("schema", "raw", "value"),
    [
        ("null", None, None),
        ("boolean", True, True),
        ("int", -(2**31), -(2**31)),
        ("long", 2**63 - 1, 2**63 - 1),
        ("float", 0.5, 0.5),
        ("double", 0.1, 0.1),
        ("double", math.inf, math.inf),
        ("bytes", b"\x00\xff", b"\x00\xff"),
        ("string", "Grüße", "Grüße"),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", b"ab"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
        ({"type": "map", "values": "long"}, {"x": 1}, {"x": 1}),
        (BYTES_DECIMAL, (123456789).to_bytes(4, "big"), Decimal("12345.6789")),
        (BYTES_DECIMAL, b"\xff", Decimal("-0.0001")),
        (BYTES_DECIMAL, b"", Decimal("0.0000")),
        (BYTES_DECIMAL, (10**37 + 1).to_bytes(16, "big"), Decimal("1000000000000000000000000000000000.0001")),
        (FIXED_DECIMAL, (-150).to_bytes(16, "big", signed=True), Decimal("-1.50")),
        (
            logical("string", "uuid"),
            "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
            UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
        ),
        (logical("fixed", "uuid", name="U", size=16), UUID(int=5).bytes, UUID(int=5)),
        (logical("int", "date"), -719_163, Date(-719_163)),
        (logical("int", "time-millis"), 86_399_999, TimeOfDay(86_399_999_000_000)),
        (logical("long", "time-micros"), 1, TimeOfDay(1000)),
        (logical("long", "timestamp-millis"), 1, Timestamp(1_000_000, True)),
        (logical("long", "timestamp-micros"), 2**62, Timestamp(2**62 * 1000, True)),
        (logical("long", "timestamp-nanos"), -1, Timestamp(-1, True)),
        (logical("long", "local-timestamp-millis"), 1, Timestamp(1_000_000, False)),
        (logical("long", "local-timestamp-micros"), 1, Timestamp(1000, False)),
        (logical("long", "local-timestamp-nanos"), 1, Timestamp(1, False)),
        (
            logical("fixed", "duration", name="D", size=12),
            struct.pack("<III", 14, 3, 4500),
            Interval(14, 3, 4_500_000_000),
        ),
        # A logical type that does not fit its type is ignored, as the specification says.
        (logical("long", "date"), 5, 5),
        (logical("bytes", "decimal", precision=2, scale=3), b"\x05", b"\x05"),
        (logical("string", "inbox-uuid"), "x", "x"),
        (logical("long", "of-our-company"), 5, 5),
    ],
)
def test_a_type_becomes_its_exact_value(schema: Any, raw: Any, value: Any) -> None:
    found = read(schema, raw)
    assert (found, type(found)) == (value, type(value))
    assert str(found) == str(value)


def test_not_a_number_stays_one() -> None:
    assert math.isnan(read("double", math.nan))


def test_a_union_takes_the_type_that_its_index_names() -> None:
    union = [
        "null",
        "string",
        logical("string", "uuid"),
        logical("int", "date"),
        "long",
        logical("long", "timestamp-millis"),
    ]
    reader = compile_avro(avro(union))
    assert [reader(data) for data in (b"\x00", b"\x02\x02a", b"\x06\x0a", b"\x08\x0a", b"\x0a\x0a")] == [
        None,
        "a",
        Date(5),
        5,
        Timestamp(5_000_000, True),
    ]


def test_nested_records_and_namespaces_are_resolved() -> None:
    schema = {
        "type": "record",
        "name": "shop.Order",
        "fields": [
            {
                "name": "home",
                "type": {"type": "record", "name": "Address", "fields": [{"name": "zip", "type": "string"}]},
            },
            {"name": "work", "type": ["null", "Address"]},
            {"name": "away", "type": {"type": "array", "items": "shop.Address"}},
            {"name": "other", "type": {"type": "record", "name": "Address", "namespace": "other", "fields": []}},
        ],
    }
    value = {"home": {"zip": "1"}, "work": {"zip": "2"}, "away": [{"zip": "3"}], "other": {}}
    assert read(schema, value) == value


def test_references_are_written_out_where_they_are_used() -> None:
    zone = {"type": "enum", "name": "Zone", "namespace": "geo", "symbols": ["EU", "US"]}
    address = {"type": "record", "name": "geo.Address", "fields": [{"name": "zone", "type": "Zone"}]}
    order = {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "to", "type": "geo.Address"}, {"name": "from", "type": ["null", "geo.Address"]}],
    }
    reader = compile_avro(avro(order, zone, address))
    assert reader(b"\x02\x02\x00") == {"to": {"zone": "US"}, "from": {"zone": "EU"}}


def test_a_union_of_references_is_read() -> None:
    first = {"type": "record", "name": "a.A", "fields": [{"name": "x", "type": "int"}]}
    second = {"type": "record", "name": "b.B", "fields": [{"name": "y", "type": "a.A"}]}
    reader = compile_avro(avro(["a.A", "b.B"], first, second))
    assert (reader(b"\x00\x08"), reader(b"\x02\x08")) == ({"x": 4}, {"y": {"x": 4}})


LIST = {
    "type": "record",
    "name": "N",
    "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "N"]}],
}


def test_a_recursive_type_is_read() -> None:
    assert compile_avro(avro(LIST))(b"\x02\x02\x04\x00") == {"value": 1, "next": {"value": 2, "next": None}}


@pytest.mark.parametrize("depth", [1_000, 300_000])
def test_a_value_that_nests_without_end_is_refused_and_not_the_end_of_the_process(depth: int) -> None:
    with pytest.raises(SchemaError, match="it nests too deep"):
        compile_avro(avro(LIST))(b"\x02\x02" * depth + b"\x02\x00")


ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}],
}


@pytest.mark.parametrize(
    ("schema", "data", "says"),
    [
        (ORDER, b"\x02\x10ab", "it is shorter than its schema"),
        (ORDER, b"", "it is shorter than its schema"),
        ("string", b"\x09abc", "it is shorter than its schema"),
        (ORDER, b"\x02\x02ab", "1 bytes follow it"),
        ("string", b"\x02\xff", "a text in it is not UTF-8"),
        (["null", "int"], b"\x08", "an index in it is beyond the union or the enum"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x08", "an index in it is beyond the union or the enum"),
        (logical("string", "uuid"), b"\x06abc", "a text in it is not a UUID"),
        (logical("int", "time-millis"), b"\x01", "a time in it is not within a day"),
    ],
)
def test_a_value_that_does_not_fit_its_schema_is_refused_without_showing_it(
    schema: Any, data: bytes, says: str
) -> None:
    with pytest.raises(SchemaError, match=f"the value does not fit schema 7: {says}"):
        compile_avro(avro(schema))(data)


@pytest.mark.parametrize("recursive", [False, True], ids=["in C", "in Python"])
@pytest.mark.parametrize("around", [False, True], ids=["alone", "in a record"])
@pytest.mark.parametrize("index", [b"\x01", b"\x03", b"\xff" * 9 + b"\x01"], ids=["-1", "-2", "-2^63"])
@pytest.mark.parametrize("of", [["int", "null"], {"type": "enum", "name": "E", "symbols": ["A", "B"]}])
def test_a_negative_index_is_refused_and_not_counted_from_the_end(
    of: Any, index: bytes, around: bool, recursive: bool
) -> None:
    schema, before = of, b""
    if recursive:
        link = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}
        schema, before = record(link, of), b"\x00"
    elif around:
        schema = record(of)
    with pytest.raises(SchemaError, match="an index in it is beyond the union or the enum"):
        compile_avro(avro(schema))(before + index)


def record(*kinds: Any) -> dict[str, Any]:
    fields = [{"name": f"f{at}", "type": each} for at, each in enumerate(kinds)]
    return {"type": "record", "name": "R", "fields": fields}


def test_a_schema_whose_values_grow_from_no_bytes_is_refused() -> None:
    doubled: dict[str, Any] = {"type": "record", "name": "t0", "fields": []}
    for at in range(1, 40):
        fields = [{"name": "a", "type": doubled}, {"name": "b", "type": f"t{at - 1}"}]
        doubled = {"type": "record", "name": f"t{at}", "fields": fields}
    for schema in (doubled, {"type": "array", "items": record("int", *["null"] * 1000)}):
        with pytest.raises(SchemaError, match="more than 100 values that take no bytes"):
            compile_avro(avro(schema))


def test_a_decimal_that_postgresql_cannot_keep_is_refused_before_it_is_converted() -> None:
    with pytest.raises(SchemaError, match="more than 131072 digits"):
        read(BYTES_DECIMAL, b"\x7f" + b"\xff" * 1_000_000)


def nested(levels: int) -> Any:
    return "int" if levels == 0 else {"type": "array", "items": nested(levels - 1)}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("Unknown", 'the type "Unknown" is not defined'),
        ({"type": "record", "name": "R"}, 'a named type has no "fields"'),
        ({"type": "record", "fields": []}, "a named type has no name"),
        ({"type": "fixed", "name": "F", "size": -1}, "has no size"),
        ({"type": "array", "items": "null"}, "the items of an array have no bytes"),
        (
            {"type": "array", "items": {"type": "record", "name": "R", "fields": []}},
            "the items of an array have no bytes",
        ),
        (
            [{"type": "record", "name": "R", "fields": []}, {"type": "array", "items": "R"}],
            "the items of an array have no bytes",
        ),
        (nested(DEEPEST + 1), "it nests more than 64 levels deep"),
        (
            {"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(30_000)]},
            "more than 20000 types and symbols",
        ),
        (17, "a type is neither a name, a union nor an object"),
        (logical("bytes", "decimal", precision=200_000, scale=2), "more than PostgreSQL keeps"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, says: str) -> None:
    with pytest.raises(SchemaError, match=f"schema 7 .*{says}"):
        compile_avro(avro(schema))(b"")


def test_the_size_of_a_schema_and_its_references_is_bounded() -> None:
    large = {"type": "record", "name": "R", "doc": "x" * LARGEST_SCHEMA, "fields": []}
    with pytest.raises(SchemaError, match="characters with its references"):
        compile_avro(avro("int", large))
    with pytest.raises(SchemaError, match="refers to 101 other schemas"):
        compile_avro(avro("int", *["int"] * (MOST_REFERENCES + 1)))


# The route.


def framed(schema_id: int, data: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + data


def test_each_record_is_read_with_the_schema_that_wrote_it() -> None:
    schemas = MemorySchemas({1: avro("int"), 2: avro("string")})
    route = AvroFormat(schemas, header=VALUE_HEADER)
    found = [
        route.decode(framed(schema_id, data), []) for schema_id, data in ((1, b"\x08"), (2, b"\x02a"), (1, b"\x0a"))
    ]
    assert [(each.schema_id, each.row) for each in found] == [(1, 4), (2, "a"), (1, 5)]
    assert schemas.asked == [1, 2]


def test_300_schemas_in_one_topic_are_compiled_once_each() -> None:
    schemas = MemorySchemas(
        {n: avro({"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": "int"}]}) for n in range(300)}
    )
    route = AvroFormat(schemas, header=VALUE_HEADER)
    for _ in range(2):
        assert [route.decode(framed(n, b"\x08"), []).row for n in range(300)] == [{f"f{n}": 4} for n in range(300)]
    assert len(schemas.asked) == 300


def test_a_schema_that_gave_way_is_asked_for_again_and_reads_its_own_values() -> None:
    """A topic may have more schema ids than are kept."""
    schemas = MemorySchemas(
        {n: avro({"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": "int"}]}) for n in range(30)}
    )
    compiled = CompiledSchemas(schemas, SchemaKind.AVRO, compile_avro, capacity=10)
    for n in (*range(30), *range(30), 29, 0):
        assert compiled.get(n)(b"\x08") == {f"f{n}": 4}
        assert len(compiled) <= 10
    assert len(schemas.asked) == 61


def test_a_schema_of_another_kind_is_refused() -> None:
    route = AvroFormat(MemorySchemas({1: json_schema({})}), header=VALUE_HEADER)
    with pytest.raises(EventError, match="schema 7 is JSON"):
        route.decode(framed(1, b"\x08"), [])


def test_an_invalid_schema_is_compiled_once_and_refused_each_time() -> None:
    schemas = MemorySchemas({1: avro("Unknown")})
    route = AvroFormat(schemas, header=VALUE_HEADER)
    for _ in range(2):
        with pytest.raises(SchemaError, match="is not defined"):
            route.decode(framed(1, b"\x08"), [])
    assert schemas.asked == [1]


def test_a_schema_file_reads_values_without_a_frame() -> None:
    assert AvroFile(avro("int", name="schemas/a.avsc")).decode(b"\x08", []).row == 4


def test_readers_of_others_in_fastavro_mean_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: dict[str, Any] = fastavro.read.LOGICAL_READERS
    monkeypatch.setitem(readers, "long-of-our-company", lambda *_: "theirs")
    monkeypatch.setitem(readers, "int-date", lambda *_: "theirs")
    assert read(logical("long", "of-our-company"), 5) == 5
    assert read(logical("int", "date"), 5) == Date(5)
