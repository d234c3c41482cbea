"""Each event is judged by itself, in order: how events are cut into batches decides nothing."""

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from inbox.errors import EventError, StartupError, TryAgainError
from inbox.events import Event
from inbox.failure_policy import Order
from inbox.handlers import Transaction
from inbox.sink.settle.effects import TableEffect
from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.postgres.connection import Connection
from inbox.store.tables.writer import TableWriter
from tests.support.sink.judging import Judged, One, handler_route, table_route
from tests.support.store.sources import sources

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


@pytest.fixture
def connection(in_small_parts: Connection) -> Connection:
    return in_small_parts


def target(mode: TableMode) -> TableTarget:
    deletes = mode in (TableMode.UPSERT, TableMode.INSERT)
    return TableTarget(
        name="public.t",
        mode=mode,
        columns=sources(COLUMNS),
        key=() if mode is TableMode.APPEND else ("id",),
        version="version" if mode is TableMode.NEWEST else None,
        tombstones=Tombstones.DELETE if deletes else Tombstones.ERROR,
    )


def settled(
    connection: Connection, writer: TableWriter, order: Order, events: Sequence[tuple[int, Any]], way: Way
) -> tuple[list[Any], list[int], list[int]]:
    """The rows, the places of the events that are parked, and of those that wait."""
    connection.execute("DELETE FROM t")
    effect = TableEffect(connection, writer)
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
def test_how_events_are_cut_into_batches_decides_nothing(connection: Connection, create: str) -> None:
    connection.execute(create.encode(), prepare=False)
    modes = [TableMode.INSERT, TableMode.UPSERT, TableMode.NEWEST]
    writers = {mode: TableWriter(connection, target(mode)) for mode in modes}

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(EVENTS, st.sampled_from(modes), st.sampled_from(ORDERS), WAYS)
    def check(events: list[tuple[int, Any]], mode: TableMode, order: Order, way: Way) -> None:
        if mode is TableMode.NEWEST:
            events = [each for each in events if each[1] is not None]
        expected = settled(connection, writers[mode], order, events, ONE_BY_ONE)
        assert settled(connection, writers[mode], order, events, way) == expected

    check()


@pytest.mark.parametrize("create", [TABLES["a condition"], TABLES["a trigger"], TABLES["not null"]])
@pytest.mark.parametrize("careful", [True, False])
@pytest.mark.parametrize("tombstone", [True, False])
def test_an_event_that_a_later_one_of_its_row_would_mend_is_parked(
    connection: Connection, create: str, careful: bool, tombstone: bool
) -> None:
    bad = {"amount": 1, "note": None} if "NOT NULL" in create else {"amount": 13, "note": "a"}
    events = [(1, {**bad, "version": 0}), (1, None if tombstone else {"amount": 1, "note": "a", "version": 0})]
    connection.execute(create.encode(), prepare=False)
    writer = TableWriter(connection, target(TableMode.UPSERT))
    found = settled(connection, writer, Order.KEY, events, Way((2,), careful=careful))
    assert found[1:] == ([1], [2])
    assert [row[0] for row in found[0]] == [99]


@pytest.mark.parametrize("careful", [True, False])
def test_many_events_of_one_row_are_written_one_after_the_other_where_a_trigger_judges_them(
    connection: Connection, careful: bool
) -> None:
    create = TABLES["a trigger that compares with the row before"]
    route = table_route(
        connection, create, careful=careful, mode=TableMode.UPSERT, key=("id",), columns=sources(COLUMNS)
    )
    rising = [One(n, {"id": 1, "amount": n, "note": "a", "version": n}, key="1") for n in range(1, 41)]
    route.settle(One(100, {"id": 2, "amount": 1}))
    route.settle(*rising)
    assert route.parked == []
    assert route.rows("SELECT amount FROM t WHERE id = 1") == [(40,)]


def test_a_table_of_types_alone_and_one_with_conditions_are_written_in_one_statement(
    connection: Connection,
) -> None:
    for create, rounds in (
        (TABLES["nothing but types"], False),
        (TABLES["a condition"], False),
        (TABLES["a trigger"], True),
    ):
        connection.execute(f"DROP TABLE IF EXISTS t; {create}".encode(), prepare=False)
        writer = TableWriter(connection, target(TableMode.UPSERT))
        assert (writer._statements.rounds is not None) is rounds


KEYS = {
    "a number that is rounded": ("numeric(10, 2)", ["1.001", "1.00", "1.004"]),
    "a number in hundreds": ("numeric(4, -2)", ["149", "100", "101"]),
    "a time without fractions": ("timestamp(0)", [f"2024-01-01T00:00:00.{part}" for part in (1, 0, 2)]),
    "a text without the blanks at its end": ("varchar(3)", ["abc", "abc  ", "abc "]),
    "a text of any case": ("text COLLATE caseless", ["a", "A", "a"]),
    "a domain over a text of any case": ("caseless_text", ["a", "A", "a"]),
    "a row whose key a trigger writes in small letters": ("text", ["a", "A", "a"]),
}
CASELESS = """
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN caseless_text AS text COLLATE caseless;
"""
SMALL_LETTERS = """
CREATE FUNCTION lowered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := lower(NEW.id); RETURN NEW; END $$;
CREATE TRIGGER lowered BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION lowered()
"""
OF_ONE_ROW = {
    "the first is kept": (TableMode.INSERT, [0, 1, 2], [0]),
    "the last is kept": (TableMode.UPSERT, [0, 1, 2], [2]),
    "a tombstone deletes what came before it": (TableMode.UPSERT, [0, -1, 2], [2]),
    "a tombstone at the end deletes all": (TableMode.INSERT, [1, 2, -1], []),
}


