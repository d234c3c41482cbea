"""A database with the inbox's tables, and connections to it as the sink has them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

import pytest
from pydantic import SecretStr

from inbox.events import TopicPartition
from inbox.store.inbox.ledger import Ledger
from inbox.store.inbox.registration import Register, Registration, RouteIdentity, SinkIdentity
from inbox.store.options import ColumnSource, DatabaseOptions
from inbox.store.postgres import session_settings
from inbox.store.postgres.connection import Connection, connect
from tests.support.store.table_routes import MakeRoute, Route

Connect = Callable[[], Connection]
Bind = Callable[..., Registration]

ROUTE = RouteIdentity("reserve", ("orders",), "header:event_id")
P0, P1, P2 = (TopicPartition("orders", number) for number in range(3))


@pytest.fixture(name="database_options")
def database_options_(database_url: str) -> DatabaseOptions:
    """This test's database."""
    return DatabaseOptions(url=SecretStr(database_url))


@pytest.fixture(name="open_connection")
def open_connection_(database_options: DatabaseOptions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens another connection to this test's database with each call.

    On the user's search path, since tests make and read tables of theirs with it.
    """

    monkeypatch.setattr(session_settings, "OWN_PATH", "public")
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(connect(database_options)))


@pytest.fixture(name="connection")
def connection_(open_connection: Connect) -> Connection:
    """A connection as a worker has it, but for the search path."""
    return open_connection()


@pytest.fixture(name="bind")
def bind_(connection: Connection) -> Bind:
    """Binds the schema as sink `inventory`, with one route over `orders`, unless said otherwise."""

    def bind(
        *routes: RouteIdentity,
        name: str = "inventory",
        group_id: str = "inventory",
        cluster_id: str = "cluster-1",
        retired: tuple[str, ...] = (),
        on: Connection | None = None,
    ) -> Registration:
        sink = SinkIdentity(
            name=name, group_id=group_id, cluster_id=cluster_id, routes=routes or (ROUTE,), retired_routes=retired
        )
        return Register(on or connection, "inbox").bind(sink, lambda: None)

    return bind


@pytest.fixture(name="ledger")
def ledger_(connection: Connection, bind: Bind) -> Ledger:
    """The ledger of a bound schema: `orders` with three partitions, each expecting offset 10."""
    bind()
    ledger = Ledger(connection, "inbox")
    ledger.add("cluster-1", None, {P0: 10, P1: 10, P2: 10})
    return ledger


@pytest.fixture(name="route")
def route_(connection: Connection) -> MakeRoute:
    """Creates the table `t` with the given columns, and a route over it."""

    def make(declared: str, columns: Mapping[str, str | ColumnSource], **changes: Any) -> Route:
        connection.execute(f"CREATE TABLE t ({declared})".encode())
        return Route(connection, columns, **changes)

    return make
