"""The whole sink as a role that has exactly the rights that `inbox check` asks for."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

import inbox as package
from inbox.errors import InboxError
from inbox.outbox import publish
from inbox.store.options import DatabaseOptions, TableMode, TableTarget, Tombstones
from inbox.store.postgres.connection import Connection, connect
from inbox.store.privileges.check import OF_SINK, missing_rights
from inbox.store.privileges.roles import roles_sql
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.integration.cli.conftest import Result, Sink
from tests.integration.cli.test_check import as_user, problems
from tests.integration.sink.conftest import offer  # noqa: F401 - a fixture
from tests.support.kafka_topics import idempotent_producer, unique_name
from tests.support.records import record
from tests.support.store.sources import sources

Inbox = Callable[..., Result]

TABLES = """
CREATE SCHEMA shop;
CREATE FUNCTION shop.checked(amount int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT amount >= 0';
REVOKE EXECUTE ON FUNCTION shop.checked FROM PUBLIC;
CREATE TABLE shop.parents (id int PRIMARY KEY);
CREATE TABLE shop.appended (number serial, counted int GENERATED ALWAYS AS IDENTITY, id int, amount int,
    CHECK (shop.checked(amount)), double int GENERATED ALWAYS AS (amount * 2) STORED);
CREATE TABLE shop.inserted (id int PRIMARY KEY, amount int);
CREATE TABLE shop.upserted (id int PRIMARY KEY, amount int, parent int REFERENCES shop.parents);
CREATE TABLE shop.newest (id int PRIMARY KEY, amount int, at int);
CREATE TABLE shop.deleted (id int PRIMARY KEY, amount int);
CREATE TABLE shop.logged (id int, secret text);
CREATE FUNCTION shop.log() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN INSERT INTO shop.logged (id) VALUES (NEW.id); RETURN NEW; END';
CREATE TABLE shop.updated (id int PRIMARY KEY, amount int, note text);
INSERT INTO shop.updated VALUES (1, 1, 'kept');
CREATE TABLE shop.merged (id int PRIMARY KEY, amount int DEFAULT 7, secret text);
CREATE TABLE shop.marked (id int PRIMARY KEY, amount int, at int, deleted_at timestamptz, secret text);
CREATE TRIGGER logged AFTER INSERT ON shop.inserted FOR EACH ROW EXECUTE FUNCTION shop.log();
INSERT INTO shop.parents VALUES (1);
"""

COLUMNS = {"id": "/id", "amount": "/amount"}
TARGETS = {
    "append": TableTarget(name="shop.appended", mode=TableMode.APPEND, columns=sources(COLUMNS)),
    "insert": TableTarget(name="shop.inserted", mode=TableMode.INSERT, columns=sources(COLUMNS), key=("id",)),
    "upsert": TableTarget(
        name="shop.upserted", mode=TableMode.UPSERT, columns=sources({**COLUMNS, "parent": "/parent"}), key=("id",)
    ),
    "newest": TableTarget(
        name="shop.newest", mode=TableMode.NEWEST, columns=sources({**COLUMNS, "at": "/at"}), key=("id",), version="at"
    ),
    "delete": TableTarget(
        name="shop.deleted", mode=TableMode.UPSERT, columns=sources(COLUMNS), key=("id",), tombstones=Tombstones.DELETE
    ),
    "update": TableTarget(name="shop.updated", mode=TableMode.UPDATE, columns=sources(COLUMNS), key=("id",)),
    "merge": TableTarget(name="shop.merged", mode=TableMode.MERGE, columns=sources(COLUMNS), key=("id",)),
    "mark": TableTarget(
        name="shop.marked",
        mode=TableMode.UPSERT,
        columns=sources(COLUMNS),
        key=("id",),
        tombstones=Tombstones.MARK,
        deleted="deleted_at",
    ),
    "mark-inserted": TableTarget(
        name="shop.marked",
        mode=TableMode.INSERT,
        columns=sources(COLUMNS),
        key=("id",),
        tombstones=Tombstones.MARK,
        deleted="deleted_at",
    ),
    "mark-newest": TableTarget(
        name="shop.marked",
        mode=TableMode.NEWEST,
        columns=sources({**COLUMNS, "at": "/at"}),
        key=("id",),
        version="at",
        tombstones=Tombstones.MARK,
        deleted="deleted_at",
    ),
    "delete-keys": TableTarget(
        name="shop.parents",
        mode=TableMode.INSERT,
        columns=sources({"id": "/id"}),
        key=("id",),
        tombstones=Tombstones.DELETE,
    ),
}
EVENT = {"id": 1, "amount": 5, "parent": 1, "at": 3}


@pytest.fixture
def role(sink: Sink) -> Iterator[str]:
    """A role without any right, in a database with tables of every kind."""
    sink.sql(TABLES)
    name = unique_name("least")
    sink.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
    yield name
    sink.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


def granted(sink: Sink, lines: list[str]) -> list[str]:
    """Run the statement of each line, as an administrator would; returns them."""
    statements = [line.split("; ", 1)[1] for line in lines]
    for statement in statements:
        sink.sql(statement)
    return statements


@contextmanager
def as_role(sink: Sink, role: str) -> Iterator[Connection]:
    with connect(DatabaseOptions(url=SecretStr(as_user(sink.database_url, role)))) as connection:
        yield connection


def grants_until_nothing_lacks(sink: Sink, lacking: Callable[[], list[str]]) -> list[str]:
    given: list[str] = []
    while lines := lacking():
        assert not set(lines) & set(given), lines
        granted(sink, lines)
        given += lines
    return given


def write(connection: Connection, target: TableTarget) -> None:
    """The same event twice, so that it meets its own row, and its tombstone where that deletes."""
    writer = TableWriter(connection, target)
    value = json.dumps(EVENT).encode()
    events = [record(0, key=b"1", value=value), record(1, key=b"1", value=value)]
    if target.tombstones.removes:
        events.append(record(2, key=b"1", value=None))
    for event in events:
        writer.write(connection, TableEvents([uuid4().bytes], [None], [event]))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_route_needs_what_check_asks_for_and_no_less(sink: Sink, role: str, target: TableTarget) -> None:
    def lacking() -> list[str]:
        with as_role(sink, role) as connection:
            return [line for line in missing_rights(connection, "inbox", [target]) if "shop" in line]

    grants = grants_until_nothing_lacks(sink, lacking)
    with as_role(sink, role) as connection, connection.transaction(force_rollback=True):
        write(connection, target)

    for line in grants:
        statement = line.split("; ", 1)[1]
        sink.sql(statement.replace("GRANT", "REVOKE").replace(f"TO {role}", f"FROM {role}"))
        assert line.split(";")[0] in [each.split(";")[0] for each in lacking()]
        with as_role(sink, role) as connection, pytest.raises((InboxError, psycopg.Error)):
            write(connection, target)
        sink.sql(statement)


def test_rights_on_the_whole_table_are_as_good(sink: Sink, role: str) -> None:
    sink.sql(f"GRANT USAGE ON SCHEMA shop TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA shop TO {role}")
    with as_role(sink, role) as connection:
        lines = missing_rights(connection, "inbox", list(TARGETS.values()))
    assert [line.split(";")[0] for line in lines if "shop" in line] == [
        "the sink's role lacks USAGE on sequence shop.appended_number_seq",
        "the sink's role lacks EXECUTE on shop.checked(integer)",
    ]


def test_policies_that_let_no_row_in_are_told(sink: Sink, role: str) -> None:
    target = TARGETS["insert"]
    sink.sql("ALTER TABLE shop.inserted ENABLE ROW LEVEL SECURITY")
    sink.sql(f"GRANT USAGE ON SCHEMA shop TO {role}; GRANT ALL ON shop.inserted TO {role}")

    def lacking() -> list[str]:
        with as_role(sink, role) as connection:
            lines = missing_rights(connection, "inbox", [target])
            return [line.split(";")[0] for line in lines if "shop" in line]

    may = 'row-level security of "shop"."inserted" has no policy by which the sink\'s role may '
    assert lacking() == [f"{may}INSERT", f"{may}SELECT"]
    sink.sql(f"CREATE POLICY ours ON shop.inserted FOR INSERT TO {role} WITH CHECK (true)")
    assert lacking() == [f"{may}SELECT"]
    sink.sql("CREATE POLICY seen ON shop.inserted FOR SELECT USING (true)")
    assert lacking() == []
    with as_role(sink, role) as connection:
        write(connection, target)


def test_a_role_that_another_is_set_for_is_named(sink: Sink, role: str) -> None:
    """`ALTER ROLE ... SET role`: what is granted to who logs in does not count."""
    other = unique_name("other")
    sink.sql(f"CREATE ROLE {other} NOLOGIN; GRANT {other} TO {role}; ALTER ROLE {role} SET role = {other}")
    try:
        with as_role(sink, role) as connection:
            lines = missing_rights(connection, "inbox", [TARGETS["insert"]])
        assert all(line.endswith(f" TO {other}") for line in lines)
    finally:
        sink.sql(f"DROP OWNED BY {other}; DROP ROLE {other}")


CONFIGURATION = """
[sink]
name = "{name}"
[database]
url = "{url}"
[kafka]
"bootstrap.servers" = "{servers}"
"heartbeat.interval.ms" = 100
[outbox]
[[routes]]
name = "handled"
topic = "{topic}"
event_id = "value:/event"
handler = "least"
"""

ROUTE = """
[[routes]]
name = "{route}"
topic = "{topic}"
event_id = "value:/event"
[routes.table]
name = "{table}"
mode = "{mode}"
{more}
[routes.table.columns]
{columns}
"""


def configuration(sink: Sink, role: str) -> str:
    head = CONFIGURATION.format(
        name=sink.name, url=as_user(sink.database_url, role), servers=sink.bootstrap_servers, topic=sink.topic
    )
    return head + "".join(route(sink, name, target) for name, target in TARGETS.items() if name != "delete-keys")


def route(sink: Sink, name: str, target: TableTarget) -> str:
    more = [f"key = {json.dumps(target.key)}"] if target.key else []
    more += [f'version = "{target.version}"'] if target.version else []
    more += [f'deleted = "{target.deleted}"'] if target.deleted else []
    more += [f'tombstones = "{target.tombstones if target.tombstones.removes else "ignore"}"']
    columns = "\n".join(f'{column} = "{source}"' for column, source in target.columns.items())
    return ROUTE.format(
        route=name, topic=sink.topic, table=target.name, mode=target.mode, more="\n".join(more), columns=columns
    )


REFUSED: set[int] = set()


def handle(event: package.Event, tx: package.Transaction) -> None:
    if REFUSED and event.value is not None and event.json()["id"] in REFUSED:
        raise package.EventError("not this one")
    tx.publish(event.topic, {}, type="Confirmed")


def produce(sink: Sink, count: int) -> None:
    producer = idempotent_producer(sink.bootstrap_servers)
    for number in range(count):
        value = json.dumps({**EVENT, "id": number, "event": str(uuid4())})
        producer.produce(sink.topic, value, str(number), partition=number % 2)
    producer.produce(sink.topic, None, "1", partition=1)
    assert producer.flush(120) == 0


COMMANDS: list[list[str]] = [
    ["check"],
    ["run", "--until-end"],
    ["status"],
    ["audit"],
    ["audit", "--quick"],
    ["dead-letters", "list"],
    ["dead-letters", "discard", "--key", "0", "--execute"],
    ["dead-letters", "retry", "--all", "--execute"],
    ["replay", "--topic", "TOPIC", "--from-earliest", "--execute"],
    ["run", "--until-end"],
    ["replay", "--topic", "TOPIC", "--from-earliest", "--route", "upsert", "--mode", "force", "--execute"],
    ["run", "--until-end"],
    ["replay", "--topic", "TOPIC", "--from-earliest", "--route", "handled", "--mode", "shadow", "--execute"],
    ["replay", "list"],
    ["history"],
    ["adopt", "--route", "insert", "--table", "shop.inserted", "--event-id-column", "id", "--execute"],
    ["prune"],
    ["prune", "--execute"],
    ["resume", "--topic", "TOPIC", "--from-earliest", "--accept-loss", "--execute"],
    ["run", "--until-end"],
    ["audit"],
    ["check"],
]


def test_every_command_runs_as_a_role_with_exactly_what_check_asks_for(
    sink: Sink,
    role: str,
    inbox: Inbox,
    offer: Callable[..., None],  # noqa: F811 - the fixture
) -> None:
    offer(least=handle)
    sink.config.write_text(configuration(sink, role))
    owner = sink.config.with_name("owner.toml")
    owner.write_text(
        sink.config.read_text().replace(f'url = "{as_user(sink.database_url, role)}"', f'url = "{sink.database_url}"')
    )
    assert inbox("migrate", "--config", str(owner)).code == 0
    produce(sink, 20)

    def lacking() -> list[str]:
        found = problems(inbox("check", "--json", sink))
        return [line for lines in found.values() for line in lines if "GRANT" in line]

    grants_until_nothing_lacks(sink, lacking)
    REFUSED.update(range(0, 20, 5))
    for command in COMMANDS:
        if command[:2] == ["dead-letters", "retry"]:
            REFUSED.clear()
        done = inbox(*(part.replace("TOPIC", sink.topic) for part in command), sink)
        assert done.code == 0, (command, done)
    recorded = [command for (command,) in sink.sql("SELECT DISTINCT command FROM inbox.actions ORDER BY 1")]
    assert recorded == [
        *("adopt", "dead-letters discard", "dead-letters retry", "migrate", "prune", "replay", "resume")
    ]


def test_the_rights_of_the_sink_are_those_of_every_table_that_the_schema_has(sink: Sink) -> None:
    tables = {name for (name,) in sink.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'inbox'")}
    of_outbox = {"outbox", "outbox_sent", "outbox_relay", "outbox_version", "relay_leases", "relay_leases_version"}
    assert set(OF_SINK) == tables - of_outbox
    script = roles_sql("inbox", None)
    assert all(f'"inbox"."{table}"' in script for table in OF_SINK)


RELAY = """
[database]
url = "{url}"
[kafka]
"bootstrap.servers" = "{servers}"
[outbox]
{outbox}
"""


@pytest.mark.parametrize("outbox", ["", 'table = "shop.events_out"\ntopic = "TOPIC"'], ids=["own", "existing"])
def test_a_relay_runs_as_a_role_with_exactly_what_check_asks_for(
    sink: Sink, role: str, inbox: Inbox, outbox: str
) -> None:
    sink.sql(
        "CREATE TABLE shop.events_out (event_id uuid PRIMARY KEY, type text, payload json, status text DEFAULT 'NEW',"
        " created_at timestamptz DEFAULT now());"
        "INSERT INTO shop.events_out (event_id, type, payload) VALUES (gen_random_uuid(), 'T', '1')"
    )
    parts = {"servers": sink.bootstrap_servers, "outbox": outbox.replace("TOPIC", sink.topic)}
    owner = sink.config.with_name("owner.toml")
    owner.write_text(RELAY.format(url=sink.database_url, **parts))
    assert inbox("migrate", "--config", str(owner)).code == 0
    if not outbox:
        with psycopg.connect(sink.database_url) as connection:
            publish(connection, topic=sink.topic, type="T", payload={})
    sink.config.write_text(RELAY.format(url=as_user(sink.database_url, role), **parts))

    def lacking() -> list[str]:
        found = problems(inbox("check", "--json", sink))
        return [line for lines in found.values() for line in lines if "GRANT" in line]

    assert lacking()
    grants_until_nothing_lacks(sink, lacking)
    for command in (["check"], ["relay", "--until-empty"], ["check"]):
        assert inbox(*command, sink).code == 0
