"""The whole sink under the roles that `inbox migrate --roles` prints, and nothing that they need not may."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from inbox.dev.backends import Servers
from inbox.store.options import OutboxOptions
from inbox.store.roles import roles_sql
from tests.conftest import MakeTopic
from tests.databases import create_database, drop_database
from tests.e2e.launcher import environment
from tests.kafka_topics import idempotent_producer, unique_name
from tests.sinks import offer_handlers, write_configuration

ROUTES = """
[[routes]]
name = "table"
topic = "{topic}"
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
[routes.table.columns]
order_id = "/order_id"

[[routes]]
name = "handler"
topic = "{topic}"
handler = "confirm"
"""
HANDLER = """
import inbox

def confirm(event, tx):
    if event.json()["order_id"] % 5 == 0:
        raise inbox.EventError("not this one")
    tx.publish("confirmed", {"order_id": event.json()["order_id"]}, type="Confirmed")
"""


class Roles:
    """A database whose schema belongs to one role and is used by another; both log in with a password."""

    def __init__(self, database_url: str) -> None:
        self.schema = unique_name("inbox")
        self.database_url = database_url

        self.migrates, self.runs = unique_name("migrates"), unique_name("runs")

    def apply(self) -> None:
        self.sql(roles_sql(self.schema, OutboxOptions()))

    def sql(self, script: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(script.encode())

    def url(self, user: str) -> str:
        parts = urlsplit(self.database_url)
        return parts._replace(netloc=f"{user}:sesame@{parts.netloc.rpartition('@')[2]}").geturl()

    def drop(self) -> None:
        groups = [f"{self.schema}_{part}" for part in ("owner", "sink", "relay")]
        for role in (self.migrates, self.runs, *groups):
            self.sql(f'DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"')


@contextmanager
def made_roles(database_url: str) -> Iterator[Roles]:
    made = Roles(database_url)
    made.apply()
    made.sql(
        f"CREATE ROLE {made.migrates} LOGIN PASSWORD 'sesame' IN ROLE {made.schema}_owner;"
        f"ALTER ROLE {made.migrates} SET role = {made.schema}_owner;"
        f"CREATE ROLE {made.runs} LOGIN PASSWORD 'sesame' IN ROLE {made.schema}_sink;"
        "CREATE TABLE public.orders (order_id bigint PRIMARY KEY);"
        f"GRANT SELECT, INSERT, UPDATE ON public.orders TO {made.schema}_sink"
    )
    yield made
    made.drop()


@pytest.fixture
def roles(empty_database_url: str) -> Iterator[Roles]:
    with made_roles(empty_database_url) as made:
        yield made


@pytest.fixture(scope="module")
def migrated(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """A schema that its owner made, for tests that change nothing in it."""
    directory, name = tmp_path_factory.mktemp("migrated"), unique_name("roles")
    with made_roles(create_database(servers.database_url, name)) as made:
        config = configuration(directory, made, made.migrates, "unused", "127.0.0.1:1")
        done = command("migrate", config, directory)
        assert done.returncode == 0, done.stderr
        made.apply()
        yield made
    drop_database(servers.database_url, name)


def test_the_whole_sink_runs_under_them(
    roles: Roles, tmp_path: Path, make_topic: MakeTopic, bootstrap_servers: str
) -> None:
    topic = make_topic(partitions=2)
    produce(bootstrap_servers, topic, 20)

    migrated = command("migrate", configuration(tmp_path, roles, roles.migrates, topic, bootstrap_servers), tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    roles.apply()
    config = configuration(tmp_path, roles, roles.runs, topic, bootstrap_servers)
    for arguments in (("check",), ("run", "--until-end"), ("status",), ("dead-letters", "list")):
        done = command(*arguments, config, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    done = command("dead-letters", "discard", "--all", "--execute", config, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

    with psycopg.connect(roles.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM public.orders").fetchone() == (20,)
        count = f'SELECT count(*) FROM "{roles.schema}".outbox'  # noqa: S608
        assert connection.execute(count.encode()).fetchone() == (16,)


@pytest.mark.parametrize(
    "statement",
    [
        'DROP TABLE "{schema}".processed',
        'ALTER TABLE "{schema}".processed ADD COLUMN more text',
        'TRUNCATE "{schema}".partitions',
        'TRUNCATE "{schema}".dead_letters',
        'ALTER TABLE "{schema}".processed_1 NO INHERIT "{schema}".processed',
        'CREATE TABLE "{schema}".mine (id int)',
        'DELETE FROM "{schema}".partitions',
        "UPDATE \"{schema}\".outbox SET topic = 'other'",
        'DELETE FROM "{schema}".outbox',
        "UPDATE \"{schema}\".alembic_version SET version_num = '0001'",
    ],
)
def test_the_sinks_role_may_not(migrated: Roles, statement: str) -> None:
    with psycopg.connect(migrated.url(migrated.runs)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement.format(schema=migrated.schema).encode())


def configuration(directory: Path, roles: Roles, user: str, topic: str, bootstrap_servers: str) -> Path:
    return write_configuration(
        directory / f"{user}.toml",
        name=roles.schema,
        database_url=roles.url(user),
        bootstrap_servers=bootstrap_servers,
        routes=ROUTES.format(topic=topic),
        database=f'schema = "{roles.schema}"',
        rest="[outbox]",
    )


def command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    *words, config, directory = arguments
    assert isinstance(directory, Path)
    (directory / "packages").mkdir(exist_ok=True)
    (directory / "packages/confirming.py").write_text(HANDLER)
    packages = offer_handlers(directory / "packages", {"confirm": "confirming:confirm"})
    return subprocess.run(
        [sys.executable, "-P", "-m", "inbox", *map(str, words), "--config", str(config)],
        env=environment(packages),
        capture_output=True,
        text=True,
        timeout=60,
    )


def produce(bootstrap_servers: str, topic: str, count: int) -> None:
    producer = idempotent_producer(bootstrap_servers)
    for number in range(count):
        producer.produce(topic, json.dumps({"order_id": number}), headers=[("event_id", str(uuid4()))])
    assert producer.flush(30) == 0
