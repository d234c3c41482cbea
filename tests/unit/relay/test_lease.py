"""When a relay may send."""

from inbox.relay.lease import KEEP_EVERY_SECONDS, MARGIN_SECONDS, SECONDS, TRY_EVERY_SECONDS, Lease


def test_a_standby_may_not() -> None:
    lease = Lease()

    assert not lease.may_send(0.0)
    assert not lease.is_due(1000.0)


def test_it_counts_from_when_it_asked_and_stops_before_another_may_begin() -> None:
    lease = Lease()
    lease.taken(1, asked_at=10.0)

    assert lease.may_send(10.0 + SECONDS - MARGIN_SECONDS - 0.01)
    assert not lease.may_send(10.0 + SECONDS - MARGIN_SECONDS)


def test_it_is_prolonged_long_before_that() -> None:
    lease = Lease()
    lease.taken(1, asked_at=10.0)

    assert not lease.is_due(10.0 + KEEP_EVERY_SECONDS - 0.01)
    assert lease.is_due(10.0 + KEEP_EVERY_SECONDS)
    lease.kept(asked_at=12.0)
    assert lease.may_send(12.0 + SECONDS - MARGIN_SECONDS - 0.01)
    assert 2 * KEEP_EVERY_SECONDS < SECONDS - MARGIN_SECONDS


def test_what_was_lost_is_lost() -> None:
    lease = Lease()
    lease.taken(1, asked_at=10.0)

    lease.lost()

    assert not lease.may_send(10.0)


def test_a_standby_takes_over_within_ten_seconds() -> None:
    assert SECONDS + TRY_EVERY_SECONDS < 10.0
