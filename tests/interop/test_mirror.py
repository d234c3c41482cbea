"""A table that Debezium captures is rebuilt by a table route, with Connect and the sink killed meanwhile."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Message
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from inbox.dev.backends import Servers
from inbox.reading.envelopes.debezium_split import split_change
from tests.interop.capture import connect_worker
from tests.interop.mirror.columns import SETUP, MirrorColumn, columns
from tests.interop.mirror.forms import FORMS, WITHOUT_SCHEMA, Form
from tests.interop.mirror.source import Operations
from tests.support.kafka_topics import create_topic, read_committed, unique_name
from tests.support.sinks import write_configuration
from tests.support.waiting import eventually

OPERATIONS = int(os.environ.get("MIRROR_OPERATIONS", "2000"))
FEWEST_A_SECOND = 10
"""Operations, on a machine that is busy with other work: how long a test waits is no promise of the sink."""
ROUTE = """
[[routes]]
name = "mirror"
topic = "{topic}"
{route}
[routes.table]
name = "public.target"
mode = "upsert"
key = ["id"]
{table}
[routes.table.columns]
id = "{key}"
{columns}
"""
CONNECTOR = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "plugin.name": "pgoutput",
    "publication.autocreate.mode": "disabled",
    "table.include.list": "public.source",
    "skipped.operations": "none",
    # A snapshot reads through JDBC, which gives dates before 1582 the Julian calendar, and infinity another number.
    "snapshot.mode": "no_data",
    "decimal.handling.mode": "string",
    "interval.handling.mode": "string",
}
DIFFERENCE = """
WITH source AS (SELECT id, ROW({compared})::text AS texts FROM public.source),
     target AS (SELECT id, ROW({compared})::text AS texts FROM public.target)
