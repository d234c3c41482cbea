"""The whole sink under the roles that `inbox migrate --roles` prints, and nothing that they need not may."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from inbox.dev.backends import Servers
from inbox.operations.retention.background import pruning_outbox
from inbox.outbox import publish
from inbox.settings import RetentionLimits
from inbox.store.options import DatabaseOptions, ExternalTableColumns, ExternalTableOptions, OutboxOptions, RelayKind
from inbox.store.outbox.retention import outbox_retention
from inbox.store.postgres.connection import connect
from inbox.store.privileges.roles import roles_sql
from tests.conftest import MakeTopic
from tests.e2e.launcher import environment
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import idempotent_producer, unique_name
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

DEBEZIUM = OutboxOptions(relay=RelayKind.DEBEZIUM)
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

        self.migrates, self.runs, self.relays = (unique_name(what) for what in ("migrates", "runs", "relays"))

    def apply(self, outbox: OutboxOptions | None = None) -> None:
        self.sql(roles_sql(self.schema, outbox or OutboxOptions()))

    def sql(self, script: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(script.encode())

    def url(self, user: str) -> str:
        parts = urlsplit(self.database_url)
        return parts._replace(netloc=f"{user}:sesame@{parts.netloc.rpartition('@')[2]}").geturl()

    def drop(self) -> None:
        groups = [f"{self.schema}_{part}" for part in ("owner", "sink", "relay")]
        for role in (self.migrates, self.runs, self.relays, *groups):
            self.sql(f'DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"')


@contextmanager
def made_roles(database_url: str) -> Iterator[Roles]:
    made = Roles(database_url)
    made.apply()
    made.sql(
        f"CREATE ROLE {made.migrates} LOGIN PASSWORD 'sesame' IN ROLE {made.schema}_owner;"
        f"ALTER ROLE {made.migrates} SET role = {made.schema}_owner;"
        f"CREATE ROLE {made.runs} LOGIN PASSWORD 'sesame' IN ROLE {made.schema}_sink;"
        f"CREATE ROLE {made.relays} LOGIN PASSWORD 'sesame' IN ROLE {made.schema}_relay;"
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


def test_the_relay_runs_and_prunes_under_its_own(
    roles: Roles, tmp_path: Path, make_topic: MakeTopic, bootstrap_servers: str
) -> None:
    topic = make_topic()
    config = configuration(tmp_path, roles, roles.migrates, topic, bootstrap_servers)
    assert command("migrate", config, tmp_path).returncode == 0
    roles.apply()
    with psycopg.connect(roles.database_url) as connection:
        for _ in range(3):
            publish(connection, topic=topic, type="T", payload=[], schema=roles.schema)

    relays = relay_configuration(tmp_path, roles, bootstrap_servers)
    for arguments in (("check",), ("relay", "--until-empty")):
        done = command(*arguments, relays, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr

    settings = DatabaseOptions(url=SecretStr(roles.url(roles.relays)), schema=roles.schema)
    with psycopg.connect(roles.database_url, autocommit=True) as connection:
        count = f'SELECT count(*) FROM "{roles.schema}".outbox_sent'.encode()  # noqa: S608
        assert connection.execute(count).fetchone() == (3,)
        with pruning_outbox(settings, RetentionLimits(outbox=timedelta(seconds=1)), OutboxOptions()):
            eventually(lambda: connection.execute(count).fetchone() == (0,), what="an outbox that was pruned")


def test_so_does_that_of_a_table_of_the_users(
    roles: Roles, tmp_path: Path, make_topic: MakeTopic, bootstrap_servers: str
) -> None:
    topic = make_topic()
    roles.sql(
        "CREATE SCHEMA shop; CREATE TABLE shop.events_out (event_id uuid PRIMARY KEY, type text, payload json,"
        " status text DEFAULT 'NEW', created_at timestamptz DEFAULT clock_timestamp());"
        "INSERT INTO shop.events_out (event_id, type, payload) VALUES (gen_random_uuid(), 'T', '1')"
    )
    existing = ExternalTableOptions(table="shop.events_out", topic=topic, columns=ExternalTableColumns())
    outbox = f'table = "shop.events_out"\ntopic = "{topic}"'
    relays = relay_configuration(tmp_path, roles, bootstrap_servers, outbox)
    owners = relays.with_name("owner.toml")
    owners.write_text(relays.read_text().replace(roles.relays, roles.migrates))
    assert command("migrate", owners, tmp_path).returncode == 0

    lacking = command("relay", "--until-empty", relays, tmp_path)
    roles.apply(OutboxOptions(existing=existing))
    done = command("relay", "--until-empty", relays, tmp_path)

    assert lacking.returncode == 3
    assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(roles.database_url) as connection:
        assert connection.execute("SELECT status FROM shop.events_out").fetchall() == [("SENT",)]


NOT_FOR_RELAYS = [
    "UPDATE \"{schema}\".outbox SET topic = 'other'",
    "INSERT INTO \"{schema}\".outbox (event_id, topic, type, payload) VALUES (gen_random_uuid(), 't', 't', '1')",
    'TRUNCATE "{schema}".outbox',
    'DELETE FROM "{schema}".outbox_relay',
    'UPDATE "{schema}".outbox_sent SET sent_at = now()',
    'SELECT * FROM "{schema}".dead_letters',
    'SELECT * FROM "{schema}".processed',
    'CREATE TABLE "{schema}".mine (id int)',
]


@pytest.mark.parametrize("statement", NOT_FOR_RELAYS)
def test_the_relays_role_may_nothing_else(migrated: Roles, statement: str) -> None:
    with psycopg.connect(migrated.url(migrated.relays)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement.format(schema=migrated.schema).encode())


def test_where_debezium_publishes_the_sink_may_prune_the_outbox(roles: Roles, tmp_path: Path) -> None:
    config = configuration(tmp_path, roles, roles.migrates, "unused", "127.0.0.1:1")
    assert command("migrate", config, tmp_path).returncode == 0
    roles.apply()
    with connect(DatabaseOptions(url=SecretStr(roles.url(roles.runs)))) as connection:
        retention = outbox_retention(connection, roles.schema, DEBEZIUM)
        assert not retention.may_forget()
        roles.apply(DEBEZIUM)
        assert retention.may_forget()


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


def relay_configuration(directory: Path, roles: Roles, bootstrap_servers: str, outbox: str = "") -> Path:
    path = directory / "relay.toml"
    path.write_text(
        f'[database]\nurl = "{roles.url(roles.relays)}"\nschema = "{roles.schema}"\n'
        f'[kafka]\n"bootstrap.servers" = "{bootstrap_servers}"\n[outbox]\n{outbox}\n'
    )
    return path


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
        timeout=180,
    )


def produce(bootstrap_servers: str, topic: str, count: int) -> None:
    producer = idempotent_producer(bootstrap_servers)
    for number in range(count):
        producer.produce(topic, json.dumps({"order_id": number}), headers=[("event_id", str(uuid4()))])
    assert producer.flush(120) == 0
