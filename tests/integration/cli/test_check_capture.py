"""`inbox check` where Debezium publishes the outbox."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.integration.cli.conftest import Result, Sink

Inbox = Callable[..., Result]
SUBJECT = "change data capture"


@pytest.fixture
def captured(sink: Sink, inbox: Inbox) -> Iterator[Sink]:
    """A sink with an outbox, for which the printed SQL was run."""
    sink.config.write_text(sink.config.read_text() + '[outbox]\nrelay = "debezium"\n')
    assert inbox("migrate", sink).code == 0
    sink.sql(inbox("outbox", "connector", "--sql", sink).out)
    yield sink
    name = name_of(sink, inbox)
    sink.sql(f"DROP PUBLICATION IF EXISTS {name}; DROP OWNED BY {name}; DROP ROLE {name}")


def name_of(sink: Sink, inbox: Inbox) -> str:
    return str(json.loads(inbox("outbox", "connector", sink).out)["name"])


def problems(sink: Sink, inbox: Inbox) -> list[str]:
    checks = json.loads(inbox("check", "--json", sink).out)["checks"]
    return [problem for check in checks if check["check"] == SUBJECT for problem in check["problems"]]


def test_what_the_printed_sql_makes_is_enough(captured: Sink, inbox: Inbox) -> None:
    result = inbox("check", captured)
    assert result.code == 0, result.out
    assert f"ok           {SUBJECT}" in result.out


def test_each_thing_that_is_amiss_is_told_with_a_remedy_that_mends_it(captured: Sink, inbox: Inbox) -> None:
    name = name_of(captured, inbox)
    captured.sql(f"ALTER ROLE {name} NOLOGIN NOREPLICATION")
    captured.sql(f"REVOKE USAGE ON SCHEMA inbox FROM {name}")
    captured.sql(f"REVOKE ALL ON inbox.outbox FROM {name}")
    captured.sql("ALTER TABLE inbox.outbox REPLICA IDENTITY NOTHING")
    captured.sql(f"ALTER PUBLICATION {name} SET (publish = 'insert, delete')")
    captured.sql(f"ALTER PUBLICATION {name} SET TABLE public.orders")

    told = problems(captured, inbox)

    assert len(told) == 7
    captured.sql(";".join(problem.partition("; ")[2] for problem in told))
    assert problems(captured, inbox) == []


def test_what_was_never_made_is_told(captured: Sink, inbox: Inbox) -> None:
    name = name_of(captured, inbox)
    captured.sql(f"DROP PUBLICATION {name}; DROP OWNED BY {name}; ALTER ROLE {name} RENAME TO {name}_x")
    try:
        assert problems(captured, inbox) == [
            f'there is no role "{name}" for the connector; run what `inbox outbox connector --sql` prints',
            f'there is no publication "{name}"; run what `inbox outbox connector --sql` prints',
        ]
    finally:
        captured.sql(f"ALTER ROLE {name}_x RENAME TO {name}")


def test_a_slot_that_is_not_the_connectors_is_told(captured: Sink, inbox: Inbox) -> None:
    name = name_of(captured, inbox)
    captured.sql(f"SELECT pg_create_physical_replication_slot('{name}')")
    try:
        assert problems(captured, inbox) == [
            f'the slot "{name}" is of another database or plugin; if nobody reads it, '
            f"SELECT pg_drop_replication_slot('{name}')"
        ]
    finally:
        captured.sql(f"SELECT pg_drop_replication_slot('{name}')")


def test_a_file_that_only_publishes_is_looked_at_too(captured: Sink, inbox: Inbox) -> None:
    text = captured.config.read_text()
    database, kafka, outbox = (
        text[text.index(section) :].partition("\n[")[0] for section in ("[database]", "[kafka]", "[outbox]")
    )
    name = name_of(captured, inbox)
    captured.config.write_text("\n".join([database, kafka, outbox, ""]))
    assert problems(captured, inbox) == []

    captured.sql(f"ALTER ROLE {name} NOLOGIN")
    assert len(problems(captured, inbox)) == 1


def test_where_the_relay_publishes_nothing_is_asked_of_it(sink: Sink, inbox: Inbox) -> None:
    sink.config.write_text(sink.config.read_text() + "[outbox]\n")
    assert inbox("migrate", sink).code == 0
    assert SUBJECT not in inbox("check", sink).out
