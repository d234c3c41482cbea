"""A pointer that the schema does not have is found before an event comes."""

from decimal import Decimal
from uuid import UUID

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from inbox.reading.formats.fields import Fields
from inbox.reading.values import Date, TimeOfDay, Timestamp
from tests.support.schemas import FieldType, avro, json_schema, protobuf


def path(pointer: str) -> list[str]:
    return pointer.split("/")[1:]


ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "amount", "type": "int"},
        {
            "name": "customer",
            "type": ["null", {"type": "record", "name": "C", "fields": [{"name": "name", "type": "string"}]}],
        },
        {"name": "lines", "type": {"type": "array", "items": "C"}},
        {"name": "more", "type": {"type": "map", "values": "C"}},
        {"name": "next", "type": ["null", "Order"]},
    ],
}


@pytest.mark.parametrize(
    "pointer", ["/amount", "/customer", "/customer/name", "/lines/0/name", "/more/any/name", "/next/next/amount"]
)
def test_a_pointer_that_avro_has_is_accepted(pointer: str) -> None:
    assert Fields(avro(ORDER)).has(path(pointer))


@pytest.mark.parametrize(
    ("pointer", "says"),
    [
        ("/amout", "schema 7 has no such field; did you mean /amount?"),
        ("/customer/nam", "schema 7 has no such field; did you mean /customer/name?"),
        ("/amount/x", "schema 7 has no such field, and /amount has none"),
        ("/customer/zip", "schema 7 has no such field; it has /customer/name"),
        ("/nothing", "schema 7 has no such field; it has /amount, /customer, /lines, /more, /next"),
    ],
)
def test_a_pointer_that_avro_does_not_have_names_the_nearest(pointer: str, says: str) -> None:
    assert Fields(avro(ORDER)).find(path(pointer)).problem == says


@pytest.mark.parametrize(
    ("pointer", "says"),
    [("/id", None), ("/ids", "schema 7 has no such field; did you mean /id?"), ("/self/id", None)],
)
def test_protobuf_is_looked_at_by_its_descriptors(pointer: str, says: str | None) -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    message = file.message_type.add(name="M")
    message.field.add(name="id", number=1, type=FieldType.TYPE_INT64, label=1)
    message.field.add(name="self", number=2, type=FieldType.TYPE_MESSAGE, label=1, type_name=".a.M")
    assert Fields(protobuf(file)).find(path(pointer)).problem == says


def logical(kind: str, logical_type: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": logical_type, **more}


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ("long", {int}),
        (["null", "string"], {str}),
        (["int", "double", "boolean"], {int, float, bool}),
        ("bytes", {bytes}),
        (logical("bytes", "decimal", precision=5, scale=2), {Decimal}),
        (logical("int", "date"), {Date}),
        (logical("long", "time-micros"), {TimeOfDay}),
        (logical("long", "local-timestamp-micros"), {Timestamp}),
        (logical("string", "uuid"), {UUID}),
        ({"type": "array", "items": "int"}, {list}),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, {str}),
        ("null", set()),
    ],
)
def test_a_field_of_avro_has_the_types_that_its_values_have(schema: object, types: set[type]) -> None:
    record = {"type": "record", "name": "R", "fields": [{"name": "a", "type": schema}]}
    assert Fields(avro(record)).find(["a"]) == (None, types)


def test_a_field_of_protobuf_has_the_types_that_its_values_have() -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    message = file.message_type.add(name="M")
    kinds = {"n": FieldType.TYPE_INT64, "s": FieldType.TYPE_STRING, "d": FieldType.TYPE_DOUBLE}
    for number, (name, kind) in enumerate({**kinds, "b": FieldType.TYPE_BYTES, "t": FieldType.TYPE_BOOL}.items(), 1):
        message.field.add(name=name, number=number, type=kind, label=1)
    message.field.add(name="r", number=9, type=FieldType.TYPE_INT32, label=3)
    message.field.add(name="self", number=10, type=FieldType.TYPE_MESSAGE, label=1, type_name=".a.M")
    fields = Fields(protobuf(file))
    found = {name: fields.find([name]).types for name in ("n", "s", "d", "b", "t", "r", "self")}
    assert found == {"n": {int}, "s": {str}, "d": {float}, "b": {bytes}, "t": {bool}, "r": {list}, "self": {dict}}


OBJECT = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "c": {"$ref": "#/definitions/C"}, "any": {}, "n": {"type": "number"}},
    "definitions": {"C": {"properties": {"name": {"type": ["string", "null"]}}, "additionalProperties": False}},
}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/id", (None, {int})),
        ("/c/name", (None, {str})),
        ("/n", (None, {int, float, Decimal})),
        ("/any/thing", (None, None)),
        ("/other", (None, None)),
        ("/c/nam", ("schema 7 has no such field; did you mean /c/name?", None)),
    ],
)
def test_a_json_schema_is_followed_where_it_is_plain(pointer: str, found: object) -> None:
    assert Fields(json_schema(OBJECT)).find(path(pointer)) == found
