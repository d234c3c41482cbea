"""Workers of one sink that are connected as different roles."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.inbox.ledger import Ledger
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection, connect
from inbox.store.privileges.check import hidden_owners_remedy
from tests.integration.store.conftest import P0
from tests.support.kafka_topics import unique_name
from tests.support.waiting import eventually

ROUTE = 1
As = Callable[[str], Connection]


@pytest.fixture
def logins(database_url: str, ledger: Ledger) -> Iterator[list[str]]:
    """Two logins with the rights of a sink, neither of which is a member of the other."""
    names = [unique_name("login") for _ in range(2)]
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in names:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(role))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA inbox TO {}").format(role))
            connection.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA inbox TO {}").format(role))
        yield names
        for name in names:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def as_(database_url: str, logins: list[str]) -> Iterator[As]:
    """Connects as one of the logins."""
    with ExitStack() as opened:

        def open_(name: str) -> Connection:
            address = urlsplit(database_url).netloc.rpartition("@")[2]
            url = urlsplit(database_url)._replace(netloc=f"{name}:secret@{address}").geturl()
            return opened.enter_context(closing(connect(DatabaseOptions(url=SecretStr(url)))))

        yield open_


@pytest.fixture
def grant(database_url: str) -> Callable[[str, str], None]:
    """Grants a role or a membership: `grant("pg_read_all_stats", role)`."""

    def run(what: str, to: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"GRANT {what} TO {to}".encode())

    return run


def test_an_owner_of_another_login_is_seen_to_be_hidden_until_a_right_is_granted(
    logins: list[str], as_: As, ledger: Ledger, grant: Callable[[str, str], None]
) -> None:
    old, new = logins
    owner, other = as_(old), as_(new)
    Ledger(owner, "inbox").acquire([P0], "old")
    assert Ledger(owner, "inbox").hidden_owners(["orders"]) == []
    assert Ledger(other, "inbox").hidden_owners(["orders"]) == [old]
    assert f"GRANT {old} TO {new}" in hidden_owners_remedy(other, [old])
    grant(old, new)
    assert Ledger(as_(new), "inbox").hidden_owners(["orders"]) == []


def test_the_statistics_alone_do_not_suffice_and_a_refused_end_is_no_error(
    logins: list[str], as_: As, ledger: Ledger, grant: Callable[[str, str], None]
) -> None:
    old, new = logins
    owner = as_(old)
    Ledger(owner, "inbox").acquire([P0], "old")
    owner.begin()
    owner.execute("SELECT 1")
    grant("pg_read_all_stats", new)
    other = as_(new)
    assert Ledger(other, "inbox").hidden_owners(["orders"]) == [old]
    [session] = Ledger(other, "inbox").open_sessions([P0], "new")
    Ledger(other, "inbox").end_session(session)
    owner.execute("SELECT 1")
    grant("pg_signal_backend", new)
    other = as_(new)
    assert Ledger(other, "inbox").hidden_owners(["orders"]) == []
    [session] = Ledger(other, "inbox").open_sessions([P0], "new")
    Ledger(other, "inbox").end_session(session)
    # PostgreSQL sends the session a signal and does not wait until it has ended.
    eventually(lambda: Ledger(other, "inbox").open_sessions([P0], "new") == [], what="the end of the session")


def test_the_note_of_a_living_worker_of_another_login_is_no_death(logins: list[str], as_: As, ledger: Ledger) -> None:
    old, new = logins
    owner, other = as_(old), as_(new)
    (held,) = Ledger(owner, "inbox").acquire([P0], "old")
    HandlerCallNotes(owner, "inbox", "old").start_call(ROUTE, held.partition_id, range(10, 11))
    assert HandlerCallNotes(other, "inbox", "new").count_deaths([held.partition_id]) == []
    owner.close()


def test_the_note_of_a_dead_worker_of_another_login_is_a_death(
    logins: list[str], as_: As, ledger: Ledger, connection: Connection
) -> None:
    old, new = logins
    owner = as_(old)
    (held,) = Ledger(owner, "inbox").acquire([P0], "old")
    HandlerCallNotes(owner, "inbox", "old").start_call(ROUTE, held.partition_id, range(10, 11))
    pid = owner.info.backend_pid
    owner.close()
    eventually(
        lambda: connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is None,
        what="the end of the session",
    )
    [found] = HandlerCallNotes(as_(new), "inbox", "new").count_deaths([held.partition_id])
    assert (found.offsets, found.deaths) == (range(10, 11), 1)
