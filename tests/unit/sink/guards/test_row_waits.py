"""How long a partition waits for a row that another event may bring."""

import pytest

from inbox.sink.guards.row_waits import RowWaits

MINE, OTHER, THIRD = 1, 2, 3


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def clock_() -> Clock:
    return Clock()


@pytest.fixture(name="waits")
def waits_(clock: Clock) -> RowWaits:
    """Partition 1 waits at offset 5 of 100; the other two have settled 10 of 50."""
    waits = RowWaits(30.0, clock)
    assert waits.may_wait(MINE, 5)
    waits.begin(MINE, 5, {MINE: 100, OTHER: 50, THIRD: 50}, {MINE: 5, OTHER: 10, THIRD: 10})
    return waits


def test_an_event_waits_for_the_time_and_not_longer(waits: RowWaits, clock: Clock) -> None:
    clock.now = 29.9
    assert waits.may_wait(MINE, 5)
    clock.now = 30.0
    assert not waits.may_wait(MINE, 5)
    assert not waits


def test_as_long_as_the_others_settle_what_they_held_it_waits(waits: RowWaits, clock: Clock) -> None:
    for settled in range(11, 51):
        clock.now += 29.0
        waits.observe({MINE: 5, OTHER: settled, THIRD: 10})
        assert waits.may_wait(MINE, 5)
    clock.now += 30.0
    assert not waits.may_wait(MINE, 5)


def test_what_came_after_the_beginning_prolongs_no_wait(waits: RowWaits, clock: Clock) -> None:
    clock.now = 10.0
    waits.observe({MINE: 5, OTHER: 50, THIRD: 50})
    clock.now = 39.0
    waits.observe({MINE: 5, OTHER: 1000, THIRD: 1000})
    clock.now = 40.0
    assert not waits.may_wait(MINE, 5)


def test_what_stood_behind_it_has_waited_as_long(waits: RowWaits, clock: Clock) -> None:
    clock.now = 30.0
    assert not waits.may_wait(MINE, 5)
    assert [waits.may_wait(MINE, offset) for offset in (6, 50, 99)] == [False] * 3
    assert waits.may_wait(MINE, 100)
    assert waits.may_wait(OTHER, 6)


def test_a_wait_that_paid_off_says_nothing_of_the_next_event(waits: RowWaits, clock: Clock) -> None:
    clock.now = 29.0
    waits.observe({MINE: 6, OTHER: 11, THIRD: 10})
    assert not waits
    assert waits.may_wait(MINE, 6)
    waits.begin(MINE, 6, {MINE: 100, OTHER: 50}, {MINE: 6, OTHER: 11})
    clock.now = 58.9
    assert waits.may_wait(MINE, 6)
    clock.now = 59.0
    assert not waits.may_wait(MINE, 6)


def test_no_wait_is_longer_than_an_hour(waits: RowWaits, clock: Clock) -> None:
    settled = 10
    while clock.now < 3600.0 - 29.0:
        clock.now += 29.0
        settled += 1
        waits.begin(OTHER, 1, {}, {})
        waits.observe({MINE: 5, OTHER: min(settled, 49), THIRD: 10 + max(0, settled - 49)})
    clock.now = 3600.0
    assert not waits.may_wait(MINE, 5)


def test_two_partitions_that_wait_for_each_other_do_so_for_the_time(clock: Clock) -> None:
    waits = RowWaits(30.0, clock)
    for partition in (MINE, OTHER):
        waits.begin(partition, 5, {MINE: 100, OTHER: 100}, {MINE: 5, OTHER: 5})
    clock.now = 30.0
    assert not waits.may_wait(MINE, 5)
    assert not waits.may_wait(OTHER, 5)


def test_without_a_time_nothing_waits(clock: Clock) -> None:
    assert not RowWaits(0.0, clock).may_wait(MINE, 5)
