"""What the changes and CloudEvents of a topic leave in a table."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from inbox.events import Header, Record
from inbox.reading.envelopes.debezium import UNAVAILABLE
from inbox.reading.options import Envelope, Truncates
from inbox.store.options import ColumnSource, Reading, TableMode, TableTarget, Tombstones
from tests.support.changes import change, changed, moved
from tests.support.records import record
from tests.support.store.read_routes import ReadRoute
from tests.support.store.sources import sources
from tests.support.store.table_routes import MakeRoute, Route

DECLARED = "id bigint PRIMARY KEY, name text, amount numeric"
COLUMNS = {"id": "/id", "name": "/name", "amount": "/amount"}


class Enveloped(ReadRoute):
    """A table route over `t` whose records come in an envelope."""

    def __init__(self, route: Route, target: TableTarget, truncates: Truncates = Truncates.APPLY) -> None:
        super().__init__(route, target, "auto", truncates=truncates)

    def refusal(self, one: Record) -> str:
        return self.route.refusal(self.read(one)[0])


MakeEnveloped = Callable[..., Enveloped]


@pytest.fixture(name="enveloped")
def enveloped_(route: MakeRoute) -> MakeEnveloped:
    """Makes a route over a table of ids, names and amounts."""

    def make(envelope: Envelope = Envelope.DEBEZIUM, **changes: Any) -> Enveloped:
        columns, declared = changes.pop("columns", COLUMNS), changes.pop("declared", DECLARED)
        options: dict[str, Any] = {
            "mode": TableMode.UPSERT, "key": ("id",), "tombstones": Tombstones.DELETE, "envelope": envelope, **changes
        }  # fmt: skip
        target = TableTarget(name="t", columns=sources(columns), **options)
        return Enveloped(route(declared, columns, **options), target)

    return make


def row(number: int, name: str = "a", amount: str | None = None) -> dict[str, Any]:
    return {"id": number, "name": name, "amount": amount}


def key(number: int) -> bytes:
    return json.dumps({"id": number}).encode()


def test_the_row_after_a_change_is_written_with_every_digit(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    digits = b"1.10000000000000000000000000000000000000001"
    value = change("u", after=row(1, "new"), before=row(1, "old")).replace(b'"amount":null', b'"amount":' + digits)
    it.write(record(key=key(1), value=value))
    assert it.route.texts("name || ' ' || amount") == [f"new {digits.decode()}"]


@pytest.mark.parametrize("together", [True, False])
def test_changes_of_a_row_end_as_one_by_one(enveloped: MakeEnveloped, together: bool) -> None:
    it = enveloped()
    records = [
        changed("c", row(1, "a"), key=key(1), lsn=1),
        changed("r", row(2, "a"), key=key(2), lsn=1),
        changed("u", row(1, "b"), key=key(1), lsn=2),
        changed("d", row(2), key=key(2), lsn=3),
        record(key=key(2), value=None),
        changed("c", row(2, "again"), key=key(2), lsn=4),
        changed("c", row(3, "gone"), key=key(3), lsn=5),
        changed("d", row(3, "gone"), key=key(3), lsn=6),
    ]
    for part in [records] if together else [[each] for each in records]:
        it.write(*part)
    assert [each[:2] for each in it.route.rows()] == [(1, "b"), (2, "again")]


def test_a_changed_key_takes_its_row_along(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    it.write(changed("c", row(1, "a"), key=key(1), lsn=1), *moved(1, row(1, "a"), row(5, "a"), lsn=2))
    assert [each[:2] for each in it.route.rows()] == [(5, "a")]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("tombstones", [Tombstones.DELETE, Tombstones.MARK, Tombstones.IGNORE])
def test_an_update_that_changes_another_key_than_the_records_takes_its_row_along(
    enveloped: MakeEnveloped, together: bool, tombstones: Tombstones
) -> None:
    marks = {"deleted": "gone"} if tombstones is Tombstones.MARK else {}
    it = enveloped(declared=f"{DECLARED}, gone boolean", tombstones=tombstones, **marks)
    records = [
        changed("c", row(1, "a"), key=b'{"name":"a"}', lsn=1),
        changed("u", row(5, "a"), before={"id": 1, "name": None}, key=b'{"name":"a"}', lsn=2),
        changed("u", row(5, "b"), before=row(5, "a"), key=b'{"name":"b"}', lsn=3),
        changed("u", row(1, "c"), before=row(5, "b"), key=b'{"name":"b"}', lsn=4),
        changed("u", row(6, "c"), before=row(1, "c"), key=b'{"name":"b"}', lsn=5),
    ]
    for part in [records] if together else [[each] for each in records]:
        it.write(*part)
    left = {Tombstones.DELETE: [(6, "c")], Tombstones.MARK: [(6, "c")]}
    rows = [each[:2] for each in it.route.rows() if not each[3]]
    assert rows == left.get(tombstones, [(1, "c"), (5, "b"), (6, "c")])


def test_a_truncate_removes_what_was_there_before_it_alone(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    it.write(changed("c", row(1), key=key(1), lsn=1))
    it.write(
        changed("c", row(2), key=key(2), lsn=2),
        record(key=None, value=change("t", lsn=3)),
        changed("c", row(3), key=key(3), lsn=4),
    )
    assert [each[0] for each in it.route.rows()] == [3]


@pytest.mark.parametrize("record_key", [b"Struct{id=1}", b"\x00\x01", None, b'{"other":1}', b"1"])
def test_a_delete_goes_by_the_row_before_where_the_key_does_not_name_it(
    enveloped: MakeEnveloped, record_key: bytes | None
) -> None:
    it = enveloped()
    it.write(changed("c", row(1), key=key(1), lsn=1), changed("c", row(2), key=key(2), lsn=2))
    read = it.read(changed("d", row(1), key=b"x", lsn=3))[0]
    it.route.write(msgspec.structs.replace(read, record=record(key=record_key, value=read.value())))
    assert [each[0] for each in it.route.rows()] == [2]


def test_a_delete_goes_by_the_key_where_the_row_before_holds_no_more_than_defaults(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    it.write(changed("c", row(0), key=key(0), lsn=1), changed("c", row(7), key=key(7), lsn=2))
    it.write(changed("d", {"id": 0, "name": "", "amount": None}, key=key(7), lsn=3))
    assert [each[0] for each in it.route.rows()] == [0]


def test_a_delete_takes_the_payload_of_a_key_with_a_schema(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    it.write(changed("c", row(7), key=key(7), lsn=1))
    with_schema = json.dumps({"schema": {"type": "struct"}, "payload": {"id": 7}}).encode()
    it.write(changed("d", key=with_schema, before=None, lsn=2))
    assert it.route.rows() == []


def test_a_delete_that_names_no_row_says_what_was_expected(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    assert it.refusal(changed("d", key=b"x", before=None)).startswith(
        "the delete names no row: the record's key is not a JSON object with /id"
    )


def test_a_value_that_its_column_cannot_take_is_named_by_its_pointer_in_the_row(enveloped: MakeEnveloped) -> None:
    it = enveloped()
    assert it.refusal(changed("c", row(1, amount="x"))).startswith(
        'column "amount" from /amount: a value that cannot be numeric (22P02); '
    )
    assert it.route.refused(*it.read(changed("c", row(1)), changed("c", row(2, amount="x")))) == [1]


def test_cloud_events_of_both_modes_write_their_data(enveloped: MakeEnveloped) -> None:
    it = enveloped(Envelope.CLOUDEVENTS)
    binary: list[Header] = [("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_type", b"T")]
    whole = {"specversion": "1.0", "source": "s", "type": "T"}
    mode: list[Header] = [("content-type", b"application/cloudevents+json")]
    it.write(
        record(value=json.dumps(row(1, "binary")).encode(), headers=[*binary, ("ce_id", b"1")]),
        record(value=json.dumps({**whole, "id": "2", "data": row(2, "structured")}).encode(), headers=mode),
        record(value=json.dumps({**whole, "id": "3", "data_base64": "eyJpZCI6MywibmFtZSI6ImJhc2U2NCJ9"}).encode(),
               headers=mode),
    )  # fmt: skip
    assert [each[:2] for each in it.route.rows()] == [(1, "binary"), (2, "structured"), (3, "base64")]


def test_the_tombstone_of_a_cloud_event_deletes_its_row(enveloped: MakeEnveloped) -> None:
    it = enveloped(Envelope.CLOUDEVENTS)
    headers: list[Header] = [("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_type", b"T"), ("ce_id", b"1")]
    it.write(record(value=json.dumps(row(1)).encode(), headers=headers))
    it.write(record(key=b"1", value=None))
    assert it.route.rows() == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.MERGE])
@pytest.mark.parametrize("extra", ["", " DEFAULT 'd'", " NOT NULL"])
def test_a_value_that_the_connector_could_not_read_leaves_its_column(
    enveloped: MakeEnveloped, together: bool, mode: TableMode, extra: str
) -> None:
    declared = f"id bigint PRIMARY KEY, name text{extra}, amount numeric"
    it = enveloped(declared=declared, mode=mode)
    records = [
        changed("c", row(1, "large", "1"), key=key(1), lsn=1),
        changed("u", row(1, UNAVAILABLE, "2"), key=key(1), lsn=2),
        changed("c", row(2, "other", "1"), key=key(2), lsn=3),
        changed("u", row(2, "larger", "2"), key=key(2), lsn=4),
        changed("u", row(2, UNAVAILABLE, None), key=key(2), lsn=5),
        changed("d", row(3), key=key(3), lsn=6),
    ]
    for part in [records] if together else [[each] for each in records]:
        it.write(*part)
    assert it.route.texts("id || name || coalesce(amount, 0)") == ["1large2", "2larger0"]


@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.MERGE, TableMode.UPDATE])
@pytest.mark.parametrize("together", [True, False])
def test_a_required_value_that_the_connector_could_not_read_leaves_its_column(
    enveloped: MakeEnveloped, mode: TableMode, together: bool
) -> None:
    columns = {**COLUMNS, "name": ColumnSource("/name", required=True)}
    it = enveloped(columns=columns, declared="id bigint PRIMARY KEY, name text NOT NULL, amount numeric", mode=mode)
    it.route.connection.execute(b"INSERT INTO t VALUES (1, 'large', 1)")
    records = [
        changed("u", row(1, UNAVAILABLE, "2"), key=key(1), lsn=2), changed("u", row(1, UNAVAILABLE, "3"), lsn=3)
    ]  # fmt: skip
    for part in [records] if together else [[each] for each in records]:
        it.write(*part)
    assert it.route.texts("name || amount") == ["large3"]
    assert 'column "name" from /name: no value' in it.refusal(changed("u", {"id": 1, "name": None}, lsn=4))


@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.MERGE])
@pytest.mark.parametrize("op", ["u", "c"])
def test_a_value_that_neither_the_connector_nor_the_table_has_is_refused(
    enveloped: MakeEnveloped, op: str, mode: TableMode
) -> None:
    it = enveloped(declared=f"{DECLARED}, CHECK (name <> '')", mode=mode)
    assert "the table has no row with this key" in it.refusal(changed(op, row(1, UNAVAILABLE)))
    assert it.route.rows() == []


@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.MERGE, TableMode.INSERT])
def test_a_value_that_no_column_takes_may_be_left_out(enveloped: MakeEnveloped, mode: TableMode) -> None:
    it = enveloped(columns={"id": "/id", "amount": "/amount"}, mode=mode)
    it.write(changed("u", row(1, UNAVAILABLE, "2")))
    assert it.route.texts("id || ' ' || amount") == ["1 2"]


def test_a_row_that_is_marked_as_deleted_has_no_value_to_keep(enveloped: MakeEnveloped) -> None:
    it = enveloped(declared=f"{DECLARED}, gone boolean", tombstones=Tombstones.MARK, deleted="gone")
    it.write(changed("c", row(1, "large"), key=key(1)), changed("d", row(1), key=key(1), lsn=2))
    assert "the table has no row with this key" in it.refusal(changed("u", row(1, UNAVAILABLE), lsn=3))


@pytest.mark.parametrize(("mode", "more"), [(TableMode.INSERT, {}), (TableMode.NEWEST, {"version": "amount"})])
def test_a_mode_that_writes_whole_rows_refuses_a_part_of_one(
    enveloped: MakeEnveloped, mode: TableMode, more: dict[str, Any]
) -> None:
    it = enveloped(mode=mode, tombstones=Tombstones.ERROR, **more)
    assert 'did not send "name"' in it.refusal(changed("u", row(1, UNAVAILABLE)))


def test_the_whole_value_is_the_change_itself(enveloped: MakeEnveloped) -> None:
    it = enveloped(declared="id bigint PRIMARY KEY, whole jsonb", columns={"id": "/id", "whole": "$value"})
    it.write(changed("c", row(1), key=key(1)))
    assert it.route.texts("whole ->> 'op'") == ["c"]


def test_the_sources_of_a_change_are_columns(enveloped: MakeEnveloped) -> None:
    it = enveloped(
        declared="id bigint PRIMARY KEY, op text, read_at timestamptz, was numeric, lsn bigint, made_at timestamptz",
        columns={
            "id": "/id", "op": "$op", "read_at": "$ts", "was": "$before:/amount", "lsn": "$source:/lsn",
            "made_at": ColumnSource("$source:/ts_ms", reading=Reading.EPOCH_MS),
        },
    )  # fmt: skip
    digits = "1.10000000000000000000000000000000000000001"
    value = change("u", lsn=77, ts_ms=1500, before=row(1, amount="WAS"), after=row(1))
    it.write(record(key=key(1), value=value.replace(b'"WAS"', digits.encode())))
    assert it.route.texts("op || ' ' || read_at || ' ' || was || ' ' || lsn || ' ' || made_at") == [
        f"u 1970-01-01 00:00:01.5+00 {digits} 77 1970-01-01 00:00:00.004+00"
    ]


def test_the_newest_change_by_its_place_in_the_log_wins(enveloped: MakeEnveloped) -> None:
    it = enveloped(
        declared="id bigint PRIMARY KEY, name text, lsn bigint",
        columns={"id": "/id", "name": "/name", "lsn": "$source:/lsn"},
        mode=TableMode.NEWEST, version="lsn", tombstones=Tombstones.ERROR,
    )  # fmt: skip
    it.write(changed("u", row(1, "b"), key=key(1), lsn=9), changed("u", row(1, "a"), key=key(1), lsn=3))
    it.write(changed("u", row(1, "c"), key=key(1), lsn=8))
    assert it.route.rows() == [(1, "b", 9)]


def test_the_attributes_of_a_cloud_event_are_columns(enveloped: MakeEnveloped) -> None:
    it = enveloped(
        Envelope.CLOUDEVENTS,
        declared="id bigint PRIMARY KEY, subject text, at timestamptz, missing text",
        columns={"id": "/id", "subject": "$ce:subject", "at": "$ce:time", "missing": "$ce:dataschema"},
    )
    whole = {"specversion": "1.0", "id": "2", "source": "s", "type": "T", "subject": "bücher"}
    value = json.dumps({**whole, "time": "2026-01-02T03:04:05Z", "data": row(1)}).encode()
    it.write(record(value=value, headers=[("content-type", b"application/cloudevents+json")]))
    assert it.route.texts("subject || ' ' || at || coalesce(missing, '!')") == ["bücher 2026-01-02 03:04:05+00!"]
