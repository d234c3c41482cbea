"""JSON behind a schema id: the document is the database's to decode, and checked where the route wants that."""

from typing import Any

import pytest

from inbox.errors import EventError
from inbox.reading.formats.framing import VALUE_HEADER
from inbox.reading.formats.json_schema import JsonSchemaFile, JsonSchemaFormat, compile_check
from inbox.reading.schemas import SchemaError
from tests.support.schemas import MemorySchemas, json_schema

ORDER = {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0}}, "required": ["amount"]}


def framed(document: bytes) -> bytes:
    return b"\x00\x00\x00\x00\x07" + document


def decode(schema: Any, document: bytes, **references: Any) -> Any:
    route = JsonSchemaFormat(MemorySchemas({7: json_schema(schema, **references)}), header=VALUE_HEADER, validate=True)
    return route.decode(framed(document), [])


def test_the_document_keeps_every_digit() -> None:
    found = decode(ORDER, b'{"amount": 1.10}')
    assert (found.document, found.schema_id) == (b'{"amount": 1.10}', 7)


@pytest.mark.parametrize("document", [b'{"amount": -4711}', b'{"amount": "4711"}', b"{}", b"[4711]"])
def test_a_document_that_breaks_a_rule_is_refused_without_showing_it(document: bytes) -> None:
    with pytest.raises(SchemaError, match="the value does not fit schema 7: rule ") as refused:
        decode(ORDER, document)
    assert "4711" not in str(refused.value)


def test_bytes_that_are_not_json_are_refused() -> None:
    with pytest.raises(EventError, match="the value is not valid JSON"):
        decode(ORDER, b"{")


def test_a_reference_is_resolved_by_its_registered_name() -> None:
    with pytest.raises(SchemaError, match="does not fit"):
        decode({"properties": {"x": {"$ref": "other"}}}, b'{"x": "a"}', other={"type": "integer"})


@pytest.mark.parametrize("ref", ["http://127.0.0.1:1/x.json", "file:///etc/passwd", "unknown.json"])
def test_a_reference_to_anything_else_reads_nothing(ref: str) -> None:
    with pytest.raises(SchemaError, match=r"schema 7 refers to .*, which is not registered"):
        decode({"properties": {"x": {"$ref": ref}}}, b'{"x": 1}')


def test_an_invalid_schema_is_refused() -> None:
    with pytest.raises(SchemaError, match="schema 7 cannot be used"):
        decode({"type": "objekt"}, b"{}")


def test_a_schema_that_refers_to_itself_without_end_is_refused() -> None:
    with pytest.raises(SchemaError, match="it nests too deep"):
        decode({"$ref": "#"}, b"{}")


def test_without_validation_the_registry_is_not_asked() -> None:
    schemas = MemorySchemas()
    route = JsonSchemaFormat(schemas, header=VALUE_HEADER, validate=False)
    assert route.decode(framed(b"{}"), []).document == b"{}"
    assert schemas.asked == []


def test_a_schema_file_checks_plain_json() -> None:
    route = JsonSchemaFile(json_schema(ORDER), validate=True)
    assert route.decode(b'{"amount": 1}', []).document == b'{"amount": 1}'
    with pytest.raises(SchemaError, match="does not fit"):
        route.decode(b"{}", [])


def test_unique_items_are_compared_in_one_pass_as_json_says() -> None:
    check = compile_check(json_schema({"uniqueItems": True}))
    check([*({"a": [at]} for at in range(20_000)), 1, True, "1", [1], ["bool", 1], [[1]], None])
    for one, other in ((1, 1.0), ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}), ([[]], [[]]), (False, False)):
        with pytest.raises(SchemaError, match='rule "uniqueItems"'):
            check([one, 7, other])
