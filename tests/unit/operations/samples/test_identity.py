"""What tells rows apart, and what tells events apart."""

import json
from typing import Any

import pytest

from inbox.operations.samples.identity import SampledEvent, event_id_of, row_key_of
from inbox.operations.samples.sample_reader import SampleReader
from inbox.reading.options import Envelope, FormatOptions
from tests.support.records import record

UUIDS = [f"6f9619ff-8b86-d011-b42d-00c04fc96{number:03}" for number in range(9)]


def event(row: dict[str, Any] | None, key: str | None = None, **headers: str) -> SampledEvent:
    given = record(key=key.encode() if key else None, headers=[(n, v.encode()) for n, v in headers.items()])
    try:
        decoded = json.loads(key) if key else None
    except ValueError:
        decoded = None
    return SampledEvent(given, decoded, row)


@pytest.mark.parametrize(
    ("events", "members", "in_record"),
    [
        ([event({"id": 1, "n": 1}, "1"), event({"id": 2, "n": 1}, "2"), event({"id": 1, "n": 2}, "1")], ("id",), True),
        ([event({"sku": "a"}, "a"), event({"sku": "b"}, "b"), event(None, "a")], ("sku",), True),
        ([event({"a": 1, "b": 2, "c": 3}, '{"a": 1, "b": 2}')], ("a", "b"), True),
        ([event({"orderId": 1}), event({"orderId": 2})], ("orderId",), False),
    ],
)
def test_a_key_is_found(events: list[SampledEvent], members: tuple[str, ...], in_record: bool) -> None:
    found = row_key_of(events, "orders")

    assert found is not None
    assert (found.members, found.in_record) == (members, in_record)


@pytest.mark.parametrize(
    "events",
    [
        [event({"n": 1}), event({"n": 2})],
        [event({"id": 1}), event({"id": 1})],
        [event({"id": 1}), event({"id": None})],
        [event({"id": 1}, '{"id": 2}'), event({"id": 1}, '{"id": 2}')],
        [event({"flag": True}, "true"), event({"flag": True}, "true")],
        [event(None, "1")],
        [],
    ],
)
def test_no_key_is_made_up(events: list[SampledEvent]) -> None:
    assert row_key_of(events, "orders") is None


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([event({}, event_id="x")], "auto"),
        ([event({}, delivery=UUIDS[0]), event({}, delivery=UUIDS[1])], "header:delivery"),
        ([event({}, delivery=UUIDS[0]), event({}, delivery=UUIDS[0])], "coordinates"),
        ([event({"eventId": "a"}), event({"eventId": "b"})], "value:/eventId"),
        ([event({"event_id": "a"}), event({"event_id": "a"})], "coordinates"),
        ([event({"id": 1}), event({"id": 2})], "coordinates"),
        ([event({}, event_id="x"), event({})], "coordinates"),
    ],
)
def test_the_id_of_events(events: list[SampledEvent], rule: str) -> None:
    assert event_id_of(events, Envelope.NONE).rule == rule


def test_envelopes_bring_their_ids() -> None:
    assert event_id_of([], Envelope.DEBEZIUM).rule == "debezium"
    assert event_id_of([], Envelope.CLOUDEVENTS).rule == "auto"


def change(op: str, **source: Any) -> SampledEvent:
    value = {"op": op, "before": None, "after": {"id": 1}, "source": source}
    reader = SampleReader(FormatOptions(), Envelope.DEBEZIUM)
    [event] = reader.events([record(value=json.dumps(value).encode(), key=b"1")])
    return event


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([change("c", connector="postgresql", lsn=1, txId=2)], "debezium"),
        ([change("r", connector="postgresql", lsn=1, txId=2)], "debezium"),
        ([change("c", connector="vitess", vgtid="x")], "coordinates"),
        ([change("r", connector="vitess", ts_ms=1)], "coordinates"),
        ([change("c", connector="mysql", file="binlog.1")], "coordinates"),
        ([change("c")], "coordinates"),
    ],
)
def test_a_change_whose_position_is_unknown_is_named_by_its_place_in_the_log(
    events: list[SampledEvent], rule: str
) -> None:
    assert event_id_of(events, Envelope.DEBEZIUM).rule == rule
