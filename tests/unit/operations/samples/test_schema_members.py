"""The columns of a schema, without any event."""

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from inbox.operations.samples.columns import columns_of
from inbox.operations.samples.schema_members import members_of_schema
from inbox.reading.formats.fields import Fields
from inbox.reading.schemas import SchemaError, WrittenSchema
from tests.support.schemas import avro, json_schema, protobuf


def types(schema: WrittenSchema) -> dict[str, str]:
    members = members_of_schema(Fields(schema))
    return {each.name: each.type for each in columns_of(members.values(), 0, typed=True)}


def test_avro() -> None:
    nested = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]}
    fields = {
        "kind": {"type": "enum", "name": "Kind", "symbols": ["A"]},
        "id": "long",
        "at": {"type": "long", "logicalType": "timestamp-micros"},
        "day": ["null", {"type": "int", "logicalType": "date"}],
        "price": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        "inner": nested,
        "again": "Inner",
        "as before": "Kind",
        "either": ["string", "long"],
        "short": "int",
        "count": ["int", "long"],
    }
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]

    assert types(avro({"type": "record", "name": "Order", "fields": listed})) == {
        "id": "bigint",
        "at": "timestamptz",
        "day": "date",
        "price": "numeric",
        "inner": "jsonb",
        "again": "jsonb",
        "as_before": "text",
        "either": "jsonb",
        "kind": "text",
        "short": "bigint",
        "count": "bigint",
    }


def test_json_schema() -> None:
    properties = {
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "name": {"type": ["string", "null"]},
        "any": {},
        "lines": {"type": "array"},
    }

    assert types(json_schema({"type": "object", "properties": properties})) == {
        "id": "bigint",
        "at": "timestamptz",
        "name": "text",
        "any": "jsonb",
        "lines": "jsonb",
    }


def test_protobuf() -> None:
    file = FileDescriptorProto(name="o.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name="Order")
    message.field.add(name="id", number=1, type=Field.TYPE_INT64, label=Field.LABEL_OPTIONAL)
    message.field.add(name="big", number=2, type=Field.TYPE_UINT64, label=Field.LABEL_OPTIONAL)
    message.field.add(name="tags", number=3, type=Field.TYPE_STRING, label=Field.LABEL_REPEATED)
    message.field.add(
        name="at",
        number=4,
        type=Field.TYPE_MESSAGE,
        type_name=".google.protobuf.Timestamp",
        label=Field.LABEL_OPTIONAL,
    )

    assert types(protobuf(file)) == {"id": "bigint", "big": "numeric", "tags": "jsonb", "at": "timestamptz"}


def test_a_schema_without_members_is_refused() -> None:
    with pytest.raises(SchemaError, match="not describe a value with members"):
        members_of_schema(Fields(avro("string")))
