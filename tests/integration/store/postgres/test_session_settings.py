"""What a session means comes from nobody else: not from the role, not from the database, not from the URL."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from inbox.errors import TryAgainError
from inbox.events import Settlement
from inbox.store.inbox.generations import Generations
from inbox.store.inbox.ledger import Ledger, OffsetAdvance
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection, connect, snapshot, transaction
from inbox.store.postgres.session_settings import UNHURRIED
from tests.integration.store.conftest import P0
from tests.support.kafka_topics import unique_name
from tests.support.store.claims import ROUTE, claims_of, in_generation

STRANGE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_transaction_read_only": "on",
    "timezone": "Asia/Kathmandu",
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "xmloption": "document",
    "exit_on_error": "on",
    "idle_in_transaction_session_timeout": "7000",
    "idle_session_timeout": "7000",
}
PINNED = {
    "transaction_isolation": "read committed",
    "transaction_deferrable": "off",
    "transaction_read_only": "off",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "xmloption": "content",
    "exit_on_error": "off",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "0",
}


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A superuser of this test alone."""
    name = unique_name("role")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD 'secret'").format(sql.Identifier(name)))
        yield name
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def alter(database_url: str, role: str) -> Callable[..., None]:
    """Gives the role, or its database, settings of its own: `alter("ROLE", timezone="UTC")`."""

    def alter(kind: str, **settings: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            name = sql.Identifier(role if kind == "ROLE" else connection.info.dbname)
            for setting, value in settings.items():
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(
                    sql.SQL("ALTER {} {} SET {} = {}").format(
                        sql.SQL(kind),  # type: ignore[arg-type]
                        name,
                        sql.Identifier(setting),
                        sql.Literal(value),
                    )
                )

    return alter


@pytest.fixture
def as_role(database_url: str, role: str) -> Iterator[Callable[..., Connection]]:
    """Connects as that role, with parameters of the URL if any."""
    opened: list[Connection] = []

    def open_(parameters: str = "", statement_timeout_seconds: float | None = None, **how: object) -> Connection:
        address = database_url.partition("@")[2]
        url = f"postgresql://{role}:secret@{address}{parameters}"
        options = DatabaseOptions(url=SecretStr(url), statement_timeout_seconds=statement_timeout_seconds)
        opened.append(connect(options, **how))  # type: ignore[arg-type]
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def settings_of(connection: Connection) -> dict[str, str]:
    asked = connection.execute("SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", (list(PINNED),))
    return {name: value for name, value in asked.fetchall() if value is not None}


@pytest.mark.parametrize("kind", ["ROLE", "DATABASE"])
def test_neither_the_role_nor_the_database_says_what_a_session_means(
    kind: str, alter: Callable[..., None], as_role: Callable[..., Connection]
) -> None:
    alter(kind, **STRANGE)
    connection = as_role()
    assert settings_of(connection) == PINNED, "a statement alone"
    with transaction(connection):
        assert settings_of(connection) == PINNED, "psycopg's transaction"
    connection.begin()
    assert settings_of(connection) == PINNED, "a batch"
    connection.execute("ROLLBACK")
    with snapshot(connection):
        modes = {"transaction_isolation": "repeatable read", "transaction_read_only": "on"}
        assert settings_of(connection) == {**PINNED, **modes}, "a snapshot"


def test_the_url_does_not_say_what_a_session_means(as_role: Callable[..., Connection]) -> None:
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in STRANGE.items())
    connection = as_role(f"?client_encoding=LATIN1&options={quote(options)}")
    assert settings_of(connection) == PINNED


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_the_switch_of_generations_is_a_barrier_whatever_isolation_the_role_has(
    isolation: str, alter: Callable[..., None], as_role: Callable[..., Connection], ledger: Ledger
) -> None:
    alter("ROLE", default_transaction_isolation=isolation)
    late, early, pruner = as_role(), as_role(), as_role()
    (held,) = Ledger(late, "inbox").acquire([P0], "late")
    late.begin()
    late.execute("SELECT pg_current_xact_id()")
    Generations(pruner, "inbox").switch(0)
    assert in_generation(early, 1).claim(ROUTE, claims_of(7)) == []
    in_generation(late, 0).claim(ROUTE, claims_of(7, partition_id=held.partition_id))
    advance = OffsetAdvance(held.partition_id, held.owner_epoch, held.next_offset, held.next_offset + 1, Settlement(1))
    moved, _ = Ledger(late, "inbox").fence([advance], owner="late", routes_revision=1, generation=0)
    late.execute("ROLLBACK")
    assert not moved


def test_what_only_checks_cannot_write(as_role: Callable[..., Connection]) -> None:
    connection = as_role(read_only=True)
    for statement in ("CREATE TABLE t ()", "CREATE SCHEMA s"):
        with pytest.raises(TryAgainError, match="25006"):
            connection.execute(statement)
    assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("off",)


def limits_of(connection: Connection) -> tuple[object, ...] | None:
    return connection.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')").fetchone()


def test_a_statement_is_cancelled_after_two_minutes_where_nobody_says_otherwise(
    as_role: Callable[..., Connection],
) -> None:
    assert limits_of(as_role()) == ("2min", "30s")


def test_a_handler_that_may_take_longer_has_statements_that_may(as_role: Callable[..., Connection]) -> None:
    assert limits_of(as_role(longest_call_seconds=600.0)) == ("10min", "30s")


def test_the_users_own_limits_stand(alter: Callable[..., None], as_role: Callable[..., Connection]) -> None:
    alter("ROLE", statement_timeout="7s", lock_timeout="3s")
    assert limits_of(as_role()) == ("7s", "3s")
    assert limits_of(as_role(f"?options={quote('-c statement_timeout=300s -c lock_timeout=1s')}")) == ("5min", "1s")


def test_the_configuration_outranks_the_role(alter: Callable[..., None], as_role: Callable[..., Connection]) -> None:
    alter("ROLE", statement_timeout="7s")
    assert limits_of(as_role(statement_timeout_seconds=20.0)) == ("20s", "30s")
    assert limits_of(as_role(statement_timeout_seconds=0.0)) == ("0", "30s")


def test_what_reads_all_claims_takes_its_time(alter: Callable[..., None], as_role: Callable[..., Connection]) -> None:
    alter("ROLE", statement_timeout="7s")
    assert limits_of(as_role(settings=UNHURRIED)) == ("0", "30s")
