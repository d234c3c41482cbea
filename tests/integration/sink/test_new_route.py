"""From a topic to rows: what `inbox new route` proposes fits the topic, and takes every event with its value."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.sink.running import Out, Sink

Take = Callable[..., dict[str, Any]]


@pytest.fixture
def take(sink: Sink, capsys: pytest.CaptureFixture[str]) -> Take:
    """Sends events, makes the table and the route of them, and runs the sink; every command has to succeed."""

    def take(*events: Out) -> dict[str, Any]:
        sink.send(*events)
        sink.configure("")
        capsys.readouterr()
        assert sink.command("new", "route", "--topic", sink.topic, "--table", "public.rows", "--execute", "--json") == 0
        assert sink.column("SELECT plan ->> 'table' FROM inbox.actions WHERE command = 'new route'") == ["public.rows"]
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        for command in (["migrate"], ["check"], ["run", "--until-end"], ["audit"]):
            assert sink.command(*command) == 0, capsys.readouterr()
        assert sink.dead_letters() == []
        return found

    return take


def test_updates_and_deletes_of_rows_that_their_key_names(sink: Sink, take: Take) -> None:
    """Camel case, SQL keywords, letters beyond ASCII, decimals as texts, epoch numbers, objects, absent members."""
    first = {
        "orderId": "a-1",
        "select": 1,
        "größe cm": 1.50,
        "%s": True,
        "xmin": 7,
        "amount": "9.90",
        "createdAt": 1_700_000_000_123,
        "lines": [{"sku": "x"}, {}],
        "note": "o'brien \\ %s",
    }
    take(
        Out(1, first, key="a-1"),
        Out(2, {**first, "orderId": "a-2", "amount": "10.00"}, key="a-2"),
        Out(3, {"orderId": "a-1", "amount": "0.10"}, key="a-1"),
        Out(4, None, key="a-2"),
        Out(5, {**first, "orderId": "a-3"}, key="a-3"),
    )

    rows = sink.sql(
        'SELECT order_id, "select", "größe_cm", "%%s", xmin_value, amount, created_at::text, lines, note'
        " FROM rows ORDER BY order_id"
    )
    assert [tuple(map(str, row)) for row in rows] == [
        ("a-1", "None", "None", "None", "None", "0.10", "None", "None", "None"),
        ("a-3", "1", "1.5", "True", "7", "9.90", "2023-11-14 22:13:20.123+00", "[{'sku': 'x'}, {}]", "o'brien \\ %s"),
    ]


def test_cloud_events_in_both_modes(sink: Sink, take: Take) -> None:
    attributes = {"specversion": "1.0", "source": "/shop", "type": "Placed"}
    structured = {**attributes, "id": "1", "datacontenttype": "application/json", "data": {"order": 1, "paid": True}}
    binary = {f"ce_{name}": text for name, text in attributes.items()}
    take(
        Out(None, structured, headers={"content-type": "application/cloudevents+json"}),
        Out(None, {"order": 2, "paid": False}, headers={**binary, "ce_id": "2", "content-type": "application/json"}),
        Out(None, {"order": 2, "paid": False}, headers={**binary, "ce_id": "2", "content-type": "application/json"}),
    )

    assert sink.sql('SELECT "order", paid FROM rows ORDER BY 1') == [(1, True), (2, False)]
    assert sink.endings() == {"applied": 2, "duplicate": 1}


def test_members_of_mixed_kinds_keep_each_value(sink: Sink, take: Take) -> None:
    values: list[Any] = [1, "one", True, None, {"a": {"b": [1.10]}}, [], {}, 12345678901234567890]
    found = take(*(Out(number, {"n": number, "mixed": value}) for number, value in enumerate(values)))

    assert "mixed: 2 objects, 1 whole numbers, 1 texts" in found["sql"]
    assert [row[0] for row in sink.sql("SELECT mixed FROM rows ORDER BY n")] == values


def test_a_webhook_without_a_key_adds_rows(sink: Sink, take: Take) -> None:
    deliveries = [f"6f9619ff-8b86-d011-b42d-00c04fc9640{number}" for number in (1, 2, 2)]
    body = {"action": "opened", "issue": {"title": "it's", "labels": []}, "created_at": "2026-01-01T10:00:00Z"}
    found = take(*(Out(None, body, headers={"X-GitHub-Delivery": each}) for each in deliveries[:2]))

    assert 'event_id = "header:X-GitHub-Delivery"' in found["route"]
    assert "no key was found" in found["route"]
    assert (
        sink.sql("SELECT action, issue->>'title', created_at::text FROM rows")
        == [("opened", "it's", "2026-01-01 10:00:00+00")] * 2
    )


def test_a_table_that_exists_is_left_alone(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    sink.sql("CREATE TABLE rows (id int)")
    sink.send(Out(1, {"id": 1}))
    sink.configure("# my words")

    assert sink.command("new", "route", "--topic", sink.topic, "--table", "public.rows", "--execute") == 3
    assert 'the table "public.rows" exists already and belongs to' in capsys.readouterr().err


def test_what_is_printed_is_sql_as_a_whole(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    sink.send(Out(1, {"id": 1, "secret": "sesame", 'a"b': None}))
    sink.configure("")
    capsys.readouterr()

    assert sink.command("new", "route", "--topic", sink.topic, "--table", "public.rows") == 0

    printed = capsys.readouterr().out
    assert "sesame" not in printed
    sink.sql(printed)
    assert sink.sql("SELECT * FROM rows") == []


def test_a_topic_that_says_nothing_is_refused(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    sink.configure("")

    assert sink.command("new", "route", "--topic", sink.topic) == 3
    assert "has no records" in capsys.readouterr().err
    assert sink.command("new", "route", "--topic", sink.topic + "s") == 3
    assert f'did you mean "{sink.topic}"?' in capsys.readouterr().err
