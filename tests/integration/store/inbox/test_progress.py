"""Progress: whatever happens to a partition, its rows tile what was settled, and each ending counts once."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from inbox.events import Settlement, TopicPartition
from inbox.store.inbox.ledger import KnownPartition, Ledger, LedgerRow, OffsetAdvance
from inbox.store.inbox.resumptions import Resumptions, Successor
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import P0, P1

START = 10
PARTITIONS = st.sampled_from([P0, P1])

ROWS = """
SELECT from_offset, until_offset, applied, duplicate, filtered, dead_lettered FROM inbox.progress
WHERE partition_id = %s ORDER BY from_offset
"""

Row = tuple[int, ...]


def rows(connection: Connection, partition_id: int = 1) -> list[Row]:
    return connection.execute(ROWS, (partition_id,)).fetchall()


def fence(connection: Connection, held: LedgerRow, after: int, settlement: Settlement) -> bool:
    advance = OffsetAdvance(held.partition_id, held.owner_epoch, held.next_offset, after, settlement)
    moved, _ = Ledger(connection, "inbox").fence([advance], owner="me", routes_revision=1)
    return bool(moved)


def hold(connection: Connection, partition: TopicPartition = P0) -> LedgerRow:
    (held,) = Ledger(connection, "inbox").acquire([partition], "me")
    return held


def pass_a_minute(connection: Connection) -> None:
    connection.execute("UPDATE inbox.partitions SET progress_since = progress_since - interval '2 minutes'")


def replay(connection: Connection, offset: int, partition_id: int = 1) -> None:
    connection.execute(
        "UPDATE inbox.partitions SET next_offset = %s, owner_epoch = owner_epoch + 1 WHERE partition_id = %s",
        (offset, partition_id),
    )


def test_batches_of_one_minute_extend_one_row(connection: Connection, ledger: Ledger) -> None:
    held = hold(connection)
    fence(connection, held, 15, Settlement(1, 2, 1, 1))
    fence(connection, held._replace(next_offset=15), 20, Settlement(10, 20, 10, 10))
    assert rows(connection) == [(10, 20, 11, 22, 11, 11)]


def test_a_row_older_than_a_minute_is_followed_by_another(connection: Connection, ledger: Ledger) -> None:
    held = hold(connection)
    fence(connection, held, 15, Settlement(applied=5))
    pass_a_minute(connection)
    fence(connection, held._replace(next_offset=15), 20, Settlement(applied=5))
    fence(connection, held._replace(next_offset=20), 21, Settlement(filtered=1))
    assert rows(connection) == [(10, 15, 5, 0, 0, 0), (15, 21, 5, 0, 1, 0)]


def test_a_row_says_from_when_to_when(connection: Connection, ledger: Ledger) -> None:
    held = hold(connection)
    fence(connection, held, 15, Settlement(applied=5))
    fence(connection, held._replace(next_offset=15), 20, Settlement(applied=5))
    query = "SELECT from_time < until_time, until_time <= clock_timestamp() FROM inbox.progress"
    assert connection.execute(query).fetchall() == [(True, True)]


def test_what_is_fenced_off_leaves_no_progress(connection: Connection, ledger: Ledger) -> None:
    held = hold(connection)
    hold(connection)
    assert not fence(connection, held, 15, Settlement(applied=5))
    assert rows(connection) == []


def test_what_is_settled_again_counts_no_second_time(connection: Connection, ledger: Ledger) -> None:
    fence(connection, hold(connection), 15, Settlement(applied=5))
    replay(connection, 12)
    held = hold(connection)
    assert (held.next_offset, held.reached_offset) == (12, 15)
    fence(connection, held, 15, Settlement(duplicate=3))
    fence(connection, held._replace(next_offset=15), 16, Settlement(applied=1))
    assert rows(connection) == [(10, 16, 6, 0, 0, 0)]
    assert {each.address: each.settlement for each in ledger.status()}[P0] == Settlement(applied=6)


@pytest.mark.parametrize(
    ("to_offset", "expected"),
    [(30, [(10, 15, 5, 0, 0, 0), (15, 30, 0, 0, 0, 0), (30, 31, 1, 0, 0, 0)]), (12, [(10, 15, 5, 0, 0, 0)])],
)
def test_a_resume_has_a_row_of_its_own_for_what_it_passes_over(
    connection: Connection, ledger: Ledger, to_offset: int, expected: list[Row]
) -> None:
    fence(connection, hold(connection), 15, Settlement(applied=5))
    resume(connection, to_offset)
    held = hold(connection)
    fence(connection, held, held.next_offset + 1, Settlement(applied=1))
    assert rows(connection) == expected


def test_a_resume_into_another_log_begins_anew(connection: Connection, ledger: Ledger) -> None:
    fence(connection, hold(connection), 15, Settlement(applied=5))
    resume(connection, 3, another_log=True)
    held = hold(connection)
    fence(connection, held, 4, Settlement(applied=1))
    assert rows(connection) == [(10, 15, 5, 0, 0, 0)]
    assert rows(connection, held.partition_id) == [(3, 4, 1, 0, 0, 0)]


def resume(connection: Connection, to_offset: int, *, another_log: bool = False) -> None:
    before: KnownPartition = next(each for each in Ledger(connection, "inbox").known(["orders"]) if each.address == P0)
    successor = Successor(
        before=before,
        cluster_id="cluster-1",
        topic_id=None,
        to_offset=to_offset,
        another_log=another_log,
        consequence="a test",
    )
    Resumptions(connection, "inbox").continue_at(successor, requested_by="a test")


@dataclass
class Place:
    """What is true of a partition: counts of endings, each offset's first one alone."""

    partition_id: int
    next_offset: int = START
    reached: int = START
    counted: Settlement = field(default_factory=Settlement)


