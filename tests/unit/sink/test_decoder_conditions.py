"""Conditions of routes, as the decoder applies them: what is filtered, what is refused."""

from dataclasses import replace

from inbox.events import Record
from inbox.reading.options import Envelope
from inbox.sink.batch import RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from tests.support.changes import changed
from tests.support.records import record

ROUTE = Route(
    name="r",
    topics=("orders",),
    target=HandlerTarget(entry_point="h"),
    event_id="coordinates",
    when="value.amount > 100",
)


def taken(route: Route, *records: Record, largest_event: int = 10_000) -> RouteEvents:
    decoder = TopicDecoder("orders", None, [route], largest_event=largest_event)
    columns = decoder.new_columns()
    for each in records:
        decoder.add(each, columns.values())
    return columns[route.name]


def test_an_event_is_filtered_unless_its_condition_is_true() -> None:
    values = [b'{"amount": 101}', b'{"amount": 100}', b"{}", None]
    events = taken(ROUTE, *(record(number, value=value) for number, value in enumerate(values)))
    assert ([each.offset() for each in events.records], events.filtered, events.refused) == ([0], 3, {})


def test_a_condition_that_fails_parks_its_event() -> None:
    values = [b'{"amount": "x"}', b"no JSON", b'{"amount": 101}']
    events = taken(ROUTE, *(record(number, value=value) for number, value in enumerate(values)))
    assert (len(events.ids), events.filtered, sorted(events.refused)) == (3, 0, [0, 1])


def test_a_condition_on_headers_alone_reads_no_value() -> None:
    route = replace(ROUTE, when='headers.kind == "a"')
    events = taken(
        route,
        record(0, value=b"\xff", headers=[("kind", b"a")]),
        record(1, value=b"\xff", headers=[("kind", b"b")]),
    )
    assert (len(events.ids), events.filtered, events.refused) == (1, 1, {})


def test_an_event_that_is_too_large_is_parked_where_the_condition_needs_its_value() -> None:
    large = record(0, value=b'{"amount": 1}' + b" " * 2000)
    assert sorted(taken(ROUTE, large, largest_event=1000).refused) == [0]
    assert taken(replace(ROUTE, when='key == "x"'), large, largest_event=1000).filtered == 1


def test_a_condition_on_a_change_sees_its_row() -> None:
    route = replace(ROUTE, envelope=Envelope.DEBEZIUM, event_id="debezium", when="value.id == 1")
    assert len(taken(route, changed("c")).ids) == 1
    assert taken(replace(route, when="value.id == 2"), changed("c")).filtered == 1
