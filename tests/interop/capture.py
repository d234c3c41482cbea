"""An outbox that Debezium's connector publishes, set up with nothing but what `inbox outbox connector` prints."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from inbox.cli.program import result_of
from inbox.dev.local.kafka import HEAP, QUICK_START
from inbox.dev.local.kafka_jars import JarSet
from inbox.store.options import DatabaseOptions, OutboxOptions, OutboxPayload
from inbox.store.schema.migrate import migrate
from tests.jars import pins
from tests.support.connect import ConnectWorker
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.waiting import eventually

DEBEZIUM = JarSet(
    "Debezium PostgreSQL 3.3.1.Final",
    ("io.debezium:debezium-connector-postgres:3.3.1.Final",),
    megabytes=10,
    pins=pins("debezium"),
)
JVM = (HEAP, *QUICK_START)
"""Without the second compiler, C2.

That of Java 25.0.2 made `LocalDateTime.toLocalDate()` return null after some 4,000 rows, so that each `timestamp`
arrived as null, with "Failed to properly convert data value" in the worker's log.
"""
PASSWORD_VARIABLE = "OUTBOX_CONNECTOR_PASSWORD"


@dataclass
class CapturedOutbox:
    """A database with an outbox, its configuration file, and the connector as printed."""

    url: str = field(repr=False)
    bootstrap_servers: str
    config: Path
    name: str
    connector: Mapping[str, str]
    password: str = field(repr=False)

    def execute(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def relays_config(self) -> Path:
        """The same configuration with the relay as the one who publishes."""
        config = self.config.with_suffix(".relay.toml")
        config.write_text(self.config.read_text().replace('relay = "debezium"', 'relay = "inbox"'))
        return config

    @contextmanager
    def worker(self, **settings: str) -> Iterator[ConnectWorker]:
        """A distributed worker for this outbox, not started yet; `settings` are the worker's with `_` for `.`."""
        with connect_worker(self.bootstrap_servers, {PASSWORD_VARIABLE: self.password}, **settings) as made:
            yield made


@contextmanager
def connect_worker(bootstrap_servers: str, environment: Mapping[str, str], **settings: str) -> Iterator[ConnectWorker]:
    """A distributed worker with Debezium, not started yet; `settings` are the worker's with `_` for `.`."""
    group = unique_name("connect")
    for topic in ("configs", "offsets", "statuses"):
        create_topic(bootstrap_servers, f"{group}-{topic}", cleanup_policy="compact")
    worker = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": group,
        "config.storage.topic": f"{group}-configs",
        "offset.storage.topic": f"{group}-offsets",
        "status.storage.topic": f"{group}-statuses",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "config.providers": "env",
        "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        # a worker that was killed is given up soon, or its next life waits for that
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "1500",
        "scheduled.rebalance.max.delay.ms": "0",
        **{key.replace("_", "."): value for key, value in settings.items()},
    }
    made = ConnectWorker([DEBEZIUM], worker, environment=environment, jvm=JVM)
    try:
        yield made
    except BaseException:
        print(made.log()[-6000:])
        raise
    finally:
        made.close()


@contextmanager
def captured_outbox(
    server_url: str, bootstrap_servers: str, directory: Path, payload: OutboxPayload = OutboxPayload.JSON
) -> Iterator[CapturedOutbox]:
    """The outbox of a new database, as a user sets it up; nothing is left of it afterwards."""
    database = unique_name("orders")
    url = create_database(server_url, database)
    migrate(DatabaseOptions(url=SecretStr(url)), outbox=OutboxOptions(payload=payload))
    config = directory / f"{database}.toml"
    config.write_text(
        f'[database]\nurl = "{url}"\n[kafka]\n"bootstrap.servers" = "{bootstrap_servers}"\n'
        f'[outbox]\nrelay = "debezium"\npayload = "{payload.value}"\n'
    )
    printed = json.loads(_printed(config, directory / "connector.json"))
    name = printed["name"]
    made = CapturedOutbox(url, bootstrap_servers, config, name, printed["config"], secrets.token_urlsafe(12))
    made.execute(_printed(config, directory / "setup.sql", "--sql"))
    made.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(made.password)).as_string()
    )
    create_topic(bootstrap_servers, f"__debezium-heartbeat.{name}")
    try:
        yield made
    finally:
        _let_go_of_slot(made)
        made.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
        drop_database(server_url, database)


def _printed(config: Path, target: Path, *options: str) -> str:
    """What the command prints, by way of the shell's own redirection."""
    with target.open("w") as out, redirect_stdout(out):
        assert result_of(["outbox", "connector", "--config", str(config), *options]) == 0
    return target.read_text()


def _let_go_of_slot(outbox: CapturedOutbox) -> None:
    """A slot outlives its reader, and a database with a slot cannot be dropped."""
    drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"

    def dropped() -> bool:
        try:
            outbox.execute(drop, outbox.name)
        except psycopg.errors.ObjectInUse:
            return False
        return True

    eventually(dropped, within=30, what=f"the end of the reader of slot {outbox.name}")
