"""The relay writes JSON as Avro: what a consumer reads is what the application published, or nothing is sent."""

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from inbox.reading.formats.avro.reader import compile_avro as reader
from inbox.reading.values import as_json
from inbox.relay.formats.avro.writer import compile_avro
from inbox.relay.formats.misfit import PayloadMisfitError
from tests.support.schemas import avro


def record(*fields: dict[str, Any], name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


def written(schema: Any, document: Any) -> bytes:
    return compile_avro(avro(schema))(json.dumps(document).encode())


def there_and_back(schema: Any, document: Any) -> Any:
    return as_json(reader(avro(schema))(written(schema, document)))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("null", None),
        ("boolean", True),
        ("int", -(2**31)),
        ("int", 2**31 - 1),
        ("long", 2**63 - 1),
        ("long", -(2**63)),
        ("double", 0.1),
        ("double", 3),
        ("double", "NaN"),
        ("float", "-Infinity"),
        ("float", 0.5),
        ("bytes", "AP8="),
        ("string", "Grüße"),
        ({"type": "fixed", "name": "F", "size": 2}, "YWI="),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B"),
        ({"type": "array", "items": "int"}, [1, -2, 300]),
        ({"type": "array", "items": "int"}, []),
        ({"type": "map", "values": "long"}, {"a": 1, "ü": 2}),
        (record(field("a", "int"), field("b", record(field("c", "string"), name="S"))), {"a": 1, "b": {"c": "x"}}),
        (["null", "int", "string"], "x"),
        (["null", "int", "string"], 7),
        (["null", "int", "string"], None),
        (["int", "null", "long"], 2**40),
        (["float", "double"], 0.1),
        (["bytes", "string"], "AP8="),
        ([record(field("a", "int"), name="A"), record(field("b", "int"), name="B")], {"b": 1}),
        (logical("string", "uuid"), "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        (logical("fixed", "uuid", name="U", size=16), "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        (logical("int", "date"), "2024-02-29"),
        (logical("int", "time-millis"), "12:34:56.789000"),
        (logical("long", "time-micros"), "12:34:56.789012"),
        (logical("long", "timestamp-millis"), "2024-02-29T12:34:56.789000+00"),
        (logical("long", "timestamp-micros"), "1969-12-31T23:59:59.999999+00"),
        (logical("long", "local-timestamp-micros"), "2024-02-29T12:34:56.789012"),
    ],
)
def test_every_type_is_read_back_as_it_was_published(schema: Any, value: Any) -> None:
    found = there_and_back(schema, value)
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("schema", "document", "text"),
    [
        (logical("bytes", "decimal", precision=38, scale=4), "12345678901234567890.1234", "12345678901234567890.1234"),
        (logical("bytes", "decimal", precision=38, scale=4), '"-0.5"', "-0.5000"),
        (logical("bytes", "decimal", precision=5, scale=2), "1e2", "100.00"),
        (logical("bytes", "decimal", precision=5, scale=2), "-999.99", "-999.99"),
        (logical("bytes", "decimal", precision=5, scale=2), "1.500", "1.50"),
        (logical("fixed", "decimal", name="F", size=16, precision=30, scale=2), "0.10", "0.10"),
        (logical("bytes", "decimal", precision=5, scale=2), "-1.28", "-1.28"),
    ],
)
def test_a_decimal_keeps_every_digit(schema: Any, document: str, text: str) -> None:
    data = compile_avro(avro(schema))(document.encode())
    assert str(reader(avro(schema))(data)) == text


@pytest.mark.parametrize(
    ("schema", "document", "expected"),
    [
        (logical("long", "timestamp-micros"), "2024-02-29 12:34:56.5+02:00", "2024-02-29T10:34:56.500000+00"),
        (logical("long", "timestamp-millis"), "2024-02-29T12:34:56.789999Z", "2024-02-29T12:34:56.789000+00"),
        (logical("long", "timestamp-millis"), "1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999000+00"),
        (logical("long", "timestamp-millis"), 1_700_000_000_000, "2023-11-14T22:13:20+00"),
        (logical("int", "date"), 19_782, "2024-02-29"),
    ],
)
def test_a_time_is_a_text_or_a_number_in_the_unit_of_its_schema(schema: Any, document: Any, expected: str) -> None:
    assert _instant(there_and_back(schema, document)) == _instant(expected)


def _instant(text: str) -> str:
    return text.replace("000+00", "+00").replace(".500+00", ".5+00")


