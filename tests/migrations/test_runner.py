"""The runner of the migrations, against a real database."""

import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import conninfo, sql
from pydantic import SecretStr

from inbox.errors import StartupError, TryAgainError
from inbox.store.options import DatabaseOptions
from inbox.store.schema.compatibility import current_revision, head_revision, require_current
from inbox.store.schema.inbox_tables import metadata
from inbox.store.schema.migrate import migrate
from inbox.store.schema.revisions import RevisionStep

TABLES = sorted(table.name for table in metadata("inbox").sorted_tables)

MIGRATE = """
import sys
from pydantic import SecretStr
from inbox.store.schema.migrate import migrate
from inbox.store.options import DatabaseOptions
print(len(migrate(DatabaseOptions(url=SecretStr(sys.argv[1])))))
"""


@pytest.fixture
def options(empty_database_url: str) -> DatabaseOptions:
    return DatabaseOptions(url=SecretStr(empty_database_url))


def tables_of(url: str, schema: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
        return sorted(name for (name,) in rows)


@pytest.fixture
def role(empty_database_url: str) -> Iterator[str]:
    """A role of its own that may connect and nothing else."""
    name = f"role_{uuid.uuid4().hex}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'sesame'").format(sql.Identifier(name))
        connection.execute(create)
        yield name
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def as_role(url: str, role: str) -> str:
    return conninfo.make_conninfo(url, user=role, password="sesame")


FILL = """
SET search_path TO inbox;
INSERT INTO sink (name, group_id) VALUES ('inventory', 'inventory');
INSERT INTO routes (name, topics, identity) VALUES ('reserve-stock', '{orders}', 'auto');
INSERT INTO partitions (cluster_id, topic, partition, start_offset, next_offset, reached_offset)
    VALUES ('c', 'orders', 0, 0, 2, 2);
INSERT INTO route_starts VALUES (1, 1, 0);
INSERT INTO processed (event_id, kafka_offset, payload_hash, partition_id, route_id)
    VALUES (gen_random_uuid(), 0, -1, 1, 1);
INSERT INTO dead_letters (route_id, partition_id, kafka_offset, value, error_class, error, state)
    VALUES (1, 1, 1, 'x', 'ValueError', 'no', 'parked');
"""


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(FILL)


def test_migrate_makes_the_tables_and_tells_the_steps(options: DatabaseOptions, empty_database_url: str) -> None:
    steps = migrate(options)

    assert steps[0].before is None
    assert steps[-1].after == head_revision()
    assert tables_of(empty_database_url, "inbox") == sorted([*TABLES, "alembic_version"])


def test_migrate_again_does_nothing(options: DatabaseOptions) -> None:
    migrate(options)

    assert migrate(options) == []


@pytest.mark.parametrize("schema", ["my inbox", 'the "50%" of a.b:c', "Inbox", "select"])
def test_a_schema_may_have_any_name(empty_database_url: str, schema: str) -> None:
    options = DatabaseOptions(url=SecretStr(empty_database_url), schema=schema)

    migrate(options)

    assert tables_of(empty_database_url, schema) == sorted([*TABLES, "alembic_version"])
    assert tables_of(empty_database_url, "public") == []


def test_two_schemas_of_one_database_are_apart(options: DatabaseOptions, empty_database_url: str) -> None:
    other = DatabaseOptions(url=options.url, schema="other")
    migrate(options)
    migrate(other)

    migrate(other, to="base")

    assert tables_of(empty_database_url, "other") == []
    with psycopg.connect(empty_database_url) as connection:
        require_current(connection, "inbox")


def test_base_leaves_the_schema_and_nothing_in_it(options: DatabaseOptions, empty_database_url: str) -> None:
    migrate(options)

    steps = migrate(options, to="base")

    assert steps[-1].after is None
    assert tables_of(empty_database_url, "inbox") == []
    with psycopg.connect(empty_database_url) as connection:
        left = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'inbox'").fetchone()
    assert left == (1,)


def test_base_on_an_empty_database_makes_nothing(options: DatabaseOptions, empty_database_url: str) -> None:
    assert migrate(options, to="base") == []

    with psycopg.connect(empty_database_url) as connection:
        made = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'inbox'").fetchone()
    assert made == (0,)


