"""Connections that are lost with one event: what ends the server's process is parked, and an outage parks nothing."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from inbox.dev.backends import OwnServer
from inbox.events import Event
from inbox.handlers import Transaction
from tests.conftest import MakeTopic
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, make_sink, offer  # noqa: F401 - fixtures
from tests.support.sink.amounts import ROUTE, TABLE, out
from tests.support.sink.running import Sink
from tests.support.waiting import eventually
from tests.support.watching import Watched, watched_sink

WITHIN = 240.0


def attempts(count: int) -> str:
    return f"[failures]\nattempts = {count}"


def ends_the_backend(condition: str) -> str:
    """A trigger in which the server ends the session, as after a crash in C or a kill for want of memory."""
    return f"""
CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF {condition} THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ends BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION ends()
"""


@pytest.fixture
def table(make_sink: Callable[..., Sink]) -> Sink:  # noqa: F811 - the fixture
    """A sink into a table of two columns."""
    sink = make_sink()
    sink.sql(TABLE)
    sink.configure(ROUTE, rest=attempts(2))
    return sink


@pytest.fixture
def own_sink(
    own_database: str,
    tmp_path: Path,
    make_topic: MakeTopic,
    make_producer: Callable[..., Producer],
    bootstrap_servers: str,
) -> Sink:
    """A sink with a handler on a server that may be ended."""
    sink = Sink(
        tmp_path,
        topic=make_topic(),
        database_url=own_database,
        bootstrap_servers=bootstrap_servers,
        producer=make_producer(linger_ms=0),
    )
    sink.sql(EFFECTS)
    return sink


def settled(running: Watched, count: int) -> None:
    """So many events are settled; the server may recover meanwhile, and take no connection of the test either."""

    def reached() -> bool:
        with suppress(psycopg.OperationalError):
            return running.sink.next_offsets().get(0) == count
        return False

    eventually(reached, within=WITHIN, what=f"next_offset {count}")
    running.eventually_ready()


@pytest.mark.parametrize("applied_before", [10, 0])
def test_an_event_whose_row_ends_the_backend_is_parked_after_its_attempts(table: Sink, applied_before: int) -> None:
    table.sql(ends_the_backend("NEW.amount = 13"))
    with watched_sink(table) as running:
        table.send(*(out(number) for number in range(1, applied_before + 1)))
        if applied_before:
            settled(running, applied_before)
        table.send(out(100, 13))
        settled(running, applied_before + 1)
    assert table.dead_letters() == [(applied_before, "parked")]
    assert "was lost 2 times in a row while this event was tried alone" in table.dead_letter_errors()[0]
    assert table.column("SELECT id FROM t ORDER BY id") == list(range(1, applied_before + 1))


def test_it_is_found_among_many(table: Sink) -> None:
    table.sql(ends_the_backend("NEW.amount = 13"))
    table.send(*(out(number, 13 if number in (40, 77) else 1) for number in range(1, 101)))
    with watched_sink(table) as running:
        settled(running, 100)
    assert table.dead_letters() == [(39, "parked"), (76, "parked")]
    assert table.endings() == {"applied": 98, "dead_lettered": 2}
    assert table.column("SELECT id FROM t ORDER BY id") == [n for n in range(1, 101) if n not in (40, 77)]


def test_where_every_row_ends_the_backend_nothing_is_parked(table: Sink) -> None:
    with watched_sink(table) as running:
        table.send(*(out(number) for number in range(1, 11)))
        settled(running, 10)
        table.sql(ends_the_backend("true"))
        table.send(out(11))
        running.eventually_away()
        running.stays_away(8)
        assert table.dead_letters() == []
        table.sql("DROP TRIGGER ends ON t")
        settled(running, 11)
    assert table.endings() == {"applied": 11}


def test_a_call_in_which_the_backend_is_killed_is_parked(own_sink: Sink, offer: Callable[..., None]) -> None:  # noqa: F811
    """All other backends end with it, and the server recovers by itself."""

    def kill(event: Event, tx: Transaction) -> None:
        if event.json()["amount"] == 13:
            pid = tx.fetch_one("SELECT pg_backend_pid()")
            assert pid is not None
            os.kill(pid[0], signal.SIGKILL)
        tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.json()["id"],))

    offer(handler=kill)
    own_sink.configure(HANDLER_ROUTE, rest=attempts(2))
    with watched_sink(own_sink) as running:
        own_sink.send(out(1), out(2))
        settled(running, 2)
        own_sink.send(out(3, 13))
        settled(running, 3)
        own_sink.send(out(4))
        settled(running, 4)
    assert own_sink.dead_letters() == [(2, "parked")]
    assert own_sink.column("SELECT event FROM effects ORDER BY event") == [1, 2, 4]


def test_a_server_that_is_restarted_again_and_again_while_one_event_is_tried_parks_nothing(
    own_sink: Sink,
    own_postgres: OwnServer,
    offer: Callable[..., None],  # noqa: F811 - the fixture
) -> None:
    restarts: list[Any] = []

    def handle(event: Event, tx: Transaction) -> None:
        number = event.json()["id"]
        if number == 3 and len(restarts) < 4:
            restarts.append(number)
            own_postgres.kill()
            own_postgres.start()
        tx.execute("INSERT INTO effects (event) VALUES (%s)", (number,))

    offer(handler=handle)
    own_sink.configure(HANDLER_ROUTE, rest=attempts(1))
    with watched_sink(own_sink) as running:
        own_sink.send(out(1), out(2))
        settled(running, 2)
        own_sink.send(out(3))
        settled(running, 3)
    assert len(restarts) == 4
    assert own_sink.endings() == {"applied": 3}


def test_connections_that_an_administrator_ends_while_one_event_waits_park_nothing(
    own_sink: Sink,
    offer: Callable[..., None],  # noqa: F811 - the fixture
) -> None:
    """The control is lost as well, or the event passes when it is tried next."""
    ended: list[int] = []

    def handle(event: Event, tx: Transaction) -> None:
        number = event.json()["id"]
        if len(ended) in range(1, 8) or (number == 3 and not ended):
            ended.append(number)
            own_sink.end_its_connection()
        tx.execute("INSERT INTO effects (event) VALUES (%s)", (number,))

    offer(handler=handle)
    own_sink.configure(HANDLER_ROUTE, rest=attempts(1))
    with watched_sink(own_sink) as running:
        own_sink.send(out(1), out(2))
        settled(running, 2)
        own_sink.send(out(3))
        settled(running, 3)
    assert set(ended) == {2, 3}, "the control is an event that applied before"
    assert own_sink.endings() == {"applied": 3}
