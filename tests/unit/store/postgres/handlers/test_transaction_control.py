"""The statements by which a handler would end the sink's transaction."""

import pytest

from inbox.store.postgres.handlers.transaction_control import Kind, control_of

ENDS = ["BEGIN", "commit;", "/* a */ -- b\n ROLLBACK", "; ; END", "rollback work", "PREPARE TRANSACTION 'x'", "abort"]
NESTS = ["SAVEPOINT a", "release a", "ROLLBACK TO a", "rollback work to savepoint a", "rollback transaction to a"]


@pytest.mark.parametrize("query", ENDS)
def test_a_statement_that_ends_the_transaction_is_recognised(query: str) -> None:
    control = control_of(query)
    assert control is not None
    assert control.kind is Kind.ENDS


@pytest.mark.parametrize("query", NESTS)
def test_a_savepoint_only_nests(query: str) -> None:
    control = control_of(query)
    assert control is not None
    assert control.kind is Kind.NESTS


def test_prepare_alone_outlives_the_transaction() -> None:
    assert control_of("PREPARE p AS SELECT 1") == ("PREPARE", Kind.PREPARES)


@pytest.mark.parametrize(
    "query", ["SELECT 1", "INSERT INTO commits VALUES (1)", "ending", "-- COMMIT", "SELECT 'COMMIT'"]
)
def test_other_statements_control_nothing(query: str) -> None:
    assert control_of(query) is None
