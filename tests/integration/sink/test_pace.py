"""`[sink] max_events_per_second`: one budget over all workers of the sink."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from inbox.store.inbox.control.budgets import Budgets
from inbox.store.postgres.connection import connect
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, apply
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

PER_SECOND = 200
PARTITIONS = 2


@pytest.fixture
def paced(make_sink: Callable[..., Sink], offer: Callable[..., None]) -> Sink:
    sink = make_sink(partitions=PARTITIONS)
    offer(handler=apply)
    sink.configure(HANDLER_ROUTE, sink=f"max_events_per_second = {PER_SECOND}")
    sink.sql(EFFECTS)
    return sink


def send(sink: Sink, first: int, last: int, *, partitions: int = PARTITIONS) -> None:
    sink.send(*(Out(number, {"n": number}, partition=number % partitions) for number in range(first, last + 1)))


@contextmanager
def workers(sink: Sink, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(sink.running())
        yield


def settled(sink: Sink) -> int:
    return sum(sink.next_offsets().values())


def owners(sink: Sink) -> set[str]:
    return set(sink.column("SELECT owner FROM inbox.partitions"))


def seconds_for(sink: Sink, events: int) -> float:
    """Wait until so many more events are settled; return how long that took."""
    begun, before = time.monotonic(), settled(sink)
    eventually(lambda: settled(sink) >= before + events, what=f"{events} events")
    return time.monotonic() - begun


def test_workers_share_the_budget(paced: Sink) -> None:
    with workers(paced, PARTITIONS):
        send(paced, 1, 40)
        eventually(lambda: settled(paced) == 40, what="the sink at work")
        eventually(lambda: len(owners(paced)) == PARTITIONS, what="both workers at work")
        send(paced, 41, 4000)  # more than are waited for, however many are settled before the wait begins
        assert seconds_for(paced, 800) >= 0.8 * 800 / PER_SECOND


def test_only_what_is_settled_takes_turns_whichever_worker_has_the_load(
    paced: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def take_turn(_: Budgets, __: str, events: int, *, per_second: float) -> float:
        taken.append(events)
        return events / per_second

    monkeypatch.setattr(Budgets, "take_turn", take_turn)
    with workers(paced, PARTITIONS):
        send(paced, 1, 200, partitions=1)
        eventually(lambda: settled(paced) == 200, what="the events of one partition")
    assert sum(taken) == 200
    assert max(taken) <= PER_SECOND / 8


def test_a_worker_that_waits_for_its_turn_stops_at_once(paced: Sink) -> None:
    paced.configure(HANDLER_ROUTE, sink="max_events_per_second = 1")
    with paced.running():
        send(paced, 1, 5, partitions=1)
        eventually(lambda: settled(paced) >= 1, what="the first event")
        paced.sql("UPDATE inbox.pace SET free_at = now() + interval '1 hour'")


@pytest.fixture
def budgets(paced: Sink) -> Iterator[Budgets]:
    paced.command("migrate")
    with closing(connect(paced.settings().database)) as connection:
        yield Budgets(connection, "inbox")


def test_turns_follow_each_other_at_the_speed_of_the_budget(budgets: Budgets) -> None:
    turns = [budgets.take_turn("sink", 100, per_second=10) for _ in range(4)]
    assert turns == [pytest.approx(10 * number, abs=1.0) for number in range(4)]
    assert budgets.take_turn("another", 100, per_second=10) == pytest.approx(0, abs=0.1)


def test_a_clock_that_was_set_back_costs_a_minute_at_most(paced: Sink, budgets: Budgets) -> None:
    paced.sql("INSERT INTO inbox.pace VALUES ('sink', now() + interval '1 day')")
    assert budgets.take_turn("sink", 10, per_second=10) == pytest.approx(60, abs=1.0)


def test_a_budget_that_was_not_used_saves_half_a_second(paced: Sink, budgets: Budgets) -> None:
    paced.sql("INSERT INTO inbox.pace VALUES ('sink', now() - interval '1 day')")
    turns = [budgets.take_turn("sink", 5, per_second=10) for _ in range(3)]
    assert turns == [pytest.approx(seconds, abs=0.2) for seconds in (-0.5, 0.0, 0.5)]
