"""Elements of partial events, and changes that move a row's key, against slow, obvious models."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox.events import Record
from inbox.reading.options import Envelope
from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.postgres.connection import Connection
from tests.support.changes import changed
from tests.support.store.examples import one_example
from tests.support.store.read_routes import ReadRoute
from tests.support.store.sources import sources
from tests.support.store.table_routes import Route, of

few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = st.integers(1, 3)
VALUES = st.none() | st.integers(0, 9)

Row = dict[str, Any]

# Elements: `lines` is None where the event has none, and an element has those members that it gives.

Lines = list[Row]


class Order(NamedTuple):
    """An event with the lines of an order."""

    order_id: int
    lines: Lines | None

    def record(self, offset: int) -> Record:
        return of({"id": self.order_id, **({} if self.lines is None else {"lines": self.lines})}, offset)


elements = st.fixed_dictionaries({"no": KEYS}, optional={"a": VALUES, "b": VALUES})
orders = st.builds(Order, st.integers(1, 2), st.none() | st.lists(elements, max_size=4))
batches = st.lists(st.lists(orders, min_size=1, max_size=5), min_size=1, max_size=4)


def orders_by_hand(events: list[Order], *, replaces: bool, merges: bool) -> dict[tuple[int, int], Row]:
    """Return the rows that are left, one element after the other."""
    rows: dict[tuple[int, int], Row] = {}
    for event in events:
        if event.lines is None:
            continue
        if replaces:
            kept = {(event.order_id, line["no"]) for line in event.lines}
            rows = {at: row for at, row in rows.items() if at[0] != event.order_id or at in kept}
        for line in event.lines:
            at = (event.order_id, line["no"])
            there = rows.get(at, {"a": None, "b": 7}) if merges else {"a": None, "b": None}
            rows[at] = {**there, **{name: value for name, value in line.items() if name != "no"}}
    return rows


# With a trigger two elements of one row are a dead letter, except in `merge`.
@pytest.mark.parametrize(("mode", "trigger"), [("merge", False), ("merge", True), ("upsert", False)])
@pytest.mark.parametrize("replaces", [(), ("order_id",)], ids=["", "replaces"])
def test_elements_are_what_the_model_says(
    connection: Connection, mode: str, replaces: tuple[str, ...], trigger: bool
) -> None:
    connection.execute(b"CREATE TABLE t (order_id int, no int, a int, b int DEFAULT 7, PRIMARY KEY (order_id, no))")
    if trigger:
        _add_trigger(connection)
    columns = {"order_id": "$event:/id", "no": "/no", "a": "/a", "b": "/b"}
    it = Route(connection, columns, mode=TableMode(mode), key=("order_id", "no"), for_each="/lines", replaces=replaces)

    @few
    @given(batches)
    def check(written: list[list[Order]]) -> None:
        with one_example(connection, "t"):
            for batch in written:
                it.write(*[event.record(offset) for offset, event in enumerate(batch)])
            events = [event for batch in written for event in batch]
            expected = orders_by_hand(events, replaces=bool(replaces), merges=mode == "merge")
            assert sorted(it.rows()) == sorted((*at, row["a"], row["b"]) for at, row in expected.items())

    check()


# Changes: the rows of a source, and what a connector says of each change of them.


class Change(NamedTuple):
    """A change of the source: a row written under a key, which was another one before, or removed."""

    old: int
    new: int | None
    value: int | None


changes = st.builds(Change, KEYS, st.none() | KEYS, VALUES)


class Source:
    """A source table: each change is possible in it, and it knows what the connector sends."""

    def __init__(self) -> None:
        self.rows: dict[int, int | None] = {}

    def change(self, asked: Change, number: int) -> Record | None:
        """Make the change and return its event; None where the source would refuse it, or has nothing to remove."""
        old, new, value = asked
        before = {"id": old, "a": self.rows.get(old)}
        if new is None:
            if old not in self.rows:
                return None
            del self.rows[old]
            return _change("d", number, before=before)
        if old not in self.rows:
            self.rows[old] = value
            return _change("c", number, after={"id": old, "a": value})
        if new != old and new in self.rows:
            return None
        del self.rows[old]
        self.rows[new] = value
        return _change("u", number, before=before, after={"id": new, "a": value})


def _change(op: str, number: int, **rows: Row) -> Record:
    """Return an event of a connector whose records have another key than the table (`message.key.columns`)."""
    return changed(op, key=json.dumps({"shard": 1}).encode(), lsn=number + 1, offset=number, **rows)


@pytest.mark.parametrize("trigger", [False, True], ids=["", "with a trigger"])
@pytest.mark.parametrize(("mode", "tombstones"), [("upsert", Tombstones.DELETE), ("merge", Tombstones.MARK)])
def test_changes_that_move_keys_leave_the_rows_of_the_source(
    connection: Connection, mode: str, tombstones: Tombstones, trigger: bool
) -> None:
    connection.execute(b"CREATE TABLE t (id int PRIMARY KEY, a int, gone boolean)")
    if trigger:
        _add_trigger(connection)
    options: dict[str, Any] = {"mode": TableMode(mode), "key": ("id",), "tombstones": tombstones}
    options |= {"envelope": Envelope.DEBEZIUM}
    options |= {"deleted": "gone"} if tombstones is Tombstones.MARK else {}
    columns = {"id": "/id", "a": "/a"}
    route = Route(connection, columns, **options)
    it = ReadRoute(route, TableTarget(name="public.t", columns=sources(columns), **options), "auto")

    @few
    @given(st.lists(changes, max_size=16), st.integers(1, 16))
    def check(asked: list[Change], size: int) -> None:
        source = Source()
        events = [event for number, each in enumerate(asked) if (event := source.change(each, number)) is not None]
        with one_example(connection, "t"):
            for start in range(0, len(events), size):
                it.write(*events[start : start + size])
            found = {number: value for number, value, gone in route.rows() if not gone}
            assert found == source.rows

    check()


def _add_trigger(connection: Connection) -> None:
    """Let a trigger write each row as it is, so that events of one row never share a statement."""
    connection.execute(
        b"CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        b"CREATE TRIGGER same BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION same()"
    )
