"""What a route with an envelope takes, passes over and refuses, and under which identity."""

import json
from collections.abc import Sequence
from dataclasses import replace
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from inbox.events import Header, Record
from inbox.reading.options import Envelope, Truncates
from inbox.reading.payload_hash import payload_hash
from inbox.reading.read_record import ReadRecord, event_of
from inbox.sink.batch import NO_ID, RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import ColumnSource, TableMode, TableTarget, Tombstones
from tests.support.changes import change, changed
from tests.support.records import record

TABLE = TableTarget(
    name="t", mode=TableMode.UPSERT, columns={"id": ColumnSource("/id")}, key=("id",), tombstones=Tombstones.DELETE
)
DEBEZIUM = Route(name="r", topics=("orders",), target=TABLE, event_id="debezium", envelope=Envelope.DEBEZIUM)
CLOUDEVENTS = Route(name="r", topics=("orders",), target=TABLE, envelope=Envelope.CLOUDEVENTS)
HANDLER = HandlerTarget(entry_point="h")
BINARY: list[Header] = [
    ("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/shop"), ("ce_type", b"OrderCreated"),
]  # fmt: skip
STRUCTURED: list[Header] = [("content-type", b"application/cloudevents+json")]


def read_by(route: Route, *records: Record) -> RouteEvents:
    decoder = TopicDecoder("orders", None, [route])
    columns = decoder.new_columns()
    for each in records:
        decoder.add(each, columns.values())
    return columns[route.name]


def read_records(events: RouteEvents) -> Sequence[ReadRecord]:
    return [each for each in events.records if isinstance(each, ReadRecord)]


def refusals(events: RouteEvents) -> dict[int, str]:
    return {place: str(error) for place, error in events.refused.items()}


def test_a_change_says_where_its_row_is_and_whether_it_deletes() -> None:
    removal = changed("d")
    events = read_by(DEBEZIUM, changed("c"), removal)
    found = [(each.document, each.member, each.deletes) for each in read_records(events)]
    assert found == [(b'{"id":1}', None, False), (removal.value(), "before", True)]


def test_the_tombstone_behind_a_delete_and_a_logical_message_are_filtered() -> None:
    events = read_by(DEBEZIUM, record(key=b"1", value=None), record(value=change("m")))
    assert (events.filtered, events.ids, events.refused) == (2, [], {})


def test_a_change_that_a_connector_repeats_has_its_id_and_its_payload_again() -> None:
    events = read_by(DEBEZIUM, changed("u"), changed("u", ts_ms=999), changed("u", lsn=2))
    assert events.ids[0] == events.ids[1] != events.ids[2]
    first, again, _ = (payload_hash(each) for each in events.records)
    assert first == again


def test_another_row_under_one_id_is_another_payload() -> None:
    events = read_by(DEBEZIUM, changed("u"), changed("u", after={"id": 1, "name": "x"}))
    assert events.ids[0] == events.ids[1]
    assert payload_hash(events.records[0]) != payload_hash(events.records[1])


def test_the_delete_and_the_create_of_a_changed_key_are_two_events() -> None:
    events = read_by(DEBEZIUM, changed("d"), changed("c"), changed("c", key=b'{"id":2}'))
    assert len(set(events.ids)) == 3


def test_a_change_without_a_key_has_no_id_by_its_position() -> None:
    events = read_by(DEBEZIUM, changed("c", key=None))
    assert events.ids == [NO_ID]
    assert "no event id: the record has no key" in refusals(events)[0]


def test_a_truncate_has_an_id_without_a_key() -> None:
    events = read_by(replace(DEBEZIUM, truncates=Truncates.APPLY), record(key=None, value=change("t")))
    assert (events.refused, [each.truncates for each in read_records(events)]) == ({}, [True])


@pytest.mark.parametrize(
    ("tombstones", "filtered", "refused"),
    [(Tombstones.IGNORE, 1, 0), (Tombstones.ERROR, 0, 1), (Tombstones.DELETE, 0, 0)],
)
def test_a_delete_follows_the_routes_tombstones(tombstones: Tombstones, filtered: int, refused: int) -> None:
    events = read_by(replace(DEBEZIUM, target=replace(TABLE, tombstones=tombstones)), changed("d"))
    assert (events.filtered, len(events.refused)) == (filtered, refused)


