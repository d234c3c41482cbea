"""Fence and COMMIT that are sent with the last statement of a batch: whatever fails there, each event applies once."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from inbox import failpoints
from inbox.errors import HaltError
from inbox.failpoints import Failpoint
from inbox.sink.flight import CommitInFlight
from inbox.sink.guards.topic_identity import TopicIdentityGuard
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.pinned_connection import PinnedConnection
from inbox.telemetry import EVENTS as EVENTS_SETTLED
from tests.support.sink.cut import CuttingProxy
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

EVENTS = 25

APPEND = """
[[routes]]
name = "append"
topic = "TOPIC"
[routes.table]
name = "public.appended"
mode = "append"
[routes.table.columns]
event = "/event"
amount = "/amount"
"""


@pytest.fixture
def appending(sink: Sink) -> Sink:
    """A sink whose table takes every effect, also one that comes twice; five events a transaction."""
    sink.sql("CREATE TABLE appended (position bigint GENERATED ALWAYS AS IDENTITY, event int, amount numeric(10, 0))")
    sink.configure(APPEND, sink="batch_events = 5")
    sink.send(*(Out(number, {"event": number, "amount": "1.4"}) for number in range(1, EVENTS + 1)))
    return sink


def appended(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM appended ORDER BY event")


def require_all_once(sink: Sink) -> None:
    assert appended(sink) == list(range(1, EVENTS + 1))
    assert sink.endings() == {"applied": EVENTS}
    assert sink.next_offsets() == {0: EVENTS}
    assert sink.column("SELECT count(*) FROM inbox.processed") == [EVENTS]


class Flights:
    """The flights of one test: `at` plans an action for the first time that one reaches a failpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.confirmed = 0
        self._planned: dict[Failpoint, Callable[[], Any]] = {}
        self._sending = False
        send, confirm = CommitInFlight.send, CommitInFlight.confirm

        def watched(flight: CommitInFlight) -> None:
            self._sending = True
            try:
                send(flight)
            finally:
                self._sending = False

        def confirmed(flight: CommitInFlight) -> None:
            confirm(flight)
            self.confirmed += 1

        monkeypatch.setattr(CommitInFlight, "send", watched)
        monkeypatch.setattr(CommitInFlight, "confirm", confirmed)
        failpoints.arm(self._reached)

    def at(self, point: Failpoint, action: Callable[[], Any]) -> None:
        self._planned[point] = action

    def _reached(self, point: Failpoint) -> None:
        between = point in (Failpoint.BEGUN, Failpoint.COMMITTED) and self.confirmed
        if (self._sending or between) and (action := self._planned.pop(point, None)) is not None:
            action()

    @property
    def reached_all(self) -> bool:
        return not self._planned


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flights]:
    yield Flights(monkeypatch)
    failpoints.arm(None)


def test_batches_of_new_events_end_in_flight(
    appending: Sink, flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[str] = []
    monkeypatch.setattr(BatchTransaction, "commit", lambda _: alone.append("COMMIT"))
    appending.run()
    require_all_once(appending)
    assert flights.confirmed >= EVENTS // 5
    assert alone == []


def test_a_batch_that_is_all_new_takes_one_round_trip(
    appending: Sink, flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    pipelined, begin, execute = PinnedConnection.pipelined, PinnedConnection.begin, PinnedConnection.execute
    monkeypatch.setattr(PinnedConnection, "begin", lambda self: (waits.append(1), begin(self))[1])

    def executed(self: PinnedConnection, *arguments: Any, **named: Any) -> Any:
        if not self.pgconn.pipeline_status:
            waits.append(1)
        return execute(self, *arguments, **named)

    def entered(self: PinnedConnection) -> Any:
        if not self.pgconn.pipeline_status:
            waits.append(1)
        return pipelined(self)

    monkeypatch.setattr(PinnedConnection, "execute", executed)
    monkeypatch.setattr(PinnedConnection, "pipelined", entered)
    of_flights: list[int] = []
    failpoints.arm(lambda point: waits.clear() if point is Failpoint.BEGUN else None)
    confirm = CommitInFlight.confirm
    monkeypatch.setattr(
        CommitInFlight, "confirm", lambda flight: (confirm(flight), of_flights.append(len(waits)), None)[2]
    )
    appending.run()
    assert of_flights[-1] == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE inbox.partitions SET owner_epoch = owner_epoch + 1",
        "UPDATE inbox.partitions SET owner_epoch = owner_epoch + 1, next_offset = 3",
    ],
    ids=["another epoch", "a replay"],
)
def test_what_a_fence_refuses_in_flight_is_not_committed(appending: Sink, flights: Flights, change: str) -> None:
    flights.at(Failpoint.HANDLED, lambda: appending.sql(change))
    appending.run()
    assert flights.reached_all
    require_all_once(appending)


