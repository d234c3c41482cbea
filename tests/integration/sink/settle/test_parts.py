"""Batches of five events, sent in parts of one, two and two: what fails among them is settled alone."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import SecretStr

from inbox.errors import EventError
from inbox.failure_policy import FailureLimits
from inbox.sink.batch import RouteBatch
from inbox.sink.outcome import RouteResult
from inbox.sink.settle import fast_path
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.effects import TableEffect
from inbox.sink.settle.route import settle_route
from inbox.sink.settle.slow_path import SlowPath
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.generations import Generations
from inbox.store.options import DatabaseOptions, TableMode, TableTarget
from inbox.store.postgres import session_settings
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection, connect
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.tables.writer import TableWriter
from tests.support.records import record
from tests.support.store.sources import sources

TARGET = TableTarget(
    name="public.rows",
    mode=TableMode.UPSERT,
    key=("id",),
    columns=sources({"id": "/id", "note": "/note", "other": "/other"}),
)
ROUTE_ID, PARTITION_ID = 1, 1

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.note = 'refused' THEN RAISE 'refused'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON rows FOR EACH ROW EXECUTE FUNCTION refuse()
"""


class Event:
    """`number` is its id, its key and its row's, unless said otherwise."""

    def __init__(self, number: int, *, key: int | None = None, **values: Any) -> None:
        self.number = number
        self.key = str(number if key is None else key).encode()
        self.value = json.dumps({"id": number, "note": f"note {number}", "other": number, **values}).encode()


class Route:
    """One route on one connection. Of its batches: which flights went well, and which places were settled with care."""

    def __init__(self, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connection = connection
        self.flights: list[bool] = []
        self.careful: list[range] = []
        self._offset = 0
        self._parked: dict[int, dict[bytes, int]] = {}
        self._transaction = BatchTransaction(connection, handlers=False)
        self._route = BoundRoute(
            "rows", ROUTE_ID, TableEffect(connection, TableWriter(connection, TARGET)), handlers=False
        )
        self._context = SettleContext(
            connection, cast(HandlerSession, None), self._transaction, ClaimStore(connection, "inbox"), FailureLimits()
        )
        self._watch(monkeypatch)

    def _watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        send, settle = fast_path.FastPath._send, SlowPath._settle

        def sent(*arguments: Any, **named: Any) -> tuple[int, EventError | None]:
            stand, error = send(*arguments, **named)
            self.flights.append(error is None)
            return stand, error

        def settled(settling: SlowPath, places: range, **named: Any) -> Any:
            self.careful.append(places)
            return settle(settling, places, **named)

        monkeypatch.setattr(fast_path.FastPath, "_send", sent)
        monkeypatch.setattr(SlowPath, "_settle", settled)

    def settle(self, *events: Event) -> RouteResult:
        """One batch, committed."""
        route_batch = RouteBatch()
        for event in events:
            route_batch.ids.append(UUID(int=event.number).bytes)
            route_batch.types.append(None)
            route_batch.records.append(record(self._offset, key=event.key, value=event.value))
            route_batch.partition_ids.append(PARTITION_ID)
            self._offset += 1
        self.flights.clear()
        self.careful.clear()
        self._transaction.begin()
        result = settle_route(self._context, self._route, route_batch, self._parked, lambda: None)
        self._transaction.commit()
        for letter in result.letters:
            self._parked.setdefault(PARTITION_ID, {})[letter.record.key() or b""] = letter.record.offset()
        return result

    def age(self) -> None:
        """What was claimed so far is in an older generation."""
        self.connection.execute("INSERT INTO inbox.sink (name, group_id) VALUES ('rows', 'rows')")
        Generations(self.connection, "inbox").switch(0)
        self._context.claims.generation = 1

    def rows(self) -> list[int]:
        return [row for (row,) in self.connection.execute("SELECT id FROM rows ORDER BY id")]

    def claims(self) -> list[int]:
        rows = self.connection.execute("SELECT event_id FROM inbox.processed ORDER BY event_id")
        return [event_id.int for (event_id,) in rows]


def good(first: int, last: int) -> list[Event]:
    return [Event(number) for number in range(first, last + 1)]


def letters(result: RouteResult) -> list[tuple[int, str]]:
    return [(UUID(bytes=letter.event_id).int, letter.state.value) for letter in result.letters if letter.event_id]


@pytest.fixture(name="route")
def route_(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Route]]:
    """A route whose events are expected to be new and good, and so are its rows 1 to 10."""
    monkeypatch.setattr(fast_path, "_FIRST_PART", 1)
    monkeypatch.setattr(fast_path, "_PART", 2)
    # This test makes and reads a table of its own on the connection.
    monkeypatch.setattr(session_settings, "OWN_PATH", "public")
    with closing(connect(DatabaseOptions(url=SecretStr(database_url)))) as connection:

        def make(more: str = "") -> Route:
            connection.execute("CREATE TABLE rows (id int PRIMARY KEY, note text UNIQUE, other int CHECK (other >= 0))")
            if more:
                connection.execute(more.encode(), prepare=False)
            route = Route(connection, monkeypatch)
            for first in (1, 6):
                route.settle(*good(first, first + 4))
            assert route.flights == [True]
            return route

        yield make


