"""PostgreSQL answers, and refuses: a full disk, rights, tables. A person fixes it, and the sink resumes by itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from inbox.dev.backends import OwnServer
from inbox.dev.local.postgres import LocalPostgres
from tests.integration.sink.conftest import EFFECTS
from tests.support.kafka_topics import unique_name
from tests.support.sink.running import Out, Sink
from tests.support.watching import Watched, watched

MakeSink = Callable[..., Sink]


@pytest.fixture
def running(make_sink: MakeSink, database_url: str) -> Iterator[Watched]:
    with watched(make_sink(database_url)) as found:
        yield found


def test_a_table_that_is_gone_is_waited_for_and_calls_for_a_person(running: Watched) -> None:
    running.sink.sql("ALTER TABLE effects RENAME TO elsewhere")
    running.send(50)
    running.eventually_away()
    running.sink.sql("ALTER TABLE elsewhere RENAME TO effects")
    running.check(reasons=["table"])
    assert running.told("outage")[0]["log_level"] == "error"
    assert "create the table, or correct its name" in running.told("outage")[0]["error"]


def test_a_table_that_was_dropped_and_made_again_takes_the_events_that_waited(running: Watched) -> None:
    before = running.effects()
    running.sink.sql("DROP TABLE effects")
    running.send(50)
    running.eventually_away()
    running.sink.sql(EFFECTS)
    running.check(reasons=["table"], gone_with_the_table=len(before))


def test_a_column_that_is_gone_is_waited_for(running: Watched) -> None:
    running.sink.sql("ALTER TABLE effects RENAME COLUMN event TO other")
    running.send(50)
    running.eventually_away()
    running.sink.sql("ALTER TABLE effects RENAME COLUMN other TO event")
    running.check(reasons=["table"])


def test_the_inboxs_own_schema_that_is_gone_is_waited_for(running: Watched) -> None:
    running.sink.sql("ALTER SCHEMA inbox RENAME TO elsewhere")
    running.send(50)
    running.eventually_away()
    running.sink.sql("ALTER SCHEMA elsewhere RENAME TO inbox")
    running.check(reasons=["table"])


def test_a_disk_that_is_full_is_waited_for(make_sink: MakeSink, own_postgres: OwnServer, own_database: str) -> None:
    """The table's file is /dev/full for a while, so PostgreSQL meets a real ENOSPC as soon as the table grows."""
    if not isinstance(own_postgres, LocalPostgres):
        pytest.skip("needs the files of a PostgreSQL on this machine")
    with watched(make_sink(own_database)) as running:
        running.sink.sql("CREATE TABLE journal (event int)")
        running.sink.sql(JOURNALS)
        with disk_full(own_postgres, running.sink, "journal"):
            running.send(50)
            running.eventually_away()
            assert "No space left on device (53100)" in str(running.worker.progress.waiting_for)
        running.check(reasons=["disk_full"])
        assert running.sink.column("SELECT event FROM journal") == list(range(11, 61))


JOURNALS = """
CREATE FUNCTION journals() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO journal VALUES (NEW.event); RETURN NEW; END $$;
CREATE TRIGGER journals AFTER INSERT ON effects FOR EACH ROW EXECUTE FUNCTION journals()
"""