@pytest.mark.parametrize(("key", "spellings"), KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(("mode", "events", "kept"), OF_ONE_ROW.values(), ids=OF_ONE_ROW)
@pytest.mark.parametrize("size", [1, 3])
def test_events_are_of_one_row_where_the_table_stores_one_key(
    connection: Connection,
    key: str,
    spellings: list[str],
    mode: TableMode,
    events: list[int],
    kept: list[int],
    size: int,
) -> None:
    lowered = spellings[1] == "A" and key == "text"
    create = f"{CASELESS} CREATE TABLE t (id {key} PRIMARY KEY, amount int); {SMALL_LETTERS if lowered else ''}"
    route = table_route(connection, create, mode=mode, key=("id",), tombstones=Tombstones.DELETE)
    route.expect_the_best()
    batch = [
        One(1 + at, {"id": spellings[at], "amount": at}, key=f"of {at}")
        if at >= 0
        # The trigger does not see a tombstone.
        else One(9, None, key=spellings[0] if lowered else spellings[1])
        for at in events
    ]
    for start in range(0, len(batch), size):
        route.settle(*batch[start : start + size])
    assert (route.rows("SELECT amount FROM t"), route.parked) == ([(at,) for at in kept], [])


@pytest.mark.parametrize("size", [1, 2])
def test_two_versions_that_the_table_stores_as_one_are_one(connection: Connection, size: int) -> None:
    create = "CREATE TABLE t (id int PRIMARY KEY, amount int, version numeric(10, 2))"
    columns = {"id": "/id", "amount": "/amount", "version": "/version"}
    route = table_route(connection, create, mode=TableMode.NEWEST, key=("id",), version="version", columns=columns)
    batch = [One(n, {"id": 1, "amount": n, "version": version}, key="1") for n, version in ((1, 1.001), (2, 1.004))]
    for start in range(0, len(batch), size):
        route.settle(*batch[start : start + size])
    assert route.rows("SELECT amount FROM t") == [(1,)]


@pytest.mark.parametrize(
    ("rule", "mode"),
    [("INSERT", TableMode.INSERT), ("UPDATE", TableMode.UPSERT), ("DELETE", TableMode.UPSERT)],
)
@pytest.mark.parametrize("what", ["INSTEAD NOTHING", "ALSO NOTIFY t"])
def test_a_rule_that_the_routes_statements_cannot_pass_is_refused_at_the_start(
    connection: Connection, rule: str, mode: TableMode, what: str
) -> None:
    create = f"CREATE TABLE t (id int PRIMARY KEY, amount int); CREATE RULE r AS ON {rule} TO t DO {what}"
    with pytest.raises(StartupError, match=f"has a rule on {rule}"):
        table_route(connection, create, mode=mode, key=("id",), tombstones=Tombstones.DELETE)


def test_a_handler_may_rely_on_a_deferrable_constraint_that_is_checked_at_once(connection: Connection) -> None:
    connection.execute(
        b"CREATE TABLE t (id int CONSTRAINT once UNIQUE DEFERRABLE INITIALLY IMMEDIATE); CREATE TABLE again (id int);"
        b"CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE s (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        prepare=False,
    )

    def handler(event: Event, tx: Transaction) -> None:
        number = event.json()
        if number == 13:
            raise EventError("no")
        try:
            with tx.connection.begin_nested():
                tx.connection.exec_driver_sql("INSERT INTO t VALUES (%s)", (number,))
        except IntegrityError:
            tx.connection.exec_driver_sql("INSERT INTO again VALUES (%s)", (number,))

    route = handler_route(connection, handler)
    for first in (1, 11):
        # The event that is parked is undone by itself, with a check of the constraints behind its neighbours.
        route.settle(*(One(first + at, number) for at, number in enumerate((first, 13, first, first + 1, first + 1))))
    assert route.parked == [2, 12]
    assert route.rows("SELECT id FROM again ORDER BY id") == [(1,), (2,), (11,), (12,)]


def test_a_deferred_constraint_that_is_added_while_the_sink_runs_parks_its_event_alone(
    connection: Connection,
) -> None:
    connection.execute(b"CREATE TABLE amounts AS SELECT 1 AS amount; CREATE TABLE t (amount int)", prepare=False)

    def handler(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO t VALUES (%s)", (event.json(),))

    route = handler_route(connection, handler)
    route.settle(One(1, 1))
    route.sql("ALTER TABLE amounts ADD PRIMARY KEY (amount)")
    route.sql("ALTER TABLE t ADD FOREIGN KEY (amount) REFERENCES amounts DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(TryAgainError, match="COMMIT did not succeed"):
        route.settle(One(2, 13), One(3, 1))
    route.settle(One(2, 13), One(3, 1))
    assert (route.parked, route.rows("TABLE t")) == ([2], [(1,), (1,)])


def test_a_constraint_that_is_dropped_while_the_sink_runs_costs_one_try(connection: Connection) -> None:
    route = table_route(connection, "CREATE TABLE t (id int CONSTRAINT c UNIQUE DEFERRABLE, amount int)")
    route.settle(One(1, {"id": 1, "amount": 1}))
    route.sql("ALTER TABLE t DROP CONSTRAINT c")
    with suppress(TryAgainError):
        route.settle(One(2, {"id": 1, "amount": 1}))
    route.settle(One(3, {"id": 1, "amount": 1}))
    assert route.parked == []
