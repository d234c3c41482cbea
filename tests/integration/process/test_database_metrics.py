"""What a running sink looks at now and then in its database."""

from threading import Event

import psycopg
import pytest
from pydantic import SecretStr

from inbox.errors import StartupError
from inbox.process.database_metrics import DatabaseMetrics
from inbox.store.options import DatabaseOptions
from inbox.telemetry import DEAD_LETTERS, PARKED_BY_KIND
from tests.support.waiting import eventually

LETTERS = """
INSERT INTO inbox.sink (name, group_id) VALUES ('s', 's');
INSERT INTO inbox.routes (name, topics, identity) VALUES ('r', '{t}', 'auto');
INSERT INTO inbox.partitions (cluster_id, topic, partition, start_offset, next_offset, reached_offset)
    VALUES ('c', 't', 0, 0, 9, 9);
INSERT INTO inbox.dead_letters (route_id, partition_id, kafka_offset, error_class, error, state, cause_kind)
    VALUES (1, 1, 1, 'E', 'no', 'parked', 'handler'), (1, 1, 2, 'E', 'no', 'waiting', NULL),
           (1, 1, 3, 'E', 'no', 'waiting', NULL), (1, 1, 4, 'E', 'no', 'retried', 'value');
"""


def shown(state: str) -> float:
    return float(DEAD_LETTERS.labels(state)._value.get())


def of_kind(kind: str) -> float:
    return float(PARKED_BY_KIND.labels(kind)._value.get())


def test_the_gauge_shows_what_is_open(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(LETTERS)
    metrics = DatabaseMetrics(DatabaseOptions(url=SecretStr(database_url)), None, lambda: None, every_seconds=0.05)
    with metrics.refreshing():
        eventually(lambda: (shown("parked"), shown("waiting")) == (1, 2), what="the letters that are open")
        eventually(lambda: (of_kind("handler"), of_kind("value")) == (1, 0), what="the kinds of what is parked")
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE inbox.dead_letters SET state = 'retried'")
        eventually(lambda: (shown("parked"), shown("waiting")) == (0, 0), what="none")


def test_a_schema_that_goes_where_this_version_cannot_follow_stops_the_worker(database_url: str) -> None:
    stopped = Event()
    metrics = DatabaseMetrics(DatabaseOptions(url=SecretStr(database_url)), None, stopped.set, every_seconds=0.05)
    with metrics.refreshing():
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE inbox.alembic_version SET version_num = '9999'")
        assert stopped.wait(120)
    with pytest.raises(StartupError, match="upgrade kafka-inbox"):
        metrics.refuse_unusable_schema()


def test_a_schema_that_is_gone_is_an_outage_and_no_reason_to_stop(database_url: str) -> None:
    stopped = Event()
    metrics = DatabaseMetrics(DatabaseOptions(url=SecretStr(database_url)), None, stopped.set, every_seconds=0.05)
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER SCHEMA inbox RENAME TO elsewhere")
    with metrics.refreshing():
        assert not stopped.wait(1)
    metrics.refuse_unusable_schema()
