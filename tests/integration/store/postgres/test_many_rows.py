"""`tx.insert_many` and `tx.upsert_many`: what arrives in the table, and what is refused."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString, cast
from uuid import UUID

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from inbox.errors import EventError, InboxError
from inbox.handlers import Transaction
from inbox.store.outbox.publisher import Publisher
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.handler_session import HandlerSession

Handle = Callable[[Transaction], Any]
Run = Callable[[Handle], Any]

TABLE = """
CREATE TABLE "Odd %name" (
    id int PRIMARY KEY, "Amount %" numeric(12, 2), at timestamptz, tags text[], document jsonb, "of" uuid
)
"""


@pytest.fixture(name="run")
def run_(connection: Connection) -> Run:
    """Runs a handler's statements in a transaction, on the user's search path; returns what the handler returns."""
    connection.execute("BEGIN")
    connection.execute(TABLE)
    connection.execute("COMMIT")
    session = HandlerSession(connection)

    def run(handle: Handle) -> Any:
        connection.execute("BEGIN")
        try:
            with session.handlers():
                found = handle(Transaction(session, cast(Publisher, None)))
            if session.failure is not None:
                raise session.failure
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return found

    return run


def rows(connection: Connection, columns: LiteralString = 'id, "Amount %"') -> list[tuple[Any, ...]]:
    query = sql.SQL('SELECT {} FROM "Odd %name" ORDER BY id').format(sql.SQL(columns))
    return connection.execute(query, prepare=False).fetchall()


def test_each_value_gets_the_type_of_its_column(run: Run, connection: Connection) -> None:
    at, of = datetime(2026, 1, 31, tzinfo=UTC), UUID(int=5)
    columns = ("id", "Amount %", "at", "tags", "document", "of")
    given = [
        (1, Decimal("9.90"), at, ["a", "b"], Jsonb({"n": 1}), of),
        (2, 7, "2026-01-31T00:00Z", [], '{"n": 2}', str(of)),
        (3, None, None, None, None, None),
    ]
    assert run(lambda tx: tx.insert_many("public.Odd %name", columns, given)) == 3
    assert rows(connection, 'id, "Amount %", at, tags, document, "of"') == [
        (1, Decimal("9.90"), at, ["a", "b"], {"n": 1}, of),
        (2, Decimal("7.00"), at, [], {"n": 2}, of),
        (3, None, None, None, None, None),
    ]


def test_more_rows_than_a_statement_takes_arrive_once_each(run: Run, connection: Connection) -> None:
    given = ({"Amount %": number % 7, "id": number} for number in range(100_000, 101_234))
    assert run(lambda tx: tx.insert_many("Odd %name", ["id", "Amount %"], given)) == 1234
    found = connection.execute(b'SELECT count(*), min(id), max(id) FROM "Odd %name"').fetchone()
    assert found == (1234, 100_000, 101_233)


def test_no_rows_are_no_statement(run: Run, connection: Connection) -> None:
    assert run(lambda tx: tx.insert_many("nowhere", ["id"], [])) == 0


def test_a_row_that_exists_is_an_error_or_left_out(run: Run, connection: Connection) -> None:
    run(lambda tx: tx.insert_many("Odd %name", ["id", "Amount %"], [(1, 1)]))
    with pytest.raises(EventError, match="duplicate key value"):
        run(lambda tx: tx.insert_many("Odd %name", ["id", "Amount %"], [(1, 2), (2, 2)]))
    run(lambda tx: tx.insert_many("Odd %name", ["id", "Amount %"], [(1, 2), (2, 2)], ignore_existing=True))
    assert rows(connection) == [(1, 1), (2, 2)]


def test_an_upsert_overwrites_and_the_last_row_of_a_key_counts(run: Run, connection: Connection) -> None:
    columns = ["Amount %", "id"]
    run(lambda tx: tx.insert_many("Odd %name", columns, [(1, 1), (1, 3)]))
    assert run(lambda tx: tx.upsert_many("Odd %name", columns, [(5, 1), (6, 2), (7, 1)], key=["id"])) == 2
    assert rows(connection) == [(1, 7), (2, 6), (3, 1)]


def test_an_upsert_of_the_key_alone_keeps_the_row(run: Run, connection: Connection) -> None:
    run(lambda tx: tx.insert_many("Odd %name", ["id", "Amount %"], [(1, 1)]))
    run(lambda tx: tx.upsert_many("Odd %name", ["id"], [(1,), (2,)], key=["id"]))
    assert rows(connection) == [(1, 1), (2, None)]


def test_a_value_that_does_not_fit_is_the_events_fault(run: Run) -> None:
    with pytest.raises(EventError, match="invalid text representation"):
        run(lambda tx: tx.insert_many("Odd %name", ["id"], [("one",)]))


@pytest.mark.parametrize(
    ("columns", "given", "problem"),
    [
        (["id", "of"], [(1, None), (2,)], "row 1 has 1 values for 2 columns"),
        (["id", "of"], [{"id": 1, "off": None}], "row 0 has other columns than id, of"),
        ([], [()], "the columns have to be a sequence of one or more names"),
        ("id", [(1, 2)], "the columns have to be a sequence of one or more names"),
    ],
)
def test_rows_of_another_shape_are_refused(run: Run, columns: Any, given: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        run(lambda tx: tx.insert_many("Odd %name", columns, given))


@pytest.mark.parametrize("key", [[], ["other"]])
def test_a_key_has_to_be_among_the_columns(run: Run, key: list[str]) -> None:
    with pytest.raises(ValueError, match="the key has to be one or more of the columns"):
        run(lambda tx: tx.upsert_many("Odd %name", ["id"], [(1,)], key=key))


NAMED, NUMBERED = (
    f'INSERT INTO "Odd %%name" (id, "Amount %%") VALUES ({values})'  # noqa: S608 - constants
    for values in ("%(id)s, %(amount)s", "%s, %s")
)


@pytest.mark.parametrize(
    ("query", "given"),
    [
        (NUMBERED, [(number, number) for number in range(70)]),
        (NUMBERED, [(0, 0), [1, 1], (2, None), (3, "3")]),
        (NAMED, [{"id": 0, "amount": 0}, {"amount": 1, "id": 1, "other": 5}]),
        (NUMBERED, []),
    ],
)
@pytest.mark.parametrize("of", [list, iter])
def test_a_statement_for_many_rows_is_executed_once_for_each(
    run: Run, connection: Connection, query: str, given: list[Any], of: Callable[[Any], Any]
) -> None:
    run(lambda tx: tx.executemany(query, of(given)))
    assert [row[0] for row in rows(connection)] == list(range(len(given)))


@pytest.mark.parametrize("row", [(1,), (1, 2, 3), None, {"id": 1}, "12"])
def test_a_row_that_does_not_fit_its_statement_is_refused(run: Run, connection: Connection, row: Any) -> None:
    with pytest.raises((InboxError, TypeError)):
        run(lambda tx: tx.executemany(NUMBERED, [(0, 0), row]))
    assert rows(connection) == []


def test_a_statement_that_a_handler_may_not_execute_is_refused_for_many_rows_too(run: Run) -> None:
    with pytest.raises(EventError, match="COMMIT"):
        run(lambda tx: tx.executemany("COMMIT", [()]))


def test_rows_as_objects_may_have_their_members_in_any_order(run: Run, connection: Connection) -> None:
    given = [{"Amount %": 2, "id": 1}, {"id": 2, "Amount %": 3}]
    assert run(lambda tx: tx.upsert_many("Odd %name", ["id", "Amount %"], given, key=["id"])) == 2
    assert rows(connection) == [(1, Decimal(2)), (2, Decimal(3))]
    with pytest.raises(ValueError, match="row 0 has other columns"):
        run(lambda tx: tx.insert_many("Odd %name", ["id", "Amount %"], [{"id": 3, "other": 1}]))


def test_the_rows_of_one_column_are_not_taken_apart(run: Run, connection: Connection) -> None:
    assert run(lambda tx: tx.insert_many("Odd %name", ["id"], [{"id": 5}, (6,)])) == 2
    assert [row[0] for row in rows(connection)] == [5, 6]
