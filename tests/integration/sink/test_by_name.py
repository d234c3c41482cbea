"""Columns that are filled by their names, from Kafka to the table."""

from typing import Any

import pytest

from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
topic = "TOPIC"
{route}
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["id"]
columns_by_name = true
tombstones = "delete"
"""


def change(op: str, **rows: Any) -> Out:
    return Out(None, {"op": op, "before": None, "after": None, **rows, "source": {}, "ts_ms": 1})


def connect(row: dict[str, int]) -> dict[str, Any]:
    fields = [{"field": name, "type": "int64"} for name in row]
    return {"schema": {"type": "struct", "fields": fields}, "payload": row}


@pytest.mark.parametrize("format_", ["json", "connect-json"])
def test_rows_are_written_and_deleted(sink: Sink, format_: str) -> None:
    sink.sql('CREATE TABLE rows (id int PRIMARY KEY, "camelCase" int)')
    sink.configure(ROUTE.format(route=f'format = "{format_}"'))
    rows = [{"id": number, "camelCase": 10 * number} for number in range(4)]
    values = [connect(row) if format_ == "connect-json" else row for row in rows]
    sink.send(*(Out(number, value, key=str(number)) for number, value in enumerate(values)), Out(9, None, key="2"))
    sink.run()

    assert sink.sql("SELECT * FROM rows ORDER BY id") == [(0, 0), (1, 10), (3, 30)]
    assert sink.dead_letters() == []


def test_changes_of_debezium_move_and_delete_rows(sink: Sink) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, a int)")
    sink.configure(ROUTE.format(route='envelope = "debezium"\nevent_id = "coordinates"'))
    sink.send(
        *(change("c", after={"id": number, "a": number}) for number in range(4)),
        change("u", before={"id": 1, "a": 1}, after={"id": 11, "a": 2}),
        change("d", before={"id": 2, "a": 2}),
    )
    sink.run()

    assert sink.sql("SELECT * FROM rows ORDER BY id") == [(0, 0), (3, 3), (11, 2)]
    assert sink.dead_letters() == []
