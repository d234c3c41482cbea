"""The ledger: compare-and-set, each way, and two workers at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from inbox.errors import TryAgainError
from inbox.events import Settlement, TopicPartition
from inbox.store.inbox.ledger import Ledger, LedgerRow, OffsetAdvance, missing
from inbox.store.inbox.registration import RouteIdentity
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import P0, P1, P2, Bind, Connect
from tests.support.store.locks import until_it_waits
from tests.support.waiting import eventually

NOTHING = Settlement()


def advance(held: LedgerRow, after: int, settlement: Settlement = NOTHING) -> OffsetAdvance:
    return OffsetAdvance(held.partition_id, held.owner_epoch, held.next_offset, after, settlement)


def held_by(connection: Connection, owner: str, *partitions: TopicPartition) -> list[LedgerRow]:
    return sorted(Ledger(connection, "inbox").acquire(partitions or (P0,), owner), key=lambda holding: holding.address)


def fence(
    connection: Connection, advances: Sequence[OffsetAdvance], owner: str = "me", revision: int = 1
) -> frozenset[int]:
    return Ledger(connection, "inbox").fence(advances, owner=owner, routes_revision=revision)[0]


def next_offsets(connection: Connection) -> dict[TopicPartition, int]:
    return {holding.address: holding.next_offset for holding in Ledger(connection, "inbox").read(["orders"])}


# Partitions seen for the first time.


def test_a_partition_starts_where_it_is_added(connection: Connection, ledger: Ledger) -> None:
    assert next_offsets(connection) == {P0: 10, P1: 10, P2: 10}


def test_a_partition_that_another_worker_added_keeps_its_start(connection: Connection, ledger: Ledger) -> None:
    ledger.add("cluster-1", None, {P0: 99})
    assert next_offsets(connection)[P0] == 10


def test_a_partition_is_owed_to_every_route_of_its_topic(connection: Connection, ledger: Ledger) -> None:
    rows = connection.execute("SELECT partition_id, from_offset FROM inbox.route_starts ORDER BY 1").fetchall()
    assert rows == [(1, 10), (2, 10), (3, 10)]


def test_known_partitions_are_those_of_the_topics(connection: Connection, ledger: Ledger) -> None:
    ledger.add("cluster-1", None, {TopicPartition("payments", 0): 5})
    known = ledger.known(["payments", "none"])
    assert [(each.address, each.cluster_id, each.topic_id, each.next_offset) for each in known] == [
        (TopicPartition("payments", 0), "cluster-1", None, 5)
    ]


# Owners.


def test_acquiring_raises_the_owner_epoch(connection: Connection, ledger: Ledger) -> None:
    (first,) = held_by(connection, "me")
    (second,) = held_by(connection, "another")
    assert (first.owner, first.owner_epoch, first.next_offset) == ("me", 1, 10)
    assert (second.owner, second.owner_epoch, second.next_offset) == ("another", 2, 10)


def test_acquiring_again_raises_the_epoch_of_the_same_owner_too(connection: Connection, ledger: Ledger) -> None:
    held_by(connection, "me")
    assert held_by(connection, "me")[0].owner_epoch == 2


def test_only_what_is_asked_for_is_acquired(connection: Connection, ledger: Ledger) -> None:
    held_by(connection, "me", P0, P2)
    assert {h.address: h.owner for h in ledger.read(["orders"])} == {P0: "me", P1: None, P2: "me"}


def test_a_partition_that_the_ledger_does_not_know_does_not_come_back(connection: Connection, ledger: Ledger) -> None:
    assert held_by(connection, "me", TopicPartition("orders", 9)) == []


# The fence.


def test_the_owner_moves_the_ledger_on(connection: Connection, ledger: Ledger) -> None:
    (held,) = held_by(connection, "me")
    assert fence(connection, [advance(held, 15)]) == {held.partition_id}
    assert next_offsets(connection) == {P0: 15, P1: 10, P2: 10}


def test_endings_add_up(connection: Connection, ledger: Ledger) -> None:
    (held,) = held_by(connection, "me")
    fence(connection, [advance(held, 15, Settlement(1, 2, 3, 4))])
    fence(connection, [advance(held._replace(next_offset=15), 20, Settlement(10, 20, 30, 40))])
    status = {each.address: each.settlement for each in ledger.status()}
    assert status[P0] == Settlement(11, 22, 33, 44)
    assert status[P1] == Settlement()


@pytest.mark.parametrize(
    "change", [{"owner_epoch": 0}, {"owner_epoch": 2}, {"next_offset": 9}, {"next_offset": 11}, {"partition_id": 99}]
)
def test_a_fence_that_does_not_find_the_ledger_as_it_was_moves_nothing(
    connection: Connection, ledger: Ledger, change: dict[str, int]
) -> None:
    (held,) = held_by(connection, "me")
    advances = [advance(held._replace(**change), 15)]
    assert fence(connection, advances) == frozenset()
    assert next_offsets(connection)[P0] == 10


def test_another_owner_is_fenced_even_with_the_right_epoch(connection: Connection, ledger: Ledger) -> None:
    """A failover that loses commits may hand out one epoch twice; the token tells its owners apart."""
    (held,) = held_by(connection, "me")
    assert fence(connection, [advance(held, 15)], owner="another") == frozenset()


@pytest.mark.parametrize("revision", [0, 2])
def test_a_worker_of_another_set_of_routes_is_fenced(connection: Connection, ledger: Ledger, revision: int) -> None:
    (held,) = held_by(connection, "me")
    assert fence(connection, [advance(held, 15)], revision=revision) == frozenset()


def test_of_several_partitions_those_that_did_not_move_are_told(connection: Connection, ledger: Ledger) -> None:
    first, second, third = held_by(connection, "me", P0, P1, P2)
    held_by(connection, "another", P1)
    advances = [advance(each, 15) for each in (third, first, second)]
    moved = fence(connection, advances)
    assert missing(advances, moved) == {second.partition_id}


def test_a_fence_tells_the_transaction_that_it_runs_in(connection: Connection, ledger: Ledger) -> None:
    (held,) = held_by(connection, "me")
    with connection.transaction():
        row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        _, transaction_id = ledger.fence([advance(held, 11)], owner="me", routes_revision=1)
        assert row == (transaction_id,)


def test_a_replay_fences_the_batch_at_hand(connection: Connection, ledger: Ledger) -> None:
    (held,) = held_by(connection, "me")
    connection.execute("UPDATE inbox.partitions SET next_offset = 3, owner_epoch = owner_epoch + 1 WHERE partition = 0")
    assert fence(connection, [advance(held, 15)]) == frozenset()
    assert next_offsets(connection)[P0] == 3


# Two workers at once.


@pytest.mark.parametrize(("end", "expected"), [("COMMIT", 15), ("ROLLBACK", 10)])
def test_a_new_owner_waits_for_the_old_ones_fence_and_starts_behind_it(
    open_connection: Connect, connection: Connection, ledger: Ledger, end: str, expected: int
) -> None:
    (held,) = held_by(connection, "me")
    new_owner = open_connection()
    connection.execute("BEGIN")
    fence(connection, [advance(held, 15)])
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(held_by, new_owner, "another")
        until_it_waits(open_connection(), new_owner)
        connection.execute(end)
        (taken,) = answer.result(timeout=120)
    assert (taken.owner, taken.owner_epoch, taken.next_offset) == ("another", 2, expected)


def test_an_old_owners_fence_waits_for_the_new_owner_and_moves_nothing(
    open_connection: Connect, connection: Connection, ledger: Ledger
) -> None:
    (held,) = held_by(connection, "me")
    new_owner = open_connection()
    new_owner.execute("BEGIN")
    held_by(new_owner, "another")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fence, connection, [advance(held, 15)])
        until_it_waits(open_connection(), connection)
        new_owner.execute("COMMIT")
        assert answer.result(timeout=120) == frozenset()
    assert next_offsets(connection)[P0] == 10


def test_workers_with_partitions_in_common_do_not_deadlock(
    open_connection: Connect, connection: Connection, ledger: Ledger
) -> None:
    first, second, third = held_by(connection, "me", P0, P1, P2)
    other = open_connection()
    connection.execute("BEGIN")
    fence(connection, [advance(second, 15)])
    with ThreadPoolExecutor(1) as pool:
        # It has to wait for the second before it has the third, in whatever order it is asked.
        answer = pool.submit(fence, other, [advance(each, 20) for each in (third, second, first)])
        until_it_waits(open_connection(), other)
        fence(connection, [advance(third, 15)])
        connection.execute("COMMIT")
        assert answer.result(timeout=120) == {first.partition_id}


def test_a_rolling_upgrade_starts_a_new_route_behind_the_batch_at_hand(
    open_connection: Connect, connection: Connection, ledger: Ledger, bind: Bind
) -> None:
    """Or events between would have been settled by a worker that does not know the route."""
    (held,) = held_by(connection, "me")
    upgraded = open_connection()
    both = (RouteIdentity("reserve", ("orders",), "header:event_id"), RouteIdentity("bill", ("orders",), "auto"))
    connection.execute("BEGIN")
    assert fence(connection, [advance(held, 15)]) == {held.partition_id}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(bind, *both, on=upgraded)
        until_it_waits(open_connection(), upgraded)
        connection.execute("COMMIT")
        route_id = answer.result(timeout=120).route_ids["bill"]
    row = connection.execute(
        "SELECT from_offset FROM inbox.route_starts WHERE route_id = %s AND partition_id = %s",
        (route_id, held.partition_id),
    ).fetchone()
    assert row == (15,)


def test_after_a_rolling_upgrade_a_batch_of_the_old_routes_moves_nothing(
    open_connection: Connect, connection: Connection, ledger: Ledger, bind: Bind
) -> None:
    (held,) = held_by(connection, "me")
    bind(RouteIdentity("reserve", ("orders",), "header:event_id"), RouteIdentity("bill", ("orders",), "auto"))
    assert fence(connection, [advance(held, 15)]) == frozenset()
    (again,) = held_by(connection, "me")
    assert fence(connection, [advance(again, 15)]) == frozenset()
    assert ledger.revisions().routes == 2


# A stopped owner's session.


def test_the_open_transaction_of_an_owner_before_is_found_and_can_be_ended(
    connection: Connection, open_connection: Connect, ledger: Ledger
) -> None:
    stopped = open_connection()
    held_by(stopped, "stopped")
    stopped.execute("BEGIN")
    stopped.execute("INSERT INTO inbox.processed VALUES (gen_random_uuid(), 1, 1, now(), 1, 1)")
    [session] = ledger.open_sessions([P0], "me")
    assert session.pid == stopped.info.backend_pid
    ledger.end_session(session)
    with pytest.raises(TryAgainError):
        stopped.execute("SELECT 1")
    # The client learns of the end before the server has forgotten the session.
    eventually(lambda: ledger.open_sessions([P0], "me") == [], what="the end of the session")


def test_a_session_at_rest_holds_nothing_up(connection: Connection, open_connection: Connect, ledger: Ledger) -> None:
    idle = open_connection()
    held_by(idle, "idle")
    assert ledger.open_sessions([P0], "me") == []


def test_an_owner_that_connected_anew_is_known_by_its_new_session(
    connection: Connection, open_connection: Connect, ledger: Ledger
) -> None:
    held_by(connection, "other")
    again = open_connection()
    Ledger(again, "inbox").record_session("other")
    again.execute("BEGIN")
    again.execute("SELECT 1")
    [session] = Ledger(open_connection(), "inbox").open_sessions([P0], "me")
    assert session.pid == again.info.backend_pid
