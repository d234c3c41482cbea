"""A login of the database without a right on the inbox holds locks and sends notifications: nothing waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from inbox.errors import TryAgainError
from inbox.operations.retention.prune import Pruner
from inbox.settings import RetentionLimits
from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.inbox.retention import Retention
from inbox.store.locks.holders import advisory_key
from inbox.store.locks.prune import AnotherPrunesError, pruning_alone
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.outbox.relay_queries import Notifier
from inbox.store.postgres.connection import Connection, connect
from inbox.store.privileges.roles import roles_sql
from inbox.store.schema.migrate import migrate
from inbox.store.store import Store
from tests.integration.security.test_roles import Roles, made_roles
from tests.integration.security.test_sink_login import SEED
from tests.support.kafka_topics import unique_name

LOCK = "SELECT pg_advisory_lock(%s)"


@pytest.fixture
def roles(empty_database_url: str) -> Iterator[Roles]:
    with made_roles(empty_database_url) as made:
        yield made


@pytest.fixture
def stranger(roles: Roles) -> Iterator[psycopg.Connection]:
    """A session whose role has no right but to connect."""
    name = unique_name("stranger")
    roles.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'sesame'")
    with psycopg.connect(roles.url(name), autocommit=True, application_name="inbox prune") as connection:
        yield connection
    roles.sql(f"DROP ROLE {name}")


def migrated(roles: Roles) -> None:
    migrate(options(roles, roles.migrates), outbox=OutboxOptions())
    roles.sql(roles_sql(roles.schema, OutboxOptions()))


def options(roles: Roles, user: str) -> DatabaseOptions:
    return DatabaseOptions(url=SecretStr(roles.url(user)), schema=roles.schema)


@contextmanager
def as_sink(roles: Roles) -> Iterator[Connection]:
    with connect(options(roles, roles.runs), application_name="inbox prune") as connection:
        yield connection


def test_an_advisory_lock_does_not_stop_pruning_and_the_round_is_noted(
    roles: Roles, stranger: psycopg.Connection
) -> None:
    migrated(roles)
    stranger.execute(LOCK, (advisory_key("prune", roles.schema),))
    with as_sink(roles) as connection:
        retention = Retention(connection, roles.schema)
        before = retention.last_round()
        Pruner(Store(connection, roles.schema), RetentionLimits()).round()
        after = retention.last_round()
    assert before is not None
    assert after is not None
    assert before.by is None
    assert after.by == roles.runs
    assert after.at > before.at


def test_nobody_without_a_right_takes_the_lock_of_pruning(roles: Roles, stranger: psycopg.Connection) -> None:
    migrated(roles)
    with pytest.raises(errors.InsufficientPrivilege), stranger.transaction():
        stranger.execute(f'LOCK TABLE "{roles.schema}".pruning IN SHARE UPDATE EXCLUSIVE MODE')


def test_who_prunes_is_named_to_who_may_not(roles: Roles) -> None:
    migrated(roles)
    with (
        as_sink(roles) as first,
        as_sink(roles) as second,
        pruning_alone(first, roles.schema),
        pytest.raises(AnotherPrunesError, match=rf'\(pid \d+, role "{roles.runs}", application_name') as refused,
        pruning_alone(second, roles.schema),
    ):
        pass
    assert 0 <= refused.value.seconds < 60


def test_an_earlier_version_that_prunes_is_waited_for(roles: Roles) -> None:
    migrated(roles)
    with as_sink(roles) as earlier, as_sink(roles) as connection:
        earlier.execute(LOCK, (advisory_key("prune", roles.schema),))
        with pytest.raises(AnotherPrunesError), pruning_alone(connection, roles.schema):
            pass


def test_and_waits_for_this_one(roles: Roles) -> None:
    migrated(roles)
    with as_sink(roles) as earlier, as_sink(roles) as connection, pruning_alone(connection, roles.schema):
        tried = earlier.execute("SELECT pg_try_advisory_lock(%s)", (advisory_key("prune", roles.schema),))
        assert tried.fetchone() == (False,)


def test_an_advisory_lock_does_not_stop_a_migration(roles: Roles, stranger: psycopg.Connection) -> None:
    stranger.execute(LOCK, (advisory_key("migrations", roles.schema),))
    assert migrate(options(roles, roles.migrates), wait_seconds=0) != []


def test_nobody_but_the_owner_takes_the_lock_of_migrations(roles: Roles, stranger: psycopg.Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        stranger.execute(f'COMMENT ON SCHEMA "{roles.schema}" IS NULL')


def test_another_migration_is_waited_for_and_named(roles: Roles) -> None:
    with psycopg.connect(roles.url(roles.migrates), application_name="the other") as other:
        other.execute(f'COMMENT ON SCHEMA "{roles.schema}" IS NULL')
        with pytest.raises(TryAgainError, match=rf'role "{roles.migrates}", application_name "the other"'):
            migrate(options(roles, roles.migrates), wait_seconds=0.3)


def test_an_advisory_lock_makes_no_dead_worker_alive(roles: Roles, stranger: psycopg.Connection) -> None:
    migrated(roles)
    roles.sql(SEED.format(s=f'"{roles.schema}"'))
    roles.sql(
        f'INSERT INTO "{roles.schema}".handling (partition_id, route_id, kafka_offset, owner) '  # noqa: S608
        "VALUES (1, 1, 50, 'the dead')"
    )
    alive = "SELECT pg_advisory_lock_shared(hashtextextended('kafka-inbox owner the dead', 0))"
    with as_sink(roles) as worker, as_sink(roles) as connection:
        handling = HandlerCallNotes(connection, roles.schema, "another")
        worker.execute(alive)
        assert handling.count_deaths([1]) == []  # the owner, or one of its logins
        worker.execute("SELECT pg_advisory_unlock_all()")
        stranger.execute(alive)
        assert [each.deaths for each in handling.count_deaths([1])] == [1]


def test_a_relay_whose_bell_is_held_does_not_sleep_and_a_forged_notification_only_wakes_it(
    roles: Roles, stranger: psycopg.Connection
) -> None:
    migrated(roles)
    with connect(options(roles, roles.relays)) as connection:
        bell = Notifier(connection, roles.schema)
        row = connection.execute("SELECT %s::regclass::oid::bigint", (f'"{roles.schema}".outbox',)).fetchone()
        assert row is not None
        assert bell.fall_asleep()
        stranger.execute(f"NOTIFY inbox_outbox_{row[0]}, 'forged'")
        bell.wait(60)  # returns with the notification: what follows is a look into the outbox
        bell.wake_up()
        stranger.execute(LOCK, ((0x696E626F << 32) + row[0],))
        assert not bell.fall_asleep()  # then the relay looks again after some milliseconds
