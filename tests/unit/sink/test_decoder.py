"""Which route takes which event, under which identity."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from inbox.events import Header, Record
from inbox.sink.batch import NO_ID, RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import TableMode, TableTarget, Tombstones
from tests.support.records import record
from tests.support.store.sources import sources

HANDLER = HandlerTarget(entry_point="h")
ONE, TWO = UUID(int=1), UUID(int=2)


def table(tombstones: Tombstones) -> TableTarget:
    return TableTarget(name="t", mode=TableMode.UPSERT, columns=sources({"a": "/a"}), key=("a",), tombstones=tombstones)


def by_header(**changes: object) -> Route:
    route = Route(name="r", topics=("orders",), target=HANDLER, event_id="header:id", event_type="header:type")
    return replace(route, **changes)  # type: ignore[arg-type]


def sorted_by(
    routes: Sequence[Route], *records: Record, topic: str = "orders", largest_event: int = sys.maxsize
) -> dict[str, RouteEvents]:
    decoder = TopicDecoder(topic, None, routes, largest_event=largest_event)
    columns = decoder.new_columns()
    for each in records:
        decoder.add(each, columns.values())
    return columns


def headers(event_id: UUID, event_type: str | None = None) -> list[Header]:
    return [("id", str(event_id).encode()), *([("type", event_type.encode())] if event_type else [])]


def refusals(events: RouteEvents) -> dict[int, str]:
    return {place: str(error) for place, error in events.refused.items()}


def test_every_route_that_matches_gets_the_event() -> None:
    it = record(headers=headers(ONE))
    columns = sorted_by([by_header(name="a"), by_header(name="b")], it)
    assert [events.records for events in columns.values()] == [[it], [it]]
    assert [events.ids for events in columns.values()] == [[ONE.bytes], [ONE.bytes]]


def test_a_route_of_other_topics_gets_no_column() -> None:
    routes = [
        by_header(name="a"),
        by_header(name="b", topics=("payments",)),
        by_header(name="c", topics=("x", "orders")),
    ]
    assert list(sorted_by(routes)) == ["a", "c"]


def test_an_event_of_another_type_is_filtered() -> None:
    columns = sorted_by(
        [by_header(types=frozenset({"A"}))], record(headers=headers(ONE, "A")), record(headers=headers(TWO, "B"))
    )
    assert (columns["r"].ids, columns["r"].types, columns["r"].filtered) == ([ONE.bytes], ["A"], 1)


def test_an_event_without_a_type_is_filtered_by_a_route_of_types() -> None:
    assert sorted_by([by_header(types=frozenset({"A"}))], record(headers=headers(ONE)))["r"].filtered == 1


def test_a_filtered_event_needs_no_id() -> None:
    columns = sorted_by([by_header(types=frozenset({"A"}))], record(headers=[("type", b"B")]))
    assert (columns["r"].filtered, columns["r"].refused) == (1, {})


def test_an_event_filtered_by_its_header_needs_no_value_that_is_json() -> None:
    route = by_header(event_id="value:/id", types=frozenset({"A"}))
    columns = sorted_by([route], record(headers=[("type", b"B")], value=b"\x00avro"))
    assert (columns["r"].filtered, refusals(columns["r"])) == (1, {})


def test_an_event_without_an_id_keeps_its_place_so_that_order_within_its_key_holds() -> None:
    columns = sorted_by([by_header()], record(0, headers=headers(ONE)), record(1), record(2, headers=headers(TWO)))
    assert columns["r"].ids == [ONE.bytes, NO_ID, TWO.bytes]
    assert refusals(columns["r"]) == {1: "no event id: the record has no header id"}
    assert [each.offset() for each in columns["r"].records] == [0, 1, 2]


def test_a_value_that_is_no_json_is_refused_by_those_that_need_it() -> None:
    routes = [by_header(name="a"), by_header(name="b", event_id="value:/id")]
    columns = sorted_by(routes, record(headers=headers(ONE), value=b"{"))
    assert refusals(columns["a"]) == {}
    assert list(columns["b"].refused) == [0]
    assert refusals(columns["b"])[0].startswith("the value is not valid JSON")


def test_the_id_may_be_in_the_value() -> None:
    columns = sorted_by([by_header(event_id="value:/id")], record(value=b'{"id": "%s"}' % str(ONE).encode()))
    assert columns["r"].ids == [ONE.bytes]


@pytest.mark.parametrize(("tombstones", "filtered"), [(Tombstones.DELETE, 0), (Tombstones.IGNORE, 1)])
def test_a_tombstone_is_deleted_or_ignored_as_the_table_route_says(tombstones: Tombstones, filtered: int) -> None:
    columns = sorted_by([by_header(target=table(tombstones))], record(headers=headers(ONE), value=None))
    assert (columns["r"].filtered, len(columns["r"].ids), columns["r"].refused) == (filtered, 1 - filtered, {})


def test_a_tombstone_that_a_table_route_does_not_expect_is_refused_under_its_id() -> None:
    columns = sorted_by([by_header(target=table(Tombstones.ERROR))], record(headers=headers(ONE), value=None))
    assert columns["r"].ids == [ONE.bytes]
    assert refusals(columns["r"])[0].startswith("a tombstone (null value), which this route does not expect")


def test_a_handler_gets_tombstones() -> None:
    columns = sorted_by([by_header()], record(headers=headers(ONE), value=None))
    assert (columns["r"].ids, columns["r"].refused) == ([ONE.bytes], {})


def test_a_json_null_is_no_tombstone() -> None:
    columns = sorted_by([by_header(target=table(Tombstones.IGNORE))], record(headers=headers(ONE), value=b"null"))
    assert columns["r"].ids == [ONE.bytes]


def test_a_type_that_is_not_utf8_is_refused() -> None:
    columns = sorted_by([by_header()], record(headers=[*headers(ONE), ("type", b"\xff")]))
    assert refusals(columns["r"]) == {0: "header type is not valid UTF-8"}


def test_an_event_that_is_too_large_is_refused_and_keeps_what_is_small() -> None:
    its_headers = headers(ONE, "made")
    it = record(17, key=b"k", value=bytes(10_000), headers=its_headers)
    events = sorted_by([by_header()], it, largest_event=9_999)["r"]
    [kept] = events.records
    assert (events.ids, events.types) == ([ONE.bytes], ["made"])
    assert (kept.offset(), kept.key(), kept.value(), kept.headers()) == (17, b"k", b"", its_headers)
    assert kept.timestamp() == it.timestamp()
    assert "more than [sink] largest_event (9999), so only the log has its value; to apply it" in refusals(events)[0]


def test_an_event_of_the_largest_size_is_taken() -> None:
    events = sorted_by([by_header(event_id="coordinates")], record(value=bytes(10_000)), largest_event=10_000)["r"]
    assert (len(events.records[0].value() or b""), events.refused) == (10_000, {})


@pytest.mark.parametrize("event_id", ["header:id", "value:/id", "key"])
@pytest.mark.parametrize(
    ("key", "its_headers", "missing"),
    [(bytes(10_000), [], "value and key"), (b"k", [("n" * 10_000, b"")], "value and headers")],
    ids=["key", "headers"],
)
def test_a_key_and_headers_that_are_too_large_are_not_kept_either(
    key: bytes, its_headers: list[Header], missing: str, event_id: str
) -> None:
    it = record(key=key, value=b"{}", headers=its_headers)
    events = sorted_by([by_header(event_id=event_id)], it, largest_event=10_000)["r"]
    [kept] = events.records
    assert len(kept.key() or b"") + len(kept.headers() or ()) <= 1
    assert f"only the log has its {missing};" in refusals(events)[0]


def test_an_event_of_another_type_is_filtered_however_large() -> None:
    it = record(value=bytes(10_000), headers=headers(ONE, "other"))
    events = sorted_by([by_header(types=frozenset(["made"]))], it, largest_event=1000)["r"]
    assert (events.filtered, events.records) == (1, [])


def test_a_type_in_a_value_that_is_too_large_is_not_looked_for() -> None:
    route = by_header(event_type="value:/type", types=frozenset(["made"]))
    events = sorted_by([route], record(value=b'{"type": "made", "id": "' + b"x" * 1000 + b'"}'), largest_event=1000)[
        "r"
    ]
    assert list(refusals(events)) == [0]


@pytest.mark.parametrize("tombstones", Tombstones)
def test_a_value_that_is_too_large_is_no_tombstone(tombstones: Tombstones) -> None:
    route = by_header(event_id="coordinates", target=table(tombstones))
    events = sorted_by([route], record(key=b"k", value=bytes(1001)), largest_event=1000)["r"]
    assert (events.filtered, len(events.refused), events.records[0].value()) == (0, 1, b"")
    assert "so only the log has its value" in refusals(events)[0]


def test_what_is_not_kept_is_not_counted() -> None:
    decoder = TopicDecoder("orders", None, [by_header()], largest_event=1000)
    columns = decoder.new_columns().values()
    assert decoder.add(record(key=b"four", value=bytes(100)), columns) == 104
    assert decoder.add(record(key=b"four", value=bytes(1000)), columns) == 4
