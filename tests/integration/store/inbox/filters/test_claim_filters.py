"""Filters of generations: what they pass over has no claim, whatever was built, read or lost meanwhile."""

from uuid import UUID, uuid4

import pytest

from inbox.errors import HaltError
from inbox.store.inbox.claims import Claims
from inbox.store.inbox.filters.bloom_filter import BloomFilter
from inbox.store.inbox.filters.claim_filters import GenerationFilters, OlderClaims, bits_for
from inbox.store.inbox.generations import FILTERED_TOGETHER, Generations
from inbox.store.inbox.ledger import Ledger
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import Connect
from tests.support.store.claims import ROUTE, claims_of, in_generation


def stored(connection: Connection) -> set[int]:
    return {number for (number,) in connection.execute("SELECT DISTINCT generation FROM inbox.generation_filters")}


def test_what_a_filter_passes_over_has_no_claim(connection: Connection, ledger: Ledger) -> None:
    ids = [uuid4().bytes for _ in range(500)]
    claims = Claims(ids, range(500), [bytes(8)] * 500, [1] * 500)
    in_generation(connection, 0).claim(ROUTE, claims)
    Generations(connection, "inbox").switch(0)
    assert GenerationFilters(connection, "inbox").older(OlderClaims()).until == 0
    GenerationFilters(connection, "inbox").build(0)
    in_generation(connection, 1).claim(ROUTE, claims_of(5, 6, 7))
    Generations(connection, "inbox").switch(1)
    GenerationFilters(connection, "inbox").build(1)
    older = GenerationFilters(connection, "inbox").older(OlderClaims())
    assert older.until == 2
    assert list(older.candidates(ids)) == ids
    assert set(older.candidates(claims_of(5, 6, 7).ids)) == set(claims_of(5, 6, 7).ids)
    assert len(older.candidates([uuid4().bytes for _ in range(2000)])) < 50
    assert in_generation(connection, 2, older).claim(ROUTE, claims) == list(range(500))


@pytest.mark.parametrize("filtered", [0, 1, 2, 3], ids="{} of 3 with a filter".format)
def test_what_has_no_filter_yet_is_looked_up(connection: Connection, ledger: Ledger, filtered: int) -> None:
    older = OlderClaims()
    for number in range(3):
        in_generation(connection, number).claim(ROUTE, claims_of(number))
        Generations(connection, "inbox").switch(number)
        if number < filtered:
            GenerationFilters(connection, "inbox").build(number)
            older = GenerationFilters(connection, "inbox").older(older)
    assert older.until == filtered
    assert in_generation(connection, 3, older).claim(ROUTE, claims_of(0, 1, 2, 3)) == [0, 1, 2]


def test_a_filter_grows_with_the_generations_that_share_it(connection: Connection, ledger: Ledger) -> None:
    many = [uuid4().bytes for _ in range(400)]
    in_generation(connection, 0).claim(ROUTE, claims_of(1))
    Generations(connection, "inbox").switch(0)
    GenerationFilters(connection, "inbox").build(0)
    small = GenerationFilters(connection, "inbox").older(OlderClaims())
    in_generation(connection, 1).claim(ROUTE, Claims(many, range(400), [bytes(8)] * 400, [1] * 400))
    Generations(connection, "inbox").switch(1)
    GenerationFilters(connection, "inbox").build(1)
    large = GenerationFilters(connection, "inbox").older(small)
    assert large.filter is not None
    assert small.filter is not None
    assert large.filter.power > small.filter.power
    first = claims_of(1).ids
    assert list(large.candidates([*first, *many])) == [*first, *many]


def test_a_filter_goes_with_the_last_generation_that_shares_it(connection: Connection, ledger: Ledger) -> None:
    known = OlderClaims()
    for number in range(FILTERED_TOGETHER + 1):
        in_generation(connection, number).claim(ROUTE, claims_of(number))
        Generations(connection, "inbox").switch(number)
        GenerationFilters(connection, "inbox").build(number)
        known = GenerationFilters(connection, "inbox").older(known)
    for number in range(FILTERED_TOGETHER):
        assert stored(connection) == {0, FILTERED_TOGETHER}
        assert Generations(connection, "inbox").raise_horizon(number)
        Generations(connection, "inbox").drop(number)
    assert stored(connection) == {FILTERED_TOGETHER}
    gone, left = claims_of(0).ids, claims_of(FILTERED_TOGETHER).ids
    assert list(known.candidates([*gone, *left])) == [*gone, *left]
    assert list(GenerationFilters(connection, "inbox").older(known).candidates([*gone, *left])) == left


