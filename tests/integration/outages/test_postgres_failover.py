"""A URL of several hosts finds the server that can be written to: at the start, and after a failover."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import machine_binaries
from inbox.dev.ports import LOOPBACK
from inbox.errors import InboxError
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect
from tests.support.databases import create_database
from tests.support.ground import prepare_template
from tests.support.kafka_topics import unique_name
from tests.support.sink.running import Sink
from tests.support.standby import Standby
from tests.support.watching import watched

pytestmark = pytest.mark.long


class Pair:
    """A primary, its standby and a database on both."""

    def __init__(self, primary: LocalPostgres, standby: Standby, database: str) -> None:
        self.primary, self.standby = primary, standby
        self._database = database

    def url(self, *servers: LocalPostgres, parameters: str = "") -> str:
        login = urlsplit(self.primary.address).netloc.rpartition("@")[0]
        hosts = ",".join(f"{LOOPBACK}:{server.port}" for server in servers)
        return f"postgresql://{login}@{hosts}/{self._database}{parameters}"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and a standby that follows it."""
    binaries = machine_binaries()
    if binaries is None or not Path(binaries.directory, "pg_basebackup").exists():
        pytest.skip("needs a PostgreSQL with pg_basebackup on this machine (apt-get install postgresql)")
    with closing(LocalPostgres(binaries)) as primary:
        primary.start()
        name = unique_name("test")
        prepare_template(create_database(primary.address, name))
        with closing(Standby(binaries, primary.address)) as standby:
            standby.start()
            yield Pair(primary, standby, name)


def port_of(url: str) -> str:
    with closing(connect(DatabaseOptions(url=SecretStr(url)))) as connection:
        return str(connection.info.port)


def test_of_several_hosts_the_one_that_can_be_written_to_is_taken(pair: Pair) -> None:
    both = (pair.standby, pair.primary)
    assert port_of(pair.url(*both)) == str(pair.primary.port)
    assert port_of(pair.url(*both, parameters="?target_session_attrs=any")) == str(pair.standby.port), "the user's word"
    assert port_of(pair.url(pair.standby)) == str(pair.standby.port), "waited for, until its promotion"


def test_a_role_that_is_read_only_by_default_finds_the_primary(pair: Pair) -> None:
    with psycopg.connect(pair.primary.address, autocommit=True) as connection:
        connection.execute("ALTER ROLE postgres SET default_transaction_read_only = on")
    pair.standby.eventually_has_all()
    assert port_of(pair.url(pair.standby, pair.primary)) == str(pair.primary.port)


def test_where_every_host_is_a_standby_nothing_is_taken(pair: Pair) -> None:
    with pytest.raises(InboxError):
        port_of(pair.url(pair.standby, pair.standby))


def test_the_promoted_standby_goes_on_after_the_primary_died(pair: Pair, make_sink: Callable[..., Sink]) -> None:
    both = (pair.standby, pair.primary)
    sink = make_sink(
        pair.url(*both, parameters="?target_session_attrs=read-write"),
        through=pair.url(*both),
    )
    with watched(sink) as running:
        pair.standby.eventually_has_all()
        pair.primary.kill()
        running.send(50)
        running.eventually_away()
        pair.standby.promote()
        running.check(reasons=["connection"])


def test_a_primary_that_was_replaced_and_lives_on_read_only_is_left(pair: Pair, make_sink: Callable[..., Sink]) -> None:
    both = (pair.primary, pair.standby)
    sink = make_sink(
        pair.url(*both, parameters="?target_session_attrs=read-write"),
        through=pair.url(*both),
    )
    with watched(sink) as running:
        with psycopg.connect(pair.primary.address, autocommit=True) as demoted:
            demoted.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            demoted.execute("SELECT pg_reload_conf()")
        running.send(50)
        running.eventually_away()
        pair.standby.eventually_has_all()
        pair.standby.promote()
        running.check(reasons=["read_only"])
        assert sink.sql("SHOW port") == [(str(pair.standby.port),)]
