"""Partial events, in mode `merge`: what they leave, and what other writers of the row keep."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from inbox.store.options import ColumnSource, TableMode
from inbox.store.postgres.connection import Connection
from tests.support.store.decoded_routes import DecodedRoute, typed
from tests.support.store.locks import until_it_waits
from tests.support.store.table_routes import Route, of
from tests.unit.reading.formats.connect import schema, struct

Connect = Callable[[], Connection]

COLUMNS = {"id": "/id", "a": "/a", "b": "/nested/b"}


PLAIN = "CREATE TABLE t (id int PRIMARY KEY, a int, b int, other int)"
MOVES = "CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := NEW.id + 100; RETURN NEW; END'"
Make = Callable[..., Route]


@pytest.fixture(name="merging")
def merging_(connection: Connection) -> Make:
    """Makes a route in mode `merge` over a table that the given statements make."""

    def make(*create: str, **changes: Any) -> Route:
        for statement in create or (PLAIN,):
            connection.execute(statement.encode())
        return Route(
            connection, changes.pop("columns", COLUMNS), **{"mode": TableMode.MERGE, "key": ("id",), **changes}
        )

    return make


def test_null_is_written_and_an_absent_member_is_left(merging: Make) -> None:
    route = merging()

    route.write(of({"id": 1, "a": 1, "nested": {"b": 1}}), of({"id": 2, "a": 2, "nested": {"b": 2}}))
    route.write(of({"id": 1, "a": None}), of({"id": 2, "nested": {"b": None}}), of({"id": 3, "nested": None}))

    assert route.rows() == [(1, None, 1, None), (2, 2, None, None), (3, None, None, None)]


def test_partial_events_of_one_row_fold_in_order(merging: Make) -> None:
    route = merging()

    route.write(of({"id": 1, "a": 1}), of({"id": 1, "nested": {"b": 2}}), of({"id": 1, "a": 3}), of({"id": 2}))

    assert route.rows() == [(1, 3, 2, None), (2, None, None, None)]


@pytest.mark.parametrize(
    ("more", "moved"),
    [
        ([], 0),
        ([MOVES, "CREATE TRIGGER moves BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION moves()"], 100),
    ],
    ids=["plain", "with a trigger that changes the key"],
)
def test_a_new_row_takes_the_defaults_of_what_is_absent(merging: Make, more: list[str], moved: int) -> None:
    route = merging("CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 7, b int DEFAULT 8, other serial)", *more)

    route.write(of({"id": 1, "a": 1}), of({"id": 2, "nested": {"b": None}}), of({"id": 3}))
    assert [row[:3] for row in route.rows()] == [(1 + moved, 1, 8), (2 + moved, 7, None), (3 + moved, 7, 8)]

    route.write(of({"id": 1, "nested": {"b": 9}}), of({"id": 2}))
    assert [row[:3] for row in route.rows()] == [(1 + moved, 1, 9), (2 + moved, 7, None), (3 + moved, 7, 8)]


def test_a_key_of_two_columns_finds_its_row(merging: Make) -> None:
    route = merging("CREATE TABLE t (id int, a text, b int, PRIMARY KEY (id, a))", key=("id", "a"))

    route.write(of({"id": 1, "a": "x", "nested": {"b": 1}}), of({"id": 1, "a": "y", "nested": {"b": 2}}))
    route.write(of({"id": 1, "a": "x"}), of({"id": 1, "a": "y", "nested": {"b": None}}))

    assert route.rows() == [(1, "x", 1), (1, "y", None)]


LEFT = {"id": "/id", "a": ColumnSource("/a", leaves=True), "b": ColumnSource("/nested/b", leaves=True)}


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        (TableMode.APPEND, [(1, 1, 8), (1, 7, None), (2, 7, 8)]),
        (TableMode.INSERT, [(1, 1, 8), (2, 7, 8)]),
        (TableMode.UPSERT, [(1, 1, None), (2, 7, 8)]),
        (TableMode.UPDATE, []),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_column_is_left_to_the_table_where_that_is_configured(
    connection: Connection, mode: TableMode, rows: list[tuple[Any, ...]], together: bool
) -> None:
    unique = "" if mode is TableMode.APPEND else "PRIMARY KEY"
    connection.execute(b"CREATE DOMAIN public.eight AS int DEFAULT 8")
    connection.execute(f"CREATE TABLE t (id int {unique}, a int NOT NULL DEFAULT 7, b public.eight)".encode())
    route = Route(connection, LEFT, mode=mode, key=() if mode is TableMode.APPEND else ("id",))

    events = [of({"id": 1, "a": 1}), of({"id": 1, "nested": {"b": None}}), of({"id": 2})]
    for part in [events] if together else [[each] for each in events]:
        route.write(*part)

    assert sorted(route.rows(), key=lambda row: row[0]) == rows


def test_an_update_keeps_the_columns_that_are_left_to_the_table(merging: Make) -> None:
    route = merging(columns=LEFT, mode=TableMode.UPDATE)
    route.connection.execute(b"INSERT INTO t VALUES (1, 5, 6)")

    route.write(of({"id": 1, "a": 1}), of({"id": 1, "nested": {"b": None}}))

    assert route.rows() == [(1, 1, None, None)]


@pytest.mark.parametrize("mode", [TableMode.UPSERT, TableMode.APPEND])
def test_a_column_of_decoded_rows_is_left_to_the_table(connection: Connection, mode: TableMode) -> None:
    connection.execute(b"CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 7)")
    columns = {"id": "/id", "a": ColumnSource("/a", leaves=True)}
    route = Route(connection, columns, mode=mode, decoded=True, key=("id",) if mode is TableMode.UPSERT else ())
    it = DecodedRoute(route, route.writer._target)
    row = struct(id=schema("int32"), a=schema("int32"))

    it.write(typed(row, {"id": 1}), typed(row, {"id": 2, "a": None}), typed(row, {"id": 3, "a": 3}))
    if mode is TableMode.UPSERT:
        it.write(typed(row, {"id": 3}))

    assert route.rows() == [(1, 7), (2, None), (3, 3)]


@pytest.mark.parametrize(
    "theirs", ["UPDATE t SET a = 5, other = 6 WHERE id = 1", "INSERT INTO t VALUES (2, 5, NULL, 6)"]
)
def test_what_another_session_writes_meanwhile_is_not_undone(
    merging: Make, connection: Connection, open_connection: Connect, theirs: str
) -> None:
    route = merging()
    route.write(of({"id": 1, "a": 1}))
    other, observer = open_connection(), open_connection()
    number = int("INSERT" in theirs) + 1
    with other.transaction():
        other.execute(theirs.encode())
        ours = threading.Thread(target=lambda: route.write(of({"id": number, "nested": {"b": 2}})))
        ours.start()
        until_it_waits(observer, connection)
    ours.join(120)

    assert (number, 5, 2, 6) in route.rows()
