"""Records in a format with a schema become events whose rows are decoded."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from inbox.events import Record
from inbox.reading.options import Envelope, Format, FormatOptions, KeyFormat
from inbox.reading.read_record import ReadRecord, event_of
from inbox.reading.values import Date
from inbox.sink.batch import RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import TableMode, TableTarget, Tombstones
from tests.support.records import record
from tests.support.store.sources import sources
from tests.unit.reading.formats.connect import record as connect_record
from tests.unit.reading.formats.connect import schema, struct

CONNECT = FormatOptions(value=Format.CONNECT_JSON)
ROW = struct(id=schema("int64"), day=schema("int32", "io.debezium.time.Date"))
TABLE = TableTarget(
    name="t",
    mode=TableMode.UPSERT,
    key=("id",),
    columns=sources({"id": "/id", "day": "/day"}),
    tombstones=Tombstones.DELETE,
    decoded=True,
)


def events(*records: Record, **changes: Any) -> RouteEvents:
    route: dict[str, Any] = {"name": "r", "topics": ("orders",), "target": TABLE, "format": CONNECT, **changes}
    decoder = TopicDecoder("orders", None, [Route(**route)])
    columns = decoder.new_columns()
    for each in records:
        decoder.add(each, columns.values())
    return columns["r"]


@pytest.mark.parametrize("rule", ["value:/id", "coordinates"])
def test_nul_is_removed_before_a_value_is_read(rule: str) -> None:
    removing = replace(CONNECT, removes_nul=True)
    names = struct(id=schema("string"), kept=schema("string", "io.debezium.data.Json"))
    one = record(0, value=connect_record(names, {"id": "a\x00b", "kept": r'{"c": "\u0000"}'}))
    [read] = events(one, format=removing, event_id=rule).records
    assert isinstance(read, ReadRecord)
    assert read.row == {"id": "ab", "kept": '{"c": ""}'}
    assert len(events(one, event_id=rule).refused) == 1


def test_nul_is_removed_before_an_id_and_a_condition_are_read() -> None:
    plain = FormatOptions(removes_nul=True)
    target = replace(TABLE, decoded=False)
    one = record(0, value=rb'{"id": "a\u0000b"}')
    read = events(one, format=plain, target=target, event_id="value:/id", when='value.id == "ab"')
    assert (len(read.records), read.refused, read.filtered) == (1, {}, 0)
    wrong = record(0, value=rb'{"id": 1\u0000}')
    assert "not valid JSON" in str(events(wrong, format=plain, target=target).refused[0])


def value(payload: Any) -> Record:
    return record(value=connect_record(ROW, payload), headers=[("event_id", b"1")])


def test_a_payload_is_the_row_and_the_record_stays_as_it_was() -> None:
    polled = value({"id": 1, "day": 5})
    [read] = events(polled).records
    assert isinstance(read, ReadRecord)
    assert (read.row, read.deletes, read.record) == ({"id": 1, "day": Date(5)}, False, polled)


def test_an_id_may_be_in_the_payload() -> None:
    one, same, other = events(value({"id": 1}), value({"id": 1, "day": 2}), value({"id": 2}), event_id="value:/id").ids
    assert one == same != other


def test_a_null_payload_is_a_tombstone() -> None:
    [read] = events(value(None)).records
    assert isinstance(read, ReadRecord)
    assert (read.row, read.deletes) == (None, True)


def test_a_tombstone_has_its_decoded_key() -> None:
    key = connect_record(struct(id=schema("int64")), {"id": 7})
    gone = record(key=key, value=None, headers=[("event_id", b"1")])
    [read] = events(gone, format=FormatOptions(value=Format.CONNECT_JSON, key=KeyFormat.CONNECT_JSON)).records
    assert isinstance(read, ReadRecord)
    assert (read.key_row, read.deletes) == ({"id": 7}, True)


def test_a_value_without_a_schema_is_refused() -> None:
    refused = events(record(value=b'{"id":1}', headers=[("event_id", b"1")])).refused
    assert "the route expects" in str(refused[0])


def test_a_change_in_debeziums_envelope_has_a_decoded_row() -> None:
    change = struct(before=ROW, after=ROW, op=schema("string"), ts_ms=schema("int64"))
    payload = {"before": None, "after": {"id": 1, "day": 5}, "op": "c", "ts_ms": 9}
    changed = record(value=connect_record(change, payload), headers=[("event_id", b"1")])
    [read] = events(changed, envelope=Envelope.DEBEZIUM, event_id="header:event_id").records
    assert isinstance(read, ReadRecord)
    assert (read.row, read.document, read.member) == ({"id": 1, "day": Date(5)}, None, None)
    assert read.about == {"$op": "c", "$ts": 9}


def test_a_handler_receives_the_payload_as_python_has_it() -> None:
    [read] = events(value({"id": 1, "day": 0}), target=HandlerTarget(entry_point="h")).records
    event = event_of(read, bytes(16), None)
    assert event.data == {"id": 1, "day": date(1970, 1, 1)}
    assert event.json() == {"id": 1, "day": "1970-01-01"}


def test_a_handler_receives_a_change_as_python_has_it() -> None:
    change = struct(before=ROW, after=ROW, op=schema("string"), ts_ms=schema("int64"))
    payload = {"before": {"id": 1, "day": 1}, "after": {"id": 1, "day": 0}, "op": "u", "ts_ms": 9}
    changed = record(value=connect_record(change, payload), headers=[("event_id", b"1")])
    [read] = events(
        changed, envelope=Envelope.DEBEZIUM, event_id="header:event_id", target=HandlerTarget(entry_point="h")
    ).records
    event = event_of(read, bytes(16), None)
    assert (event.op, event.row, event.before) == (
        "u",
        {"id": 1, "day": date(1970, 1, 1)},
        {"id": 1, "day": date(1970, 1, 2)},
    )
    assert event.json()["after"] == {"id": 1, "day": "1970-01-01"}
