"""PostgreSQL goes away, comes back, and is not what it was for a while."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from inbox.dev.backends import OwnServer
from inbox.failpoints import Failpoint
from tests.integration.sink.conftest import at  # noqa: F401 - a fixture
from tests.support.blackhole import Blackhole
from tests.support.sink.running import Sink
from tests.support.watching import Watched, watched

pytestmark = pytest.mark.long

MakeSink = Callable[..., Sink]

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "20"))
FULL_SPEED_WITHIN = 10.0


@pytest.fixture
def running(make_sink: MakeSink, own_database: str) -> Iterator[Watched]:
    with watched(make_sink(own_database)) as found:
        yield found


def test_a_connection_that_an_administrator_ends_is_opened_again(running: Watched) -> None:
    running.sink.end_its_connection()
    running.send(50)
    running.check(reasons=["connection"])


@pytest.mark.timeout(OUTAGE_SECONDS + 600)
def test_a_server_that_is_away_for_minutes_costs_no_event_and_no_membership(
    running: Watched, own_postgres: OwnServer
) -> None:
    own_postgres.stop()
    running.send(50)
    running.eventually_away()
    running.stays_away(OUTAGE_SECONDS)
    own_postgres.start()
    running.eventually_at_full_speed(FULL_SPEED_WITHIN)
    running.check(reasons=["connection"])


def test_a_server_that_is_killed_in_the_middle_of_traffic_costs_nothing(
    running: Watched, own_postgres: OwnServer
) -> None:
    running.send(2000)
    own_postgres.kill()
    running.eventually_away()
    own_postgres.start()
    running.check(reasons=["connection"])


def test_a_primary_that_turned_read_only_is_waited_for(running: Watched) -> None:
    with read_only(running.sink):
        running.send(50)
        running.eventually_away()
        assert "25006" in str(running.worker.progress.waiting_for)
    running.check(reasons=["read_only"])


@contextmanager
def read_only(sink: Sink) -> Iterator[None]:
    sink.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    sink.sql("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        sink.sql("ALTER SYSTEM RESET default_transaction_read_only")
        sink.sql("SELECT pg_reload_conf()")


SHORT_KEEPALIVES = "?keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=2000&connect_timeout=2"


@pytest.fixture
def hole(own_database: str) -> Iterator[Blackhole]:
    with Blackhole(own_database) as hole:
        yield hole


@pytest.mark.parametrize("point", [Failpoint.BEGUN, Failpoint.HANDLED, Failpoint.COMMIT_SENT])
def test_a_connection_that_hangs_without_a_reset_is_given_up(
    make_sink: MakeSink,
    own_database: str,
    hole: Blackhole,
    at: Callable[..., None],  # noqa: F811 - the fixture
    point: Failpoint,
) -> None:
    sink = make_sink(own_database, through=hole.database_url + SHORT_KEEPALIVES)
    with watched(sink) as running:
        at(point, hole.open)
        running.send(50)
        running.eventually_away()
        running.stays_away(2)
        hole.shut()
        running.check(reasons=["connection"])


def test_a_quiet_connection_that_hangs_is_found_before_the_next_event_needs_it(
    make_sink: MakeSink, own_database: str, hole: Blackhole
) -> None:
    sink = make_sink(own_database, through=hole.database_url + SHORT_KEEPALIVES)
    with watched(sink) as running:
        hole.open()
        running.eventually_away()
        hole.shut()
        running.eventually_ready()
        running.send(50)
        running.check(reasons=["connection"])
