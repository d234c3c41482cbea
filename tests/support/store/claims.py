"""Build claims as a worker makes them, for any generation that it believes to be the youngest."""

from uuid import UUID

from inbox.store.inbox.claims import Claims, ClaimStore
from inbox.store.inbox.filters.claim_filters import OlderClaims
from inbox.store.postgres.connection import Connection

ROUTE = 1


def claims_of(*numbers: int, first_offset: int = 10, partition_id: int = 1) -> Claims:
    count = len(numbers)
    return Claims(
        ids=[UUID(int=number).bytes for number in numbers],
        offsets=range(first_offset, first_offset + count),
        hashes=[number.to_bytes(8, "big") for number in numbers],
        partition_ids=[partition_id] * count,
    )


def in_generation(connection: Connection, number: int, older: OlderClaims | None = None) -> ClaimStore:
    processed = ClaimStore(connection, "inbox")
    processed.generation = number
    processed.older = older or OlderClaims()
    return processed
