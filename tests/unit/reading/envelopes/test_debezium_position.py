"""A change has one name by its place in the source's log, however often a connector sends it."""

from typing import Any

import pytest

import inbox.reading.envelopes.debezium_position as module
from inbox.errors import EventError
from inbox.reading.envelopes.debezium_position import position_of

POSTGRESQL: dict[str, Any] = {
    "version": "3.3.1.Final",
    "connector": "postgresql",
    "name": "shop",
    "ts_ms": 1_700_000_000_000,
    "snapshot": "false",
    "db": "shop",
    "sequence": '["101","205"]',
    "schema": "public",
    "table": "orders",
    "txId": 771,
    "lsn": 205,
    "xmin": None,
}
MYSQL: dict[str, Any] = {
    "connector": "mysql", "name": "shop", "db": "shop", "table": "orders", "server_id": 1,
    "gtid": None, "file": "mysql-bin.000003", "pos": 154, "row": 0, "thread": 7, "ts_ms": 5,
}  # fmt: skip


@pytest.mark.parametrize("field", ["lsn", "txId", "table", "schema", "db", "name"])
def test_another_place_or_table_is_another_change(field: str) -> None:
    other = {**POSTGRESQL, field: 999}
    assert position_of(other, "u") != position_of(POSTGRESQL, "u")


def test_the_operation_is_part_of_the_name() -> None:
    assert position_of(POSTGRESQL, "d") != position_of(POSTGRESQL, "c")


@pytest.mark.parametrize(("field", "value"), [("version", "3.5.0"), ("sequence", '[null,"205"]'), ("xmin", 7)])
def test_what_differs_when_a_connector_repeats_itself_is_not(field: str, value: object) -> None:
    assert position_of({**POSTGRESQL, field: value}, "u") == position_of(POSTGRESQL, "u")


@pytest.mark.parametrize("field", ["file", "pos", "row", "server_id"])
def test_the_rows_of_a_binlog_event_are_different_changes(field: str) -> None:
    assert position_of({**MYSQL, field: 9}, "c") != position_of(MYSQL, "c")


@pytest.mark.parametrize(
    "source",
    [
        {"connector": "mariadb", "file": "f", "pos": 4, "row": 1},
        {"connector": "sqlserver", "change_lsn": "a", "commit_lsn": "b", "event_serial_no": 1},
        {"connector": "db2", "change_lsn": "a", "commit_lsn": "b"},
        {"connector": "oracle", "scn": "1", "rs_id": "r", "ssn": 0},
        {"connector": "oracle", "scn": "1", "lcr_position": "p"},
    ],
)
def test_each_known_connector_has_a_position(source: dict[str, Any]) -> None:
    assert position_of(source, "u").startswith(f"u\nconnector={source['connector']}")


def test_a_second_snapshot_reads_a_row_as_another_event() -> None:
    again = {**POSTGRESQL, "snapshot": "true", "ts_ms": 1_700_000_999_000}
    assert position_of(again, "r") != position_of({**POSTGRESQL, "snapshot": "true"}, "r")


@pytest.mark.parametrize(
    ("source", "op", "text"),
    [
        (None, "u", 'no object "source"'),
        ({"connector": "cassandra"}, "u", "postgresql, mysql, mariadb, sqlserver, db2, oracle"),
        ({}, "u", "names another"),
        ({"connector": "postgresql", "lsn": 1}, "u", "lacks its place in the log; expected lsn, txId"),
        ({"connector": "oracle", "scn": "1"}, "u", "expected scn, lcr_position or scn, rs_id, ssn"),
        ({"connector": "postgresql"}, "r", "row read by a snapshot has none of lsn"),
    ],
)
def test_a_source_without_a_place_gives_no_id(source: Any, op: str, text: str) -> None:
    with pytest.raises(EventError, match=text):
        position_of(source, op)


SQL_SERVER = {
    "connector": "sqlserver", "name": "n", "db": "d", "schema": "s", "table": "t", "change_lsn": "a", "commit_lsn": "b",
    "event_serial_no": 1,
}  # fmt: skip


@pytest.mark.parametrize("source", [POSTGRESQL, MYSQL, SQL_SERVER])
def test_a_usual_source_has_the_position_that_its_fields_have_one_by_one(
    source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = [None, True, 1.0, 1, "", "%s", [1], {"a": None}, 2**70, "Grüße"]
    changed = [{**source, name: value} for name in (*source, "server_id", "schema") for value in odd]
    given = [source, *changed, *({k: v for k, v in source.items() if k != name} for name in source)]
    said = [_said(each) for each in given]
    assert module._usual_position(source, "u") is not None
    monkeypatch.setattr(module, "_usual_position", lambda source, op: None)
    assert said == [_said(each) for each in given]


def _said(source: dict[str, Any]) -> str:
    try:
        return position_of(source, "u")
    except EventError as error:
        return str(error)
