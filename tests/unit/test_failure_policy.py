"""What becomes of an event that failed, without clock and I/O."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.errors import FailureKind
from inbox.failure_policy import (
    LONGEST_PAUSES,
    FailureDecision,
    FailureLimits,
    after_failure,
    pause_before_attempt,
    retry_delay,
)


@given(attempts=st.integers(1, 1000), limit=st.integers(1, 1000))
def test_an_event_that_can_never_succeed_is_parked_at_once(attempts: int, limit: int) -> None:
    assert after_failure(certain=True, attempts=attempts, limits=FailureLimits(attempts=limit)) is FailureDecision.PARK


@given(limit=st.integers(1, 100))
def test_a_handlers_exception_is_tried_exactly_as_often_as_the_limit_says(limit: int) -> None:
    limits = FailureLimits(attempts=limit)
    verdicts = [after_failure(certain=False, attempts=n, limits=limits) for n in range(1, limit + 1)]
    assert verdicts == [FailureDecision.AGAIN] * (limit - 1) + [FailureDecision.PARK]


@given(attempts=st.integers(1, 10_000))
def test_a_pause_before_an_attempt_is_short_for_the_batch_waits_with_it(attempts: int) -> None:
    assert 0 < pause_before_attempt(attempts, 0.0) <= pause_before_attempt(attempts + 1, 0.0) <= 0.32


@given(st.lists(st.integers(1, 20), max_size=1000))
def test_however_many_events_fail_the_pauses_of_a_batch_are_bounded(attempts: list[int]) -> None:
    paused = 0.0
    for tries in attempts:
        paused += pause_before_attempt(tries, paused)
    assert paused <= LONGEST_PAUSES + 1e-9


RETRIES = FailureLimits(retry_after=(timedelta(minutes=1), timedelta(minutes=10)))


@given(jitter=st.floats(0, 1))
def test_a_retry_is_never_early_and_at_most_a_tenth_late(jitter: float) -> None:
    for retries, planned in enumerate(RETRIES.retry_after):
        delay = retry_delay(retries, FailureKind.HANDLER, RETRIES, jitter)
        assert delay is not None
        assert planned <= delay <= planned * 1.1


def test_after_the_last_retry_there_is_none() -> None:
    assert retry_delay(2, FailureKind.HANDLER, RETRIES, 0) is None
    assert retry_delay(0, FailureKind.HANDLER, FailureLimits(), 0) is None


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind.value not in FailureLimits.retry_on])
def test_only_the_kinds_that_may_pass_are_retried(kind: FailureKind) -> None:
    assert retry_delay(0, kind, RETRIES, 0) is None
