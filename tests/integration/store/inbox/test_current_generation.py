"""A transaction that claims is run again where another generation took over before its claims."""

import pytest

from inbox.errors import HaltError
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.generations import Generations
from inbox.store.inbox.ledger import Ledger
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import Connect
from tests.support.store.claims import ROUTE, claims_of


def test_a_transaction_in_the_youngest_generation_runs_once(connection: Connection, ledger: Ledger) -> None:
    claims, runs = ClaimStore(connection, "inbox"), []

    def claim() -> int:
        runs.append(claims.generation)
        claims.claim(ROUTE, claims_of(1))
        claims.require_current()
        return 7

    assert claims.in_current_generation(claim) == 7
    assert runs == [0]


def test_a_transaction_runs_again_in_the_generation_that_took_over(
    connection: Connection, open_connection: Connect, ledger: Ledger
) -> None:
    claims, runs = ClaimStore(connection, "inbox"), []

    def claim() -> None:
        if not runs:
            Generations(open_connection(), "inbox").switch(0)
        runs.append(claims.generation)
        with connection.transaction():
            claims.claim(ROUTE, claims_of(1))
            claims.require_current()

    claims.in_current_generation(claim)
    assert runs == [0, 1]
    tables = connection.execute("SELECT tableoid::regclass::text FROM inbox.processed").fetchall()
    assert tables == [("inbox.processed_1",)]


def test_any_other_failure_ends_it(connection: Connection, ledger: Ledger) -> None:
    def fail() -> None:
        raise HaltError("a handler ended the transaction")

    with pytest.raises(HaltError):
        ClaimStore(connection, "inbox").in_current_generation(fail)
