"""Somebody who may CREATE in a schema of the sink's search path, and nothing else, runs no code as the sink."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from confluent_kafka import Producer
from psycopg import sql

import inbox
from inbox.dev.backends import Servers
from inbox.errors import EventError
from inbox.events import Event
from inbox.handlers import Transaction
from inbox.outbox import publish
from inbox.store.options import OutboxOptions
from inbox.store.privileges.roles import roles_sql
from tests.conftest import MakeTopic
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.sink.running import Out, Sink

SQL = Path(inbox.__file__).parent
ATTACK = Path(__file__).parent.parent / "security" / "attack.sql"
PATHS = ['"$user", public', "public, pg_catalog"]

COLUMNS = """
[routes.table.columns]
id = "/id"
version = "/version"
body = "/body"
tags = "/tags"
at = { from = "/at", as = "epoch-ms" }
taken_at = "$timestamp"
raw = "/raw"
amount = "/list/0"
"""
ROUTES = f"""
[[routes]]
name = "append"
topic = "TOPIC"
[routes.table]
name = "appended"
mode = "append"
{COLUMNS}
who = "$key"
whole = "$value"
event_id = "$event_id"

[[routes]]
name = "insert"
topic = "TOPIC"
[routes.table]
name = "public.inserted"
mode = "insert"
key = ["id"]
tombstones = "delete"
{COLUMNS}
[[routes]]
name = "upsert"
topic = "TOPIC"
[routes.table]
name = "upserted"
mode = "upsert"
key = ["id"]
tombstones = "delete"
{COLUMNS}
[[routes]]
name = "newest"
topic = "TOPIC"
[routes.table]
name = "newest"
mode = "newest"
key = ["id"]
version = "version"
{COLUMNS}
[[routes]]
name = "handler"
topic = "TOPIC"
handler = "handler"
"""
TABLES = """
CREATE TABLE notes (id bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO notes VALUES (NEW.id); RETURN NEW; END$$;
CREATE TABLE upserted (
    id bigint PRIMARY KEY, version int CHECK (version >= 0), body jsonb, tags text[] CHECK (array_length(tags, 1) < 9),
    at timestamptz, taken_at timestamp, raw bytea, amount numeric(9, 2)
);
CREATE TABLE inserted (LIKE upserted INCLUDING ALL);
CREATE TABLE newest (LIKE upserted INCLUDING ALL);
CREATE TABLE appended (LIKE upserted, who text, whole json, event_id uuid);
CREATE TRIGGER note AFTER INSERT ON upserted FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture(params=PATHS)
def victim(
    request: pytest.FixtureRequest,
    servers: Servers,
    empty_database_url: str,
    tmp_path: Path,
    make_topic: MakeTopic,
    make_producer: Callable[..., Producer],
    bootstrap_servers: str,
) -> Iterator[Sink]:
    """A sink whose role has that search path; the test itself looks on from another one."""
    role = unique_name("victim")
    admin = f"{empty_database_url}?options=-csearch_path%3Dpg_catalog"
    with psycopg.connect(admin, autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN PASSWORD 'sesame'",
            f"ALTER ROLE {role} SET search_path = {request.param}",
            f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {role}",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            f"SET ROLE {role}",
            "SET search_path = public",
            TABLES,
        ):
            connection.execute(statement.encode())
    parts = urlsplit(empty_database_url)
    sink = Sink(
        tmp_path,
        topic=make_topic(partitions=2),
        database_url=admin,
        bootstrap_servers=bootstrap_servers,
        producer=make_producer(linger_ms=0),
    )
    rest = f'[outbox]\n[failures]\nattempts = 1\ncopy_to = "{sink.topic}-copies"\n[retention]\nclaims = "30d"\n'
    theirs = parts._replace(netloc=f"{role}:sesame@{parts.netloc.rpartition('@')[2]}").geturl()
    sink.configure(ROUTES, database_url=theirs, rest=rest)
    yield sink
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}".encode())


def named_in_the_sql() -> tuple[list[str], list[str]]:
    """The functions and the catalog's relations that the project's SQL may name: whatever looks like one."""
    texts = [path.read_text() for path in (*SQL.rglob("*.sql"), *SQL.joinpath("store").rglob("*.py"))]
    texts += [path.read_text() for path in SQL.parent.joinpath("migrations").rglob("*.py")]
    words = set(re.findall(r"\b([a-z][a-z0-9_]+)\(", "\n".join(texts)))
    return sorted(words), sorted(set(re.findall(r"\b(pg_[a-z_]+)\b", "\n".join(texts))))


def attack(admin: str) -> None:
    """Make, as somebody else, all that the sink's statements might take for PostgreSQL's own."""
    functions, relations = named_in_the_sql()
    attacker = unique_name("attacker")
    with psycopg.connect(admin, autocommit=True) as connection:
        known = "SELECT array_agg(DISTINCT proname::text) FROM pg_proc WHERE proname::text = ANY (%s)"
        there = (
            "SELECT array_agg(relname::text) FROM pg_class WHERE relname::text = ANY (%s)"
            " AND relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')"
        )
        for setting, names, query in (
            ("attack.functions", functions, known),
            ("attack.relations", relations, there),
        ):
            row = connection.execute(query.encode(), (names,)).fetchone()
            assert row is not None
            connection.execute("SELECT set_config(%s, %s, false)", (setting, ",".join(row[0])))
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(attacker)))
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(attacker)))
        connection.execute(ATTACK.read_bytes())