@contextmanager
def disk_full(server: LocalPostgres, sink: Sink, table: str) -> Iterator[None]:
    """An empty table's file stands aside for a device that is always full."""
    assert server.directory is not None
    [path] = sink.column("SELECT pg_relation_filepath(%s)", [table])
    file = server.directory / "data" / path
    aside = Path(f"{file}.aside")
    sink.sql("CHECKPOINT")
    file.rename(aside)
    file.symlink_to("/dev/full")
    try:
        yield
    finally:
        aside.replace(file)


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A role that may do what a sink needs, and no more; its password is its name."""
    name = unique_name("role")
    sql(database_url, f"CREATE ROLE {name} LOGIN PASSWORD '{name}'; GRANT USAGE ON SCHEMA inbox TO {name}")
    sql(database_url, f"GRANT ALL ON ALL TABLES IN SCHEMA inbox TO {name}")
    sql(database_url, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA inbox TO {name}")
    sql(database_url, f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA inbox TO {name}")
    sql(database_url, f"ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO {name}")
    yield name
    sql(database_url, f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def ruled(make_sink: MakeSink, database_url: str, role: str) -> Iterator[Watched]:
    """A sink that logs in as `role`."""
    parts = urlsplit(database_url)
    login = parts._replace(netloc=f"{role}:{role}@{parts.hostname}:{parts.port}").geturl()
    with watched(make_sink(database_url, through=login)) as found:
        yield found


def sql(url: str, query: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(query.encode())


def test_a_right_that_is_revoked_is_waited_for(ruled: Watched, role: str) -> None:
    ruled.sink.sql(f"REVOKE INSERT ON effects FROM {role}")
    ruled.send(50)
    ruled.eventually_away()
    assert "grant the right to the sink's role" in str(ruled.worker.progress.waiting_for)
    ruled.sink.sql(f"GRANT INSERT ON effects TO {role}")
    ruled.check(reasons=["right"])


def test_a_login_that_is_taken_away_is_waited_for(ruled: Watched, role: str) -> None:
    ruled.sink.sql(f"ALTER ROLE {role} PASSWORD 'other'")
    ruled.sink.end_its_connection()
    ruled.send(50)
    ruled.eventually_away()
    ruled.stays_away(1)
    ruled.sink.sql(f"ALTER ROLE {role} PASSWORD '{role}'")
    ruled.check(reasons=["connection", "login"])
    assert role not in str(ruled.told("outage")).replace(f'user "{role}"', "")


def test_a_row_that_a_policy_refuses_is_the_events_fault(ruled: Watched, role: str) -> None:
    """The same SQLSTATE as a right that is missing; only the one event is refused."""
    ruled.sink.sql("ALTER TABLE effects ENABLE ROW LEVEL SECURITY")
    ruled.sink.sql(f"CREATE POLICY even ON effects TO {role} WITH CHECK (event <> 12)")
    ruled.sink.send(*(Out(number, {"event": number}) for number in (11, 12, 13)))
    ruled.sink.eventually_settled(13)
    assert ruled.sink.dead_letters() == [(11, "parked")]
    assert ruled.effects() == [*range(1, 12), 13]


def test_a_value_of_the_wrong_type_is_the_events_fault_though_the_code_says_the_statements(running: Watched) -> None:
    running.sink.send(*(Out(number, {"event": number}) for number in range(11, 31)))
    running.sink.send(Out(31, {"event": [1, 2]}), Out(32, {"event": True}), Out(33, {"event": 33}))
    running.sink.eventually_settled(33)
    assert running.sink.dead_letters() == [(30, "parked"), (31, "parked")]
    assert "a value does not fit the type of its parameter" in running.sink.dead_letter_errors()[0]
    assert running.effects() == [*range(1, 31), 33]
    assert running.told("outage") == []


def test_a_function_that_is_gone_is_waited_for(make_sink: MakeSink, database_url: str, offer: Any) -> None:
    sink = make_sink(database_url)
    offer(handler=calling)
    sink.sql(FUNCTION)
    with watched(sink) as running:
        running.sink.sql("ALTER FUNCTION same(int) RENAME TO other")
        running.send(50)
        running.eventually_away()
        running.sink.sql("ALTER FUNCTION other(int) RENAME TO same")
        running.check(reasons=["table"])


FUNCTION = "CREATE FUNCTION same(number int) RETURNS int LANGUAGE sql AS 'SELECT number'"


def calling(event: Any, tx: Any) -> None:
    tx.execute("INSERT INTO effects (event) VALUES (same(%s))", (event.json()["event"],))
