"""Routes with `for_each`: rows of an event's elements, and the rows that it no longer has."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox.errors import EventError
from inbox.events import Record
from inbox.reading.envelopes.debezium import UNAVAILABLE
from inbox.reading.options import Envelope, Format, FormatOptions, KeyFormat, Truncates
from inbox.store.options import TableMode, Tombstones
from inbox.store.postgres.connection import Connection
from tests.support.changes import changed
from tests.support.records import record
from tests.support.store.decoded_routes import typed
from tests.support.store.examples import one_example
from tests.support.store.read_routes import ReadRoute
from tests.support.store.table_routes import Route, of
from tests.unit.reading.formats.connect import decimal, schema, struct
from tests.unit.reading.formats.connect import record as connect_record

COLUMNS = {"order_id": "$event:/id", "number": "/no", "sku": "/sku", "position": "$index"}
TABLE = "CREATE TABLE t (order_id int, number int, sku text, position int, PRIMARY KEY (order_id, number))"
KEYED: dict[str, Any] = {"mode": TableMode.UPSERT, "key": ("order_id", "number"), "for_each": "/lines"}
REPLACING: dict[str, Any] = {**KEYED, "replaces": ("order_id",)}
TRIGGER = [
    "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER same BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION same()",
]

Make = Callable[..., Route]
Lines = list[tuple[int, str]]


@pytest.fixture(name="elements")
def elements_(connection: Connection) -> Make:
    """Makes a route with `for_each` over the table of an order's lines."""

    def make(*more: str, **changes: Any) -> Route:
        for statement in [TABLE, *more]:
            connection.execute(statement.encode())
        return Route(connection, changes.pop("columns", COLUMNS), **{**KEYED, **changes})

    return make


def order(number: int, *lines: tuple[int, str]) -> Record:
    return of({"id": number, "lines": [{"no": line, "sku": sku} for line, sku in lines]})


def test_each_element_is_a_row(elements: Make) -> None:
    route = elements()

    route.write(order(1, (10, "a"), (20, "b")), order(2), of({"id": 3}), of({"id": 4, "lines": None}))

    assert route.rows() == [(1, 10, "a", 0), (1, 20, "b", 1)]


def test_a_later_event_and_a_later_element_decide(elements: Make) -> None:
    route = elements()

    route.write(order(1, (10, "a"), (20, "b")), order(1, (20, "c"), (20, "d")))

    assert route.rows() == [(1, 10, "a", 0), (1, 20, "d", 1)]


def test_append_writes_each_element_in_order(connection: Connection) -> None:
    connection.execute(b"CREATE TABLE t (place serial, order_id int, number int, sku text, position int)")
    route = Route(connection, COLUMNS, for_each="/lines")

    route.write(order(1, (10, "a"), (20, "b")), order(2, (10, "c")))

    assert route.rows() == [(1, 1, 10, "a", 0), (2, 1, 20, "b", 1), (3, 2, 10, "c", 0)]


@pytest.mark.parametrize("more", [[], TRIGGER], ids=["", "with a trigger"])
def test_replaces_deletes_what_the_event_no_longer_has(elements: Make, more: list[str]) -> None:
    route = elements(*more, replaces=("order_id",))

    route.write(order(1, (10, "a"), (20, "b")), order(2, (10, "c")), order(3, (10, "d")))
    route.write(order(1, (20, "e"), (30, "f")), order(2), of({"id": 3}), order(1, (30, "g"), (40, "h")))

    assert route.rows() == [(1, 30, "g", 0), (1, 40, "h", 1), (3, 10, "d", 0)]


def test_a_tombstone_deletes_the_rows_of_its_event(elements: Make) -> None:
    route = elements(replaces=("order_id",), tombstones=Tombstones.DELETE)

    route.write(order(1, (10, "a")), order(2, (10, "b")), record(2, key=b"1", value=None), order(3, (10, "c")))
    route.write(record(0, key=b'{"id": 3}', value=None), order(3, (20, "d")))

    assert route.rows() == [(2, 10, "b", 0), (3, 20, "d", 0)]


def test_the_whole_value_is_that_of_the_event(connection: Connection) -> None:
    connection.execute(b"CREATE TABLE t (number int, kept jsonb, written json)")
    route = Route(connection, {"number": "/no", "kept": "$value", "written": "$value"}, for_each="/lines")

    route.write(of({"lines": [{"no": 10}]}))

    whole = {"lines": [{"no": 10}]}
    assert route.rows() == [(10, whole, whole)]