def test_fastavro_reads_what_the_relay_writes() -> None:
    schema = record(
        field("id", "long"),
        field("note", ["null", "string"], default=None),
        field("lines", {"type": "array", "items": record(field("sku", "string"), field("n", "int"), name="Line")}),
    )
    data = written(schema, {"id": 7, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": -1}]})
    buffer = BytesIO(data)
    assert fastavro.schemaless_reader(buffer, fastavro.parse_schema(schema), None) == {
        "id": 7,
        "note": None,
        "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": -1}],
    }
    assert buffer.tell() == len(data)


def test_an_absent_member_becomes_the_default_of_its_field() -> None:
    inner = record(field("z", "int", default=9), name="I")
    schema = record(
        field("a", "int", default=5),
        field("b", "bytes", default="\u00ff"),
        field("c", ["string", "null"], default="x"),
        field("d", ["string", "null"]),
        field("e", inner, default={}),
        field("f", {"type": "array", "items": "int"}, default=[1]),
        field("g", {"type": "enum", "name": "E", "symbols": ["A", "B"]}, default="B"),
    )
    assert there_and_back(schema, {}) == {
        "a": 5,
        "b": "/w==",
        "c": "x",
        "d": None,
        "e": {"z": 9},
        "f": [1],
        "g": "B",
    }


def test_a_recursive_type_is_written() -> None:
    schema = record(field("v", "int"), field("next", ["null", "R"], default=None))
    document = {"v": 1, "next": {"v": 2, "next": None}}
    assert there_and_back(schema, document) == document


@pytest.mark.parametrize(
    ("schema", "document", "problem"),
    [
        ("int", 2**31, "a whole number of 32 bits is expected"),
        ("int", True, "a whole number of 32 bits is expected"),
        ("long", 1.0, "a whole number of 64 bits is expected"),
        ("long", 2**63, "a whole number of 64 bits is expected"),
        ("string", 1, "a text is expected"),
        ("string", None, "a text is expected"),
        ("boolean", 1, "true or false is expected"),
        ("double", "1", "a number is expected"),
        ("double", True, "a number is expected"),
        ("bytes", "é", "bytes in base64 are expected"),
        ({"type": "fixed", "name": "F", "size": 2}, "YQ==", "2 bytes are expected, not 1"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "Z", "a symbol of the enum is expected"),
        (["null", "int"], "x", "a whole number of 32 bits is expected"),
        (["int", "boolean"], "x", "it fits no type of the union"),
        (["int"], None, "null is not in the union"),
        (record(field("a", "int")), {}, "/a: it is absent, and the schema has no default for it"),
        (record(field("a", "int")), {"a": 1, "b": 2}, "1 members of it are not in the schema"),
        (record(field("a", record(field("b", "int"), name="S"))), {"a": {"b": "x"}}, "/a/b: a whole number"),
        (logical("bytes", "decimal", precision=5, scale=2), 1.234, "more than 2 digits behind the point"),
        (logical("bytes", "decimal", precision=5, scale=2), 1000, "more than 3 digits before the point"),
        (logical("bytes", "decimal", precision=5, scale=2), "NaN", "a finite number is expected"),
        (logical("bytes", "decimal", precision=5, scale=2), "x", "a number, or a text of one"),
        (logical("bytes", "decimal", precision=5, scale=2), True, "a number, or a text of one"),
        (logical("fixed", "decimal", name="F", size=1, precision=5, scale=0), 200, "it does not fit 1 bytes"),
        (logical("string", "uuid"), "x", "the text of a UUID"),
        (logical("long", "timestamp-millis"), "2024-02-29T12:34:56", "with an offset"),
        (logical("int", "date"), "2023-02-29", "a date or a time in ISO 8601"),
        (logical("int", "date"), "infinity", "a date or a time in ISO 8601"),
        (logical("fixed", "duration", name="D", size=12), "P1D", "does not write the type duration"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_and_not_shown(schema: Any, document: Any, problem: str) -> None:
    with pytest.raises(PayloadMisfitError) as raised:
        written(schema, document)
    assert problem in str(raised.value)


def test_what_is_not_json_does_not_fit() -> None:
    with pytest.raises(PayloadMisfitError, match="it is not valid JSON"):
        compile_avro(avro("int"))(b"{")


def test_nested_defaults_are_bounded() -> None:
    schema: Any = record(field("x", "string", default="x" * 1000), name="L0")
    for level in range(1, 30):
        fields = [field(f"f{n}", schema if n == 0 else f"L{level - 1}", default={}) for n in range(2)]
        schema = record(*fields, name=f"L{level}")
    with pytest.raises(PayloadMisfitError, match="the defaults of its schema are too large"):
        written(schema, {})