class Happenings(RuleBasedStateMachine):
    """Batches, crashes, new owners, replays, resumes and minutes, in any order."""

    connection: Connection
    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        # Taken back at the end, so that the next example finds the ledger as this one did.
        self.connection.execute("BEGIN")
        self.places = {P0: Place(1), P1: Place(2)}
        self.held: dict[TopicPartition, LedgerRow] = {}

    def teardown(self) -> None:
        self.connection.execute("ROLLBACK")

    @rule(partition=PARTITIONS)
    def is_acquired(self, partition: TopicPartition) -> None:
        self.held[partition] = hold(self.connection, partition)
        assert self.held[partition].reached_offset == self.places[partition].reached

    @rule(partition=PARTITIONS, count=st.integers(1, 9), stands=st.booleans())
    def is_settled(self, partition: TopicPartition, count: int, stands: bool) -> None:
        held, place = self.held.get(partition), self.places[partition]
        if held is None:
            return
        border = held.reached_offset
        after = held.next_offset + count
        after = min(after, border) if held.next_offset < border else after
        settlement = Settlement(applied=after - held.next_offset)
        self.connection.execute("SAVEPOINT batch")
        moved = fence(self.connection, held, after, settlement)
        if not stands:
            self.connection.execute("ROLLBACK TO batch")
            return
        current = held.next_offset == place.next_offset
        if moved:
            assert current
            if after > place.reached:
                place.counted.add(settlement)
            place.next_offset, place.reached = after, max(place.reached, after)
            self.held[partition] = held._replace(next_offset=after, reached_offset=max(border, after))

    @rule(partition=PARTITIONS, back=st.integers(0, 30))
    def is_replayed(self, partition: TopicPartition, back: int) -> None:
        place = self.places[partition]
        place.next_offset = max(0, place.next_offset - back)
        replay(self.connection, place.next_offset, place.partition_id)

    @rule(to_offset=st.integers(0, 60))
    def is_resumed(self, to_offset: int) -> None:
        resume(self.connection, to_offset)
        place = self.places[P0]
        place.next_offset, place.reached = to_offset, max(place.reached, to_offset)

    @rule()
    def a_minute_passes(self) -> None:
        pass_a_minute(self.connection)

    @invariant()
    def rows_tile(self) -> None:
        for place in self.places.values():
            found = rows(self.connection, place.partition_id)
            borders = [START, *(row[1] for row in found)]
            assert [row[0] for row in found] == borders[:-1]
            assert borders[-1] == place.reached

    @invariant()
    def endings_count_once(self) -> None:
        counted = {each.address: each.settlement for each in self.ledger.status()}
        for partition, place in self.places.items():
            found = rows(self.connection, place.partition_id)
            assert Settlement(*(sum(row[n] for row in found) for n in range(2, 6))) == place.counted
            assert counted[partition] == place.counted


def test_rows_tile_whatever_happens(connection: Connection, ledger: Ledger) -> None:
    bound = type("BoundHappenings", (Happenings,), {"connection": connection, "ledger": ledger})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        bound,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