@pytest.mark.parametrize("replaces", [(), ("order_id",)], ids=["", "replacing"])
def test_a_member_of_the_key_is_that_of_each_element(connection: Connection, replaces: tuple[str, ...]) -> None:
    connection.execute(TABLE.encode())
    route = Route(connection, {**COLUMNS, "order_id": "$key:/id"}, replaces=replaces, **KEYED)

    route.write(of({"lines": [{"no": 10, "sku": "a"}, {"no": 20, "sku": "b"}]}, key=b'{"id": 7}'))

    assert route.rows() == [(7, 10, "a", 0), (7, 20, "b", 1)]
    assert "the key is not JSON" in route.refusal(of({"lines": []}, key=b"{"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"id": 1, "lines": {"no": 1}}, "for_each /lines: not an array of objects"),
        ({"id": 1, "lines": "x"}, "for_each /lines: not an array of objects"),
        ({"id": 1, "lines": [{"no": 1}, 5]}, "for_each /lines: not an array of objects"),
        ({"id": 1, "lines": [{"no": 1}, {"no": "x"}]}, 'column "number" from /no: a value that cannot be integer'),
        ({"id": 1, "lines": [{"no": 1}, {}]}, 'null value in column "number"'),
        ({"lines": [{"no": 1}]}, 'column "order_id"'),
    ],
)
@pytest.mark.parametrize("replaces", [(), ("order_id",)], ids=["", "replacing"])
def test_an_event_is_written_as_a_whole_or_refused(
    elements: Make, replaces: tuple[str, ...], document: Any, said: str
) -> None:
    route = elements(replaces=replaces)

    assert said in route.refusal(of(document))
    assert route.rows() == []


def test_an_event_that_names_no_rows_to_replace_is_refused(elements: Make) -> None:
    route = elements(replaces=("order_id",))

    assert 'column "order_id" from $event:/id: nothing' in route.refusal(of({"lines": []}))


def test_an_event_that_is_refused_deletes_nothing(elements: Make) -> None:
    route = elements("ALTER TABLE t ADD CHECK (sku <> 'bad')", replaces=("order_id",))
    route.write(order(1, (10, "a")))

    with pytest.raises(EventError):
        route.write(order(1, (20, "b"), (30, "bad")))

    assert route.rows() == [(1, 10, "a", 0)]


@pytest.mark.parametrize("more", [[], TRIGGER, ["ALTER TABLE t ALTER position SET NOT NULL"]], ids=["", "trigger", ""])
def test_elements_merge_one_after_the_other(elements: Make, more: list[str]) -> None:
    columns = {"order_id": "$event:/id", "number": "/no", "sku": "/sku", "position": "/at"}
    route = elements("ALTER TABLE t ALTER position SET DEFAULT 7", *more, columns=columns, mode=TableMode.MERGE)

    route.write(
        of({"id": 1, "lines": [{"no": 10, "sku": "a"}, {"no": 10, "at": 1}, {"no": 20, "sku": None}, {"no": 30}]}),
        of({"id": 1, "lines": [{"no": 10, "sku": "b"}, {"no": 20, "at": 2}]}),
    )

    assert route.rows() == [(1, 10, "b", 1), (1, 20, None, 2), (1, 30, None, 7)]


def test_merged_elements_replace_what_the_event_no_longer_has(elements: Make) -> None:
    columns = {"order_id": "$event:/id", "number": "/no", "sku": "/sku", "position": "/at"}
    route = elements(columns=columns, mode=TableMode.MERGE, replaces=("order_id",), tombstones=Tombstones.DELETE)

    route.write(order(1, (10, "a"), (20, "b")), order(2, (10, "c")), of({"id": 1, "lines": [{"no": 20, "at": 5}]}))

    assert route.rows() == [(1, 20, "b", 5), (2, 10, "c", None)]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.MERGE, TableMode.INSERT])
def test_rows_that_an_event_no_longer_has_are_marked(elements: Make, mode: TableMode, together: bool) -> None:
    route = elements(
        "ALTER TABLE t ADD gone timestamptz",
        mode=mode, replaces=("order_id",), tombstones=Tombstones.MARK, deleted="gone",
    )  # fmt: skip
    events = [
        order(1, (10, "a"), (20, "b")), order(2, (10, "c")), order(1, (20, "b"), (30, "d")),
        record(3, key=b'{"id": 2}', value=None), order(3, (10, "e")), order(3), order(3, (10, "f")),
    ]  # fmt: skip

    for part in [events] if together else [[each] for each in events]:
        route.write(*part)

    assert [(*row[:3], row[4] is None) for row in route.rows()] == [
        (1, 10, "a", False), (1, 20, "b", True), (1, 30, "d", True), (2, 10, "c", False), (3, 10, "f", True)
    ]  # fmt: skip


CHANGED: dict[str, Any] = {**REPLACING, "tombstones": Tombstones.DELETE, "envelope": Envelope.DEBEZIUM}


