"""Lives that end with events in hand, one after the other, on a real `handling`."""

import itertools

import pytest
from psycopg import sql

from inbox.events import Record
from inbox.sink.batch import RouteBatch
from inbox.sink.guards.crash_poison import CrashPoisonTracker
from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.inbox.ledger import Ledger
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import Connect
from tests.support.records import record
from tests.support.waiting import eventually

ROUTE, PARTITION = 1, 1


class Lives:
    """Workers of one partition; each begins where no one was done."""

    def __init__(self, connection: Connection, open_connection: Connect) -> None:
        self._connection = connection
        self._open = open_connection
        self._count = 0
        self._ticks = itertools.count()

    def live(self, *offsets: int, attempts: int) -> dict[int, int]:
        """Hands these over in order and dies with the last in hand; returns which it parked, after how many deaths."""
        crash_poison, parked = self._begin(attempts)
        for offset in offsets:
            if offset not in parked:
                crash_poison.start_call(ROUTE, PARTITION, offset)
        self._die()
        return parked

    def live_with_all(self, offsets: range, *, attempts: int) -> dict[int, int]:
        """As `live`, but the handler takes a batch."""
        crash_poison, parked = self._begin(attempts)
        assert not crash_poison.suspected(ROUTE, [PARTITION])
        crash_poison.start_call_with_all(ROUTE, PARTITION, offsets)
        self._die()
        return parked

    def is_suspected(self) -> bool:
        crash_poison, _ = self._begin(5)
        return crash_poison.suspected(ROUTE, [PARTITION])

    def _begin(self, attempts: int) -> tuple[CrashPoisonTracker, dict[int, int]]:
        self._count += 1
        # On a clock that ticks whenever it is read, a note names about twenty events.
        crash_poison = CrashPoisonTracker(
            lambda: self._handling(self._note_connection()),
            young_events=5000,
            attempts=attempts,
            clock=lambda: next(self._ticks) / 1000,
        )
        crash_poison.acquired(self._handling(self._connection), [PARTITION])
        records: list[Record] = [record(offset) for offset in range(3000)]
        events = RouteBatch([b""] * 3000, [None] * 3000, records, [PARTITION] * 3000)
        crash_poison.mark(ROUTE, events)
        return crash_poison, dict(events.tries)

    def _handling(self, connection: Connection) -> HandlerCallNotes:
        return HandlerCallNotes(connection, "inbox", f"life {self._count}")

    def _note_connection(self) -> Connection:
        self._notes = self._open()
        return self._notes

    def _die(self) -> None:
        pid = self._notes.info.backend_pid
        self._notes.close()
        gone = sql.SQL("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)")
        eventually(lambda: self._connection.execute(gone, [pid]).fetchone() == (True,), what="the session's end")


@pytest.fixture(name="lives")
def lives_(ledger: Ledger, connection: Connection, open_connection: Connect) -> Lives:
    """The lives of workers of a bound schema."""
    return Lives(connection, open_connection)


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_what_always_ends_the_process_is_parked_after_its_attempts(lives: Lives, attempts: int) -> None:
    for _ in range(attempts):
        assert lives.live(*range(1000), attempts=attempts) == {}
    assert lives.live(*range(1000), attempts=attempts) == {999: attempts}


def test_kills_that_strike_different_events_park_none(lives: Lives) -> None:
    for last in (900, 100, 1000, 900, 2000, 10):
        assert lives.live(*range(last), attempts=2) == {}
    assert lives.live(0, attempts=2) == {}


def test_the_first_event_of_a_batch_is_not_blamed_for_the_others(lives: Lives) -> None:
    assert lives.live_with_all(range(100), attempts=1) == {}
    assert lives.is_suspected()
    assert lives.live(*range(51), attempts=1) == {}
    assert lives.live(*range(100), attempts=1) == {50: 2}


def test_a_note_of_the_version_before_names_one_event(lives: Lives, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO inbox.handling (partition_id, route_id, kafka_offset, suspect_offset, deaths, owner)"
        " VALUES (1, 1, 5, 5, 1, 'the version before')"
    )
    assert lives.live(0, 1, 6, attempts=2) == {5: 2}
