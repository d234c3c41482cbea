"""Each event is judged by itself, in order: how events are cut into batches decides nothing."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from inbox.policy import Order
from inbox.sink import at_once
from inbox.sink.apply import TableEffect
from inbox.store.database import SinkConnection, connect
from inbox.store.options import DatabaseOptions, TableMode, TableTarget, Tombstones
from inbox.store.tables import TableWriter
from tests.integration.sink.judging import Judged, One, table_route

COLUMNS = {"id": "/id", "amount": "/amount", "note": "/note", "version": "/version"}
PLAIN = "id int PRIMARY KEY, amount numeric, note text, version int"


def table(columns: str = PLAIN, more: str = "") -> str:
    return f"CREATE TABLE t ({columns}); {more}"


def trigger(condition: str) -> str:
    return f"""
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF {condition} THEN RAISE 'no'; END IF; RETURN NEW; END $$;
CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION judge()
"""


TABLES = {
    "nothing but types": table(),
    "a condition": table(f"{PLAIN}, CHECK (amount <> 13)"),
    "not null": table(PLAIN.replace("note text", "note text NOT NULL")),
    "a condition on a rounded value": table(PLAIN.replace("amount numeric", "amount numeric(6, 1) CHECK (amount > 0)")),
    "a condition on the whole row": table(
        more="CREATE FUNCTION ok(t) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.amount <> 13';"
        "ALTER TABLE t ADD CHECK (ok(t.*))"
    ),
    "a condition on another column": table(f"{PLAIN}, other int DEFAULT 13, CHECK (amount <> other)"),
    "a trigger": table(more=trigger("NEW.amount = 13")),
    "a trigger that compares with the row before": table(more=trigger("TG_OP = 'UPDATE' AND NEW.amount < OLD.amount")),
    "another unique column": table(PLAIN.replace("note text", "note text UNIQUE")),
    "a generated column": table(f"{PLAIN}, share numeric GENERATED ALWAYS AS (100 / (amount - 13)) STORED"),
    "a domain": "CREATE DOMAIN fine AS numeric CHECK (VALUE <> 13);" + table(PLAIN.replace("numeric", "fine")),
}

EVENTS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.none()
        | st.fixed_dictionaries(
            {
                "amount": st.sampled_from([1, 2, 3, 13, 0.01, "x"]),
                "note": st.sampled_from(["a", "b", "c", None]),
                "version": st.integers(0, 3),
            }
        ),
    ),
    min_size=1,
    max_size=9,
)


@dataclass(frozen=True)
class Way:
    """How a list of events is settled."""

    sizes: Sequence[int]
    careful: bool


WAYS = st.builds(Way, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), careful=st.booleans())
ORDERS = [Order.KEY, Order.NONE]
ONE_BY_ONE = Way((1,), careful=True)

_numbers = itertools.count(1000)


@pytest.fixture(name="connection")
def connection_(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SinkConnection]:
    """As a worker has it; flights are cut into parts of one, two and two events."""
    monkeypatch.setattr(at_once, "_FIRST_PART", 1)
    monkeypatch.setattr(at_once, "_PART", 2)
    with closing(connect(DatabaseOptions(url=SecretStr(database_url)))) as connection:
        yield connection


def target(mode: TableMode) -> TableTarget:
    deletes = mode in (TableMode.UPSERT, TableMode.INSERT)
    return TableTarget(
        name="public.t",
        mode=mode,
        columns=COLUMNS,
        key=() if mode is TableMode.APPEND else ("id",),
        version="version" if mode is TableMode.NEWEST else None,
        tombstones=Tombstones.DELETE if deletes else Tombstones.ERROR,
    )


def settled(
    connection: SinkConnection, mode: TableMode, order: Order, events: Sequence[tuple[int, Any]], way: Way
) -> tuple[list[Any], list[int], list[int]]:
    """The rows, the places of the events that are parked, and of those that wait."""
    connection.execute("TRUNCATE t")
    effect = TableEffect(TableWriter(connection, target(mode)))
    route = Judged(connection, effect, handlers=False, careful=way.careful, order=order)
    first = next(_numbers)
    good = {"id": 99, "amount": 5, "note": "good", "version": 1}
    route.settle(One(first, good, key="99"))
    batch = [
        One(next(_numbers), None if document is None else {"id": key, **document}, key=str(key))
        for key, document in events
    ]
    rest, sizes = batch, itertools.cycle(way.sizes)
    while rest:
        size = next(sizes)
        if not way.careful:
            route.expect_the_best()
        route.settle(*rest[:size])
        rest = rest[size:]
    names = ", ".join(COLUMNS)
    rows = route.rows(f"SELECT {names} FROM t ORDER BY {names}")  # noqa: S608
    return list(rows), [n - first for n in route.parked], [n - first for n in route.waiting]


@pytest.mark.parametrize("create", TABLES.values(), ids=TABLES)
def test_how_events_are_cut_into_batches_decides_nothing(connection: SinkConnection, create: str) -> None:
    connection.execute(create.encode(), prepare=False)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        EVENTS, st.sampled_from([TableMode.INSERT, TableMode.UPSERT, TableMode.NEWEST]), st.sampled_from(ORDERS), WAYS
    )
    def check(events: list[tuple[int, Any]], mode: TableMode, order: Order, way: Way) -> None:
        if mode is TableMode.NEWEST:
            events = [each for each in events if each[1] is not None]
        expected = settled(connection, mode, order, events, ONE_BY_ONE)
        assert settled(connection, mode, order, events, way) == expected

    check()


@pytest.mark.parametrize("create", [TABLES["a condition"], TABLES["a trigger"], TABLES["not null"]])
@pytest.mark.parametrize("careful", [True, False])
@pytest.mark.parametrize("tombstone", [True, False])
def test_an_event_that_a_later_one_of_its_row_would_mend_is_parked(
    connection: SinkConnection, create: str, careful: bool, tombstone: bool
) -> None:
    bad = {"amount": 1, "note": None} if "NOT NULL" in create else {"amount": 13, "note": "a"}
    events = [(1, {**bad, "version": 0}), (1, None if tombstone else {"amount": 1, "note": "a", "version": 0})]
    connection.execute(create.encode(), prepare=False)
    found = settled(connection, TableMode.UPSERT, Order.KEY, events, Way((2,), careful=careful))
    assert found[1:] == ([1], [2])
    assert [row[0] for row in found[0]] == [99]


@pytest.mark.parametrize("careful", [True, False])
def test_many_events_of_one_row_are_written_one_after_the_other_where_a_trigger_judges_them(
    connection: SinkConnection, careful: bool
) -> None:
    create = TABLES["a trigger that compares with the row before"]
    route = table_route(connection, create, careful=careful, mode=TableMode.UPSERT, key=("id",), columns=COLUMNS)
    rising = [One(n, {"id": 1, "amount": n, "note": "a", "version": n}, key="1") for n in range(1, 41)]
    route.settle(One(100, {"id": 2, "amount": 1}))
    route.settle(*rising)
    assert route.parked == []
    assert route.rows("SELECT amount FROM t WHERE id = 1") == [(40,)]


def test_a_table_of_types_alone_and_one_with_conditions_are_written_in_one_statement(
    connection: SinkConnection,
) -> None:
    for create, rounds in (
        (TABLES["nothing but types"], False),
        (TABLES["a condition"], False),
        (TABLES["a trigger"], True),
    ):
        connection.execute(f"DROP TABLE IF EXISTS t; {create}".encode(), prepare=False)
        writer = TableWriter(connection, target(TableMode.UPSERT))
        assert (writer._statements.rounds is not None) is rounds