@pytest.mark.parametrize("write", [lambda lines: lines, json.dumps], ids=["array", "JSON text"])
def test_a_row_of_debezium_has_elements(elements: Make, write: Callable[[Any], Any]) -> None:
    it = read_by(elements(**CHANGED))

    def row(number: int, *lines: tuple[int, str]) -> dict[str, Any]:
        return {"id": number, "lines": write([{"no": line, "sku": sku} for line, sku in lines])}

    it.write(
        changed("c", row(1, (10, "a"), (20, "b")), key=b'{"id":1}', lsn=1),
        changed("c", row(2, (10, "c")), key=b'{"id":2}', lsn=2),
        changed("u", row(1, (20, "d")), key=b'{"id":1}', lsn=3),
        changed("d", {"id": 2}, key=b'{"id":2}', lsn=4),
        changed("u", {"id": 1, "lines": UNAVAILABLE}, key=b'{"id":1}', lsn=5),
    )

    assert it.route.rows() == [(1, 20, "d", 0)]
    [wrong] = it.read(changed("u", {"id": 1, "lines": "x"}, lsn=6))
    assert "for_each /lines: not an array of objects, or its JSON text" in it.route.refusal(wrong)
    [unsent] = it.read(changed("u", {"id": UNAVAILABLE, "lines": []}, lsn=6))
    assert 'the connector did not send "id"' in it.route.refusal(unsent)


def test_decoded_values_have_elements(connection: Connection) -> None:
    connection.execute(b"CREATE TABLE t (id int, day date, amount numeric(38,20), whole jsonb, PRIMARY KEY (id, day))")
    columns = {"id": "$event:/id", "day": "/day", "amount": "/amount", "whole": "$value"}
    changes: dict[str, Any] = {
        "mode": TableMode.UPSERT, "key": ("id", "day"), "for_each": "/lines", "replaces": ("id",),
        "tombstones": Tombstones.DELETE,
    }  # fmt: skip
    reads = FormatOptions(value=Format.CONNECT_JSON, key=KeyFormat.CONNECT_JSON, as_documents=True)
    route = Route(connection, columns, **changes)
    it = ReadRoute(route, route.writer._target, "coordinates", format=reads)
    line = struct(day=schema("int32", "io.debezium.time.Date"), amount=decimal(20))
    value = struct(id=schema("int32"), lines={"type": "array", "items": line, "optional": True})
    lines = [{"day": 1, "amount": b64encode(b"\x01").decode()}, {"day": 2, "amount": None}]
    key = connect_record(struct(id=schema("int32")), {"id": 2})

    it.write(typed(value, {"id": 1, "lines": lines}), typed(value, {"id": 2, "lines": lines}, 1))
    it.write(typed(value, {"id": 1, "lines": lines[:1]}, 2), record(3, key=key, value=None))

    whole = {"id": 1, "lines": [{"day": "1970-01-02", "amount": 1e-20}]}
    assert route.rows() == [(1, date(1970, 1, 2), Decimal("1e-20"), whole)]


def read_by(route: Route) -> ReadRoute:
    """Return the route with what reads its records."""
    return ReadRoute(route, route.writer._target, "auto", truncates=Truncates.APPLY)


def lines() -> st.SearchStrategy[Lines]:
    return st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc")), max_size=4)


@pytest.mark.parametrize(
    "more", [[], TRIGGER, ["ALTER TABLE t ALTER sku SET NOT NULL"]], ids=["", "trigger", "not null"]
)
@pytest.mark.parametrize("replaces", [(), ("order_id",)], ids=["", "replacing"])
@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.INSERT, TableMode.UPDATE])
def test_a_batch_is_what_its_events_are_one_by_one(
    elements: Make, connection: Connection, mode: TableMode, replaces: tuple[str, ...], more: list[str]
) -> None:
    deletes = Tombstones.DELETE if replaces else Tombstones.ERROR
    route = elements(*more, mode=mode, replaces=replaces, tombstones=deletes)
    many = st.tuples(st.integers(1, 3), lines() | st.none() if replaces else lines())

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(many, min_size=1, max_size=6))
    def check(events: list[tuple[int, Lines | None]]) -> None:
        if more and more is TRIGGER:  # the table may refuse a row that another element replaces
            events = [(number, list(dict(found).items()) if found else found) for number, found in events]
        records = [
            record(
                index,
                key=json.dumps({"id": number}).encode(),
                value=None if found is None else order(number, *found).value(),
            )
            for index, (number, found) in enumerate(events)
        ]
        results = []
        for batches in ([records], [[each] for each in records]):
            with one_example(connection, "t"):
                connection.execute(b"INSERT INTO t VALUES (1, 1, 'z', 9), (2, 2, 'z', 9)")
                for batch in batches:
                    route.write(*batch)
                results.append(sorted(route.rows()))
        assert results[0] == results[1] == expected(mode, bool(replaces), events)

    check()


def expected(mode: TableMode, replaces: bool, events: list[tuple[int, Lines | None]]) -> list[tuple[Any, ...]]:
    """Return the rows by a slow model."""
    there = {(1, 1): ("z", 9), (2, 2): ("z", 9)}
    for number, found in events:
        if replaces:
            kept = {(number, line) for line, _ in found or ()}
            there = {key: row for key, row in there.items() if key[0] != number or key in kept}
        for position, (line, sku) in enumerate(found or ()):
            key = (number, line)
            if mode is TableMode.UPSERT or (key in there) == (mode is TableMode.UPDATE):
                there[key] = (sku, position)
    return [(*key, *there[key]) for key in sorted(there)]