def test_an_offset_that_moved_on_under_a_flight_is_not_settled_twice(appending: Sink, flights: Flights) -> None:
    moved = "UPDATE inbox.partitions SET next_offset = %s"
    flights.at(Failpoint.HANDLED, lambda: appending.sql(moved, [EVENTS]))
    before: list[int] = []
    flights.at(Failpoint.FENCED, lambda: before.extend(appended(appending)))
    appending.run()
    assert flights.reached_all
    assert appended(appending) == before


def test_a_changed_set_of_routes_stops_a_flight(appending: Sink, flights: Flights) -> None:
    before: list[int] = []
    flights.at(Failpoint.FENCED, lambda: before.extend(appended(appending)))
    change = "UPDATE inbox.sink SET routes_revision = routes_revision + 1"
    flights.at(Failpoint.HANDLED, lambda: appending.sql(change))
    with pytest.raises(HaltError, match="changed the set of routes"):
        appending.run()
    assert appended(appending) == before


@pytest.mark.parametrize("point", [Failpoint.HANDLED, Failpoint.FENCED, Failpoint.COMMIT_SENT])
def test_a_connection_that_ends_in_a_flight_is_opened_again(
    appending: Sink, flights: Flights, point: Failpoint
) -> None:
    flights.at(point, appending.end_its_connection)
    appending.run()
    assert flights.reached_all
    require_all_once(appending)


def counted(sink: Sink) -> float:
    return EVENTS_SETTLED.labels(sink.topic, "append", "applied")._value.get()


@pytest.fixture
def proxy(appending: Sink) -> Iterator[CuttingProxy]:
    """The way of the sink to its database."""
    with CuttingProxy(appending.database_url) as proxy:
        yield proxy


@pytest.mark.parametrize("size", [1, 5])
def test_a_flight_whose_answer_is_lost_is_found_in_the_ledger(
    appending: Sink, flights: Flights, proxy: CuttingProxy, size: int
) -> None:
    appending.configure(APPEND, sink=f"batch_events = {size}", database_url=proxy.database_url)
    flights.at(Failpoint.COMMIT_SENT, proxy.lose_the_next_answer)
    appending.run()
    assert proxy.lost == 1
    require_all_once(appending)
    assert counted(appending) == EVENTS - size  # nobody told the process what became of these


@pytest.mark.parametrize("size", [1, 5])
def test_a_flight_whose_commit_never_came_is_repeated(
    appending: Sink, flights: Flights, proxy: CuttingProxy, size: int
) -> None:
    appending.configure(APPEND, sink=f"batch_events = {size}", database_url=proxy.database_url)
    flights.at(Failpoint.FENCED, proxy.lose_the_next_request)
    appending.run()
    assert proxy.lost == 1
    require_all_once(appending)
    assert counted(appending) == EVENTS


@pytest.mark.parametrize("size", [1, 5])
def test_a_flight_that_is_lost_before_its_commit_and_then_behind_it_is_no_fault_of_its_events(
    appending: Sink, flights: Flights, proxy: CuttingProxy, size: int
) -> None:
    appending.configure(
        APPEND, sink=f"batch_events = {size}", rest="[failures]\nattempts = 1", database_url=proxy.database_url
    )

    def lose_the_repeat() -> None:
        flights.at(Failpoint.COMMIT_SENT, proxy.lose_the_next_answer)

    def lose() -> None:
        proxy.lose_the_next_request()
        flights.at(Failpoint.HANDLED, lose_the_repeat)

    flights.at(Failpoint.FENCED, lose)
    appending.run()
    assert flights.reached_all
    assert proxy.lost == 2
    assert appending.dead_letters() == []
    require_all_once(appending)
    assert counted(appending) == EVENTS - size