def taken(sink: Sink) -> list[Any]:
    """Whose rights ran what; what was rolled back has left its mark on the sequence alone."""
    marks = sink.sql("SELECT 'rolled back' FROM public.taken WHERE is_called")
    return sink.sql("SELECT DISTINCT who, what FROM public.loot") or marks


def handler(event: Event, tx: Transaction) -> None:
    if event.value is None:
        return
    found = event.json()
    if found.get("refused"):
        raise EventError("refused")
    tx.execute("INSERT INTO notes VALUES (%s)", [found["id"]])
    tx.publish(event.topic + "-out", {"id": found["id"]}, type="Confirmed")


def event(number: int, key: int, **more: Any) -> Out:
    body = {"id": key, "version": number, "body": {"a": None}, "tags": ["x", "y"], "at": 1700000000123, "list": ["1.5"]}
    return Out(number, {**body, "raw": "AAEC", **more}, key=str(key), partition=key % 2)


def test_no_statement_of_the_project_runs_what_somebody_else_made(victim: Sink, offer: Callable[..., None]) -> None:
    sink = victim
    offer(handler=handler)
    for name in ("out", "copies"):
        create_topic(sink.bootstrap_servers, f"{sink.topic}-{name}")
    attack(sink.database_url)
    done: dict[str, int] = {}

    def command(*arguments: str) -> None:
        done[" ".join(arguments)] = sink.command(*arguments)
        assert taken(sink) == [], arguments

    command("migrate")
    sink.send(*(event(number, number % 40) for number in range(200)))
    sink.send(*(Out(300 + key, None, key=str(key), partition=key % 2) for key in (1, 2)))
    sink.send(event(400, 3, body={"n": 1}, version=-1), event(401, 4, at="nonsense"), event(402, 5, refused=True))
    sink.send(*(event(number, number % 40) for number in (7, 8, 9)))
    command("check")
    command("run", "--until-end")
    assert sink.endings()["applied"] > 400
    assert sink.column("SELECT count(*) FROM public.notes") > [100]
    command("status")
    command("dead-letters", "list")
    command("dead-letters", "retry", "--all", "--execute", "--by", "me")
    command("dead-letters", "discard", "--all", "--execute", "--by", "me")
    command("audit")
    command("audit", "--quick")
    for mode in ("skip-applied", "force", "shadow"):
        command("replay", "--topic", sink.topic, "--from-earliest", "--mode", mode, "--execute")
        command("run", "--until-end")
    command("replay", "list")
    adopt = ("adopt", "--route", "append", "--table", "appended", "--event-id-column", "event_id")
    command(*adopt)
    command(*adopt, "--execute")
    command("prune")
    command("prune", "--execute")
    command("relay", "--until-empty")
    command("resume", "--topic", sink.topic, "--from-earliest")
    command("outbox", "connector", "--sql")
    # Some letters fail again, and rows that are there would.
    tells = {name for name in done if "retry" in name or "shadow" in name}
    assert {name: code for name, code in done.items() if code != 0 and name not in tells} == {}


def test_the_script_for_the_roles_runs_nothing_that_somebody_else_made(victim: Sink) -> None:
    attack(victim.database_url)
    schema = unique_name("inbox")
    with psycopg.connect(victim.database_url, autocommit=True) as superuser:
        superuser.execute("SET search_path = public, pg_catalog")
        superuser.execute(roles_sql(schema, OutboxOptions()).encode())
        superuser.execute("SET search_path = pg_catalog")
        made = superuser.execute("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, %s)", (schema,)).fetchone()
        superuser.execute(
            f'DROP SCHEMA "{schema}"; DROP ROLE "{schema}_owner", "{schema}_sink", "{schema}_relay"'.encode()
        )
    assert taken(victim) == []
    assert made == (3,)


def test_an_application_that_publishes_runs_nothing_that_somebody_else_made(victim: Sink) -> None:
    victim.command("migrate")
    attack(victim.database_url)
    settings = victim.settings()
    with psycopg.connect(settings.database.url.get_secret_value()) as application:
        publish(application, topic="t", type="T", payload={"a": 1}, event_id=UUID(int=1))
    assert taken(victim) == []
    assert victim.column("SELECT count(*) FROM inbox.outbox") == [1]


def test_check_advises_where_others_may_create(
    victim: Sink, offer: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    offer(handler=handler)
    victim.command("migrate")
    victim.command("check")
    assert "REVOKE CREATE ON SCHEMA" in capsys.readouterr().out
    victim.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    victim.command("check")
    assert "REVOKE CREATE ON SCHEMA" not in capsys.readouterr().out
