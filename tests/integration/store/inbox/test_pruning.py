"""What is forgotten, when, and in which order; with the clock turned forward in the rows."""

import threading
from datetime import timedelta

import pytest

from inbox.errors import TryAgainError
from inbox.events import Settlement
from inbox.operations.retention.prune import Pruner, plan_prune
from inbox.settings import RetentionLimits
from inbox.store.inbox.claims import Claims, ClaimStore
from inbox.store.inbox.filters.claim_filters import GenerationFilters, OlderClaims
from inbox.store.inbox.generations import Generations
from inbox.store.inbox.horizon import Horizons
from inbox.store.inbox.ledger import Ledger, OffsetAdvance
from inbox.store.locks.prune import AnotherPrunesError, pruning_alone
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection
from inbox.store.schema.names import GENERATION_SLOTS
from inbox.store.store import Store
from tests.integration.store.conftest import P0, Connect

LIMITS = RetentionLimits()
A_SHARE, A_RETENTION = timedelta(days=2), timedelta(days=30)

LETTER = """
INSERT INTO inbox.dead_letters (route_id, partition_id, kafka_offset, error_class, error, state, resolved_at)
VALUES (1, 1, %s, 'ValueError', 'no', %s, now() - %s)
"""


def pass_time(connection: Connection, time: timedelta) -> None:
    connection.execute(
        "UPDATE inbox.generations SET opened_at = opened_at - %(t)s, closed_at = closed_at - %(t)s", {"t": time}
    )
    connection.execute(
        "UPDATE inbox.progress SET until_time = until_time - %s, from_time = from_time - %s", (time, time)
    )


def prune(connection: Connection) -> tuple[int, int, int]:
    done = Pruner(Store(connection, "inbox"), LIMITS).round()
    return done.claims, done.progress, done.dead_letters


def numbers(connection: Connection) -> list[int]:
    return [each.number for each in Generations(connection, "inbox").read()]


def claim(connection: Connection, event_id: int, offset: int) -> bool:
    """Whether the event was new; it is settled at that offset."""
    ledger, processed = Ledger(connection, "inbox"), ClaimStore(connection, "inbox")
    processed.generation = ledger.revisions().generation
    (held,) = ledger.acquire([P0], "me")
    with connection.transaction():
        claims = Claims([event_id.to_bytes(16, "big")], [offset], [bytes(8)], [held.partition_id])
        duplicates = processed.claim(1, claims)
        advance = OffsetAdvance(
            held.partition_id, held.owner_epoch, held.next_offset, offset + 1, Settlement(applied=1)
        )
        moved, _ = ledger.fence([advance], owner="me", routes_revision=1, generation=processed.generation)
    assert moved
    return not duplicates


def test_another_generation_takes_over_after_a_fifteenth_of_the_retention(
    connection: Connection, ledger: Ledger
) -> None:
    pass_time(connection, A_SHARE - timedelta(days=1))
    prune(connection)
    assert numbers(connection) == [0]
    pass_time(connection, timedelta(days=1))
    prune(connection)
    assert numbers(connection) == [0, 1]
    assert GenerationFilters(connection, "inbox").older(OlderClaims()).until == 1


def test_an_id_is_recognised_for_the_retention_and_forgotten_with_its_generation(
    connection: Connection, ledger: Ledger
) -> None:
    claim(connection, 7, 10)
    for _ in range(15):
        pass_time(connection, A_SHARE)
        assert prune(connection) == (0, 0, 0)
    assert numbers(connection) == list(range(16))
    assert not claim(connection, 7, 11)
    pass_time(connection, A_SHARE)
    # The claim is in the youngest now, since its id was just seen; the first generation goes without it.
    assert prune(connection)[0] == 0
    assert numbers(connection)[0] == 1
    for _ in range(16):
        pass_time(connection, A_SHARE)
        prune(connection)
    assert claim(connection, 7, 12)


def test_the_horizon_is_raised_before_the_claims_go(
    connection: Connection, open_connection: Connect, ledger: Ledger
) -> None:
    claim(connection, 7, 10)
    pass_time(connection, A_SHARE)
    prune(connection)
    pass_time(connection, A_RETENTION)
    reader = open_connection()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM inbox.processed")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(TryAgainError):
        Pruner(Store(connection, "inbox"), LIMITS, over=stopped).round()
    assert [each.offset for each in Horizons(connection, "inbox").read()] == [11, 10, 10]
    assert Generations(connection, "inbox").size(0) == 1
    reader.execute("COMMIT")
    # What was interrupted continues.
    assert prune(connection)[0] == 1