def test_a_table_that_was_altered_between_flights_gets_the_values_of_its_new_types(
    appending: Sink, flights: Flights
) -> None:
    alter = "ALTER TABLE appended ALTER COLUMN amount TYPE numeric(10, 1)"
    flights.at(Failpoint.COMMITTED, lambda: appending.sql(alter))
    appending.run()
    assert flights.reached_all
    require_all_once(appending)
    amounts = appending.column("SELECT amount FROM appended ORDER BY event")
    first = amounts.index(Decimal("1.4"))
    assert amounts == [Decimal(1)] * first + [Decimal("1.4")] * (EVENTS - first)
    assert first < EVENTS - 5


def test_a_trigger_that_changes_what_texts_mean_stops_a_flight(appending: Sink, flights: Flights) -> None:
    appending.sql(
        "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.event = 23 THEN "
        "PERFORM set_config('TimeZone', 'Asia/Tokyo', false); END IF; RETURN NEW; END $$"
    )
    appending.sql("CREATE TRIGGER lie BEFORE INSERT ON appended FOR EACH ROW EXECUTE FUNCTION lie()")
    with appending.running() as worker:
        eventually(lambda: "set TimeZone" in (worker.progress.waiting_for or ""), what="the refusal")
        assert 23 not in appended(appending)
    assert flights.confirmed


def test_a_ledger_that_is_locked_for_long_is_not_held_against_a_lone_event(appending: Sink, flights: Flights) -> None:
    appending.configure(
        APPEND,
        sink="batch_events = 1",
        rest="[failures]\nattempts = 1",
        database_url=f"{appending.database_url}?options=-c%20lock_timeout%3D200ms",
    )
    holder = LedgerHolder(appending)
    flights.at(Failpoint.HANDLED, holder.lock)
    with appending.running() as worker:
        eventually(lambda: worker.progress.waiting_for is not None, what="a refusal of the fence")
        holder.release()
        appending.eventually_settled(EVENTS)
    assert appending.dead_letters() == []
    require_all_once(appending)


class LedgerHolder:
    """A session that locks the ledger."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def lock(self) -> None:
        self._connection = psycopg.connect(self._sink.database_url)
        self._connection.execute("SELECT FROM inbox.partitions FOR UPDATE")

    def release(self) -> None:
        self._connection.close()


def test_a_batch_whose_topics_the_brokers_do_not_confirm_at_once_ends_without_a_flight(
    appending: Sink, flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[CommitInFlight] = []
    monkeypatch.setattr(TopicIdentityGuard, "is_ready", lambda *_: False)
    monkeypatch.setattr(CommitInFlight, "send", sent.append)
    appending.run()
    assert sent == []
    require_all_once(appending)


def test_what_a_guard_refuses_in_flight_is_not_committed(
    appending: Sink, flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[int] = []
    refused: list[object] = []

    def refuse(*_: object) -> None:
        refused.append(_)
        raise HaltError("another log")

    def plan() -> None:
        before.extend(appended(appending))
        monkeypatch.setattr(TopicIdentityGuard, "before_fence", refuse)

    flights.at(Failpoint.HANDLED, plan)
    with pytest.raises(HaltError, match=r"^another log"):
        appending.run()
    assert len(refused) == 1
    assert appended(appending) == before
    assert appending.next_offsets() == {0: len(before)}


def test_what_one_route_parks_is_parked_although_the_next_would_end_in_flight(sink: Sink, flights: Flights) -> None:
    """The first route settles all but one event; the second is new and good."""
    sink.sql("CREATE TABLE checked (event int CHECK (event <> 23))")
    sink.sql("CREATE TABLE appended (event int)")
    routes = [
        f'[[routes]]\nname = "{name}"\ntopic = "TOPIC"\n[routes.table]\nname = "public.{name}"\nmode = "append"\n'
        '[routes.table.columns]\nevent = "/event"\n'
        for name in ("checked", "appended")
    ]
    sink.configure("".join(routes), sink="batch_events = 5")
    sink.send(*(Out(number, {"event": number}) for number in range(1, EVENTS + 1)))
    sink.run()
    assert flights.confirmed
    assert sink.dead_letters() == [(22, "parked")]
    assert appended(sink) == list(range(1, EVENTS + 1))
    assert len(sink.column("SELECT event FROM checked")) == EVENTS - 1