def test_every_revision_goes_up_down_and_up_over_rows(options: DatabaseOptions, empty_database_url: str) -> None:
    steps: list[RevisionStep] = migrate(options)
    fill(empty_database_url)

    down = [migrate(options, to=step.before or "base") for step in reversed(steps)]

    assert down == [[RevisionStep(step.after, step.before)] for step in reversed(steps)]
    assert migrate(options) == steps
    fill(empty_database_url)


def test_what_was_settled_before_there_was_progress_is_its_first_row(
    options: DatabaseOptions, empty_database_url: str
) -> None:
    migrate(options, to="0001")
    before = """
        INSERT INTO inbox.partitions (cluster_id, topic, partition, start_offset, next_offset, applied, filtered)
        VALUES ('c', 'orders', 0, 3, 9, 5, 1), ('c', 'orders', 1, 4, 4, 0, 0), ('c', 'orders', 2, 7, 2, 0, 0)"""
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(before)

    migrate(options)

    query = "SELECT partition_id, from_offset, until_offset, applied, filtered FROM inbox.progress"
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute(query).fetchall() == [(1, 3, 9, 5, 1)]
        reached = connection.execute("SELECT reached_offset FROM inbox.partitions ORDER BY partition").fetchall()
    assert reached == [(9,), (4,), (7,)]


def test_a_revision_below_the_head_is_reached_from_either_side(options: DatabaseOptions) -> None:
    migrate(options, to="0001")
    migrate(options)

    migrate(options, to="0001")

    with psycopg.connect(options.url.get_secret_value()) as connection:
        assert current_revision(connection, "inbox") == "0001"


def test_an_unknown_revision_names_the_known_ones(options: DatabaseOptions) -> None:
    with pytest.raises(StartupError, match=r'no revision "0815"; this version knows .*0001.*, head and base'):
        migrate(options, to="0815")


def test_ten_at_once_end_well_and_one_of_them_works(empty_database_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_database_url]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(10)
    ]

    ended = [(process.communicate(timeout=120), process.returncode) for process in processes]

    assert [code for _, code in ended] == [0] * 10, ended
    assert sorted(int(out) for (out, _), _ in ended)[:9] == [0] * 9
    assert tables_of(empty_database_url, "inbox") == sorted([*TABLES, "alembic_version"])


