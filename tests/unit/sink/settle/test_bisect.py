"""Which part of a column is tried next."""

import math
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.sink.settle.bisect import Isolation


class Trial:
    """Drives an isolation: a part fails as long as it holds a poison event that was not set aside."""

    def __init__(self, size: int, poison: set[int], *, known: bool, suspects: Collection[int] = ()) -> None:
        self.poison = set(poison)
        self.attempts: list[range] = []
        self.settled: list[int] = []
        self.blamed: list[int] = []
        self.work = 0
        isolation = Isolation(size)
        if suspects:
            isolation.alone(suspects)
        while (part := isolation.part()) is not None:
            self.attempts.append(part)
            self.work += len(part)
            self._attempt(isolation, part, known=known)

    def _attempt(self, isolation: Isolation, part: range, *, known: bool) -> None:
        culprit = next((place for place in part if place in self.poison), None)
        if culprit is None:
            self.settled += part
            isolation.stood()
            return
        blamed = isolation.failed(culprit if known else None)
        if blamed is not None:
            self.blamed.append(blamed)
            self.poison.discard(blamed)


def places_below(size: int, **limits: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(0, size - 1), **limits) if size else st.just(set())


sizes_and_poison = st.integers(0, 300).flatmap(lambda size: st.tuples(st.just(size), places_below(size, max_size=30)))


@given(sizes_and_poison, st.booleans(), st.data())
def test_every_event_is_settled_once_and_in_order_and_only_poison_is_blamed(
    given_: tuple[int, set[int]], known: bool, data: st.DataObject
) -> None:
    size, poison = given_
    trial = Trial(size, poison, known=known, suspects=data.draw(places_below(size, max_size=5)))
    assert trial.settled == list(range(size))
    assert trial.blamed == sorted(poison)


@given(size=st.integers(1, 2500), place=st.integers(0, 2499))
def test_one_poison_event_costs_a_logarithm_of_attempts_and_little_more_than_its_parts_work(
    size: int, place: int
) -> None:
    trial = Trial(size, {place % size}, known=False)
    # Afterwards parts grow again from the least size, doubling.
    attempts = math.ceil(math.log(size, 8)) * 8 + 3 + max(0, math.ceil(math.log2(size / 16)))
    assert len(trial.attempts) <= attempts
    assert trial.work <= 2.3 * size + 8


@given(size=st.integers(1, 2500), place=st.integers(0, 2499))
def test_a_poison_event_that_names_itself_costs_its_part_once_more(size: int, place: int) -> None:
    assert Trial(size, {place % size}, known=True).work <= 2 * size + 1


@given(known=st.booleans(), first=st.integers(0, 99))
def test_each_of_many_poison_events_costs_the_work_of_few_others(known: bool, first: int) -> None:
    size = 2500
    trial = Trial(size, set(range(first, size, 100)), known=known)
    assert trial.work <= (6 if not known else 3.5) * size


def test_suspects_are_tried_alone_and_the_others_together() -> None:
    assert Trial(100, {20}, known=False, suspects={20, 50}).attempts[:2] == [range(20), range(20, 21)]
    assert range(50, 51) in Trial(100, set(), known=False, suspects={20, 50}).attempts


def test_an_event_that_fails_alone_stays_the_part_to_try() -> None:
    isolation = Isolation(1)
    assert isolation.failed() == 0
    assert isolation.part() == range(1)
    assert isolation.failed(0) == 0
    assert isolation.part() == range(1)


def test_an_empty_batch_has_nothing_to_try() -> None:
    assert Isolation(0).part() is None


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_part_is_cut_around_the_event_that_failed(at: int) -> None:
    isolation = Isolation(5)
    isolation.failed(at)
    parts = []
    while (part := isolation.part()) is not None:
        parts.append(part)
        isolation.stood()
    assert parts == [part for part in (range(at), range(at, at + 1), range(at + 1, 5)) if part]
