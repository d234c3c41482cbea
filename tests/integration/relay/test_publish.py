"""`inbox.outbox.publish`: an event commits with the caller's change, through every kind of connection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from inbox import EventError, outbox
from inbox.store.options import OutboxOptions, OutboxPayload
from tests.integration.relay.conftest import MakeStage, Stage

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Opening = Callable[[str], Any]


def engine(url: str, **options: Any) -> sqlalchemy.Engine:
    url = url.replace("postgresql://", "postgresql+psycopg://")
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **options)


@contextmanager
def core(url: str) -> Iterator[sqlalchemy.Connection]:
    with engine(url).connect() as connection:
        yield connection


@contextmanager
def orm(url: str) -> Iterator[Session]:
    with Session(engine(url)) as session:
        yield session


@contextmanager
def plain(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as connection:
        yield connection


EVERY_KIND = pytest.mark.parametrize("opened", [plain, core, orm])


def rows(stage: Stage, columns: str = "event_id, topic, aggregate_id, type, payload::text, traceparent") -> list[Any]:
    return stage.rows(f"SELECT {columns} FROM inbox.outbox ORDER BY position")  # noqa: S608 - the test's own columns


@EVERY_KIND
def test_an_event_commits_with_the_change(stage: Stage, opened: Opening) -> None:
    with opened(stage.database_url) as connection:
        made = outbox.publish(
            connection,
            topic="orders",
            key="1",
            type="Placed",
            payload={"amount": 1.5, "name": "Zoë :x"},
            traceparent=TRACE,
        )
        assert rows(stage) == []
        connection.commit()

    assert rows(stage) == [(made, "orders", "1", "Placed", '{"amount":1.5,"name":"Zoë :x"}', TRACE)]


def test_a_traceparent_of_another_form_is_left_out(stage: Stage) -> None:
    """A client of the application may have chosen it, and the change that it comes with is good."""
    others = (
        "",
        "00",
        "x" * 70_000,
        TRACE + "-more",
        TRACE + "\n",
        TRACE.upper(),
        "\r\nforged: line",
        "ff" + TRACE[2:],
    )
    zeros = (f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01")
    with plain(stage.database_url) as connection:
        for text in (*others, *zeros, TRACE):
            outbox.publish(connection, topic="orders", type="Placed", payload=[], traceparent=text)
        connection.commit()
    assert rows(stage, "traceparent") == [(None,)] * 10 + [(TRACE,)]


@EVERY_KIND
def test_a_rollback_takes_it_back(stage: Stage, opened: Opening) -> None:
    with opened(stage.database_url) as connection:
        outbox.publish(connection, topic="orders", type="Placed", payload=[])
        connection.rollback()

    assert rows(stage) == []


@EVERY_KIND
def test_an_id_that_was_given_is_kept_and_not_taken_twice(stage: Stage, opened: Opening) -> None:
    with opened(stage.database_url) as connection:
        assert outbox.publish(connection, topic="o", type="T", payload="{}", event_id=UUID(int=7)) == UUID(int=7)
        with pytest.raises((psycopg.errors.UniqueViolation, sqlalchemy.exc.IntegrityError)):
            outbox.publish(connection, topic="o", type="T", payload="{}", event_id=UUID(int=7))


@EVERY_KIND
def test_bytes_are_for_an_outbox_of_bytes(make_stage: MakeStage, opened: Opening) -> None:
    stage = make_stage(outbox=OutboxOptions(payload=OutboxPayload.BYTEA))
    with opened(stage.database_url) as connection:
        outbox.publish(connection, topic="o", type="T", payload=b"\\x00\x00")
        connection.commit()
        with pytest.raises((psycopg.errors.DatatypeMismatch, sqlalchemy.exc.ProgrammingError)):
            outbox.publish(connection, topic="o", type="T", payload='{"a": "\\\\x41"}')

    assert rows(stage, "payload") == [(b"\\x00\x00",)]


def test_another_schema_is_quoted(stage: Stage) -> None:
    for opened in (plain, core):
        with (
            opened(stage.database_url) as connection,
            pytest.raises((psycopg.errors.UndefinedTable, sqlalchemy.exc.ProgrammingError), match=r'we "+ird:x'),
        ):
            outbox.publish(connection, topic="o", type="T", payload={}, schema='we "ird:x')


def test_autocommit_without_a_transaction_is_refused(stage: Stage) -> None:
    with psycopg.connect(stage.database_url, autocommit=True) as connection:
        with pytest.raises(EventError, match="inside the change's transaction"):
            outbox.publish(connection, topic="o", type="T", payload={})
        with connection.transaction():
            outbox.publish(connection, topic="o", type="T", payload={})
    with (
        engine(stage.database_url, isolation_level="AUTOCOMMIT").connect() as connection,
        pytest.raises(EventError, match="inside the change's transaction"),
    ):
        outbox.publish(connection, topic="o", type="T", payload={})

    assert len(rows(stage)) == 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"topic": 1}, "topic of an event to publish is of type int"),
        ({"type": None}, "type of an event to publish is of type NoneType"),
        ({"key": 7}, "key of an event to publish is of type int"),
        ({"payload": 7}, "payload to publish is of type int"),
        ({"payload": {"a": object()}}, "cannot be written as JSON"),
        ({"payload": {"a": float("inf")}}, "cannot be written as JSON: NaN and Infinity are not JSON"),
        ({"payload": "no json"}, "the payload to publish is not valid JSON"),
        ({"event_id": "7"}, "event_id of an event to publish is of type str"),
        ({"traceparent": b"00"}, "traceparent of an event to publish is of type bytes"),
    ],
)
def test_what_cannot_be_an_event_is_refused_before_anything_is_sent(wrong: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"topic": "o", "type": "T", "payload": {}, **wrong}
    nowhere: Any = None

    with pytest.raises(EventError, match=text):
        outbox.publish(nowhere, **given)


def test_what_is_no_connection_is_refused() -> None:
    nowhere: Any = object()

    with pytest.raises(EventError, match=r"cannot publish on a object; pass a psycopg\.Connection"):
        outbox.publish(nowhere, topic="o", type="T", payload={})
