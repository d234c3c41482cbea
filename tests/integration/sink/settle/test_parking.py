"""Whatever an event holds, the statement that parks it succeeds, in a database of any encoding."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer
from psycopg import sql
from pydantic import SecretStr

from inbox import Event, EventError, Transaction
from inbox.dev.backends import Servers
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.database_urls import with_database
from inbox.store.schema.migrate import migrate
from tests.integration.sink.conftest import EFFECTS
from tests.support.databases import drop_database
from tests.support.kafka_topics import unique_name
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

ROUTE = """
[[routes]]
topic = "TOPIC"
handler = "handler"
event_type = "header:type"
"""
EURO = "10 \N{EURO SIGN} \N{CJK UNIFIED IDEOGRAPH-4E2D}"

PARKED_AS = {
    "UTF8": (
        f"t {EURO}",
        "Äußerst中Error",
        f"no {EURO} \N{REPLACEMENT CHARACTER} ?\nValueError",
        f"ValueError: {EURO}",
    ),
    "LATIN1": (
        r"t 10 \u20ac \u4e2d",
        r"Äußerst\u4e2dError",
        "no 10 \\u20ac \\u4e2d \\ufffd ?\nValueError",
        "ValueError: 10 \\u20ac \\u4e2d",
    ),
    "WIN1252": (
        r"t 10 € \u4e2d",
        r"Äußerst\u4e2dError",
        "no 10 € \\u4e2d \\ufffd ?\nValueError",
        "ValueError: 10 € \\u4e2d",
    ),
    "EUC_JP": (
        r"t 10 \u20ac \u4e2d",
        r"\xc4u\xdferst\u4e2dError",
        "no 10 \\u20ac \\u4e2d \\ufffd ?\nValueError",
        "ValueError: 10 \\u20ac \\u4e2d",
    ),
}


@pytest.fixture(params=["UTF8", "LATIN1", "SQL_ASCII", "WIN1252", "EUC_JP"])
def encoded_database_url(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """The URL of a migrated database of this encoding."""
    name = unique_name("encoded")
    statement = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(request.param)))
    url = f"{with_database(servers.database_url, name)}?client_encoding=utf8"
    migrate(DatabaseOptions(url=SecretStr(url)))
    yield url
    drop_database(servers.database_url, name)


@pytest.fixture
def encoded(
    encoded_database_url: str,
    tmp_path: Path,
    topic: str,
    make_producer: Callable[..., Producer],
    bootstrap_servers: str,
    offer: Callable[..., None],
) -> Sink:
    """A sink on that database, whose handler refuses every event that is not "good"."""

    class Äußerst中Error(EventError):
        """A class whose name is not ASCII."""

    def handler(event: Event, tx: Transaction) -> None:
        if event.json() != "good":
            raise Äußerst中Error(f"no {EURO} \x00 \udcff") from ValueError(EURO)
        tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))

    offer(handler=handler)
    made = Sink(
        tmp_path,
        topic=topic,
        database_url=encoded_database_url,
        bootstrap_servers=bootstrap_servers,
        producer=make_producer(linger_ms=0),
    )
    made.configure(ROUTE, rest='[failures]\ncopy_to = "copies"\n[outbox]')
    made.sql(EFFECTS)
    assert made.command("migrate") == 0
    return made


def test_an_event_is_parked_whatever_the_databases_encoding_holds(
    encoded: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    key = os.urandom(100_000)
    encoded.send(
        Out(1, "bad", EURO, {"type": f"t {EURO}", EURO: EURO}),
        Out(2, "bad", key),
        Out(3, "bad", "a"),
        Out(4, "good", "a"),
        Out(5, "good"),
    )
    encoded.run()
    assert encoded.column("SELECT event FROM effects") == [5]
    assert encoded.dead_letters() == [(0, "parked"), (1, "parked"), (2, "parked"), (3, "waiting")]
    keys = encoded.column("SELECT key FROM inbox.dead_letters ORDER BY kafka_offset")
    assert keys == [EURO.encode(), key, b"a", b"a"]
    assert encoded.column("SELECT value FROM inbox.dead_letters WHERE kafka_offset = 0") == [b'"bad"']
    assert encoded.column("SELECT count(*) FROM inbox.outbox") == [4]
    capsys.readouterr()
    assert encoded.command("dead-letters", "list", "--json", "--payload") == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [first] = [letter for letter in listed if letter["offset"] == 0]
    [encoding] = encoded.column("SHOW server_encoding")
    told = (first["type"], first["error_class"], first["error"], first["payload"]["error_detail"])
    assert told == PARKED_AS.get(encoding, PARKED_AS["UTF8"])
    assert encoded.command("dead-letters", "retry", "--all", "--execute") == 1
    assert encoded.command("status") == 0


def test_a_refusal_of_the_parking_statement_itself_waits_for_a_person_and_ends_nothing(
    handled_by: Callable[..., Sink],
) -> None:
    def refuse(event: Event, tx: Transaction) -> None:
        raise EventError("no")

    sink = handled_by(refuse)
    sink.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not now'; END$$")
    sink.sql("CREATE TRIGGER no BEFORE INSERT ON inbox.dead_letters FOR EACH ROW EXECUTE FUNCTION no()")
    sink.send(Out(1))
    with sink.running() as worker:
        eventually(lambda: worker.progress.waiting_for, what="the sink to say that it waits")
        assert (
            "a statement of the sink itself was refused: raise exception in the function public.no(), line 1 (P0001)"
            in str(worker.progress.waiting_for)
        )
        sink.sql("DROP TRIGGER no ON inbox.dead_letters")
        sink.eventually_settled(1)
    assert sink.dead_letters() == [(0, "parked")]
