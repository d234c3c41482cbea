"""What a replay plans and refuses: a table of cases, and what holds of every plan."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.events import TopicPartition
from inbox.operations.replay.plan import (
    AtOffset,
    AtTime,
    Earliest,
    End,
    Facts,
    Listed,
    Plan,
    Request,
    ShiftedBy,
    Start,
    plan,
)
from inbox.sink.guards.log_check import LogView
from inbox.store.inbox.ledger import KnownPartition
from inbox.store.inbox.replays import Mode, RunningRange

TOPIC_ID = UUID(int=7)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)


def known(at: TopicPartition, next_offset: int) -> KnownPartition:
    return KnownPartition(
        partition_id=at.partition + 1, cluster_id="c", address=at, topic_id=TOPIC_ID, next_offset=next_offset
    )


def facts(
    *,
    starts: Mapping[TopicPartition, int] | None = None,
    stands: Mapping[TopicPartition, int] | None = None,
    topic_id: UUID = TOPIC_ID,
    running: RunningRange | None = None,
    horizon: int = 0,
) -> Facts:
    """Partition 0 holds 100 up to 2000, partition 1 0 up to 400; the ledger stands at 1842 and 300."""
    starts = starts or {FIRST: 100, SECOND: 0}
    stands = stands or {FIRST: 1842, SECOND: 300}
    log = LogView(cluster_id="c", topic_id=topic_id, starts=starts, ends={FIRST: 2000, SECOND: 400})
    return Facts(
        known=[known(at, offset) for at, offset in stands.items()],
        logs={"orders": log},
        routes={"reserve-stock": ("orders",), "invoices": ("payments",), "totals": ("orders",)},
        registered=["reserve-stock", "invoices"],
        from_times={FIRST: 1500, SECOND: 400},
        until_times={FIRST: 1600, SECOND: 400},
        running={running.partition_id: running} if running else {},
        horizons={1: horizon},
    )


def request(
    start: Start,
    until: End | None = None,
    *,
    partitions: tuple[int, ...] | None = (0,),
    mode: Mode = Mode.SKIP_APPLIED,
    route: str | None = None,
    topic: str | None = "orders",
) -> Request:
    return Request(start=start, until=until, topic=topic, partitions=partitions, mode=mode, route=route)


def extents(found: Plan) -> list[tuple[str, int, int]]:
    return [(str(step.address), step.from_offset, step.until_offset) for step in found.steps]


@pytest.mark.parametrize(
    ("asked", "planned"),
    [
        (request(AtOffset(1000)), [("orders[0]", 1000, 1842)]),
        (request(AtOffset(1000), AtOffset(1200)), [("orders[0]", 1000, 1200)]),
        (request(AtOffset(200), partitions=None), [("orders[0]", 200, 1842), ("orders[1]", 200, 300)]),
        (request(Earliest()), [("orders[0]", 100, 1842)]),
        (request(AtTime(NOON), AtTime(NOON)), [("orders[0]", 1500, 1600)]),
        (request(AtTime(NOON), partitions=None), [("orders[0]", 1500, 1842)]),
        (request(ShiftedBy(-42)), [("orders[0]", 1800, 1842)]),
        (request(ShiftedBy(-400), partitions=None), [("orders[0]", 1442, 1842), ("orders[1]", 0, 300)]),
        (
            Request(start=Listed({SECOND: 10, FIRST: 1840})),
            [("orders[0]", 1840, 1842), ("orders[1]", 10, 300)],
        ),
    ],
)
def test_what_is_planned(asked: Request, planned: list[tuple[str, int, int]]) -> None:
    found = plan(asked, facts())
    assert (extents(found), found.refusals) == (planned, [])


def test_a_step_says_how_far_the_sink_goes_back() -> None:
    [step] = plan(request(AtOffset(1000), AtOffset(1200)), facts()).steps
    assert (step.offsets, step.back, step.range) == (200, 842, (1, 1000, 1200))


RUNNING = RunningRange(1, 4, 900, 1800, 1300)

REFUSED: dict[str, tuple[Request, Facts]] = {
    "below the log start": (request(AtOffset(50)), facts()),
    "ahead of the ledger": (request(AtOffset(1900)), facts()),
    "an end ahead of the ledger": (request(AtOffset(1000), AtOffset(1900)), facts()),
    "below the horizon": (request(AtOffset(1000)), facts(horizon=1500)),
    "all of it below the horizon": (request(AtOffset(1000), AtOffset(1200)), facts(horizon=1500)),
    "where a replay is": (request(AtOffset(1000)), facts(running=RUNNING)),
    "nothing": (request(AtOffset(1842)), facts()),
    "an end before the start": (request(AtOffset(1200), AtOffset(1000)), facts()),
    "another topic": (request(AtOffset(1000)), facts(topic_id=UUID(int=8))),
    "an unknown topic": (request(AtOffset(1000), topic="order"), facts()),
    "an unknown partition": (request(AtOffset(1000), partitions=(0, 7)), facts()),
    "an unknown route": (request(AtOffset(1000), route="reserve"), facts()),
    "a route that is new": (request(AtOffset(1000), route="totals"), facts()),
    "a route of other topics": (request(AtOffset(1000), route="invoices"), facts()),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_has_no_step_and_names_a_choice(what: str) -> None:
    asked, found = REFUSED[what]
    refused = plan(asked, found)
    assert len(refused.refusals) == 1
    assert not refused.steps
    assert ";" in refused.refusals[0]


def test_below_the_horizon_force_is_the_choice() -> None:
    assert extents(plan(request(AtOffset(1000), mode=Mode.FORCE), facts(horizon=1500))) == [("orders[0]", 1000, 1842)]


def test_a_shadow_changes_nothing_and_is_refused_for_less() -> None:
    for what in ("below the horizon", "where a replay is"):
        asked, found = REFUSED[what]
        assert plan(request(asked.start, mode=Mode.SHADOW), found).steps


offsets = st.integers(0, 60)
starts = st.one_of(
    offsets.map(AtOffset), st.just(Earliest()), st.integers(-60, 60).map(ShiftedBy), st.just(AtTime(NOON))
)
untils = st.one_of(st.none(), offsets.map(AtOffset), st.just(AtTime(NOON)))


@given(
    start=starts,
    until=untils,
    log=st.tuples(offsets, offsets).map(sorted),
    back=offsets,
    times=st.tuples(offsets, offsets),
    horizon=offsets,
    running=st.booleans(),
    mode=st.sampled_from(Mode),
)
def test_what_is_planned_can_be_read_was_settled_and_is_not_applied_twice_unasked(
    start: Start,
    until: End | None,
    log: list[int],
    back: int,
    times: tuple[int, int],
    horizon: int,
    running: bool,
    mode: Mode,
) -> None:
    log_start, end = log
    stands = max(log_start, end - back)
    found = Facts(
        known=[known(FIRST, stands)],
        logs={"orders": LogView(cluster_id="c", topic_id=TOPIC_ID, starts={FIRST: log_start}, ends={FIRST: end})},
        routes={},
        registered=[],
        from_times={FIRST: max(log_start, min(times[0], end))},
        until_times={FIRST: max(log_start, min(times[1], end))},
        running={1: RunningRange(1, 4, 0, 1, 0)} if running else {},
        horizons={1: horizon},
    )
    planned = plan(request(start, until, mode=mode), found)
    assert bool(planned.steps) != bool(planned.refusals)
    for step in planned.steps:
        assert log_start <= step.from_offset < step.until_offset <= stands
        assert mode is not Mode.SKIP_APPLIED or step.from_offset >= horizon
        assert mode is Mode.SHADOW or not running
