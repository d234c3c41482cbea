"""What a handler does to the sink's connection, its transaction or its process costs its own event, and no other."""

import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from inbox import Event, Transaction
from tests.support.sink.running import Out, Sink

HandledBy = Callable[..., Sink]
Mistake = Callable[[Transaction], None]


def apply(event: Event, tx: Transaction) -> None:
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))


def making(mistake: Mistake) -> Callable[[Event, Transaction], None]:
    """A handler that applies each event, and makes the mistake at the second."""

    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 2:
            mistake(tx)

    return handler


def effects(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def driver_connection(tx: Transaction) -> psycopg.Connection:
    connection = tx.connection.connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def run(sink: Sink) -> None:
    """Five events and then two more, so that what is left in the session meets another batch."""
    sink.send(*(Out(number) for number in range(1, 6)))
    sink.run()
    sink.send(Out(6), Out(7))
    sink.run()


def invalidate(tx: Transaction) -> None:
    tx.connection.invalidate()


def close_the_driver_connection(tx: Transaction) -> None:
    driver_connection(tx).close()


def dispose_of_the_engine(tx: Transaction) -> None:
    tx.connection.engine.dispose()


def set_transaction_read_only(tx: Transaction) -> None:
    tx.execute("SET TRANSACTION READ ONLY")


def set_read_only_by_a_function(tx: Transaction) -> None:
    tx.fetch_one("SELECT set_config('transaction_read_only', 'on', true)")


def set_read_only_by_sqlalchemy(tx: Transaction) -> None:
    tx.connection.execute(sqlalchemy.text("SET LOCAL transaction_read_only = on"))


def hide_a_table(tx: Transaction) -> None:
    tx.execute("CREATE TEMPORARY TABLE effects (event int, key text)")


def commit_in_a_block(tx: Transaction) -> None:
    tx.execute("DO $$ BEGIN COMMIT; END $$")


def commit_what_sqlalchemy_began(tx: Transaction) -> None:
    transaction = tx.connection.get_transaction()
    assert transaction is not None
    transaction.commit()


def close_what_sqlalchemy_opened(tx: Transaction) -> None:
    with tx.connection:
        pass


def ask_for_another_isolation(tx: Transaction) -> None:
    tx.connection.execution_options(isolation_level="AUTOCOMMIT")


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        (invalidate, "closed the sink's connection"),
        (close_the_driver_connection, "closed the sink's connection"),
        (dispose_of_the_engine, "closed the sink's connection"),
        (set_transaction_read_only, "made the sink's transaction read-only"),
        (set_read_only_by_a_function, "made the sink's transaction read-only"),
        (set_read_only_by_sqlalchemy, "made the sink's transaction read-only"),
        (hide_a_table, "left a temporary table effects, which hides public.effects"),
        (commit_in_a_block, "remove COMMIT and ROLLBACK"),
        (commit_what_sqlalchemy_began, r"called commit\(\)"),
        (close_what_sqlalchemy_opened, r"or close\(\)"),
        (ask_for_another_isolation, "InvalidRequestError"),
    ],
)
def test_the_mistake_parks_its_event_alone_and_is_named(handled_by: HandledBy, mistake: Mistake, named: str) -> None:
    sink = handled_by(making(mistake), rest="[failures]\nattempts = 1")
    run(sink)
    assert effects(sink) == [1, 3, 4, 5, 6, 7]
    assert sink.dead_letters() == [(1, "parked")]
    [error] = sink.dead_letter_errors()
    assert pytest.raises(AssertionError, match=named).matches(AssertionError(error)), error


def leave_a_savepoint_open(tx: Transaction) -> None:
    tx.connection.begin_nested()
    tx.connection.execute(sqlalchemy.text("SELECT 1"))


def leave_a_session_open(tx: Transaction) -> None:
    Session(bind=tx.connection, join_transaction_mode="create_savepoint").execute(sqlalchemy.text("SELECT 1"))


def leave_a_pipeline_open(tx: Transaction) -> None:
    driver_connection(tx).pipeline().__enter__()
    driver_connection(tx).execute("SELECT 1")


def detach(tx: Transaction) -> None:
    tx.connection.detach()


def listen(tx: Transaction) -> None:
    tx.execute("LISTEN something")


