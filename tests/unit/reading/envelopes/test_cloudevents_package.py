"""The package `cloudevents` as a producer that nobody here wrote."""

from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from inbox.events import Record
from inbox.reading.options import Envelope
from inbox.reading.read_record import ReadRecord, event_of
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from tests.support.records import record

ROUTE = Route(
    name="r", topics=("orders",), target=HandlerTarget(entry_point="h"), envelope=Envelope.CLOUDEVENTS,
    types=frozenset({"OrderCreated"}),
)  # fmt: skip
ATTRIBUTES: dict[str, Any] = {
    "id": "A-7", "source": "/shop", "type": "OrderCreated", "specversion": "1.0", "subject": "bücher",
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "datacontenttype": "application/json", "traceflag": "01",
}  # fmt: skip


def sent(message: kafka.KafkaMessage) -> Record:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    value = message.value.encode() if isinstance(message.value, str) else message.value
    return record(key=key, value=value, headers=list(message.headers.items()))


def read(given: Record) -> tuple[bytes, str | None, ReadRecord]:
    decoder = TopicDecoder("orders", None, [ROUTE])
    events = decoder.new_columns()
    decoder.add(given, events.values())
    found = events["r"]
    assert not found.refused, found.refused
    [one] = found.records
    assert isinstance(one, ReadRecord)
    return found.ids[0], found.types[0], one


@pytest.mark.parametrize("mode", [kafka.to_binary, kafka.to_structured])
def test_an_event_of_either_mode_is_the_same_event(mode: Any) -> None:
    event_id, event_type, one = read(sent(mode(CloudEvent(ATTRIBUTES, {"id": 1, "name": "ä"}), JSONFormat())))
    assert event_id == uuid5(uuid5(NAMESPACE_URL, "kafka-inbox:/shop"), "A-7").bytes
    assert event_type == "OrderCreated"
    assert event_of(one, event_id, event_type).row == {"id": 1, "name": "ä"}
    about = one.about
    assert (about["$ce:subject"], about["$ce:time"], about["$ce:traceflag"]) == ("bücher", "2026-01-02T03:04:05Z", "01")


@pytest.mark.parametrize("mode", [kafka.to_binary, kafka.to_structured])
def test_bytes_arrive_as_they_were(mode: Any) -> None:
    attributes = {**ATTRIBUTES, "datacontenttype": "application/octet-stream"}
    _, _, one = read(sent(mode(CloudEvent(attributes, b"\x00\xff"), JSONFormat())))
    assert one.row == b"\x00\xff"