def test_what_cannot_be_read_keeps_its_place_and_its_bytes() -> None:
    events = read_by(DEBEZIUM, changed("c"), record(1, value=b"{}"), changed("c", lsn=3))
    assert list(events.refused) == [1]
    assert (events.records[1].offset(), events.records[1].value()) == (1, b"{}")


def test_a_type_in_a_header_is_judged_before_the_value_is_read() -> None:
    route = replace(DEBEZIUM, types=frozenset({"A"}), event_type="header:type")
    assert read_by(route, record(value=b"\x00", headers=[("type", b"B")])).filtered == 1


def test_pointers_of_ids_and_types_are_relative_to_the_row() -> None:
    route = replace(DEBEZIUM, event_id="value:/id", event_type="value:/kind", types=frozenset({"A"}))
    events = read_by(route, changed("c", after={"id": "x", "kind": "A"}), changed("c", after={"id": "y", "kind": "B"}))
    assert (events.types, events.filtered, len(events.ids)) == (["A"], 1, 1)


def test_a_handler_sees_the_operation_and_both_rows() -> None:
    events = read_by(
        replace(DEBEZIUM, target=HANDLER), changed("u", before={"id": 1, "n": 1}, after={"id": 1, "n": 2}), changed("d")
    )
    update, delete = (event_of(each, uuid5(NAMESPACE_URL, "x").bytes, None) for each in events.records)
    assert (update.op, update.row, update.before) == ("u", {"id": 1, "n": 2}, {"id": 1, "n": 1})
    assert update.json()["op"] == "u"
    assert (delete.op, delete.row, delete.before) == ("d", None, {"id": 1})


def test_a_handler_without_an_envelope_sees_neither() -> None:
    event = event_of(record(), uuid5(NAMESPACE_URL, "x").bytes, None)
    assert (event.op, event.row, event.before) == (None, None, None)


def test_a_cloud_event_has_one_id_and_type_in_both_modes() -> None:
    whole = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "OrderCreated", "data": {"id": 1}}
    events = read_by(
        CLOUDEVENTS,
        record(value=b'{"id":1}', headers=BINARY),
        record(value=json.dumps(whole).encode(), headers=STRUCTURED),
    )
    expected = uuid5(uuid5(NAMESPACE_URL, "kafka-inbox:/shop"), "7").bytes
    assert (events.ids, events.types) == ([expected] * 2, ["OrderCreated"] * 2)
    assert [each.member for each in read_records(events)] == [None, "data"]


def test_types_are_those_of_the_cloud_event() -> None:
    events = read_by(replace(CLOUDEVENTS, types=frozenset({"OrderShipped"})), record(value=b"{}", headers=BINARY))
    assert (events.filtered, events.ids) == (1, [])


def test_data_that_is_not_json_is_refused_where_members_of_it_are_read() -> None:
    plain: list[Header] = [*BINARY, ("content-type", b"text/plain")]
    assert "not JSON" in refusals(read_by(CLOUDEVENTS, record(value=b"hello", headers=plain)))[0]
    handled = read_by(replace(CLOUDEVENTS, target=HANDLER), record(value=b"hello", headers=plain))
    assert (handled.refused, read_records(handled)[0].row) == ({}, b"hello")


def test_a_tombstone_without_attributes_takes_its_coordinates_as_its_id() -> None:
    events = read_by(CLOUDEVENTS, record(value=None, key=b"1"))
    assert (events.refused, [each.deletes for each in read_records(events)]) == ({}, [True])


def test_a_record_that_cannot_be_read_has_the_id_that_a_header_has() -> None:
    broken = record(value=b"{", headers=[("event_id", b"00000000-0000-0000-0000-000000000007")])
    events = read_by(replace(DEBEZIUM, event_id="auto"), broken)
    assert (events.ids, list(events.refused)) == ([UUID(int=7).bytes], [0])
    assert read_by(DEBEZIUM, broken).ids == [NO_ID]
    assert read_by(replace(DEBEZIUM, event_id="auto"), record(value=b"{")).ids == [NO_ID]
