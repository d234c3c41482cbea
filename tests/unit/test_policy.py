"""What to do next, without clock and I/O."""

import math
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.policy import (
    LONGEST_PAUSES,
    FailureLimits,
    Foresight,
    Isolation,
    Verdict,
    after_failure,
    backoff,
    pause_before_attempt,
)


@given(attempts=st.integers(1, 1000), limit=st.integers(1, 1000))
def test_an_event_that_can_never_succeed_is_parked_at_once(attempts: int, limit: int) -> None:
    assert after_failure(certain=True, attempts=attempts, limits=FailureLimits(attempts=limit)) is Verdict.PARK


@given(limit=st.integers(1, 100))
def test_a_handlers_exception_is_tried_exactly_as_often_as_the_limit_says(limit: int) -> None:
    limits = FailureLimits(attempts=limit)
    verdicts = [after_failure(certain=False, attempts=n, limits=limits) for n in range(1, limit + 1)]
    assert verdicts == [Verdict.AGAIN] * (limit - 1) + [Verdict.PARK]


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_a_backoff_is_never_longer_than_five_seconds_nor_a_busy_loop(failures: int, jitter: float) -> None:
    assert 0.05 <= backoff(failures, jitter) <= 5.0


@given(failures=st.integers(1, 100), jitter=st.floats(0, 1))
def test_a_backoff_does_not_shrink_while_the_outage_lasts(failures: int, jitter: float) -> None:
    assert backoff(failures + 1, jitter) >= backoff(failures, jitter)


@given(failures=st.integers(1, 100))
def test_jitter_spreads_a_backoff_over_its_upper_half(failures: int) -> None:
    assert math.isclose(backoff(failures, 0.0) * 2, backoff(failures, 1.0))


@given(attempts=st.integers(1, 10_000))
def test_a_pause_before_an_attempt_is_short_for_the_batch_waits_with_it(attempts: int) -> None:
    assert 0 < pause_before_attempt(attempts, 0.0) <= pause_before_attempt(attempts + 1, 0.0) <= 0.32


@given(st.lists(st.integers(1, 20), max_size=1000))
def test_however_many_events_fail_the_pauses_of_a_batch_are_bounded(attempts: list[int]) -> None:
    paused = 0.0
    for tries in attempts:
        paused += pause_before_attempt(tries, paused)
    assert paused <= LONGEST_PAUSES + 1e-9


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


def test_nothing_is_taken_to_go_well_before_a_part_did() -> None:
    foresight = Foresight()
    assert not foresight.is_good
    foresight.learned(well=True)
    assert foresight.is_good


def test_after_a_part_that_did_not_go_well_the_next_is_taken_with_care() -> None:
    foresight = Foresight()
    foresight.learned(well=True)
    foresight.learned(well=False)
    assert not foresight.is_good


def parts_until_good(foresight: Foresight) -> int:
    parts = 0
    while not foresight.is_good:
        foresight.learned(well=True)
        parts += 1
    return parts


def test_the_oftener_a_guess_was_wrong_the_later_is_the_next_one() -> None:
    foresight = Foresight()
    waited = []
    for _ in range(8):
        waited.append(parts_until_good(foresight))
        foresight.was_wrong()
    assert waited == [1, 2, 4, 8, 16, 32, 64, 64]


def test_guesses_that_are_right_bring_the_next_one_nearer() -> None:
    foresight = Foresight()
    for _ in range(3):
        foresight.was_wrong()
    parts_until_good(foresight)
    for _ in range(7):
        foresight.was_right()
    foresight.was_wrong()
    assert parts_until_good(foresight) == 2
