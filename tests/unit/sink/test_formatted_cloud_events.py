"""CloudEvents in binary mode whose data is in a format of a schema registry."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

import fastavro
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from inbox.errors import EventError
from inbox.events import Header
from inbox.reading.options import Envelope, Format, FormatOptions
from inbox.reading.read_record import ReadRecord, event_of
from inbox.reading.schemas import SchemaKind, WrittenSchema
from inbox.sink.batch import RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import ColumnSource, TableMode, TableTarget, Tombstones
from tests.support.records import record
from tests.unit.reading.formats.connect import record as connect_record
from tests.unit.reading.formats.connect import schema, struct
from tests.unit.reading.formats.test_avro import avro
from tests.unit.reading.formats.test_protobuf import add, class_of, file_of, protobuf

HEADERS: list[Header] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"7"),
    ("ce_source", b"/shop"),
    ("ce_type", b"OrderCreated"),
    ("ce_subject", b"order 1"),
    ("content-type", b"application/avro"),
]
STRUCTURED: list[Header] = [("content-type", b"application/cloudevents+json")]
AVRO = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}
JSON_SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}}
TABLE = TableTarget(
    name="t", mode=TableMode.UPSERT, columns={"id": ColumnSource("/id")}, key=("id",), tombstones=Tombstones.DELETE
)


def in_avro() -> tuple[FormatOptions, bytes]:
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(AVRO), {"id": 1})
    return FormatOptions(value=Format.AVRO, schema=avro(AVRO)), written.getvalue()


def in_protobuf() -> tuple[FormatOptions, bytes]:
    file: FileDescriptorProto = file_of()
    add(file.message_type.add(name="Order"), "id", "int64")
    message = class_of(file, "shop.Order")()
    message.id = 1  # type: ignore[attr-defined]
    options = FormatOptions(value=Format.PROTOBUF, schema=protobuf(file), message="shop.Order")
    return options, message.SerializeToString()


def in_connect_json() -> tuple[FormatOptions, bytes]:
    return FormatOptions(value=Format.CONNECT_JSON), connect_record(struct(id=schema("int64")), {"id": 1})


def in_json_schema() -> tuple[FormatOptions, bytes]:
    written = WrittenSchema(SchemaKind.JSON, json.dumps(JSON_SCHEMA), (), "s")
    return FormatOptions(value=Format.JSON_SCHEMA, schema=written, validate=True), b'{"id": 1}'


FORMATS = [in_avro, in_protobuf, in_connect_json, in_json_schema]


Made = Callable[[], tuple[FormatOptions, bytes]]


def read(options: FormatOptions, *values: bytes | None, handles: bool = False, headers: list[Header]) -> RouteEvents:
    decoded = options.value.has_decoded_rows
    route = Route(
        name="r",
        topics=("orders",),
        target=HandlerTarget(entry_point="h") if handles else replace(TABLE, decoded=decoded),
        envelope=Envelope.CLOUDEVENTS,
        format=options,
    )
    decoder = TopicDecoder("orders", None, [route])
    columns = decoder.new_columns()
    for each in values:
        decoder.add(record(key=b"1", value=each, headers=headers), columns.values())
    return columns["r"]


def first(events: RouteEvents) -> ReadRecord:
    assert not events.refused, events.refused
    found = events.records[0]
    assert isinstance(found, ReadRecord)
    return found


@pytest.mark.parametrize("made", FORMATS)
def test_the_row_is_the_decoded_data_and_the_attributes_are_beside_it(made: Made) -> None:
    options, value = made()
    events = read(options, value, headers=HEADERS)
    found = first(events)
    assert found.about["$ce:subject"] == "order 1"
    assert (events.ids, events.types) == (
        [uuid5(uuid5(NAMESPACE_URL, "kafka-inbox:/shop"), "7").bytes],
        ["OrderCreated"],
    )
    assert found.row == {"id": 1} if options.value.has_decoded_rows else json.loads(found.document or b"") == {"id": 1}


@pytest.mark.parametrize("made", FORMATS)
def test_a_handler_gets_the_decoded_data(made: Made) -> None:
    options, value = made()
    events = read(options, value, handles=True, headers=HEADERS)
    event = event_of(first(events), events.ids[0], events.types[0])
    assert (event.data, event.row, event.value) == ({"id": 1}, {"id": 1}, value)


@pytest.mark.parametrize("made", FORMATS)
def test_an_event_without_data_and_a_tombstone_remove_the_row(made: Made) -> None:
    options, _ = made()
    for headers in (HEADERS, []):
        found = first(read(options, None, headers=headers))
        assert (found.deletes, "$ce:id" in found.about) == (True, bool(headers))


@pytest.mark.parametrize("made", FORMATS)
def test_structured_mode_is_refused_with_a_remedy(made: Made) -> None:
    options, _ = made()
    whole = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "T", "data": {"id": 1}}
    [error] = read(options, json.dumps(whole).encode(), headers=STRUCTURED).refused.values()
    assert isinstance(error, EventError)
    assert f'expects values of format "{options.value}"; send binary mode' in str(error)


@pytest.mark.parametrize("made", FORMATS)
def test_a_value_that_is_not_in_the_format_is_refused(made: Made) -> None:
    options, _ = made()
    assert len(read(options, b"\xff\xff\xff", headers=HEADERS).refused) == 1
