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

from inbox.store.postgres.connection import Connection
from inbox.store.postgres.pipeline import Pipeline
from tests.support.waiting import eventually

PREPARED = "SELECT name FROM pg_prepared_statements WHERE name LIKE 'inbox\\_%'"


@pytest.fixture(name="connection")
def in_a_transaction(connection: Connection) -> Iterator[Connection]:
    connection.execute("BEGIN")
    connection.execute("CREATE TEMPORARY TABLE effects (position serial, event int UNIQUE, note text) ON COMMIT DROP")
    yield connection
    with suppress(Exception):
        connection.rollback()


@pytest.fixture(name="pipeline")
def flight_(connection: Connection) -> Pipeline:
    return Pipeline(connection)


def send(pipeline: Pipeline, query: str, parameters: Any = None) -> None:
    statement = pipeline.taken(query, parameters)
    assert statement is not None
    pipeline.send(statement, parameters)


def fetch(pipeline: Pipeline, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    statement = pipeline.taken(query, parameters)
    assert statement is not None
    return pipeline.fetch(statement, parameters)


def insert(pipeline: Pipeline, *events: int) -> None:
    for event in events:
        send(pipeline, "INSERT INTO effects (event) VALUES (%s)", (event,))


def effects(connection: Connection) -> list[int]:
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
def test_rows_are_those_of_a_cursor(connection: Connection, pipeline: Pipeline, query: str, parameters: Any) -> None:
    wanted = connection.cursor().execute(query, parameters).fetchall()  # type: ignore[arg-type]
    for _ in range(8):
        assert fetch(pipeline, query, parameters) == wanted
    pipeline.sync_and_exit()


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
def test_what_psycopg_shall_judge_is_left_to_it(pipeline: Pipeline, query: str, parameters: Any) -> None:
    assert pipeline.taken(query, parameters) is None


def test_statements_keep_their_order_and_are_all_in_when_it_landed(connection: Connection, pipeline: Pipeline) -> None:
    insert(pipeline, *range(500))
    assert fetch(pipeline, "SELECT count(*) FROM effects") == [(500,)]
    send(pipeline, "INSERT INTO effects (event) VALUES (%(event)s)", {"event": 500})
    pipeline.sync_and_exit()
    assert effects(connection) == list(range(501))


def test_much_in_both_directions_does_not_get_stuck(pipeline: Pipeline) -> None:
    for _ in range(60):
        send(pipeline, "SELECT repeat('x', 1000000), %s::text", ("y" * 1_000_000,))
    pipeline.sync_and_exit()


def test_the_first_failure_is_told_and_nothing_is_sent_after_it(connection: Connection, pipeline: Pipeline) -> None:
    connection.execute("SAVEPOINT before")
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(pipeline, *range(40), 7, *range(100, 100_000))
    with pytest.raises(psycopg.errors.PipelineAborted):
        insert(pipeline, 5000)
    pipeline.sync_and_exit()
    pipeline.forget()
    connection.execute("ROLLBACK TO before")
    insert(pipeline, 1)
    pipeline.sync_and_exit()
    assert effects(connection) == [1]


@pytest.mark.parametrize("ending", ["landing", "fetching"])
def test_a_failure_that_nobody_heard_of_is_told_in_the_end(pipeline: Pipeline, ending: str) -> None:
    send(pipeline, "INSERT INTO effects (event) VALUES (1)")
    send(pipeline, "INSERT INTO effects (event) VALUES (1)")
    send(pipeline, "INSERT INTO effects (event) VALUES (2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        pipeline.sync_and_exit() if ending == "landing" else fetch(pipeline, "SELECT 1")
    pipeline.sync_and_exit()


def test_rows_are_not_made_of_what_returns_none(pipeline: Pipeline) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="returns no rows"):
        fetch(pipeline, "INSERT INTO effects (event) VALUES (1)")
    pipeline.sync_and_exit()


def test_what_was_prepared_is_taken_back(connection: Connection, pipeline: Pipeline) -> None:
    for _ in range(2):
        for event in range(20):
            send(pipeline, "INSERT INTO effects (event, note) VALUES (%s, %s) ON CONFLICT DO NOTHING", (event, None))
        pipeline.sync_and_exit()
        assert len(connection.execute(PREPARED).fetchall()) == 1
        pipeline.forget()
    # psycopg may have dropped it with its own.
    connection.execute("DEALLOCATE ALL")
    assert fetch(pipeline, "SELECT 1") == [(1,)]
    pipeline.sync_and_exit()


def test_many_texts_and_types_are_not_all_prepared(connection: Connection, pipeline: Pipeline) -> None:
    for number in range(300):
        for _ in range(7):
            send(pipeline, f"SELECT {number}, %s::int", (number,))
    pipeline.sync_and_exit()
    assert len(connection.execute(PREPARED).fetchall()) == 100


def test_after_an_interrupted_wait_it_lands_all_the_same(
    connection: Connection, pipeline: Pipeline, open_connection: Callable[[], Connection]
) -> None:
    thread, pid, observer = threading.get_ident(), connection.info.backend_pid, open_connection()
    sleeps = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"

    def interrupt() -> None:
        eventually(lambda: observer.execute(sleeps, (pid,)).fetchone() == (True,), what="a wait")
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeoutError))

    threading.Thread(target=interrupt).start()
    with pytest.raises(TimeoutError):
        fetch(pipeline, "SELECT pg_sleep(3)")
    send(pipeline, "INSERT INTO effects (event) VALUES (1)")
    pipeline.sync_and_exit()
    assert effects(connection) == [1]


def test_a_lost_connection_is_an_outage(connection: Connection, pipeline: Pipeline) -> None:
    pid = connection.info.backend_pid
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError):
        insert(pipeline, *range(100_000))
    with suppress(psycopg.OperationalError):
        pipeline.sync_and_exit()
    assert connection.closed