BAD = {
    "no value of the column's type": Event(100, other="ten"),
    "refused by a CHECK": Event(100, other=-1),
    "refused by a trigger": Event(100, note="refused"),
    "refused by another unique index": Event(100, note="note 2"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("place", range(5))
def test_only_the_part_of_a_poison_event_is_settled_with_care(
    route: Callable[..., Route], bad: Event, place: int
) -> None:
    table = route(REFUSE)
    result = table.settle(*[bad if at == place else Event(11 + at) for at in range(5)])
    kept = [11 + at for at in range(5) if at != place]
    assert letters(result) == [(100, "parked")]
    assert table.rows() == table.claims() == [*range(1, 11), *kept]
    assert not result.duplicates
    part = next(part for part in (range(1), range(1, 3), range(3, 5)) if place in part)
    assert table.careful == [part]
    table.settle(*good(20, 24))
    assert table.flights == [True], "the next batch is taken to be good"


def test_two_poison_events_in_two_parts_are_both_parked(route: Callable[..., Route]) -> None:
    table = route()
    result = table.settle(Event(11), Event(101, other=-1), Event(12), Event(13), Event(102, other="ten"))
    assert letters(result) == [(101, "parked"), (102, "parked")]
    assert table.rows() == table.claims() == list(range(1, 14))


def test_where_poison_is_dense_events_are_settled_with_care(route: Callable[..., Route]) -> None:
    table = route()
    table.settle(Event(11), Event(101, other=-1), Event(102, other=-1), Event(12), Event(13))
    assert table.flights == [False]
    assert table.careful == [range(1, 3), range(3, 5)]


def test_later_events_of_a_parked_key_wait_though_they_are_of_another_part(route: Callable[..., Route]) -> None:
    table = route()
    result = table.settle(Event(11), Event(100, other=-1), Event(12), Event(101, key=100), Event(13))
    assert letters(result) == [(100, "parked"), (101, "waiting")]
    assert table.rows() == table.claims() == list(range(1, 14))


@pytest.mark.parametrize("known_first", [True, False])
def test_a_claim_that_is_there_and_a_poison_event_in_one_batch(route: Callable[..., Route], known_first: bool) -> None:
    table = route()
    known, bad = Event(3), Event(100, other=-1)
    first, second = (known, bad) if known_first else (bad, known)
    result = table.settle(Event(11), first, Event(12), Event(13), second)
    assert letters(result) == [(100, "parked")]
    assert result.duplicates == {PARTITION_ID: 1}
    assert table.rows() == table.claims() == list(range(1, 14))


@pytest.mark.parametrize("place", range(5))
def test_a_claim_of_an_older_generation_is_met_in_any_part(route: Callable[..., Route], place: int) -> None:
    table = route()
    table.age()
    result = table.settle(*[Event(3) if at == place else Event(11 + at) for at in range(5)])
    assert result.duplicates == {PARTITION_ID: 1}
    assert not any(table.flights)
    assert table.rows() == table.claims() == [*range(1, 11), *(11 + at for at in range(5) if at != place)]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_claim_of_an_older_generation_before_a_poison_event_is_met(route: Callable[..., Route], bad: Event) -> None:
    table = route(REFUSE)
    table.age()
    result = table.settle(Event(3), Event(11), Event(12), Event(13), bad)
    assert letters(result) == [(100, "parked")]
    assert result.duplicates == {PARTITION_ID: 1}
    assert table.rows() == table.claims() == list(range(1, 14))


@pytest.mark.parametrize("row_first", [True, False])
def test_a_row_that_is_there_and_a_poison_event_in_one_batch(route: Callable[..., Route], row_first: bool) -> None:
    table = route()
    there, bad = Event(99, id=3, note="changed"), Event(100, other=-1)
    first, second = (there, bad) if row_first else (bad, there)
    result = table.settle(Event(11), first, Event(12), Event(13), second)
    assert letters(result) == [(100, "parked")]
    assert table.rows() == list(range(1, 14))
    assert table.connection.execute("SELECT note FROM rows WHERE id = 3").fetchone() == ("changed",)


def test_a_row_that_is_there_is_met_without_care(route: Callable[..., Route]) -> None:
    table = route()
    table.settle(*good(11, 13), Event(99, id=3), Event(14))
    assert table.flights == [False, True]
    assert not table.careful


PARENT = "ALTER TABLE rows ADD FOREIGN KEY (other) REFERENCES rows"


def test_a_row_may_refer_to_one_of_a_later_part(route: Callable[..., Route]) -> None:
    table = route(PARENT)
    result = table.settle(Event(11, other=15), *good(12, 15))
    assert not result.letters
    assert table.rows() == list(range(1, 16))


def test_a_deferred_constraint_is_not_blamed_on_an_event_of_a_later_part(route: Callable[..., Route]) -> None:
    table = route(f"{PARENT} DEFERRABLE INITIALLY DEFERRED")
    result = table.settle(Event(11, other=1000), Event(12), Event(100, other=-1), *good(13, 14))
    assert letters(result) == [(11, "parked"), (100, "parked")]
    assert table.rows() == [*range(1, 11), 12, 13, 14]


def fly_to_a_failure(connection: Connection, transaction: BatchTransaction) -> None:
    with transaction.pipeline():
        transaction.mark()
        connection.execute("SELECT 1 / 0 FROM pg_sleep(0.2)")  # it fails after the next one is sent
        connection.execute("SELECT %s::int", [1])


def test_what_a_failed_flight_did_not_prepare_is_not_taken_for_prepared(route: Callable[..., Route]) -> None:
    connection = route().connection
    transaction = BatchTransaction(connection, handlers=False)
    for _ in range(5):
        transaction.begin()
        with pytest.raises(EventError):
            fly_to_a_failure(connection, transaction)
        transaction.undo_to_mark()
        assert connection.execute("SELECT %s::int", [1]).fetchone() == (1,)
        transaction.commit()