def test_claims_stay_while_a_replay_wants_them(connection: Connection, ledger: Ledger) -> None:
    claim(connection, 7, 10)
    pass_time(connection, A_SHARE)
    prune(connection)
    pass_time(connection, A_RETENTION)
    connection.execute("UPDATE inbox.partitions SET next_offset = 10 WHERE partition = 0")
    done = Pruner(Store(connection, "inbox"), LIMITS).round()
    assert (done.claims, len(done.waits_for)) == (0, 1)
    assert Horizons(connection, "inbox").latest() is None


def test_with_no_table_free_the_youngest_takes_on(connection: Connection, ledger: Ledger) -> None:
    for number in range(GENERATION_SLOTS - 1):
        Generations(connection, "inbox").switch(number)
    connection.execute("UPDATE inbox.generations SET opened_at = opened_at - interval '20 days' WHERE generation = 15")
    prune(connection)
    assert numbers(connection) == list(range(GENERATION_SLOTS))


def test_old_history_goes_and_what_is_left_tiles(connection: Connection, ledger: Ledger) -> None:
    claim(connection, 1, 10)
    pass_time(connection, timedelta(days=91))
    connection.execute("UPDATE inbox.partitions SET progress_since = progress_since - interval '91 days'")
    claim(connection, 2, 11)
    assert prune(connection)[1] == 1
    rows = connection.execute("SELECT from_offset, until_offset FROM inbox.progress").fetchall()
    assert rows == [(11, 12)]


def test_dead_letters_go_once_they_are_resolved_for_long(connection: Connection, ledger: Ledger) -> None:
    for offset, (state, days) in enumerate([("retried", 91), ("discarded", 91), ("parked", 91), ("retried", 89)]):
        connection.execute(LETTER, (offset, state, timedelta(days=days)))
    assert prune(connection)[2] == 2
    left = connection.execute("SELECT kafka_offset FROM inbox.dead_letters ORDER BY 1").fetchall()
    assert left == [(2,), (3,)]


def test_one_prunes_at_a_time(connection: Connection, open_connection: Connect, ledger: Ledger) -> None:
    with pruning_alone(open_connection(), "inbox"), pytest.raises(AnotherPrunesError):
        prune(connection)
    assert prune(connection) == (0, 0, 0)


def test_a_plan_tells_what_would_go_and_changes_nothing(
    connection: Connection, ledger: Ledger, database_options: DatabaseOptions
) -> None:
    claim(connection, 7, 10)
    pass_time(connection, A_SHARE)
    prune(connection)
    pass_time(connection, A_RETENTION)
    plan = plan_prune(database_options, LIMITS)
    assert (plan.claims, plan.progress.rows, plan.dead_letters.rows) == (1, 0, 0)
    assert next((each.address, each.before, each.after) for each in plan.horizons) == (P0, None, 11)
    assert plan.horizon_before is None
    assert plan.horizon_after == plan.claims_until
    assert Generations(connection, "inbox").size(0) == 1


def test_tables_stay_as_large_as_they_are_from_cycle_to_cycle(connection: Connection, ledger: Ledger) -> None:
    sizes = []
    for cycle in range(2 * GENERATION_SLOTS):
        number = ledger.revisions().generation
        processed = ClaimStore(connection, "inbox")
        processed.generation = number
        ids = [(cycle * 10_000 + n).to_bytes(16, "little") for n in range(2_000)]
        processed.claim(1, Claims(ids, range(2_000), [bytes(8)] * 2_000, [1] * 2_000))
        pass_time(connection, A_SHARE)
        prune(connection)
        # Without the maps that an autovacuum adds whenever it comes by.
        query = """SELECT sum(pg_relation_size(c.oid) + pg_indexes_size(c.oid)) FROM pg_class AS c
            WHERE relname ~ '^processed(_\\d+)?$' AND relnamespace = 'inbox'::regnamespace"""
        sizes.append(connection.execute(query).fetchall()[0][0])
    assert sizes[-1] == sizes[-2] == sizes[GENERATION_SLOTS]
