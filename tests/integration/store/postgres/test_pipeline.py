"""What is sent without waiting, beside psycopg's own cursors."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from inbox.store.postgres.connection import SinkConnection
from inbox.store.postgres.pipeline import Flight
from tests.support.waiting import eventually

PREPARED = "SELECT name FROM pg_prepared_statements WHERE name LIKE 'inbox\\_%'"


@pytest.fixture(name="connection")
def in_a_transaction(connection: SinkConnection) -> Iterator[SinkConnection]:
    connection.execute("BEGIN")
    connection.execute("CREATE TEMPORARY TABLE effects (position serial, event int UNIQUE, note text) ON COMMIT DROP")
    yield connection
    with suppress(Exception):
        connection.rollback()


@pytest.fixture(name="flight")
def flight_(connection: SinkConnection) -> Flight:
    return Flight(connection)


def send(flight: Flight, query: str, parameters: Any = None) -> None:
    statement = flight.taken(query, parameters)
    assert statement is not None
    flight.send(statement, parameters)


def fetch(flight: Flight, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    statement = flight.taken(query, parameters)
    assert statement is not None
    return flight.fetch(statement, parameters)


def insert(flight: Flight, *events: int) -> None:
    for event in events:
        send(flight, "INSERT INTO effects (event) VALUES (%s)", (event,))


def effects(connection: SinkConnection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT event FROM effects ORDER BY position")]


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("SELECT 1", None),
        ("SELECT 1 WHERE 'ab' LIKE 'a%'", None),
        ("SELECT 5 %% 3, %s::int", (7,)),
        ("SELECT %s, %s, %s", (1, 100_000, 2**40)),
        ("SELECT %(b)s::text, %(a)s::int, %(b)s::text", {"a": 1, "b": "x", "unused": 3}),
        ("SELECT %s, %s::numeric, %s", [True, Decimal("1.50"), b"\x00\xff"]),
        ("SELECT %s, %s", (datetime(2026, 1, 1, tzinfo=UTC), UUID(int=7))),
        ("SELECT %s::int[], %s::jsonb", ([1, 2], Jsonb({"a": [1.5]}))),
        ("SELECT %s::text, %s::int", (None, None)),
        ("SELECT 'é', %s", ("ü\U0001f600",)),
        ("SELECT generate_series(1, 3)", ()),
        ("SELECT 1 WHERE false", None),
    ],
)
def test_rows_are_those_of_a_cursor(connection: SinkConnection, flight: Flight, query: str, parameters: Any) -> None:
    wanted = connection.cursor().execute(query, parameters).fetchall()  # type: ignore[arg-type]
    for _ in range(8):
        assert fetch(flight, query, parameters) == wanted
    flight.land()


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("SELECT %b", (b"x",)),
        ("SELECT %s, %(a)s", (1,)),
        ("SELECT %s", (1, 2)),
        ("SELECT %(a)s", {"b": 1}),
        ("SELECT %(a)s", (1,)),
        ("SELECT %s", {"a": 1}),
        ("SELECT % ", (1,)),
        ("SELECT %", (1,)),
        ("ALTER TABLE effects ADD more int", None),
        ("COPY effects TO STDOUT", None),
        ("DISCARD ALL", None),
    ],
)
def test_what_psycopg_shall_judge_is_left_to_it(flight: Flight, query: str, parameters: Any) -> None:
    assert flight.taken(query, parameters) is None


def test_statements_keep_their_order_and_are_all_in_when_it_landed(connection: SinkConnection, flight: Flight) -> None:
    insert(flight, *range(500))
    assert fetch(flight, "SELECT count(*) FROM effects") == [(500,)]
    send(flight, "INSERT INTO effects (event) VALUES (%(event)s)", {"event": 500})
    flight.land()
    assert effects(connection) == list(range(501))


def test_much_in_both_directions_does_not_get_stuck(flight: Flight) -> None:
    for _ in range(60):
        send(flight, "SELECT repeat('x', 1000000), %s::text", ("y" * 1_000_000,))
    flight.land()


def test_the_first_failure_is_told_and_nothing_is_sent_after_it(connection: SinkConnection, flight: Flight) -> None:
    connection.execute("SAVEPOINT before")
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(flight, *range(40), 7, *range(100, 100_000))
    with pytest.raises(psycopg.errors.PipelineAborted):
        insert(flight, 5000)
    flight.land()
    flight.forget()
    connection.execute("ROLLBACK TO before")
    insert(flight, 1)
    flight.land()
    assert effects(connection) == [1]


@pytest.mark.parametrize("ending", ["landing", "fetching"])
def test_a_failure_that_nobody_heard_of_is_told_in_the_end(flight: Flight, ending: str) -> None:
    send(flight, "INSERT INTO effects (event) VALUES (1)")
    send(flight, "INSERT INTO effects (event) VALUES (1)")
    send(flight, "INSERT INTO effects (event) VALUES (2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        flight.land() if ending == "landing" else fetch(flight, "SELECT 1")
    flight.land()


def test_rows_are_not_made_of_what_returns_none(flight: Flight) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="returns no rows"):
        fetch(flight, "INSERT INTO effects (event) VALUES (1)")
    flight.land()


def test_what_was_prepared_is_taken_back(connection: SinkConnection, flight: Flight) -> None:
    for _ in range(2):
        for event in range(20):
            send(flight, "INSERT INTO effects (event, note) VALUES (%s, %s) ON CONFLICT DO NOTHING", (event, None))
        flight.land()
        assert len(connection.execute(PREPARED).fetchall()) == 1
        flight.forget()
    # psycopg may have dropped it with its own.
    connection.execute("DEALLOCATE ALL")
    assert fetch(flight, "SELECT 1") == [(1,)]
    flight.land()


def test_many_texts_and_types_are_not_all_prepared(connection: SinkConnection, flight: Flight) -> None:
    for number in range(300):
        for _ in range(7):
            send(flight, f"SELECT {number}, %s::int", (number,))
    flight.land()
    assert len(connection.execute(PREPARED).fetchall()) == 100


def test_after_an_interrupted_wait_it_lands_all_the_same(
    connection: SinkConnection, flight: Flight, open_connection: Callable[[], SinkConnection]
) -> None:
    thread, pid, observer = threading.get_ident(), connection.info.backend_pid, open_connection()
    sleeps = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"

    def interrupt() -> None:
        eventually(lambda: observer.execute(sleeps, (pid,)).fetchone() == (True,), what="a wait")
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeoutError))

    threading.Thread(target=interrupt).start()
    with pytest.raises(TimeoutError):
        fetch(flight, "SELECT pg_sleep(3)")
    send(flight, "INSERT INTO effects (event) VALUES (1)")
    flight.land()
    assert effects(connection) == [1]


def test_a_lost_connection_is_an_outage(connection: SinkConnection, flight: Flight) -> None:
    pid = connection.info.backend_pid
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError):
        insert(flight, *range(100_000))
    with suppress(psycopg.OperationalError):
        flight.land()
    assert connection.closed
