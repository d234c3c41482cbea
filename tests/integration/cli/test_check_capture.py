"""`inbox check` where Debezium publishes the outbox."""

import json
from collections.abc import Callable, Iterator

import psycopg
import pytest

from inbox.kafka.cluster import Cluster
from inbox.kafka.options import KafkaOptions
from inbox.outbox import publish
from tests.integration.cli.conftest import Result, Sink
from tests.support.kafka_topics import create_topic, delete_topic

Inbox = Callable[..., Result]
SUBJECT = "change data capture"


@pytest.fixture
def captured(sink: Sink, inbox: Inbox) -> Iterator[Sink]:
    """A sink with an outbox, for which the printed SQL was run, and the topic of the heartbeats was made."""
    sink.config.write_text(sink.config.read_text() + '[outbox]\nrelay = "debezium"\n')
    assert inbox("migrate", sink).code == 0
    sink.sql(inbox("outbox", "connector", "--sql", sink).out)
    create_topic(sink.bootstrap_servers, f"__debezium-heartbeat.{name_of(sink, inbox)}", 1)
    yield sink
    name = name_of(sink, inbox)
    sink.sql(f"DROP PUBLICATION IF EXISTS {name}; DROP OWNED BY {name}; DROP ROLE {name}")


def name_of(sink: Sink, inbox: Inbox) -> str:
    return str(json.loads(inbox("outbox", "connector", sink).out)["name"])


def problems(sink: Sink, inbox: Inbox, subject: str = SUBJECT) -> list[str]:
    checks = json.loads(inbox("check", "--json", sink).out)["checks"]
    return [problem for check in checks if check["check"] == subject for problem in check["problems"]]


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


def test_where_brokers_make_no_topics_the_heartbeats_topic_is_asked_for(
    captured: Sink, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"__debezium-heartbeat.{name_of(captured, inbox)}"
    delete_topic(captured.bootstrap_servers, topic)

    [told] = problems(captured, inbox, "heartbeat topic")
    assert told.startswith(f"the cluster has no topic {topic} ")
    assert told.endswith(f"create it: kafka-topics --create --partitions 1 --topic {topic}")

    monkeypatch.setattr(Cluster, "creates_topics", lambda _: True)
    assert problems(captured, inbox, "heartbeat topic") == []


def test_brokers_say_whether_they_make_topics(captured: Sink) -> None:
    options = KafkaOptions(group_id="g", properties={"bootstrap.servers": captured.bootstrap_servers})
    assert Cluster(options).creates_topics() is False


def test_the_topics_of_events_that_wait_are_asked_for(captured: Sink, inbox: Inbox) -> None:
    with psycopg.connect(captured.database_url) as connection:
        publish(connection, topic="nobody.made.this", type="T", payload={})
    [told] = problems(captured, inbox, "publishing to nobody.made.this")
    assert "create it" in told


def test_a_heartbeat_that_the_role_may_not_send_and_a_narrowed_publication_are_told(
    captured: Sink, inbox: Inbox
) -> None:
    name = name_of(captured, inbox)
    captured.sql(
        "DO $$ DECLARE f text; BEGIN FOR f IN SELECT oid::regprocedure FROM pg_proc "
        "WHERE proname = 'pg_logical_emit_message' LOOP "
        "EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END $$"
    )
    [[version]] = captured.sql("SELECT current_setting('server_version_num')::int")
    narrowed = version >= 150000
    if narrowed:
        captured.sql(f"ALTER PUBLICATION {name} SET TABLE inbox.outbox WHERE (type <> 'T')")
    told = problems(captured, inbox)
    assert len(told) == 1 + narrowed
    assert "lacks EXECUTE on pg_logical_emit_message(boolean,text,text" in told[0]
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
