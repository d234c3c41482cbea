"""The claims: new, duplicate, and in which order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox.store.inbox.claims import Claims, ClaimStore, EarlierClaim
from inbox.store.inbox.ledger import Ledger
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import Connect
from tests.support.store.locks import until_it_waits

ROUTE, OTHER_ROUTE = 1, 2


def claims_of(*numbers: int, first_offset: int = 0, partition_id: int = 1) -> Claims:
    """One event for each number, which is its id, at consecutive offsets."""
    return Claims(
        ids=[UUID(int=number).bytes for number in numbers],
        offsets=[first_offset + place for place in range(len(numbers))],
        hashes=[(number + first_offset).to_bytes(8, "big") for number in numbers],
        partition_ids=[partition_id] * len(numbers),
    )


@pytest.fixture(name="processed")
def processed_(connection: Connection, ledger: Ledger) -> ClaimStore:
    """The claims of a bound schema."""
    return ClaimStore(connection, "inbox")


def claimed(connection: Connection, route_id: int = ROUTE) -> list[int]:
    rows = connection.execute("SELECT event_id FROM inbox.processed WHERE route_id = %s ORDER BY 1", (route_id,))
    return [event_id.int for (event_id,) in rows]


def test_new_events_are_claimed(connection: Connection, processed: ClaimStore) -> None:
    assert processed.claim(ROUTE, claims_of(3, 1, 2)) == []
    assert claimed(connection) == [1, 2, 3]


def test_a_claim_keeps_where_its_event_is_and_what_it_held(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, Claims([UUID(int=7).bytes], [42], [b"\xff" * 8], [2]))
    row = connection.execute(
        "SELECT event_id, route_id, partition_id, kafka_offset, payload_hash FROM inbox.processed"
    ).fetchone()
    assert row == (UUID(int=7), ROUTE, 2, 42, -1)


def test_duplicates_are_told_by_their_places(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(2, 4))
    assert processed.claim(ROUTE, claims_of(1, 2, 3, 4, 5, first_offset=100)) == [1, 3]


def test_a_duplicate_leaves_the_first_claim_as_it_was(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(2, first_offset=10))
    processed.claim(ROUTE, claims_of(2, first_offset=99))
    assert connection.execute("SELECT kafka_offset FROM inbox.processed").fetchall() == [(10,)]


def test_of_equal_ids_in_a_batch_the_first_wins(connection: Connection, processed: ClaimStore) -> None:
    assert processed.claim(ROUTE, claims_of(5, 1, 5, 1, 5)) == [2, 3, 4]
    rows = connection.execute("SELECT kafka_offset FROM inbox.processed ORDER BY kafka_offset").fetchall()
    assert rows == [(0,), (1,)]


def test_the_same_records_again_are_duplicates(connection: Connection, processed: ClaimStore) -> None:
    """A redelivery has the coordinates of the claim itself."""
    processed.claim(ROUTE, claims_of(1, 2))
    assert processed.claim(ROUTE, claims_of(1, 2)) == [0, 1]


def test_what_is_new_can_be_claimed_without_a_look(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(2))
    assert processed.claim_new(ROUTE, claims_of(3, 1, first_offset=10))
    assert processed.claim_new(OTHER_ROUTE, claims_of(2))
    assert claimed(connection) == [1, 2, 3]
    assert processed.claim(ROUTE, claims_of(3, 1, first_offset=20)) == [0, 1]


@pytest.mark.parametrize("numbers", [(1, 2), (3, 4, 3)], ids=["claimed before", "twice"])
def test_what_is_not_new_is_not_claimed_without_a_look(
    connection: Connection, processed: ClaimStore, numbers: Sequence[int]
) -> None:
    processed.claim(ROUTE, claims_of(2))
    connection.execute("BEGIN")
    assert not processed.claim_new(ROUTE, claims_of(*numbers, first_offset=10))
    connection.execute("ROLLBACK")
    assert claimed(connection) == [2]


def test_each_route_has_claims_of_its_own(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(1))
    assert processed.claim(OTHER_ROUTE, claims_of(1)) == []
    assert claimed(connection, OTHER_ROUTE) == [1]


def test_one_id_in_two_partitions_is_one_event(connection: Connection, processed: ClaimStore) -> None:
    first, second = claims_of(1, partition_id=1), claims_of(1, partition_id=2)
    both = Claims(*([*a, *b] for a, b in zip(first, second, strict=True)))
    assert processed.claim(ROUTE, both) == [1]


def test_no_events_claim_nothing(connection: Connection, processed: ClaimStore) -> None:
    assert processed.claim(ROUTE, claims_of()) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(0, 12), max_size=12), max_size=5))
def test_claims_are_a_set_of_ids(
    connection: Connection, processed: ClaimStore, batches: Sequence[Sequence[int]]
) -> None:
    with connection.transaction(force_rollback=True):
        seen: set[int] = set()
        offset = 0
        for batch in batches:
            expected = []
            for place, number in enumerate(batch):
                if number in seen:
                    expected.append(place)
                seen.add(number)
            assert processed.claim(ROUTE, claims_of(*batch, first_offset=offset)) == expected
            offset += len(batch)
        assert claimed(connection) == sorted(seen)


def test_earlier_claims_say_where_their_events_are(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(1, 2, first_offset=40, partition_id=2))
    found = processed.claims_of(ROUTE, [UUID(int=2).bytes, UUID(int=9).bytes])
    assert found == {UUID(int=2).bytes: EarlierClaim("orders[1]@41", (42).to_bytes(8, "big"))}


def test_earlier_claims_are_those_of_the_route(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(1))
    assert processed.claims_of(OTHER_ROUTE, [UUID(int=1).bytes]) == {}


@pytest.mark.parametrize(("end", "duplicates"), [("COMMIT", [1]), ("ROLLBACK", [])])
def test_a_claim_waits_for_another_transaction_with_the_same_id(
    open_connection: Connect, connection: Connection, processed: ClaimStore, end: str, duplicates: list[int]
) -> None:
    zombie = open_connection()
    zombie.execute("BEGIN")
    ClaimStore(zombie, "inbox").claim(ROUTE, claims_of(2))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(processed.claim, ROUTE, claims_of(1, 2, 3, first_offset=10))
        until_it_waits(open_connection(), connection)
        zombie.execute(end)
        assert answer.result(timeout=120) == duplicates
    assert claimed(connection) == [1, 2, 3]


def replayed(connection: Connection) -> list[tuple[int, int | None]]:
    rows = connection.execute("SELECT event_id, replay_id FROM inbox.processed ORDER BY 1")
    return [(event_id.int, replay_id) for event_id, replay_id in rows]


def test_a_replay_claims_again_what_stands_there_and_each_once(connection: Connection, processed: ClaimStore) -> None:
    processed.claim(ROUTE, claims_of(1, 2, 3))
    assert sorted(processed.claim_again(ROUTE, claims_of(1, 2), 7)) == [0, 1]
    assert sorted(processed.claim_again(ROUTE, claims_of(1, 2, 3), 7)) == [2]
    assert sorted(processed.claim_again(ROUTE, claims_of(1), 8)) == [0]
    assert replayed(connection) == [(1, 8), (2, 7), (3, 7)]


def test_a_replay_claims_nothing_again_that_was_a_duplicate_from_elsewhere(
    connection: Connection, processed: ClaimStore
) -> None:
    processed.claim(ROUTE, claims_of(1, 2))
    assert processed.claim_again(ROUTE, claims_of(1, 2, first_offset=100), 7) == []
    assert processed.claim_again(ROUTE, claims_of(1, 2, partition_id=2), 7) == []
    assert processed.claim_again(OTHER_ROUTE, claims_of(1, 2), 7) == []
    assert replayed(connection) == [(1, None), (2, None)]


def test_an_adopted_claim_gets_its_place_from_the_replay_and_is_claimed_again_once(
    connection: Connection, processed: ClaimStore
) -> None:
    processed.claim(ROUTE, claims_of(1, partition_id=0))
    assert processed.claim_again(ROUTE, claims_of(1, 1, first_offset=40), 7) in ([0], [1])
    assert processed.claim_again(ROUTE, claims_of(1, 1, first_offset=40), 7) == []
    assert processed.places_of(ROUTE, [UUID(int=1).bytes])[UUID(int=1).bytes][0] == 1