@pytest.fixture
def lock_holder(options: DatabaseOptions, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The pid of a `migrate` that holds the lock and does not come to its work."""
    arrived, go_on = threading.Event(), threading.Event()
    pids: list[int] = []

    def work(connection: psycopg.Connection, *_: object) -> None:
        pids.append(connection.info.backend_pid)
        arrived.set()
        go_on.wait(120)

    named = conninfo.make_conninfo(options.url.get_secret_value(), application_name="a slow one")
    slow = DatabaseOptions(url=SecretStr(named))
    with monkeypatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setattr("inbox.store.schema.migrate._run", work)
        pool.submit(migrate, slow)
        assert arrived.wait(120)
        patch.undo()
        yield pids[0]
        go_on.set()


def test_waiting_for_another_migration_is_bounded_and_says_who_it_is(
    options: DatabaseOptions, empty_database_url: str, lock_holder: int
) -> None:
    with pytest.raises(TryAgainError) as raised:
        migrate(options, wait_seconds=0)

    assert f'(pid {lock_holder}, role "postgres", application_name "a slow one"' in str(raised.value)
    assert tables_of(empty_database_url, "inbox") == []


@pytest.mark.usefixtures("lock_holder")
def test_another_schemas_migration_is_not_waited_for(options: DatabaseOptions) -> None:
    other = DatabaseOptions(url=options.url, schema="other")

    assert migrate(other, wait_seconds=0) != []


def test_the_lock_is_gone_when_migrate_returns(options: DatabaseOptions, empty_database_url: str) -> None:
    migrate(options)

    with psycopg.connect(empty_database_url) as connection:
        held = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    assert held == (0,)


def test_a_table_in_use_ends_the_wait_and_leaves_the_revision(
    options: DatabaseOptions, empty_database_url: str
) -> None:
    migrate(options, to="0001")
    with psycopg.connect(empty_database_url) as busy:
        busy.execute("SELECT * FROM inbox.dead_letters")
        with pytest.raises(TryAgainError, match="lock timeout"):
            migrate(options, to="base")

    with psycopg.connect(empty_database_url) as connection:
        assert current_revision(connection, "inbox") == "0001"


def test_a_failed_revision_leaves_nothing_half_made(options: DatabaseOptions, empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE SCHEMA inbox")
        connection.execute("CREATE TABLE inbox.processed ()")

    with pytest.raises(StartupError, match=r"relation \.\.\. already exists \(42P07\)"):
        migrate(options)

    assert "sink" not in tables_of(empty_database_url, "inbox")


def test_a_role_that_may_not_create_is_told_how_to_go_on(empty_database_url: str, role: str) -> None:
    options = DatabaseOptions(url=SecretStr(as_role(empty_database_url, role)))

    with pytest.raises(StartupError, match=r"permission denied for database .*`inbox migrate --sql`"):
        migrate(options)


def test_a_schema_that_exists_needs_no_right_on_the_database(empty_database_url: str, role: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA inbox AUTHORIZATION {}").format(sql.Identifier(role)))

    assert migrate(DatabaseOptions(url=SecretStr(as_role(empty_database_url, role)))) != []


def test_an_up_to_date_schema_needs_only_the_right_to_read_its_revision(
    options: DatabaseOptions, empty_database_url: str, role: str
) -> None:
    migrate(options)
    with psycopg.connect(empty_database_url) as connection:
        grantee = sql.Identifier(role)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA inbox TO {}").format(grantee))
        connection.execute(sql.SQL("GRANT SELECT ON inbox.alembic_version TO {}").format(grantee))

    assert migrate(DatabaseOptions(url=SecretStr(as_role(empty_database_url, role)))) == []


def test_require_current_passes_after_migrate(options: DatabaseOptions, empty_database_url: str) -> None:
    migrate(options)

    with psycopg.connect(empty_database_url) as connection:
        require_current(connection, "inbox")
        assert current_revision(connection, "inbox") == head_revision()
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_require_current_without_tables_says_to_migrate(empty_database_url: str) -> None:
    with (
        psycopg.connect(empty_database_url) as connection,
        pytest.raises(StartupError, match='the schema "inbox" holds no tables of the inbox; run `inbox migrate`'),
    ):
        require_current(connection, "inbox")


def test_require_current_behind_says_both_revisions(
    options: DatabaseOptions, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(options)
    monkeypatch.setattr("inbox.store.schema.compatibility.head_revision", lambda: "9999")

    with (
        psycopg.connect(empty_database_url) as connection,
        pytest.raises(StartupError, match=r'"inbox" is at revision \d+, this version needs 9999; run `inbox migrate`'),
    ):
        require_current(connection, "inbox")


@pytest.fixture
def newer(options: DatabaseOptions, empty_database_url: str) -> None:
    migrate(options)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("UPDATE inbox.alembic_version SET version_num = '9999'")


@pytest.mark.usefixtures("newer")
def test_require_current_ahead_says_to_upgrade(empty_database_url: str) -> None:
    with (
        psycopg.connect(empty_database_url) as connection,
        pytest.raises(StartupError, match=r"at revision 9999, which .* does not know .*; upgrade kafka-inbox"),
    ):
        require_current(connection, "inbox")


@pytest.mark.usefixtures("newer")
def test_migrate_refuses_a_schema_of_a_newer_version(options: DatabaseOptions) -> None:
    with pytest.raises(StartupError, match="upgrade kafka-inbox"):
        migrate(options, to="base")


def test_a_wrong_password_is_for_a_person_and_not_shown(empty_database_url: str, role: str) -> None:
    url = conninfo.make_conninfo(as_role(empty_database_url, role), dbname="nowhere", password="hunter2")

    with pytest.raises(StartupError, match="check the password") as raised:
        migrate(DatabaseOptions(url=SecretStr(url)))

    assert "hunter2" not in str(raised.value)


def test_a_database_that_does_not_answer_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"postgresql://inbox:hunter2@127.0.0.1:{port}/inbox"

    with pytest.raises(TryAgainError, match="Connection refused") as raised:
        migrate(DatabaseOptions(url=SecretStr(url)))

    assert "hunter2" not in str(raised.value)
