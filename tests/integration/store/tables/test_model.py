"""Table routes against a slow, obvious model: random events, in batches of random sizes, value for value."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import CardinalityViolation, UniqueViolation

from inbox.errors import EventError
from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.postgres.connection import Connection
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.support.store.examples import one_example
from tests.support.store.table_model import COLUMNS, LEAVING, TABLES_OWN, Model, OneEvent, events

MODES = list(TableMode)
KEYED = [TableMode.INSERT, TableMode.UPSERT, TableMode.MERGE, TableMode.UPDATE]
MARKED = [*KEYED, TableMode.NEWEST]

# Each example writes in a transaction of its own.
one_table = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def batches(*, tombstones: bool = False) -> st.SearchStrategy[list[list[OneEvent]]]:
    return st.lists(st.lists(events(tombstones=tombstones), min_size=1, max_size=8), min_size=1, max_size=4)


@pytest.fixture(name="table")
def table_(connection: Connection) -> Connection:
    """The connection to a database with the model's table in it."""
    connection.execute("SET timezone = 'Asia/Kathmandu'")
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items())
    marks = "deleted_at timestamptz, gone boolean NOT NULL DEFAULT false"
    connection.execute(f"CREATE TABLE keyed ({columns}, {marks}, PRIMARY KEY (id))".encode())
    connection.execute(f"CREATE TABLE appended (place bigint GENERATED ALWAYS AS IDENTITY, {columns})".encode())
    return connection


def target(mode: TableMode, tombstones: Tombstones = Tombstones.ERROR, deleted: str | None = None) -> TableTarget:
    return TableTarget(
        name="public.appended" if mode is TableMode.APPEND else "public.keyed",
        mode=mode,
        columns={
            name: source if mode in LEAVING else replace(source, leaves=False) for name, (_, source) in COLUMNS.items()
        },
        key=() if mode is TableMode.APPEND else ("id",),
        version="version" if mode is TableMode.NEWEST else None,
        tombstones=tombstones,
        deleted=deleted,
    )


def rows_there(connection: Connection, mode: TableMode) -> list[dict[str, Any]]:
    """Insert two rows for a mode that inserts none, and return them."""
    if mode is not TableMode.UPDATE:
        return []
    connection.execute("INSERT INTO keyed (id, version) VALUES (1, 1), (2, 2)")
    return [{**dict.fromkeys(COLUMNS), **TABLES_OWN, "id": number, "version": number} for number in (1, 2)]


def _events(batch: Sequence[OneEvent]) -> TableEvents:
    records = [event.record(offset) for offset, event in enumerate(batch)]
    return TableEvents([bytes(16)] * len(records), [None] * len(records), records)


def write(connection: Connection, writer: TableWriter, batch: Sequence[OneEvent]) -> None:
    writer.write(connection, _events(batch))


def write_as_new(connection: Connection, writer: TableWriter, batch: Sequence[OneEvent]) -> None:
    """As the sink does while rows are mostly new."""
    try:
        with connection.transaction():
            writer.write(connection, _events(batch), new=True)
    except EventError as error:
        if not isinstance(error.__cause__, UniqueViolation | CardinalityViolation):
            raise
        write(connection, writer, batch)


Write = Callable[[Connection, TableWriter, Sequence[OneEvent]], None]
WAYS: list[Write] = [write, write_as_new]


def exactly(value: Any) -> Any:
    """For comparison: a decimal by its digits, a document by its members."""
    if isinstance(value, Decimal):
        return (value if value else abs(value)).as_tuple()  # PostgreSQL has no negative zero
    return value


def rows_of(connection: Connection, mode: TableMode) -> list[dict[str, Any]]:
    names = [f"{name}::text" if name == "doc" else name for name in COLUMNS]
    table, order = ("appended", "place") if mode is TableMode.APPEND else ("keyed", "id")
    found = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}".encode())  # noqa: S608
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
    return [{**row, "doc": None if row["doc"] is None else json.loads(row["doc"])} for row in rows]


