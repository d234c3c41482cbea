"""The id of a record's schema, before its data or in a header, as Confluent's own code writes it."""

from uuid import UUID

import pytest
from confluent_kafka.schema_registry.serde import SchemaId

from inbox.errors import EventError
from inbox.reading.formats.framing import VALUE_HEADER, unframed

GUID = "89791762-2336-4186-9674-299b90a802e2"
PATHS = [[0], [1], [3, 1], [1, 0, 70], [300]]


@pytest.mark.parametrize("schema_id", [0, 1, 77, 2**32 - 1])
def test_an_id_is_read_as_confluent_writes_it(schema_id: int) -> None:
    frame = unframed(SchemaId("AVRO", schema_id).id_to_bytes() + b"data", [], VALUE_HEADER)
    assert (frame.schema_id, frame.data) == (schema_id, b"data")


def test_a_guid_is_read_as_confluent_writes_it() -> None:
    frame = unframed(SchemaId("AVRO", guid=GUID).guid_to_bytes() + b"data", [], VALUE_HEADER)
    assert (frame.schema_id, frame.data) == (UUID(GUID), b"data")


def test_an_id_in_the_header_leaves_the_data_alone() -> None:
    headers = [("other", b"x"), (VALUE_HEADER, SchemaId("AVRO", guid=GUID).guid_to_bytes())]
    frame = unframed(b"\x00data", headers, VALUE_HEADER)
    assert (frame.schema_id, frame.data) == (UUID(GUID), b"\x00data")


def test_the_header_of_a_key_says_nothing_about_a_value() -> None:
    headers = [("__key_schema_id", SchemaId("AVRO", guid=GUID).guid_to_bytes())]
    assert unframed(b"\x00\x00\x00\x00\x07x", headers, VALUE_HEADER).schema_id == 7


@pytest.mark.parametrize("path", PATHS)
def test_a_message_path_is_read_as_confluent_writes_it(path: list[int]) -> None:
    framed = SchemaId("PROTOBUF", 7, message_indexes=path).id_to_bytes()
    frame = unframed(framed + b"data", [], VALUE_HEADER, with_path=True)
    assert (frame.path, frame.data) == (tuple(path), b"data")


def test_the_short_path_stands_for_the_first_message() -> None:
    assert unframed(b"\x00\x00\x00\x00\x07\x00data", [], VALUE_HEADER, with_path=True).path == (0,)


def test_a_message_path_in_the_header_is_read_there() -> None:
    header = SchemaId("PROTOBUF", guid=GUID, message_indexes=[2, 1]).guid_to_bytes()
    frame = unframed(b"data", [(VALUE_HEADER, header)], VALUE_HEADER, with_path=True)
    assert (frame.path, frame.data) == ((2, 1), b"data")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty, and a schema id begins with byte 0 or 1"),
        (b'{"a": 1}', "begins with byte 123, and a schema id begins with byte 0 or 1; set the route's format"),
        (b"\x02\x00\x00\x00\x07", "begins with byte 2"),
        (b"\x00\x00\x00", "ends within the schema id"),
        (b"\x01" + b"x" * 15, "ends within the schema id"),
    ],
)
def test_bytes_without_a_frame_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(EventError, match=says):
        unframed(data, [], VALUE_HEADER)


@pytest.mark.parametrize("path", [b"", b"\x01", b"\x04\x00", b"\xff" * 6, b"\x82\x02" + b"\x00" * 129])
def test_a_broken_message_path_is_refused(path: bytes) -> None:
    with pytest.raises(EventError, match="path of its message"):
        unframed(b"\x00\x00\x00\x00\x07" + path, [], VALUE_HEADER, with_path=True)
