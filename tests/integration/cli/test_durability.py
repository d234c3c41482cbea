"""Tables that a crash empties, or whose rows another server commits, are refused; what only may lose is an advice."""

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from pydantic import SecretStr

from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import machine_binaries, pypi_binaries
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect
from inbox.store.tables.durability import advice_on_server
from tests.integration.cli.conftest import Result, Sink
from tests.integration.cli.test_check import problems

Inbox = Callable[..., Result]

PARTITIONED = """
DROP TABLE public.orders;
CREATE TABLE public.orders (order_id bigint PRIMARY KEY) PARTITION BY RANGE (order_id);
CREATE UNLOGGED TABLE public.orders_1 PARTITION OF public.orders FOR VALUES FROM (0) TO (100);
"""
FOREIGN = """
DROP TABLE public.orders;
CREATE FOREIGN DATA WRAPPER away;
CREATE SERVER away FOREIGN DATA WRAPPER away;
CREATE FOREIGN TABLE public.orders (order_id bigint) SERVER away;
"""
APPENDING = 'mode = "append"\n'


def appending(sink: Sink) -> None:
    text = sink.config.read_text()
    sink.config.write_text(text.replace('mode = "upsert"\nkey = ["order_id"]\n', APPENDING))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE public.orders SET UNLOGGED", "public.orders is unlogged"),
        (PARTITIONED, "public.orders_1 is unlogged"),
        (FOREIGN, "public.orders is a foreign table"),
        ("ALTER TABLE inbox.handling SET UNLOGGED", "inbox.handling is unlogged"),
        ("ALTER TABLE inbox.processed SET UNLOGGED", "inbox.processed is unlogged"),
    ],
)
def test_a_table_that_may_lose_what_was_committed_is_refused_at_the_start_and_by_check(
    sink: Sink, inbox: Inbox, change: str, said: str
) -> None:
    appending(sink)
    for statement in change.split(";"):
        sink.sql(statement or "SELECT 1")

    checked, started = inbox("check", "--json", sink), inbox("run", "--until-end", sink)

    assert checked.code == 1
    assert [problem for found in problems(checked).values() for problem in found if said in problem]
    assert (started.code, said in started.err) == (3, True)


def test_a_temporary_table_of_another_session_is_refused(sink: Sink, inbox: Inbox) -> None:

    appending(sink)
    with psycopg.connect(sink.database_url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE orders (order_id bigint)")
        [(schema,)] = connection.execute("SELECT pg_my_temp_schema()::regnamespace::text").fetchall()
        text = sink.config.read_text().replace("public.orders", f"{schema}.orders")
        sink.config.write_text(text)
        assert "is temporary" in inbox("check", sink).out


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE public.orders RENAME TO kept; CREATE VIEW public.orders AS SELECT * FROM public.kept",
        "CREATE RULE away AS ON INSERT TO public.orders DO INSTEAD NOTHING",
    ],
)
def test_a_view_or_a_rule_that_redirects_is_an_advice(sink: Sink, inbox: Inbox, change: str) -> None:
    appending(sink)
    for statement in change.split(";"):
        sink.sql(statement)

    result = inbox("check", "--json", sink)

    assert result.code == 0
    [problem] = problems(result)["what a crash may lose"]
    assert "make sure that it writes each row, to logged tables of this database" in problem


def test_a_server_that_flushes_nothing_is_an_advice() -> None:
    settings = {"fsync": "off", "full_page_writes": "off"}
    with closing(LocalPostgres(machine_binaries() or pypi_binaries(), settings=settings)) as server:
        server.start()
        with closing(connect(DatabaseOptions(url=SecretStr(server.address)))) as connection:
            advice = list(advice_on_server(connection))
    assert [line.split(": ")[0] for line in advice] == [
        "the server runs with fsync = off",
        "the server runs with full_page_writes = off",
    ]


def test_a_server_as_it_is_by_default_is_no_advice(sink: Sink, inbox: Inbox) -> None:
    assert "what a crash may lose" not in problems(inbox("check", "--json", sink))