def assert_same(connection: Connection, mode: TableMode, model: Model) -> None:
    found = [{name: exactly(value) for name, value in row.items()} for row in rows_of(connection, mode)]
    assert found == [{name: exactly(value) for name, value in row.items()} for row in model.rows()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_a_table_is_what_the_model_says(table: Connection, mode: TableMode, way: Write) -> None:
    writer = TableWriter(table, target(mode))

    @one_table
    @given(batches())
    def check(written: list[list[OneEvent]]) -> None:
        with one_example(table, "keyed", "appended"):
            model = Model(mode, there=rows_there(table, mode))
            for batch in written:
                way(table, writer, batch)
                model.apply(batch)
            assert_same(table, mode, model)

    check()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", KEYED)
def test_tombstones_delete_in_every_position(table: Connection, mode: TableMode, way: Write) -> None:
    writer = TableWriter(table, target(mode, Tombstones.DELETE))

    @one_table
    @given(batches(tombstones=True))
    def check(written: list[list[OneEvent]]) -> None:
        with one_example(table, "keyed", "appended"):
            model = Model(mode, there=rows_there(table, mode))
            for batch in written:
                way(table, writer, batch)
                model.apply(batch)
            assert_same(table, mode, model)

    check()


@pytest.mark.parametrize(("deleted", "marked"), [("deleted_at", "deleted_at IS NOT NULL"), ("gone", "gone")])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MARKED)
def test_tombstones_mark_in_every_position(
    table: Connection, mode: TableMode, way: Write, deleted: str, marked: str
) -> None:
    writer = TableWriter(table, target(mode, Tombstones.MARK, deleted))

    @one_table
    @given(batches(tombstones=True))
    def check(written: list[list[OneEvent]]) -> None:
        with one_example(table, "keyed", "appended"):
            model = Model(mode, marks=True, there=rows_there(table, mode))
            for batch in written:
                way(table, writer, batch)
                model.apply(batch)
            assert_same(table, mode, model)
            found = table.execute(f"SELECT id FROM keyed WHERE {marked}".encode())  # noqa: S608
            assert {row[0] for row in found} == model.marked

    check()


DEFAULTS: dict[str, Any] = {"amount": Decimal("7.50"), "name": "nobody", "day": date(2000, 1, 1)}
TABLES = {
    "no defaults": ("", {}),
    "defaults": (
        "ALTER TABLE keyed ALTER amount SET DEFAULT 7.50, ALTER name SET DEFAULT 'no' || 'body',"
        " ALTER day SET DEFAULT '2000-01-01'",
        DEFAULTS,
    ),
    "a trigger": (
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER same BEFORE INSERT OR UPDATE ON keyed FOR EACH ROW EXECUTE FUNCTION same()",
        {},
    ),
    "a condition": ("ALTER TABLE keyed ADD CHECK (pg_column_size(keyed.*) > 0)", {}),
}


@pytest.mark.parametrize("tombstones", [Tombstones.ERROR, Tombstones.DELETE, Tombstones.MARK])
@pytest.mark.parametrize(("alter", "defaults"), TABLES.values(), ids=TABLES)
def test_an_absent_member_leaves_its_column(
    table: Connection, alter: str, defaults: dict[str, Any], tombstones: Tombstones
) -> None:
    for statement in filter(None, alter.split(";CREATE TRIGGER")):
        text = statement if statement.startswith(("ALTER", "CREATE")) else "CREATE TRIGGER" + statement
        table.execute(text.encode())
    marks = tombstones is Tombstones.MARK
    writer = TableWriter(table, target(TableMode.MERGE, tombstones, "deleted_at" if marks else None))

    @one_table
    @given(batches(tombstones=tombstones.removes), st.sampled_from(WAYS))
    def check(written: list[list[OneEvent]], way: Write) -> None:
        with one_example(table, "keyed", "appended"):
            model = Model(TableMode.MERGE, marks=marks, defaults=defaults)
            for batch in written:
                way(table, writer, batch)
                model.apply(batch)
            assert_same(table, TableMode.MERGE, model)

    check()


@pytest.mark.parametrize("mode", MODES)
def test_how_events_are_cut_into_batches_means_nothing(table: Connection, mode: TableMode) -> None:
    writer = TableWriter(table, target(mode))

    @one_table
    @given(st.lists(events(), max_size=12), st.integers(1, 12))
    def check(written: list[OneEvent], size: int) -> None:
        with one_example(table, "keyed", "appended"):
            rows_there(table, mode)
            for start in range(0, len(written), size):
                write(table, writer, written[start : start + size])
            found = rows_of(table, mode)
        with one_example(table, "keyed", "appended"):
            rows_there(table, mode)
            for event in written:
                write(table, writer, [event])
            assert rows_of(table, mode) == found

    check()
