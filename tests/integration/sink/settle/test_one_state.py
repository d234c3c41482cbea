"""The database is corrected, or breaks, between two tries of one batch: no event is parked for that."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from inbox.errors import UnprovenError
from inbox.events import Event
from inbox.handlers import Transaction
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection
from tests.support.sink.judging import Judged, One, handler_route, table_route

EVENTS = 6
TRIES = range(1, 9)
"""The undone tries behind which the database changes. A batch of this many events needs fewer."""

GUARDED = """
CREATE TABLE t (id int, amount numeric);
CREATE TABLE allowed (); INSERT INTO allowed DEFAULT VALUES;
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.amount = 13 OR NOT EXISTS (SELECT FROM allowed) THEN RAISE 'no' USING ERRCODE = 'STATE'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judge BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION judge()
"""
FIX, BREAK = "INSERT INTO allowed DEFAULT VALUES", "DELETE FROM allowed"

PARTITIONED = "CREATE TABLE t (id int, amount int) PARTITION BY LIST (amount)"
STATES = ["P0001", "42501"]
"""A code that blames the event, and one that blames the database."""


@pytest.fixture
def connection(in_small_parts: Connection) -> Connection:
    return in_small_parts


Behind = Callable[[int, str], None]


@pytest.fixture(name="behind")
def behind_(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Behind:
    """Runs a statement on another connection behind a try that is undone: `behind(3, "CREATE TABLE ...")`."""
    undo = BatchTransaction.undo_step

    def arrange(number: int, statement: str) -> None:
        undone = 0

        def undo_and_change(transaction: BatchTransaction) -> None:
            nonlocal undone
            undo(transaction)
            undone += 1
            if undone == number:
                with psycopg.connect(database_url, autocommit=True) as other:
                    other.execute(statement.encode())

        monkeypatch.setattr(BatchTransaction, "undo_step", undo_and_change)

    return arrange


def batch(first: int, *, poison: int | None = None, amount: Any = 1) -> list[One]:
    numbers = range(first, first + EVENTS)
    return [One(number, {"id": number, "amount": 13 if number == poison else amount}) for number in numbers]


def insert(one: Event, tx: Transaction) -> None:
    document = one.json()
    tx.execute("INSERT INTO t (id, amount) VALUES (%s, %s)", (document["id"], document["amount"]))


def route_of(kind: str, connection: Connection, create: str) -> Judged:
    if kind == "table":
        return table_route(connection, create)
    connection.execute(create.encode(), prepare=False)
    return handler_route(connection, insert)


def settle_until_done(route: Judged, events: list[One]) -> None:
    for _ in range(3):
        try:
            route.settle(*events)
        except UnprovenError:
            continue
        return


def ids(route: Judged) -> list[int]:
    return [row for (row,) in route.rows("SELECT id FROM t ORDER BY id")]


@pytest.mark.parametrize("kind", ["table", "handler"])
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_partition_that_is_created_between_two_tries_parks_no_event(
    connection: Connection, behind: Behind, kind: str, warm: bool
) -> None:
    route = route_of(kind, connection, f"{PARTITIONED}; CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0)")
    if warm:
        route.settle(*batch(1001, amount=0))
    for number in TRIES:
        first = 100 * number
        behind(number, f"CREATE TABLE t_{number} PARTITION OF t FOR VALUES IN ({number})")
        settle_until_done(route, batch(first, amount=number))
        assert route.parked == [], f"created behind try {number}"
        route.sql(f"CREATE TABLE IF NOT EXISTS t_{number} PARTITION OF t FOR VALUES IN ({number})")
        settle_until_done(route, [] if first in ids(route) else batch(first, amount=number))
        assert set(range(first, first + EVENTS)) <= set(ids(route))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", ["table", "handler"])
def test_a_database_that_is_corrected_between_two_tries_parks_no_event(
    connection: Connection, behind: Behind, kind: str, state: str
) -> None:
    route = route_of(kind, connection, GUARDED.replace("STATE", state))
    route.settle(*batch(1))
    for number in TRIES:
        route.sql(BREAK)
        behind(number, FIX)
        settle_until_done(route, batch(100 * number))
        assert route.parked == [], f"corrected behind try {number}"
        route.sql(FIX)
        if 100 * number not in ids(route):
            settle_until_done(route, batch(100 * number))


@pytest.mark.parametrize(("kind", "state"), [("table", "P0001"), ("handler", "42501")])
@pytest.mark.parametrize("place", [0, 3, EVENTS - 1])
def test_a_database_that_breaks_between_two_tries_parks_only_what_was_poison_before(
    connection: Connection, behind: Behind, kind: str, state: str, place: int
) -> None:
    route = route_of(kind, connection, GUARDED.replace("STATE", state))
    route.settle(*batch(1))
    for number in TRIES:
        first, poison = 100 * number, 100 * number + place
        behind(number, BREAK)
        settle_until_done(route, batch(first, poison=poison))
        route.sql(FIX)
        if first + (place == 0) not in ids(route):
            settle_until_done(route, batch(first, poison=poison))
        assert route.parked[number - 1 :] == [poison], f"broken behind try {number}"
