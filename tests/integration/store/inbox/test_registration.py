"""Whose schema this is: what a start may change, and what it must not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inbox.errors import HaltError, StartupError
from inbox.store.inbox.ledger import Ledger
from inbox.store.inbox.registration import Register, RouteIdentity, SinkIdentity
from inbox.store.postgres.connection import Connection
from tests.integration.store.conftest import P0, ROUTE, Bind, Connect
from tests.support.store.locks import until_it_waits

BILL = RouteIdentity("bill", ("orders",), "auto")


@pytest.fixture(name="refused")
def refused_(bind: Bind, connection: Connection) -> Callable[..., str]:
    """Binds what has to be refused, as `bind`; returns the error's text. `review` refuses it alike."""

    def refused(*routes: RouteIdentity, **changes: Any) -> str:
        with pytest.raises((StartupError, HaltError)) as error:
            bind(*routes, **changes)
        named = {"name": "inventory", "group_id": "inventory", "cluster_id": "cluster-1", **changes}
        retired = named.pop("retired", ())
        sink = SinkIdentity(**named, routes=routes or (ROUTE,), retired_routes=retired)
        with pytest.raises((StartupError, HaltError)) as reviewed:
            Register(connection, "inbox").review(sink)
        assert str(reviewed.value) == str(error.value)
        return str(error.value)

    return refused


def starts(connection: Connection) -> dict[tuple[str, int], int]:
    """From which offset each route owes an ending, by route and partition."""
    rows = connection.execute(
        "SELECT name, partition, from_offset FROM inbox.route_starts JOIN inbox.routes USING (route_id) "
        "JOIN inbox.partitions USING (partition_id)"
    )
    return {(name, partition): offset for name, partition, offset in rows}


def test_the_first_start_takes_the_schema(connection: Connection, bind: Bind) -> None:
    registration = bind()
    assert (registration.route_ids, registration.routes_revision) == ({"reserve": 1}, 1)
    row = connection.execute("SELECT name, group_id, cluster_id, routes_revision FROM inbox.sink").fetchone()
    assert row == ("inventory", "inventory", "cluster-1", 1)


def test_a_second_start_changes_nothing(bind: Bind) -> None:
    assert bind() == bind()


def test_a_start_of_the_same_routes_fences_nobody(connection: Connection, bind: Bind, ledger: Ledger) -> None:
    (held,) = ledger.acquire([P0], "me")
    bind()
    assert {h.owner_epoch for h in ledger.read(["orders"]) if h.address == P0} == {held.owner_epoch}


def test_another_sinks_schema_is_refused(bind: Bind, refused: Callable[..., str]) -> None:
    bind()
    assert refused(name="billing") == (
        'the schema "inbox" belongs to sink "inventory" of group "inventory", this is sink "billing" of group '
        '"inventory"; give each sink a [database] schema of its own'
    )


def test_another_group_is_refused(bind: Bind, refused: Callable[..., str]) -> None:
    bind()
    assert 'this is sink "inventory" of group "other"' in refused(group_id="other")


def test_another_cluster_is_refused(bind: Bind, refused: Callable[..., str]) -> None:
    bind()
    assert refused(cluster_id="cluster-2") == (
        'the ledger in schema "inbox" is of Kafka cluster cluster-1, but the brokers are of cluster cluster-2; '
        "correct [kafka] bootstrap.servers, or, if the cluster was replaced, decide for each topic with "
        "`inbox resume --topic TOPIC --new-topic --accept-loss`"
    )


def test_a_refused_start_leaves_no_trace(connection: Connection, bind: Bind, refused: Callable[..., str]) -> None:
    bind()
    refused(BILL, name="billing")
    assert connection.execute("SELECT name FROM inbox.routes").fetchall() == [("reserve",)]


def test_an_added_route_starts_where_the_ledger_stands(connection: Connection, bind: Bind, ledger: Ledger) -> None:
    connection.execute("UPDATE inbox.partitions SET next_offset = 500, reached_offset = 500 WHERE partition = 1")
    registration = bind(ROUTE, BILL)
    assert set(registration.route_ids) == {"reserve", "bill"}
    assert registration.routes_revision == 2
    assert starts(connection) == {
        **{("reserve", number): 10 for number in range(3)},
        ("bill", 0): 10,
        ("bill", 1): 500,
        ("bill", 2): 10,
    }


def test_a_route_of_other_topics_owes_nothing_here(connection: Connection, bind: Bind, ledger: Ledger) -> None:
    bind(ROUTE, RouteIdentity("pay", ("payments",), "auto"))
    assert {name for name, _ in starts(connection)} == {"reserve"}


def test_a_route_that_takes_another_topic_owes_it_from_now_on(
    connection: Connection, bind: Bind, ledger: Ledger
) -> None:
    bind(RouteIdentity("pay", ("payments",), "auto"), ROUTE)
    registration = bind(RouteIdentity("pay", ("payments", "orders"), "auto"), ROUTE)
    assert starts(connection)["pay", 0] == 10
    assert registration.routes_revision == 3


