"""Who is started, ended or given up: the decisions of a supervisor, without a process."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inbox.process.worker_pool import End, Start, WorkerPool

KILLED = 137


def running(count: int, **options: Any) -> WorkerPool:
    """A crew whose workers all run and have come to do their work."""
    pool = WorkerPool(count, jitter=lambda: 1.0, **options)
    assert pool.due(0.0) == [Start(worker) for worker in range(count)]
    for worker in range(count):
        pool.ready(worker)
    return pool


def test_a_worker_that_dies_is_started_again_each_time_later() -> None:
    pool = running(2)
    now, pauses = 0.0, []
    for _ in range(8):
        assert pool.ended(1, KILLED, now) == []
        pause = pool.starts_in(1, now)
        assert pause is not None
        assert pool.due(now + pause - 0.001) == []
        now += pause
        assert pool.due(now) == [Start(1)]
        pauses.append(round(pause, 1))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert not pool.over


def test_who_lived_for_a_minute_begins_with_short_pauses_again() -> None:
    pool = running(1)
    for now in (0.0, 1.0, 2.0):
        pool.ended(0, KILLED, now)
        pool.due(now + 5)
    pool.ended(0, 1, 100.0)
    assert pool.starts_in(0, 100.0) == pytest.approx(0.1)


def test_a_halt_ends_all_with_its_code() -> None:
    pool = running(3)
    pool.ended(2, KILLED, 1.0)
    assert pool.ended(0, 4, 1.0) == [End(1)]
    assert pool.due(100.0) == []
    assert pool.ended(1, 0, 2.0) == []
    assert (pool.over, pool.code) == (True, 4)


CANNOT_START = pytest.mark.parametrize("code", [2, 3])


@CANNOT_START
def test_a_start_that_cannot_be_ends_all_before_any_has_come_to_work(code: int) -> None:
    pool = WorkerPool(2)
    pool.due(0.0)
    assert pool.ended(0, code, 1.0) == [End(1)]
    pool.ended(1, 0, 2.0)
    assert (pool.over, pool.code) == (True, code)


@CANNOT_START
def test_one_that_cannot_be_started_again_is_tried_later_as_long_as_another_works(code: int) -> None:
    pool = running(2)
    pool.ended(0, KILLED, 1.0)
    assert pool.due(2.0) == [Start(0)]
    assert pool.ended(0, code, 3.0) == []
    assert pool.due(10.0) == [Start(0)]
    pool.ended(1, KILLED, 11.0)
    assert pool.ended(0, code, 11.0) == []
    assert (pool.over, pool.code) == (True, code)


def test_servers_that_do_not_answer_at_the_start_end_all_with_1() -> None:
    pool = WorkerPool(2)
    pool.due(0.0)
    assert pool.ended(0, 1, 60.0) == [End(1)]
    pool.ended(1, 1, 60.0)
    assert (pool.over, pool.code) == (True, 1)


def test_later_the_same_is_tried_again() -> None:
    pool = running(2)
    assert pool.ended(0, 1, 60.0) == []
    assert pool.due(66.0) == [Start(0)]


def test_a_stop_asks_each_process_once_and_starts_none() -> None:
    pool = running(3)
    pool.ended(1, KILLED, 1.0)
    assert pool.stop() == [End(0), End(2)]
    assert pool.stop() == []
    assert pool.due(100.0) == []
    pool.ended(0, 0, 2.0)
    assert not pool.over
    pool.ended(2, 0, 2.0)
    assert (pool.over, pool.code) == (True, 0)


def test_what_fails_while_it_stops_is_told() -> None:
    pool = running(1)
    pool.stop()
    pool.ended(0, 4, 1.0)
    assert (pool.over, pool.code) == (True, 4)


def test_a_process_that_was_asked_before_it_had_a_handler_ended_in_order() -> None:
    pool = running(1)
    pool.stop()
    pool.ended(0, 143, 1.0)
    assert (pool.over, pool.code) == (True, 0)


def test_with_the_end_in_sight_each_worker_does_its_part_once() -> None:
    pool = running(2, until_end=True)
    pool.ended(0, 0, 1.0)
    assert pool.ended(1, KILLED, 1.0) == []
    assert pool.due(7.0) == [Start(1)]
    pool.ended(1, 0, 8.0)
    assert (pool.over, pool.code) == (True, 0)


def test_without_an_end_a_worker_that_left_is_started_again() -> None:
    pool = running(1)
    pool.ended(0, 0, 1.0)
    assert pool.due(7.0) == [Start(0)]


def test_all_are_replaced_one_after_the_other() -> None:
    pool = running(2)
    pool.replace_all()
    assert pool.due(1.0) == [End(0)]
    assert pool.due(2.0) == []
    pool.ended(0, 0, 3.0)
    assert pool.due(3.0) == [Start(0)]
    assert pool.due(4.0) == []  # not before it has come to do its work
    pool.ready(0)
    assert pool.due(5.0) == [End(1)]
    pool.ended(1, 0, 6.0)
    assert pool.due(6.0) == [Start(1)]
    pool.ready(1)
    assert pool.due(7.0) == []


def test_one_that_is_replaced_with_the_end_in_sight_is_started_again() -> None:
    pool = running(1, until_end=True)
    pool.replace_all()
    pool.due(1.0)
    pool.ended(0, 0, 2.0)
    assert pool.due(2.0) == [Start(0)]


class AnyCrew(RuleBasedStateMachine):
    """Whatever comes in whatever order: processes and decisions agree, and a stopped crew ends."""

    @initialize(count=st.integers(1, 4), until_end=st.booleans())
    def begin(self, count: int, until_end: bool) -> None:
        self.pool, self.now = WorkerPool(count, until_end=until_end), 0.0
        self.alive: set[int] = set()
        self.asked: set[int] = set()
        self.working: set[int] = set()
        self.stopped = False

    def carry_out(self, actions: list[Start | End]) -> None:
        for action in actions:
            if isinstance(action, Start):
                assert not self.stopped
                assert action.worker not in self.alive
                self.alive.add(action.worker)
                self.asked.discard(action.worker)
            else:
                assert action.worker in self.alive - self.asked, "asked twice, or asked though it is gone"
                self.asked.add(action.worker)
                self.working.discard(action.worker)

    @rule(seconds=st.floats(0, 120))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.pool.due(self.now))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def comes_to_work(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        self.pool.ready(worker)
        self.working |= {worker} - self.asked

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), code=st.sampled_from([0, 0, 1, 2, 3, 4, KILLED, 143]))
    def ends(self, data: st.DataObject, code: int) -> None:
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(worker)
        self.carry_out(self.pool.ended(worker, code, self.now))
        self.stopped = self.stopped or code == 4 or (code in (2, 3) and not self.working - {worker})
        self.working.discard(worker)

    @rule()
    def secrets_change(self) -> None:
        self.pool.replace_all()

    @rule()
    def is_stopped(self) -> None:
        self.carry_out(self.pool.stop())
        self.stopped = True

    @invariant()
    def nobody_is_left_behind(self) -> None:
        if self.pool.over:
            assert not self.alive

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.is_stopped()
            for worker in sorted(self.alive):
                self.carry_out(self.pool.ended(worker, 0, self.now))
            self.alive.clear()
            assert self.pool.over


AnyCrew.TestCase.settings = settings(max_examples=100, deadline=None)
test_any_crew = AnyCrew.TestCase