def characterise_the_session(tx: Transaction) -> None:
    tx.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")


def keep_a_cursor(tx: Transaction) -> None:
    tx.execute("DECLARE kept CURSOR WITH HOLD FOR SELECT 1")


def make_a_temporary_table(tx: Transaction) -> None:
    tx.execute("CREATE TEMP TABLE staging (a int) ON COMMIT DROP")


def end_a_child_in_the_handler(tx: Transaction) -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    "deed",
    [
        leave_a_savepoint_open,
        leave_a_session_open,
        leave_a_pipeline_open,
        detach,
        listen,
        characterise_the_session,
        keep_a_cursor,
        make_a_temporary_table,
        end_a_child_in_the_handler,
    ],
)
def test_what_is_left_behind_costs_nothing(handled_by: HandledBy, deed: Mistake) -> None:
    sink = handled_by(making(deed), rest="[failures]\nattempts = 1")
    run(sink)
    assert effects(sink) == [1, 2, 3, 4, 5, 6, 7]
    assert sink.dead_letters() == []


def test_a_transaction_that_was_kept_is_over_with_its_event(handled_by: HandledBy) -> None:
    kept: list[Transaction] = []
    sink = handled_by(making(kept.append))
    run(sink)
    [transaction] = kept
    for use in (
        lambda: transaction.execute("INSERT INTO effects (event) VALUES (99)"),
        lambda: transaction.fetch_one("SELECT 1"),
        lambda: transaction.connection,
    ):
        with pytest.raises(Exception, match="is over"):
            use()
    assert effects(sink) == [1, 2, 3, 4, 5, 6, 7]


def take_rows_for_dictionaries(tx: Transaction) -> None:
    connection: Any = driver_connection(tx)
    connection.row_factory = psycopg.rows.dict_row


def take_another_cursor(tx: Transaction) -> None:
    connection: Any = driver_connection(tx)
    connection.cursor_factory = psycopg.ClientCursor


def read_numbers_as_texts(tx: Transaction) -> None:
    connection: Any = driver_connection(tx)
    for kind in ("int2", "int4", "int8", "bool", "uuid", "text"):
        connection.adapters.register_loader(kind, psycopg.types.string.ByteaBinaryLoader)


@pytest.mark.parametrize("change", [take_rows_for_dictionaries, take_another_cursor, read_numbers_as_texts])
def test_what_a_handler_sets_on_the_drivers_connection_ends_with_it(handled_by: HandledBy, change: Mistake) -> None:
    sink = handled_by(making(change))
    run(sink)
    assert effects(sink) == [1, 2, 3, 4, 5, 6, 7]
    assert sink.endings() == {"applied": 7}


def test_what_a_handler_registers_is_there_for_the_next_handler(handled_by: HandledBy) -> None:
    found: list[Any] = []

    def read_as_bytes(tx: Transaction) -> None:
        connection: Any = driver_connection(tx)
        connection.adapters.register_loader("int4", psycopg.types.string.ByteaLoader)
        found.append(connection.execute("SELECT 1").fetchone()[0])

    run(handled_by(making(read_as_bytes)))
    assert found == [b"1"]


@pytest.mark.parametrize("way", ["returns", "raises", "uses the transaction"])
def test_a_child_that_comes_out_of_its_handler_ends_there_and_says_so(
    handled_by: HandledBy, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    """It has the parent's batch and its sockets: what it did would be done twice, in the parent's transaction."""
    ended: list[int] = []

    def fork(tx: Transaction) -> None:
        if (child := os.fork()) != 0:
            ended.append(os.waitpid(child, 0)[1])
            return
        # Where nothing ends it, the child would go on as a second pytest: the system ends it then.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        if way == "raises":
            raise ValueError("in the child")
        if way == "uses the transaction":
            tx.execute("INSERT INTO effects (event) VALUES (99)")
            tx.fetch_one("SELECT 1")

    sink = handled_by(making(fork))
    run(sink)
    assert effects(sink) == [1, 2, 3, 4, 5, 6, 7]
    assert sink.endings() == {"applied": 7}
    assert [os.waitstatus_to_exitcode(status) for status in ended] == [1]
    assert "a process that a handler forked came out of the handler" in capfd.readouterr().err