def test_the_order_of_a_routes_topics_means_nothing(bind: Bind) -> None:
    first = bind(RouteIdentity("pay", ("a", "b"), "auto"))
    assert bind(RouteIdentity("pay", ("b", "a"), "auto")) == first


def test_a_route_that_the_configuration_lacks_is_refused(bind: Bind, refused: Callable[..., str]) -> None:
    bind(ROUTE, BILL)
    text = refused(ROUTE)
    assert text.startswith('the schema "inbox" has a route "bill" that this configuration lacks')
    assert text.endswith("or name it in [sink] retired_routes if it was removed on purpose")


def test_a_renamed_route_is_refused(bind: Bind, refused: Callable[..., str]) -> None:
    bind()
    assert 'has a route "reserve" that this configuration lacks' in refused(ROUTE._replace(name="reserve-stock"))


def test_a_retired_route_may_go(connection: Connection, bind: Bind) -> None:
    bind(ROUTE, BILL)
    registration = bind(ROUTE, retired=("bill",))
    assert registration.routes_revision == 3 - 1
    rows = connection.execute("SELECT name, retired_at IS NOT NULL FROM inbox.routes ORDER BY 1").fetchall()
    assert rows == [("bill", True), ("reserve", False)]


def test_a_route_once_retired_need_not_be_named_for_ever(bind: Bind) -> None:
    bind(ROUTE, BILL)
    retired = bind(ROUTE, retired=("bill",))
    assert bind(ROUTE) == retired
    assert bind(ROUTE, retired=("bill",)) == retired


def test_retiring_a_route_that_never_was_changes_nothing(bind: Bind) -> None:
    first = bind()
    assert bind(retired=("none",)) == first


def test_a_new_partition_is_not_owed_to_a_retired_route(connection: Connection, bind: Bind) -> None:
    bind(ROUTE, BILL)
    bind(ROUTE, retired=("bill",))
    Ledger(connection, "inbox").add("cluster-1", None, {P0: 10})
    assert starts(connection) == {("reserve", 0): 10}


def test_a_retired_route_that_comes_back_is_no_longer_retired(connection: Connection, bind: Bind) -> None:
    bind(ROUTE, BILL)
    retired = bind(ROUTE, retired=("bill",))
    back = bind(ROUTE, BILL)
    assert back.routes_revision == retired.routes_revision + 1
    assert connection.execute("SELECT name FROM inbox.routes WHERE retired_at IS NOT NULL").fetchall() == []


def test_a_route_that_comes_back_does_not_owe_what_passed_while_it_was_retired(
    connection: Connection, bind: Bind
) -> None:
    bind(ROUTE, BILL)
    Ledger(connection, "inbox").add("cluster-1", None, {P0: 10})
    bind(ROUTE, retired=("bill",))
    connection.execute("UPDATE inbox.partitions SET next_offset = 25, reached_offset = 25")
    bind(ROUTE, BILL)
    assert starts(connection) == {("reserve", 0): 10, ("bill", 0): 25}


def test_a_changed_identity_is_refused(bind: Bind, refused: Callable[..., str]) -> None:
    bind()
    text = refused(ROUTE._replace(event_id="key"))
    assert text.startswith('route "reserve" identified events by "header:event_id" until now and by "key" here')
    assert text.endswith("restore event_id, or give the route a new name and retire the old one")


def test_partitions_are_added_under_the_same_lock(connection: Connection, bind: Bind) -> None:
    sink = SinkIdentity(
        name="inventory", group_id="inventory", cluster_id="cluster-1", routes=(ROUTE,), retired_routes=()
    )
    Register(connection, "inbox").bind(sink, lambda: Ledger(connection, "inbox").add("cluster-1", None, {P0: 7}))
    assert starts(connection) == {("reserve", 0): 7}


def test_partitions_that_cannot_be_added_undo_the_binding(connection: Connection, bind: Bind) -> None:
    def fail() -> None:
        raise StartupError("the topic is not there")

    sink = SinkIdentity(
        name="inventory", group_id="inventory", cluster_id="cluster-1", routes=(ROUTE,), retired_routes=()
    )
    with pytest.raises(StartupError, match="the topic is not there"):
        Register(connection, "inbox").bind(sink, fail)
    assert connection.execute("SELECT count(*) FROM inbox.sink").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM inbox.routes").fetchone() == (0,)


def test_workers_that_start_at_once_agree(open_connection: Connect, bind: Bind) -> None:
    connections = [open_connection() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda on: bind(ROUTE, BILL, on=on), connections))
    assert found == [found[0]] * 4
    assert found[0].routes_revision == 1


def test_a_start_waits_for_the_one_before(open_connection: Connect, connection: Connection, bind: Bind) -> None:
    first = open_connection()
    bind()
    first.execute("BEGIN")
    bind(on=first)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(bind, ROUTE, BILL)
        until_it_waits(open_connection(), connection)
        first.execute("COMMIT")
        assert second.result(timeout=120).routes_revision == 2
