"""Generations of claims: an id is claimed once, whatever generation it is in, and whichever worker asks meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inbox.errors import TryAgainError
from inbox.events import Settlement
from inbox.store.inbox.generations import Generations
from inbox.store.inbox.horizon import Horizons
from inbox.store.inbox.ledger import Ledger, OffsetAdvance
from inbox.store.postgres.connection import Connection
from inbox.store.schema.names import GENERATION_SLOTS
from tests.integration.store.conftest import P0, P1, Connect
from tests.support.store.claims import ROUTE, claims_of, in_generation
from tests.support.store.locks import until_it_waits


def places(connection: Connection) -> list[tuple[str, int]]:
    """Each claim's table and id."""
    query = "SELECT tableoid::regclass::text, event_id FROM inbox.processed ORDER BY event_id, 1"
    return [(table.removeprefix("inbox."), event_id.int) for table, event_id in connection.execute(query)]


class Batch:
    """A transaction that claims and fences, as a worker's in a generation that it believes to be the youngest."""

    def __init__(self, connection: Connection, owner: str, generation: int = 0) -> None:
        self._connection, self._owner = connection, owner
        self._ledger = Ledger(connection, "inbox")
        self._generation = generation
        partition = P0 if owner == "first" else P1
        (self._held,) = self._ledger.acquire([partition], owner)

    def claim(self, *numbers: int) -> list[int]:
        self._connection.execute("BEGIN")
        claims = claims_of(*numbers, partition_id=self._held.partition_id)
        return in_generation(self._connection, self._generation).claim(ROUTE, claims)

    def end(self) -> bool:
        """Whether it was committed."""
        held = self._held
        advance = OffsetAdvance(
            held.partition_id, held.owner_epoch, held.next_offset, held.next_offset + 1, Settlement(1)
        )
        moved, _ = self._ledger.fence([advance], owner=self._owner, routes_revision=1, generation=self._generation)
        self._connection.execute("COMMIT" if moved else "ROLLBACK")
        return bool(moved)


@pytest.fixture(name="prune_connection")
def prune_connection_(open_connection: Connect) -> Connection:
    return open_connection()


def test_new_claims_go_into_the_youngest_and_older_ones_are_found(connection: Connection, ledger: Ledger) -> None:
    for number in range(GENERATION_SLOTS):
        assert in_generation(connection, number).claim(ROUTE, claims_of(number)) == []
        if number < GENERATION_SLOTS - 1:
            Generations(connection, "inbox").switch(number)
    youngest = in_generation(connection, GENERATION_SLOTS - 1)
    assert youngest.claim(ROUTE, claims_of(0, 1, 77, 2, 3, 15)) == [0, 1, 3, 4, 5]
    assert youngest.claim(2, claims_of(0)) == []


def test_before_a_sink_has_started_no_generation_takes_over(connection: Connection) -> None:
    Generations(connection, "inbox").switch(0)
    assert [each.number for each in Generations(connection, "inbox").read()] == [0]


def test_an_id_that_comes_again_from_elsewhere_is_kept_with_the_youngest(
    connection: Connection, ledger: Ledger
) -> None:
    in_generation(connection, 0).claim(ROUTE, claims_of(1, 2))
    Generations(connection, "inbox").switch(0)
    assert in_generation(connection, 1).claim(ROUTE, claims_of(2, first_offset=90)) == [0]
    assert places(connection) == [("processed", 1), ("processed_1", 2)]
    # It is the same claim: of the record that took effect.
    assert connection.execute("SELECT kafka_offset FROM inbox.processed_1").fetchall() == [(11,)]


def test_what_a_replay_brings_again_stays_where_it_is(connection: Connection, ledger: Ledger) -> None:
    in_generation(connection, 0).claim(ROUTE, claims_of(1, 2))
    Generations(connection, "inbox").switch(0)
    assert in_generation(connection, 1).claim(ROUTE, claims_of(1, 2)) == [0, 1]
    assert places(connection) == [("processed", 1), ("processed", 2)]


# The switch is a barrier: in each of these orders one of two workers gets the id.


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_switch_waits_for_a_batch_with_claims(
    connection: Connection, open_connection: Connect, prune_connection: Connection, ledger: Ledger, end: str
) -> None:
    connection.execute("BEGIN")
    in_generation(connection, 0).claim(ROUTE, claims_of(1))
    with ThreadPoolExecutor(1) as pool:
        switch = pool.submit(Generations(prune_connection, "inbox").switch, 0)
        until_it_waits(open_connection(), prune_connection)
        connection.execute(end)
        switch.result(timeout=120)
    found = in_generation(connection, 1).claim(ROUTE, claims_of(1, first_offset=50))
    assert found == ([0] if end == "COMMIT" else [])


