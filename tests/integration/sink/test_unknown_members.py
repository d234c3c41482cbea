"""Members that fill no column, in each format and envelope: counted by name, or the reason of a dead letter."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from inbox.store.inbox.unknown_members import MOST_NAMES
from inbox.telemetry import REGISTRY
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

ROUTE = """
[[routes]]
name = "NAME"
topic = "TOPIC"
{route}
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["id"]
columns_by_name = true
unknown_members = "{unknown}"
{table}
"""

Route = Callable[..., Sink]


@pytest.fixture
def route(sink: Sink) -> Route:
    """A sink with one route into the table `rows (id, a)`."""

    def make(unknown: str, route: str = "", table: str = "") -> Sink:
        sink.sql("CREATE TABLE IF NOT EXISTS rows (id int PRIMARY KEY, a int)")
        sink.configure(ROUTE.replace("NAME", sink.name).format(route=route, unknown=unknown, table=table))
        return sink

    return make


def counts(sink: Sink) -> list[tuple[str, int]]:
    return sink.sql('SELECT member, sum(events)::int FROM inbox.unknown_members GROUP BY 1 ORDER BY member COLLATE "C"')


def metric(sink: Sink) -> float:
    return REGISTRY.get_sample_value("inbox_unknown_members_total", {"route": sink.name}) or 0


def connect(**row: Any) -> dict[str, Any]:
    fields = [{"field": name, "type": "int64", "optional": True} for name in row]
    return {"schema": {"type": "struct", "fields": fields}, "payload": row}


def test_unknown_members_are_counted_logged_once_and_shown(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    sink = route("count", 'event_id = "value:/eventId"')
    events = [{"eventId": f"e{n}", "id": n, "a": 1, "b": n, **({"c\n": {}} if n % 2 else {})} for n in range(10)]
    with capture_logs() as logs:
        sink.send(*(Out(None, event) for event in events[:5]))
        sink.run()
        sink.send(*(Out(None, event) for event in events[5:]))
        sink.run()

    assert counts(sink) == [("b", 10), ("c\\n", 5)]
    assert metric(sink) == 15
    lines = [each for each in logs if each["event"] == "unknown-members"]
    assert [(each["route"], each["members"]) for each in lines] == [(sink.name, ["b", "c\\n"])]
    capsys.readouterr()
    assert sink.command("status", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["unknown_members"]
    assert [(each["route"], each["member"], each["events"]) for each in shown] == [
        (sink.name, "b", 10),
        (sink.name, "c\\n", 5),
    ]
    assert sink.command("status") == 0
    line = f"route {sink.name}: members that fill no column (events): b (10), c\\n (5); last seen 20"
    assert line in capsys.readouterr().out


def test_a_member_is_known_as_soon_as_its_column_is_there(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    sink = route("count")
    sink.send(Out(0, {"id": 0, "b": 1}))
    with sink.running():
        eventually(lambda: counts(sink) == [("b", 1)])
        sink.sql("ALTER TABLE rows ADD COLUMN b int")
        sink.send(Out(1, {"id": 1, "b": 1}))
        eventually(lambda: sink.sql("SELECT count(*) FROM rows WHERE b = 1") == [(1,)])

    assert counts(sink) == [("b", 1)]
    capsys.readouterr()
    assert sink.command("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["unknown_members"] == []


def test_counts_are_those_of_the_events_that_took_effect(route: Route) -> None:
    """An event that is parked, a duplicate, and one that is replayed add nothing."""
    sink = route("count")
    sink.send(
        *(Out(n, {"id": n, "a": "x" if n == 3 else n, "b": 1}) for n in range(6)), Out(2, {"id": 2, "a": 2, "b": 1})
    )
    sink.run()
    assert sink.command("replay", "--topic", sink.topic, "--from-earliest", "--mode", "force", "--execute") == 0
    sink.run()

    assert counts(sink) == [("b", 5)]
    assert sink.dead_letters() == [(3, "parked")]


def test_a_retried_event_is_counted_and_logged(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    sink = route("count")
    sink.send(Out(0, {"id": 0, "a": "x", "b": 1}))
    sink.run()
    sink.sql("ALTER TABLE rows ALTER COLUMN a TYPE text")
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0

    assert counts(sink) == [("b", 1)]
    assert metric(sink) == 1
    assert '"members": ["b"], "event": "unknown-members"' in capsys.readouterr().err


def test_an_event_with_unknown_members_is_parked_alone(route: Route) -> None:
    sink = route("park")
    sink.send(*(Out(n, {"id": n, "a": n, **({"b": 1, "c": 2} if n == 3 else {})}) for n in range(8)))
    sink.run()

    assert sink.sql("SELECT count(*), min(a), max(a) FROM rows") == [(7, 0, 7)]
    assert sink.dead_letters() == [(3, "parked")]
    [(error,)] = sink.sql("SELECT error FROM inbox.dead_letters")
    assert error == (
        'members that fill no column: "b", "c"; add columns for them (inbox table plan), or set '
        'unknown_members = "count"'
    )
    sink.sql("ALTER TABLE rows ADD COLUMN b int, ADD COLUMN c int")
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert sink.sql("SELECT b, c FROM rows WHERE id = 3") == [(1, 2)]


@pytest.mark.parametrize("unknown", ["count", "park"])
def test_a_delete_has_no_unknown_members(route: Route, unknown: str) -> None:
    sink = route(unknown, table='tombstones = "delete"')
    sink.send(Out(0, {"id": 1}, key='{"id": 1, "other": 2}'), Out(1, None, key='{"id": 1, "other": 2}'))
    sink.run()

    assert sink.sql("SELECT * FROM rows") == []
    assert (counts(sink), sink.dead_letters()) == ([], [])


@pytest.mark.parametrize(("unknown", "expected"), [("count", ([("b", 2)], 0)), ("park", ([], 2))])
def test_decoded_rows(route: Route, unknown: str, expected: tuple[Any, int]) -> None:
    sink = route(unknown, 'format = "connect-json"')
    sink.send(*(Out(n, connect(id=n, a=1, **({"b": 2} if n % 2 else {}))) for n in range(4)))
    sink.run()

    assert (counts(sink), len(sink.dead_letters())) == expected


@pytest.mark.parametrize(("unknown", "expected"), [("count", ([("b", 2)], 0)), ("park", ([], 2))])
def test_rows_in_an_envelope(route: Route, unknown: str, expected: tuple[Any, int]) -> None:
    sink = route(unknown, 'envelope = "debezium"\nevent_id = "coordinates"')
    rows = [{"id": 1, "a": 1, "b": 1}, {"id": 2, "a": 1}, {"id": 3, "b": 1}]
    sink.send(*(Out(None, {"op": "c", "before": None, "after": row, "source": {}, "ts_ms": 1}) for row in rows))
    sink.run()

    assert (counts(sink), len(sink.dead_letters())) == expected


@pytest.mark.parametrize(("unknown", "expected"), [("count", ([("x", 1), ("y", 1)], [])), ("park", ([], [0]))])
def test_elements_of_an_array(route: Route, unknown: str, expected: tuple[Any, Any]) -> None:
    """The row is an element: a member is counted once for each event, and those of the whole event are not."""
    sink = route(unknown, table='for_each = "/lines"')
    sink.send(Out(0, {"order": 1, "lines": [{"id": 1, "x": 1}, {"id": 2, "x": 1, "y": 1}]}), Out(1, {"lines": []}))
    sink.run()

    assert (counts(sink), [offset for offset, _ in sink.dead_letters()]) == expected


def test_the_number_of_names_and_their_length_are_bounded(route: Route) -> None:
    sink = route("count")
    sink.send(*(Out(n, {"id": n, f"{n:03}" * 100: 1}) for n in range(70)))
    sink.run()

    found = counts(sink)
    assert len(found) == 1 + MOST_NAMES
    assert found[0] == ("", 70 - MOST_NAMES)
    assert {len(name) for name, _ in found} == {0, 100}


def test_a_member_that_is_read_or_skipped_is_known(sink: Sink) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, customer text, kept int)")
    columns = '[routes.table.columns]\ncustomer = "/customer/name"\nkept = { skip = true }'
    route = 'event_type = "value:/type"\nwhen = "value.kind == \'k\'"'
    sink.configure(ROUTE.format(unknown="park", route=route, table=columns))
    sink.send(Out(0, {"id": 1, "customer": {"name": "Ann", "age": 1}, "kept": 1, "type": "T", "kind": "k"}))
    sink.run()

    assert sink.sql("SELECT * FROM rows") == [(1, "Ann", None)]


def test_a_column_that_takes_the_whole_value_leaves_no_member_unknown(sink: Sink) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, document jsonb)")
    sink.configure(ROUTE.format(unknown="park", route="", table='[routes.table.columns]\ndocument = "$value"'))
    sink.send(Out(0, {"id": 1, "b": 1}))
    sink.run()

    assert sink.sql("SELECT document FROM rows") == [({"id": 1, "b": 1},)]