def test_a_claim_that_moves_within_its_table_while_the_filter_is_built_is_in_it(
    connection: Connection, open_connection: Connect, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = claims_of(*range(1, 322))
    in_generation(connection, 0).claim(ROUTE, many)
    connection.execute("DELETE FROM inbox.processed WHERE ctid < '(0,50)'")
    connection.execute("VACUUM inbox.processed")
    Generations(connection, "inbox").switch(0)
    monkeypatch.setattr("inbox.store.inbox.filters.claim_filters._BLOCKS_AT_ONCE", 1)
    moved = UUID(int=150).bytes
    other, add = open_connection(), BloomFilter.add

    def block() -> int:
        query = "SELECT (ctid::text::point)[0] FROM inbox.processed WHERE event_id = %s"
        return int(other.execute(query, (UUID(int=150),)).fetchall()[0][0])

    def move_then_add(self: BloomFilter, ids: bytes) -> None:
        claims = many.only([many.ids.index(moved)])
        in_generation(other, 1).claim_again(ROUTE, claims, replay_id=7)
        add(self, ids)

    assert block() == 1
    monkeypatch.setattr(BloomFilter, "add", move_then_add)
    GenerationFilters(connection, "inbox").build(0)
    assert block() == 0
    assert list(GenerationFilters(connection, "inbox").older(OlderClaims()).candidates([moved])) == [moved]


def test_a_stored_filter_of_which_a_part_is_missing_is_not_believed(connection: Connection, ledger: Ledger) -> None:
    in_generation(connection, 0).claim(ROUTE, claims_of(1))
    Generations(connection, "inbox").switch(0)
    GenerationFilters(connection, "inbox").build(0)
    connection.execute("UPDATE inbox.generation_filters SET bits = substring(bits FOR 4096)")
    with pytest.raises(HaltError, match=r"has 4,096 bytes of 8,192: set filter_bits .* to NULL from generation 0 to 3"):
        GenerationFilters(connection, "inbox").older(OlderClaims())
    connection.execute("UPDATE inbox.generations SET filter_bits = NULL WHERE generation BETWEEN 0 AND 3")
    GenerationFilters(connection, "inbox").build(0)
    assert list(GenerationFilters(connection, "inbox").older(OlderClaims()).candidates(claims_of(1).ids)) == list(
        claims_of(1).ids
    )


def test_nothing_is_known_once_filters_could_not_be_read(connection: Connection, ledger: Ledger) -> None:
    processed = in_generation(connection, 0)
    for number in range(FILTERED_TOGETHER + 1):
        processed.generation = number
        processed.claim(ROUTE, claims_of(number))
        Generations(connection, "inbox").switch(number)
        GenerationFilters(connection, "inbox").build(number)
    processed.follow()
    processed.learn_older()
    for number in range(FILTERED_TOGETHER):
        assert Generations(connection, "inbox").raise_horizon(number)
        Generations(connection, "inbox").drop(number)
    connection.execute("DELETE FROM inbox.generation_filters")
    with pytest.raises(HaltError):
        processed.learn_older()
    assert processed.claim(ROUTE, claims_of(FILTERED_TOGETHER, 100)) == [0]


@pytest.mark.parametrize(("claims", "power"), [(0, 16), (1_024, 19), (1_000_000, 28), (20_000_000, 29), (10**9, 29)])
def test_a_filter_has_room_for_its_claims_within_bounds(claims: int, power: int) -> None:
    assert bits_for(claims) == power


def test_without_older_claims_nothing_is_looked_up() -> None:
    assert list(OlderClaims().candidates([uuid4().bytes])) == []