def test_a_switch_gives_up_while_a_batch_takes_its_time(
    connection: Connection, prune_connection: Connection, ledger: Ledger
) -> None:
    connection.execute("BEGIN")
    in_generation(connection, 0).claim(ROUTE, claims_of(1))
    with pytest.raises(TryAgainError):
        Generations(prune_connection, "inbox").switch(0)
    assert Ledger(prune_connection, "inbox").revisions().generation == 0


def test_a_batch_of_the_generation_before_is_fenced(connection: Connection, ledger: Ledger) -> None:
    batch = Batch(connection, "first")
    Generations(connection, "inbox").switch(0)
    batch.claim(1)
    assert not batch.end()
    assert places(connection) == []


@pytest.mark.parametrize("first_claims", [True, False], ids=["claims before the switch", "claims after it"])
def test_two_workers_with_one_id_around_a_switch_get_it_once(
    connection: Connection,
    open_connection: Connect,
    prune_connection: Connection,
    ledger: Ledger,
    first_claims: bool,
) -> None:
    other = open_connection()
    first = Batch(connection, "first", generation=0)
    if first_claims:
        assert first.claim(1) == []
    with ThreadPoolExecutor(2) as pool:
        switch = pool.submit(Generations(prune_connection, "inbox").switch, 0)
        if first_claims:
            until_it_waits(open_connection(), prune_connection)
            assert first.end()
        switch.result(timeout=120)
        second = Batch(other, "second", generation=1)
        assert second.claim(1) == ([0] if first_claims else [])
        if not first_claims:
            # The first does not know of the switch yet: nothing makes it wait for the other's claim, but its fence.
            assert first.claim(1) == []
            assert not first.end()
        assert second.end()
    assert len(places(connection)) == 1


def test_two_workers_that_renew_one_claim_keep_one(
    connection: Connection, open_connection: Connect, ledger: Ledger
) -> None:
    in_generation(connection, 0).claim(ROUTE, claims_of(1))
    Generations(connection, "inbox").switch(0)
    other = open_connection()
    connection.execute("BEGIN")
    assert in_generation(connection, 1).claim(ROUTE, claims_of(1, first_offset=50)) == [0]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(in_generation(other, 1).claim, ROUTE, claims_of(1, first_offset=60))
        until_it_waits(open_connection(), other)
        connection.execute("COMMIT")
        assert answer.result(timeout=120) == [0]
    assert places(connection) == [("processed_1", 1)]


# The horizon, and the end of a generation.


def settle(connection: Connection, after: int, generation: int = 0) -> None:
    ledger = Ledger(connection, "inbox")
    (held,) = ledger.acquire([P0], "me")
    advance = OffsetAdvance(held.partition_id, held.owner_epoch, held.next_offset, after, Settlement(1))
    assert ledger.fence([advance], owner="me", routes_revision=1, generation=generation)[0]


def horizon_of_p0(connection: Connection) -> int | None:
    return next(each.offset for each in Horizons(connection, "inbox").read() if each.address == P0)


def test_a_generation_goes_with_its_claims_and_its_table_is_used_again(connection: Connection, ledger: Ledger) -> None:
    in_generation(connection, 0).claim(ROUTE, claims_of(1))
    for number in range(GENERATION_SLOTS - 1):
        Generations(connection, "inbox").switch(number)
    assert Generations(connection, "inbox").raise_horizon(0)
    Generations(connection, "inbox").drop(0)
    assert [each.number for each in Generations(connection, "inbox").read()] == list(range(1, GENERATION_SLOTS))
    Generations(connection, "inbox").switch(GENERATION_SLOTS - 1)
    assert in_generation(connection, GENERATION_SLOTS).claim(ROUTE, claims_of(1)) == []
    assert places(connection) == [("processed", 1)]


def test_the_horizon_is_where_the_partition_was_when_the_generation_was_closed(
    connection: Connection, ledger: Ledger
) -> None:
    settle(connection, 40)
    Generations(connection, "inbox").switch(0)
    settle(connection, 60, generation=1)
    assert horizon_of_p0(connection) is None
    assert Generations(connection, "inbox").raise_horizon(0)
    assert horizon_of_p0(connection) == 40


def test_the_horizon_is_not_raised_over_a_replay_under_way(connection: Connection, ledger: Ledger) -> None:
    settle(connection, 40)
    Generations(connection, "inbox").switch(0)
    connection.execute("UPDATE inbox.partitions SET next_offset = 20 WHERE partition = 0")
    assert not Generations(connection, "inbox").raise_horizon(0)
    assert horizon_of_p0(connection) is None
    connection.execute("UPDATE inbox.partitions SET next_offset = 40 WHERE partition = 0")
    assert Generations(connection, "inbox").raise_horizon(0)


def test_a_generation_that_somebody_reads_stays(
    connection: Connection, prune_connection: Connection, ledger: Ledger
) -> None:
    Generations(connection, "inbox").switch(0)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM inbox.processed")
    with pytest.raises(TryAgainError):
        Generations(prune_connection, "inbox").drop(0)
    assert [each.number for each in Generations(prune_connection, "inbox").read()] == [0, 1]
