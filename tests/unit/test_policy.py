"""What to do next, without clock and I/O."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.policy import FailureLimits, Isolation, Verdict, after_failure, backoff, pause_before_attempt


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
    assert 0 < pause_before_attempt(attempts) <= pause_before_attempt(attempts + 1) <= 0.32


class Trial:
    """Drives an isolation: a part fails as long as it holds a poison event that was not set aside."""

    def __init__(self, size: int, poison: set[int], *, largest: int, known: bool) -> None:
        self.poison = set(poison)
        self.attempts: list[range] = []
        self.settled: list[int] = []
        self.blamed: list[int] = []
        isolation = Isolation(size, largest=largest)
        while (part := isolation.part) is not None:
            self.attempts.append(part)
            self._attempt(isolation, part, known=known)

    def _attempt(self, isolation: Isolation, part: range, *, known: bool) -> None:
        culprit = next((place for place in part if place in self.poison), None)
        if culprit is None:
            self.settled += part
            isolation.stood()
            return
        alone = isolation.failed(culprit if known else None)
        if known or alone is not None:
            self.blamed.append(culprit if known else alone if alone is not None else -1)
            self.poison.discard(culprit)


trials = st.integers(0, 300).flatmap(
    lambda size: st.builds(
        Trial,
        st.just(size),
        st.sets(st.integers(0, max(0, size - 1)), max_size=8).map(lambda places: {p for p in places if p < size}),
        largest=st.sampled_from([1, 7, 100, 1000]),
        known=st.booleans(),
    )
)


@given(trials)
def test_every_event_is_settled_once_and_in_order(trial: Trial) -> None:
    assert trial.settled == list(range(len(trial.settled)))


@given(size=st.integers(0, 300), poison=st.sets(st.integers(0, 299), max_size=8), known=st.booleans())
def test_only_poison_is_blamed_and_each_but_once(size: int, poison: set[int], known: bool) -> None:
    poison = {place for place in poison if place < size}
    trial = Trial(size, poison, largest=1000, known=known)
    assert trial.blamed == sorted(poison)
    assert trial.settled == list(range(size))


@given(size=st.integers(1, 1000), place=st.integers(0, 999))
def test_one_poison_event_costs_a_logarithm_of_attempts(size: int, place: int) -> None:
    trial = Trial(size, {place % size}, largest=1000, known=False)
    ways = 8
    levels = math.ceil(math.log(size, ways))
    assert len(trial.attempts) <= levels * ways + 3


@given(size=st.integers(1, 1000), place=st.integers(0, 999))
def test_a_poison_event_that_names_itself_costs_four_attempts_at_most(size: int, place: int) -> None:
    assert len(Trial(size, {place % size}, largest=1000, known=True).attempts) <= 4


@given(size=st.integers(0, 300), largest=st.integers(1, 50))
def test_no_part_is_larger_than_said(size: int, largest: int) -> None:
    trial = Trial(size, set(), largest=largest, known=False)
    assert all(len(part) <= largest for part in trial.attempts)
    assert len(trial.attempts) == math.ceil(size / largest)


def test_an_event_that_fails_alone_stays_the_part_to_try() -> None:
    isolation = Isolation(1)
    assert isolation.failed() == 0
    assert isolation.part == range(1)
    assert isolation.failed(0) == 0
    assert isolation.part == range(1)


def test_an_empty_batch_has_nothing_to_try() -> None:
    assert Isolation(0).part is None


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_part_is_cut_around_the_event_that_failed(at: int) -> None:
    isolation = Isolation(5)
    isolation.failed(at)
    parts = []
    while (part := isolation.part) is not None:
        parts.append(part)
        isolation.stood()
    assert parts == [part for part in (range(at), range(at, at + 1), range(at + 1, 5)) if part]
