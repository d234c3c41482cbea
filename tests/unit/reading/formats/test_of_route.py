"""What a route's formats need before a start."""

import sys

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from inbox.errors import StartupError
from inbox.reading.formats.framing import KEY_HEADER, VALUE_HEADER
from inbox.reading.formats.of_route import key_decoder, require_decoders
from inbox.reading.options import Format, FormatOptions, KeyFormat
from inbox.reading.schemas import SchemaKind, WrittenSchema
from tests.support.schemas import FieldType, MemorySchemas, avro, protobuf


@pytest.mark.parametrize(
    ("format_", "kind", "package"),
    [(Format.AVRO, SchemaKind.AVRO, "fastavro"), (Format.JSON_SCHEMA, SchemaKind.JSON, "jsonschema")],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, format_: Format, kind: SchemaKind, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    options = FormatOptions(value=format_, schema=WrittenSchema(kind, '{"type": "null"}', (), "s"), validate=True)
    with pytest.raises(StartupError, match=f"needs {package}; pip install"):
        require_decoders(options)


def test_a_key_is_read_by_its_own_header_and_schema() -> None:
    """The value's header says nothing about the key."""
    file = FileDescriptorProto(name="k.proto", package="shop", syntax="proto3")
    file.message_type.add(name="Key").field.add(name="id", number=1, type=FieldType.TYPE_INT64, label=1)
    schemas = MemorySchemas({1: avro({"type": "record", "name": "K", "fields": [{"name": "id", "type": "long"}]})})
    schemas.schemas[2] = protobuf(file)
    headers = [(VALUE_HEADER, b"\0\0\0\0\x09")]
    found = {
        form: key_decoder(FormatOptions(key=form, schemas=schemas)) for form in (KeyFormat.AVRO, KeyFormat.PROTOBUF)
    }

    in_avro, in_protobuf = found[KeyFormat.AVRO], found[KeyFormat.PROTOBUF]
    assert in_avro is not None
    assert in_protobuf is not None
    assert in_avro.decode(b"\0\0\0\0\x01\x0e", headers).row == {"id": 7}
    assert in_protobuf.decode(b"\0\0\0\0\x02\x00\x08\x07", headers).row == {"id": 7}
    in_header = [*headers, (KEY_HEADER, b"\0\0\0\0\x01")]
    assert in_avro.decode(b"\x0e", in_header).row == {"id": 7}
