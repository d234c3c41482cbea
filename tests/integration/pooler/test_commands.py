"""The whole delivery through a PgBouncer in transaction mode: it works, or it is refused, and leaves nothing behind."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from inbox import Event, EventError, Transaction
from inbox.errors import StartupError
from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.inbox.ledger import Ledger
from inbox.store.locks.prune import AnotherPrunesError, pruning_alone
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.postgres import session_settings
from inbox.store.postgres.connection import connect, transaction
from inbox.store.postgres.pooler import own_session
from inbox.store.schema.migrate import migrate
from tests.integration.operations.hold.test_hold import held
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE
from tests.integration.store.postgres.test_session_settings import PINNED, STRANGE, settings_of
from tests.support.pooler import PgBouncer, state_of
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

TABLE_ROUTE = """
[[routes]]
name = "rows"
topic = "TOPIC"
event_id = "header:event_id"
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["id"]
[routes.table.columns]
id = "/id"
at = "/at"
"""

refused: set[int] = set()


def handler(event: Event, tx: Transaction) -> None:
    if event.id.int in refused:
        raise EventError("refused")
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))


@pytest.fixture
def pooled(sink: Sink, pooler: PgBouncer, offer: Callable[..., None]) -> Sink:
    """A sink with a handler and a table, whose database is behind the pooler."""
    refused.clear()
    offer(handler=handler)
    sink.sql(EFFECTS)
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, at timestamptz)")
    sink.configure(HANDLER_ROUTE + TABLE_ROUTE, database_url=pooler.url(sink.database_url), sink="batch_events = 50")
    return sink


def numbered(*numbers: int) -> list[Out]:
    return [Out(number, {"id": number, "at": "2024-05-01 12:00:00"}, f"k{number}") for number in numbers]


@pytest.fixture
def nothing_left(sink: Sink, pooler: PgBouncer) -> Callable[[], None]:
    """Compares each session of the pool with one that nobody used before."""

    def compare() -> None:
        with psycopg.connect(sink.database_url, autocommit=True) as fresh:
            expected = state_of(fresh)
        states = pooler.states(sink.database_url)
        assert states
        for state in states:
            different = {name: set(state[name]) ^ set(expected[name]) for name in expected}
            assert not any(different.values()), different

    return compare


def test_a_worker_and_every_command_leave_nothing_in_the_pool(
    pooled: Sink, nothing_left: Callable[[], None], pooler: PgBouncer
) -> None:
    refused.add(7)
    pooled.send(*numbered(*range(1, 21)))
    pooled.run()
    nothing_left()
    assert pooled.dead_letters() == [(6, "parked")]
    refused.clear()
    for command in (
        ("check",),
        ("status",),
        ("prune", "--execute"),
        ("dead-letters", "list"),
        ("dead-letters", "causes"),
        ("dead-letters", "retry", "--all", "--execute"),
        ("audit",),
        ("audit", "--quick"),
        ("migrate", "--check"),
        ("replay", "--topic", pooled.topic, "--from-earliest", "--mode", "shadow"),
        ("replay", "--topic", pooled.topic, "--from-earliest", "--mode", "force", "--execute"),
        ("prune", "--execute"),
    ):
        assert pooled.command(*command) == 0, command
        nothing_left()
    pooled.run()
    assert pooled.command("audit") == 0
    assert sorted(pooled.column("SELECT event FROM effects")) == sorted([*range(1, 21)] * 2)
    assert pooled.column("SELECT count(DISTINCT at) FROM rows") == [1]
    nothing_left()


def test_a_hold_and_a_pace_through_a_pooler_are_taken_and_leave_nothing_in_the_pool(
    pooled: Sink, nothing_left: Callable[[], None], pooler: PgBouncer
) -> None:
    pooled.configure(
        HANDLER_ROUTE + TABLE_ROUTE,
        database_url=pooler.url(pooled.database_url),
        sink="batch_events = 50\nmax_events_per_second = 2000",
    )
    with pooled.running():
        pooled.send(*numbered(*range(1, 21)))
        pooled.eventually_settled(20)
        assert pooled.command("hold", "--topic", pooled.topic, "--reason", "a test", "--execute") == 0
        eventually(lambda: held(pooled.topic) > 0, what="the worker to hold")
        pooled.send(*numbered(*range(21, 41)))
        assert pooled.command("release", "--all", "--execute") == 0
        pooled.eventually_settled(40)
    assert pooled.command("history") == 0
    assert sorted(pooled.column("SELECT event FROM effects")) == list(range(1, 41))
    nothing_left()


def test_workers_through_a_pooler_that_is_killed_apply_each_event_once(
    pooled: Sink, nothing_left: Callable[[], None], pooler: PgBouncer
) -> None:
    with pooled.running(), pooled.running():
        for round_ in range(4):
            pooled.send(*numbered(*range(100 * round_, 100 * round_ + 100)))
            if round_ % 2:
                pooler.kill()
                pooler.start()
            else:
                pooled.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid()"
                )
        pooled.eventually_settled(400)
    assert sorted(pooled.column("SELECT event FROM effects")) == list(range(400))
    assert pooled.column("SELECT count(*) FROM rows") == [400]
    nothing_left()


def test_what_another_client_left_in_the_pool_changes_nothing(pooled: Sink, pooler: PgBouncer) -> None:
    left = (
        "SET default_transaction_read_only = on; SET default_transaction_isolation = 'serializable'; "
        "SET search_path = pg_catalog; SET statement_timeout = '100ms'; SET datestyle = 'SQL, DMY'"
    )
    with psycopg.connect(pooler.url(pooled.database_url), autocommit=True, prepare_threshold=None) as other:
        other.execute(left)
    pooled.send(*numbered(1, 2))
    pooled.run()
    assert pooled.command("prune", "--execute") == 0
    assert pooled.endings() == {"applied": 4}


def test_a_timeout_that_another_client_left_is_not_that_of_the_first_question(
    sink: Sink, any_pooler: Callable[..., PgBouncer], monkeypatch: pytest.MonkeyPatch
) -> None:
    pooler = any_pooler(pool_size=1)
    with psycopg.connect(pooler.url(sink.database_url), autocommit=True, prepare_threshold=None) as other:
        other.execute("SET statement_timeout = '200ms'")
    slowly = session_settings._ASK + sql.SQL("AND pg_catalog.pg_sleep(0.05) IS NOT NULL")
    monkeypatch.setattr(session_settings, "_ASK", slowly)
    with closing(connect(options(pooler, sink))) as connection:
        assert connection.is_pooled
        assert connection.statement_limit == "statement_timeout is 120 s, the sink's own limit"


def options(pooler: PgBouncer, sink: Sink) -> DatabaseOptions:
    return DatabaseOptions(url=SecretStr(pooler.url(sink.database_url)))


def test_a_migration_is_refused_with_the_way_out(pooled: Sink, pooler: PgBouncer, capsys: Any) -> None:
    assert pooled.command("migrate") == 3
    assert "INBOX_DATABASE__URL" in capsys.readouterr().err
    with pytest.raises(StartupError, match="a pool in session mode"):
        migrate(options(pooler, pooled))


def test_a_relay_is_refused_with_the_way_out(pooled: Sink, pooler: PgBouncer, capsys: Any) -> None:
    migrate(DatabaseOptions(url=SecretStr(pooled.database_url)), outbox=OutboxOptions())
    url = pooler.url(pooled.database_url)
    pooled.configure(HANDLER_ROUTE, database_url=url, rest='[outbox]\nrelay = "inbox"')
    assert pooled.command("relay", "--until-empty") == 3
    assert "a session of its own" in capsys.readouterr().err


def test_a_pool_in_session_mode_gives_a_session_and_gets_it_back_clean(
    sink: Sink, any_pooler: Callable[..., PgBouncer]
) -> None:
    pooler = any_pooler(mode="session")
    with closing(connect(options(pooler, sink))) as connection:
        assert connection.is_pooled
        own_session(connection, "this test")
        assert not connection.is_pooled
        assert connection.execute("SHOW statement_timeout").fetchone() == ("2min",)
    with psycopg.connect(pooler.url(sink.database_url), autocommit=True) as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_one_prunes_at_a_time_behind_a_pooler_and_beside_it(pooled: Sink, pooler: PgBouncer) -> None:
    direct = DatabaseOptions(url=SecretStr(pooled.database_url))
    for first, second in ((options(pooler, pooled), direct), (direct, options(pooler, pooled))):
        with closing(connect(first)) as holder, closing(connect(second)) as other:
            with pruning_alone(holder, "inbox"), pytest.raises(AnotherPrunesError), pruning_alone(other, "inbox"):
                pass
            with pruning_alone(other, "inbox"):
                pass


def test_a_shared_session_is_nobodys_to_end(pooled: Sink, pooler: PgBouncer) -> None:
    pooled.send(*numbered(1))
    with pooled.running():
        pooled.eventually_settled(1)
        assert pooled.column("SELECT owner_pid FROM inbox.partitions") == [None]
        with closing(connect(options(pooler, pooled))) as connection:
            partitions = [part.address for part in Ledger(connection, "inbox").known([pooled.topic])]
            assert Ledger(connection, "inbox").open_sessions(partitions, "another") == []


def test_a_worker_behind_the_pooler_is_alive_until_its_process_ends(pooled: Sink, pooler: PgBouncer) -> None:
    pooled.send(*numbered(1))
    pooled.run()
    [[partition_id]] = pooled.sql("SELECT partition_id FROM inbox.partitions")
    [[route_id]] = pooled.sql("SELECT route_id FROM inbox.routes WHERE name = 'handler'")
    with closing(connect(options(pooler, pooled))) as notes:
        handling = HandlerCallNotes(notes, "inbox", "old")
        handling.prepare()
        handling.start_call(route_id, partition_id, range(10, 11))
        with closing(connect(options(pooler, pooled))) as new:
            assert HandlerCallNotes(new, "inbox", "new").count_deaths([partition_id]) == []
        with closing(connect(DatabaseOptions(url=SecretStr(pooled.database_url)))) as direct:
            assert HandlerCallNotes(direct, "inbox", "new").count_deaths([partition_id]) == []
    locks = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database "
    eventually(lambda: not pooled.sql(locks + "WHERE datname = current_database())"), what="the end of its lock")
    with closing(connect(options(pooler, pooled))) as new:
        [found] = HandlerCallNotes(new, "inbox", "new").count_deaths([partition_id])
    assert (found.offsets, found.deaths) == (range(10, 11), 1)


def test_a_transaction_states_its_modes_and_settings_whatever_the_pool_holds(
    pooled: Sink, any_pooler: Callable[..., PgBouncer]
) -> None:
    """One session, so that it is the one that another client left something in."""
    pooler = any_pooler(pool_size=1)
    with psycopg.connect(pooler.url(pooled.database_url), autocommit=True, prepare_threshold=None) as other:
        for name, value in STRANGE.items():
            other.execute(f"SET {name} = '{value}'".encode(), prepare=False)
    kept_outside = {"idle_session_timeout": "7s"}  # it is the pooler's, between the transactions
    with closing(connect(options(pooler, pooled))) as connection:
        expected = {**PINNED, **kept_outside}
        assert settings_of(connection) == expected, "a statement alone"
        with transaction(connection):
            assert settings_of(connection) == expected
        connection.begin()
        assert settings_of(connection) == expected
        connection.execute("ROLLBACK")
        connection.begin_with_next()
        with connection.pipelined():
            connection.execute("SELECT 1")
        assert settings_of(connection) == expected, "begun in a pipeline"
        connection.execute("ROLLBACK")
        connection.begin_with_next()
        assert settings_of(connection) == expected, "begun before a statement"
        connection.execute("ROLLBACK")
    with psycopg.connect(pooler.url(pooled.database_url), autocommit=True, prepare_threshold=None) as other:
        assert other.execute("SHOW default_transaction_isolation").fetchone() == ("serializable",), "not ours to change"
