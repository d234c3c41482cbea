"""Every kind of JSON in a column of every type: each cell of the reference page, on a real server."""

import json
import os
from pathlib import Path

from inbox.errors import InboxError
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.tables.writer import TableWriter
from tests.support.records import record
from tests.support.store.matrix import KINDS, SETUP, TYPES, Cell, page
from tests.support.store.table_routes import events_of

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "value-matrix.md"


def cell(connection: Connection, writer: TableWriter, table: str, document: str) -> Cell:
    """Write the document, and return what its column holds, or why it is refused."""
    events = events_of(record(value=document.encode()))
    try:
        with connection.transaction():
            writer.write(connection, events)
            [(held,)] = connection.execute(f"DELETE FROM {table} RETURNING a::text".encode()).fetchall()  # noqa: S608
            return Cell(held)
    except InboxError as error:
        return Cell(None, str(writer.explain(connection, events, error)))


def cells_of(connection: Connection) -> dict[tuple[str, str], Cell]:
    """Return all cells."""
    connection.execute(SETUP)
    found: dict[tuple[str, str], Cell] = {}
    for number, (name, text) in enumerate(TYPES.items()):
        table = f"public.t{number}"
        connection.execute(f"CREATE TABLE {table} (a {name})".encode())
        target = TableTarget(name=table, mode=TableMode.APPEND, columns={"a": ColumnSource("/a")})
        writer = TableWriter(connection, target)
        for kind, value in {"its text": json.dumps(text), **KINDS}.items():
            found[name, kind] = cell(connection, writer, table, f'{{"a": {value}}}' if value else "{}")
    return found


def test_the_page_shows_what_every_cell_does(connection: Connection) -> None:
    shown = page(cells_of(connection))
    if os.environ.get("INBOX_WRITE_PAGES"):
        PAGE.write_text(shown)
    assert PAGE.read_text() == shown, "run this test with INBOX_WRITE_PAGES=1, and read what changed"