(SELECT 'missing', id, left(texts, 500) FROM (TABLE source EXCEPT TABLE target) AS missing LIMIT 2)
UNION ALL
(SELECT 'extra', id, left(texts, 500) FROM (TABLE target EXCEPT TABLE source) AS extra LIMIT 2)
"""


class Mirror:
    """The two tables in one database, the connector and the sink between them."""

    def __init__(
        self, url: str, bootstrap_servers: str, directory: Path, columns: Sequence[MirrorColumn], form: Form
    ) -> None:
        self.url, self.columns, self._form = url, columns, form
        self.prefix = unique_name("mirror")
        self.topic = create_topic(bootstrap_servers, f"{self.prefix}.public.source")
        for statement in SETUP:
            self.sql(statement)
        declared = ", ".join(["id bigint PRIMARY KEY", *(f'"{c.name}" {c.type}' for c in columns)])
        for table in ("source", "target"):
            self.sql(f"CREATE TABLE public.{table} ({declared})")
        if form.whole_rows:
            self.sql("ALTER TABLE public.source REPLICA IDENTITY FULL")
        self.sql(f"CREATE PUBLICATION {self.prefix} FOR TABLE public.source")
        self.config = write_configuration(
            directory / "inbox.toml",
            database_url=url,
            bootstrap_servers=bootstrap_servers,
            routes=ROUTE.format(
                topic=self.topic,
                route=form.route,
                table=form.table,
                key=form.key,
                columns="\n".join(f"{each.name} = {each.source(schema=form.schema, row=form.row)}" for each in columns),
            ),
            name=self.prefix,
        )
        self._log = (directory / "run.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def connector(self, **changes: str) -> dict[str, str]:
        """Return the connector's configuration, as a user writes it."""
        at = conninfo_to_dict(self.url)
        return {
            **CONNECTOR,
            **self._form.converters,
            "topic.prefix": self.prefix,
            "slot.name": self.prefix,
            "publication.name": self.prefix,
            "database.hostname": str(at["host"]),
            "database.port": str(at.get("port", 5432)),
            "database.dbname": str(at["dbname"]),
            "database.user": str(at["user"]),
            "database.password": str(at.get("password", "")),
            **{name.replace("_", "."): value for name, value in changes.items()},
        }

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def number(self, statement: str) -> int:
        [(number,)] = self.sql(statement)
        return int(str(number or 0))

    def is_read(self) -> bool:
        """Return whether the connector reads the log, so that it misses no change."""
        active = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{self.prefix}' AND active"  # noqa: S608
        return self.number(active) == 1

    def settled(self) -> int:
        """Return how many changes the sink has applied; before its first start it has no tables."""
        if not self.number("SELECT count(*) FROM pg_tables WHERE tablename = 'partitions' AND schemaname = 'inbox'"):
            return 0
        return self.number("SELECT sum(applied) FROM inbox.partitions")

    def run_sink(self) -> None:
        """Start the sink."""
        command = [sys.executable, "-P", "-m", "inbox", "run", "--config", str(self.config)]
        self._process = subprocess.Popen(command, stderr=self._log, stdout=self._log)

    def kill_sink(self) -> None:
        """End the sink with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def difference(self) -> list[tuple[object, ...]]:
        """Return some rows of one table that the other lacks, value for value in their texts."""
        return self.sql(DIFFERENCE.format(compared=", ".join(each.compared for each in self.columns)))

    def is_equal(self) -> bool:
        """Return whether target and source are equal in the text of every value; fail once an event is parked."""
        parked = self.sql("SELECT kafka_offset, error FROM inbox.dead_letters LIMIT 3")
        assert not parked, parked
        return not self.difference()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        self._log.close()
        drop = sql.SQL("SELECT pg_drop_replication_slot({})").format(sql.Literal(self.prefix)).as_string()
        active = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{self.prefix}' AND active"  # noqa: S608
        eventually(lambda: self.number(active) == 0, within=30, what="the end of the slot's reader")
        if self.number(active.replace(" AND active", "")):
            self.sql(drop)


@contextmanager
def mirror(
    url: str, bootstrap_servers: str, directory: Path, columns: Sequence[MirrorColumn], form: Form
) -> Iterator[Mirror]:
    made = Mirror(url, bootstrap_servers, directory, columns, form)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_captured_table_is_rebuilt_value_for_value(
    servers: Servers, tmp_path: Path, database_url: str, form: Form
) -> None:
    number = min(OPERATIONS, form.most_operations or OPERATIONS)
    with (
        mirror(database_url, servers.bootstrap_servers, tmp_path, columns(schema=form.schema), form) as it,
        connect_worker(servers.bootstrap_servers, {}, offset_flush_interval_ms="1000") as connect,
    ):
        connect.start()
        connect.run(it.prefix, it.connector())
        eventually(it.is_read, within=180, what="a reader of the slot")
        it.run_sink()
        operations = Operations(it.url, it.columns, number, it.settled, truncates=form.truncates)
        operations.start()
        for third in (1, 2):
            operations.reach(number * third // 3, within=300 + number / FEWEST_A_SECOND)
            connect.kill()
            it.kill_sink()
            connect.start()
            it.run_sink()
        operations.reach(number, within=300 + number / FEWEST_A_SECOND)
        try:
            eventually(it.is_equal, within=300, what="a target that equals its source")
        except AssertionError:
            print(it.difference())
            raise
        repeated = it.number("SELECT sum(duplicate) FROM inbox.partitions")
        parked = it.number("SELECT count(*) FROM inbox.dead_letters")
        print(f"{number} operations, {it.settled()} changes; {repeated} came again and were dropped")
        if form is WITHOUT_SCHEMA:
            assert any_row_is_cut_out(read_committed(servers.bootstrap_servers, it.topic, 50))
    assert parked == 0


def any_row_is_cut_out(records: Sequence[Message]) -> bool:
    """Return whether the quick way of reading knows each member that the connector writes.

    Rows with hard numbers take the other way.
    """
    return any(split_change(value) is not None for record in records if (value := record.value()) is not None)
