"""Events that concern a row which is not there: they are read nevertheless, and refused if they are not valid."""

import pytest

from inbox.store.options import TableMode, Tombstones
from inbox.store.postgres.connection import Connection
from tests.support.records import record
from tests.support.store.table_routes import Route, of

PLANS = {
    "as planned": "",
    "a hash join": "SET enable_nestloop = off; SET enable_mergejoin = off",
    "a merge join": "SET enable_nestloop = off; SET enable_hashjoin = off",
    "a loop": "SET enable_mergejoin = off; SET enable_hashjoin = off",
    "analyzed": "ANALYZE t",
}
KEYS = {"the key": "$key", "a member of the key": "$key:/id", "the value": "/id", "a header": "$header:id"}


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize("source", KEYS.values(), ids=list(KEYS))
@pytest.mark.parametrize("others", [[], ["0"]], ids=["empty table", "another row"])
@pytest.mark.parametrize(
    "value", [b'{"id": "k", "a": "x"}', b'{"id": "k", "a":', b'{"id": "k", "a": 1} 2'], ids=["a word", "cut", "two"]
)
def test_an_event_without_a_row_is_refused_if_it_is_not_valid(
    connection: Connection, plan: str, source: str, others: list[str], value: bytes
) -> None:
    connection.execute(b"CREATE TABLE t (id text PRIMARY KEY, a int)")
    for other in others:
        connection.execute("INSERT INTO t VALUES (%s, 1)", [other])
    route = Route(connection, {"id": source, "a": "/a"}, mode=TableMode.UPDATE, key=("id",))
    for statement in filter(None, plan.split(";")):
        connection.execute(statement.encode())
    key = b'{"id": "k"}' if source == "$key:/id" else b"k"
    one = record(0, key=key, value=value, headers=[("id", b"k")])
    assert route.refusal(one)


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.UPDATE])
def test_a_tombstone_whose_key_is_not_valid_is_refused_although_no_row_is_there(
    connection: Connection, plan: str, mode: TableMode
) -> None:
    connection.execute(b"CREATE TABLE t (id int PRIMARY KEY, a int)")
    more = {"mode": mode, "key": ("id",), "tombstones": Tombstones.DELETE}
    route = Route(connection, {"id": "$key:/id", "a": "/a"}, **more)
    for statement in filter(None, plan.split(";")):
        connection.execute(statement.encode())
    assert route.refusal(record(0, key=b'{"id": "x"}', value=None))
    route.write(record(0, key=b'{"id": 1}', value=None))


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_an_event_without_elements_is_refused_if_its_key_is_not_valid(connection: Connection, plan: str) -> None:
    connection.execute(b"CREATE TABLE t (id int, a int, PRIMARY KEY (id, a))")
    more = {"mode": TableMode.UPSERT, "key": ("id", "a"), "for_each": "/lines", "replaces": ("id",)}
    route = Route(connection, {"id": "$event:/id", "a": "/a"}, **more)
    for statement in filter(None, plan.split(";")):
        connection.execute(statement.encode())
    assert route.refusal(of({"id": "x", "lines": []}))
    route.write(of({"id": 1, "lines": []}))
