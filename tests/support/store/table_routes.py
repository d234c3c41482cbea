"""A table route over `t`, as tests write through it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from inbox.errors import EventError, InboxError
from inbox.events import Record
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.support.records import record
from tests.support.store.sources import sources


class Route:
    """A table route over `t`, and a way to write to it."""

    def __init__(self, connection: Connection, columns: Mapping[str, str | ColumnSource], **changes: Any) -> None:
        self.connection = connection
        changes = {"mode": TableMode.APPEND, "name": "public.t", **changes}
        self.writer = TableWriter(connection, TableTarget(columns=sources(columns), **changes))

    def write(self, *records: Record) -> None:
        with self.connection.transaction():
            self.writer.write(self.connection, events_of(*records))

    def refusal(self, one: Record) -> str:
        """Return the reason why an event cannot be written."""
        return str(self.explained(one))

    def explained(self, one: Record) -> InboxError:
        """Return the error of an event that cannot be written."""
        with pytest.raises(EventError) as failed:
            self.write(one)
        return self.writer.explain(self.connection, events_of(one), failed.value)

    def refused(self, *records: Record) -> list[int]:
        """Return the indices of the events, counted from 0, that can never be written."""
        return sorted(self.writer.find(self.connection, events_of(*records)).refused)

    def rows(self) -> list[tuple[Any, ...]]:
        return self.connection.execute("SELECT * FROM t ORDER BY 1").fetchall()

    def texts(self, expression: str) -> list[str | None]:
        """Return the values of an expression over the rows, in PostgreSQL's text form."""
        return [row[0] for row in self.connection.execute(f"SELECT ({expression})::text FROM t ORDER BY 1".encode())]  # noqa: S608


MakeRoute = Callable[..., Route]


def events_of(*records: Record) -> TableEvents:
    return TableEvents([bytes(16)] * len(records), [None] * len(records), records)


def of(document: Any, offset: int = 0, key: bytes | None = None) -> Record:
    return record(offset, key=key, value=json.dumps(document).encode())
