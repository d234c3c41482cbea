"""Handlers of routes with a schema: what `event.data`, `event.json()` and `event.schema_id` are."""

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

from inbox import Event
from tests.integration.sink.formats.conftest import Serialize, sent
from tests.support.sink.running import Sink

ROUTE = """
[[routes]]
topic = "TOPIC"
handler = "handler"
format = "{format}"
"""


@pytest.fixture
def seen(sink: Sink, offer: Callable[..., None], registry_url: str) -> Callable[[str], list[Event]]:
    """Configures the sink for a format, and returns the events that its handler sees."""

    def configure(format_: str) -> list[Event]:
        events: list[Event] = []
        offer(handler=lambda event, tx: events.append(event))
        sink.configure(ROUTE.format(format=format_), rest=f'[registry]\nurl = "{registry_url}"')
        return events

    return configure


def record(**fields: Any) -> str:
    return json.dumps(
        {"type": "record", "name": "Order", "fields": [{"name": n, "type": t} for n, t in fields.items()]}
    )


def test_avro_becomes_exact_values(sink: Sink, seen: Any, avro_of: Callable[[str], Serialize]) -> None:
    events = seen("avro")
    schema = record(
        amount={"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4},
        day={"type": "int", "logicalType": "date"},
        at={"type": "long", "logicalType": "timestamp-micros"},
        clock={"type": "int", "logicalType": "time-millis"},
        uuid={"type": "string", "logicalType": "uuid"},
        large="long",
        ratio="double",
        data="bytes",
        note=["null", "string"],
        kind={"type": "enum", "name": "Kind", "symbols": ["A", "B"]},
        more={"type": "map", "values": "int"},
    )
    value = {
        "amount": Decimal("12345678901234567890.1234"),
        "day": date(2024, 1, 27),
        "at": datetime(2024, 1, 27, 12, 0, 0, 123456, tzinfo=UTC),
        "clock": time(23, 59, 59, 999000),
        "uuid": UUID(int=5),
        "large": 2**63 - 1,
        "ratio": math.inf,
        "data": b"\x00\xff",
        "note": None,
        "kind": "B",
        "more": {"x": 1},
    }
    sent(sink, avro_of(schema)({**value, "uuid": str(value["uuid"])}))
    sink.run()
    [event] = events
    assert event.data == value
    assert event.value[:1] == b"\x00"
    assert event.schema_id == int.from_bytes(event.value[1:5], "big")
    assert event.json() == {
        **value,
        "day": "2024-01-27",
        "at": "2024-01-27T12:00:00.123456+00",
        "clock": "23:59:59.999000",
        "uuid": str(UUID(int=5)),
        "ratio": "Infinity",
        "data": "AP8=",
    }


def test_a_schema_that_changes_in_mid_partition_is_read_as_it_was_written(
    sink: Sink, seen: Any, avro_of: Callable[[str], Serialize], client: SchemaRegistryClient
) -> None:
    events = seen("avro")
    client.set_compatibility(f"{sink.topic}-value", "NONE")
    renamed = {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "renamed", "type": "int", "aliases": ["id"]}, {"name": "d", "type": "int", "default": 7}],
    }
    sent(
        sink,
        avro_of(record(id="int"))({"id": 1}),
        avro_of(record(id="int", added=["null", "string"]))({"id": 2, "added": "x"}),
        avro_of(json.dumps(renamed))({"renamed": 3}),
        avro_of(record(id=["int", "string"]))({"id": "four"}),
        avro_of(record(id="int"))({"id": 5}),
    )
    sink.run()
    assert [event.data for event in events] == [
        {"id": 1},
        {"id": 2, "added": "x"},
        {"renamed": 3, "d": 7},
        {"id": "four"},
        {"id": 5},
    ]
    assert len({event.schema_id for event in events}) == 4


def test_a_schema_with_references_is_read(
    sink: Sink, seen: Any, avro_of: Callable[[Any], Serialize], client: SchemaRegistryClient
) -> None:
    events = seen("avro")
    subject = f"{sink.topic}-address"
    address = {"type": "record", "name": "geo.Address", "fields": [{"name": "zip", "type": "string"}]}
    client.register_schema(subject, Schema(json.dumps(address), "AVRO"))
    schema = Schema(record(to="geo.Address"), "AVRO", [SchemaReference("geo.Address", subject, 1)])
    sent(sink, avro_of(schema)({"to": {"zip": "1010"}}))
    sink.run()
    assert [event.data for event in events] == [{"to": {"zip": "1010"}}]


def test_json_with_a_schema_is_the_document_behind_the_id(
    sink: Sink, seen: Any, json_of: Callable[[str], Serialize]
) -> None:
    events = seen("json-schema")
    schema = json.dumps({"title": "Order", "type": "object", "properties": {"id": {"type": "integer"}}})
    sent(sink, json_of(schema)({"id": 2**60}))
    sink.run()
    [event] = events
    assert (event.data, event.json()) == ({"id": 2**60}, {"id": 2**60})
    assert event.schema_id == int.from_bytes(event.value[1:5], "big")


def test_protobuf_needs_no_generated_class(
    sink: Sink, seen: Any, protobuf_of: Callable[[Any], Serialize], order_class: Any
) -> None:
    events = seen("protobuf")
    message = order_class(id=2**60, name="x", tags=["a", "b"])
    message.at.seconds = 1
    sent(sink, protobuf_of(order_class)(message))
    sink.run()
    [event] = events
    assert event.data == {
        "id": 2**60,
        "name": "x",
        "tags": ["a", "b"],
        "at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    }


def test_raw_values_are_bytes(sink: Sink, seen: Any) -> None:
    events = seen("raw")
    sent(sink, b"\xff\x00")
    sink.run()
    assert [event.data for event in events] == [b"\xff\x00"]


def test_a_tombstone_has_no_data(sink: Sink, seen: Any) -> None:
    events = seen("avro")
    sent(sink, None)  # type: ignore[arg-type]
    sink.run()
    assert [(event.data, event.value) for event in events] == [(None, None)]
