"""A pointer that the schema does not have is found before an event comes."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from inbox.reading.formats.fields import unknown_field
from tests.support.schemas import FieldType, avro, protobuf


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
    assert unknown_field(avro(ORDER), path(pointer)) is None


@pytest.mark.parametrize(
    ("pointer", "says"),
    [
        ("/amout", "schema 7 has no such field; did you mean /amount?"),
        ("/customer/nam", "schema 7 has no such field; did you mean /customer/name?"),
        ("/amount/x", "schema 7 has no such field"),
        ("/nothing", "schema 7 has no such field"),
    ],
)
def test_a_pointer_that_avro_does_not_have_names_the_nearest(pointer: str, says: str) -> None:
    assert unknown_field(avro(ORDER), path(pointer)) == says


@pytest.mark.parametrize(
    ("pointer", "says"),
    [("/id", None), ("/ids", "schema 7 has no such field; did you mean /id?"), ("/self/id", None)],
)
def test_protobuf_is_looked_at_by_its_descriptors(pointer: str, says: str | None) -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    message = file.message_type.add(name="M")
    message.field.add(name="id", number=1, type=FieldType.TYPE_INT64, label=1)
    message.field.add(name="self", number=2, type=FieldType.TYPE_MESSAGE, label=1, type_name=".a.M")
    assert unknown_field(protobuf(file), path(pointer)) == says
