"""How long to wait after outages."""

import math

from hypothesis import given
from hypothesis import strategies as st

from inbox.backoff import backoff


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_a_backoff_is_never_longer_than_five_seconds_nor_a_busy_loop(failures: int, jitter: float) -> None:
    assert 0.05 <= backoff(failures, jitter) <= 5.0


@given(failures=st.integers(1, 100), jitter=st.floats(0, 1))
def test_a_backoff_does_not_shrink_while_the_outage_lasts(failures: int, jitter: float) -> None:
    assert backoff(failures + 1, jitter) >= backoff(failures, jitter)


@given(failures=st.integers(1, 100))
def test_jitter_spreads_a_backoff_over_its_upper_half(failures: int) -> None:
    assert math.isclose(backoff(failures, 0.0) * 2, backoff(failures, 1.0))
