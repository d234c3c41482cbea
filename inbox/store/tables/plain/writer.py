"""The writer of plain JSON rows: it sends the columns of a batch where every row of it is plain."""

from collections.abc import Sequence
from typing import LiteralString

from inbox.store.options import ColumnSource, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.plain.column import NotPlainError
from inbox.store.tables.plain.sent import PlainSent, may_be_plain_rows
from inbox.store.tables.shape import TableShape
from inbox.store.tables.statements.statements import Writes

_MOST_SKIPPED = 64

_OWN_CASTS: LiteralString = """
SELECT EXISTS (
    SELECT FROM pg_cast WHERE oid >= 16384 AND castmethod <> 'i'
    AND castsource = ANY ('{text,int8,bool,date,timestamptz}'::regtype[])
    AND casttarget = ANY (
        '{int2,int4,int8,numeric,float4,float8,bool,text,varchar,bpchar,uuid,timestamptz,timestamp,date,jsonb}'::regtype[])
)
"""
"""Whether somebody has made a cast from a type in which columns are sent to one that they have.

A cast WITH INOUT, as the Debezium JDBC sink needs some, gives what PostgreSQL gives without it.
"""


class PlainWriter:
    """The statements of a route for plain rows, and their inputs.

    After a statement whose rows are not plain, the next ones are not looked at: one, then twice as
    many each time, up to 64.
    """

    def __init__(self, sent: PlainSent, writes: Writes) -> None:
        self._sent = sent
        self._writes = writes
        self._skipped, self._next = 0, 1

    def send(self, connection: Connection, events: TableEvents, *, new: bool, distinct: bool) -> bool:
        """Send one statement for these events, or return False, and send nothing, where a row is not plain.

        Raises:
            EventError: a document beside the row exceeds a bound.
        """
        if self._skipped:
            self._skipped -= 1
            return False
        parameters = self._sent.parameters(events)
        if parameters is None:
            self._skipped, self._next = self._next, min(2 * self._next, _MOST_SKIPPED)
            return False
        self._next = 1
        with connection.users_path():
            distinct = distinct or len(events.records) == 1
            connection.execute(self._writes.write_of(new=new, distinct=distinct), parameters)
        return True


def plain_writer(
    connection: Connection,
    target: TableTarget,
    sources: Sequence[tuple[Column, ColumnSource]],
    shape: TableShape,
    marks: Marks | None,
) -> PlainWriter | None:
    """Return the writer of a route's plain rows; None for a route with columns that only PostgreSQL can make."""
    if not may_be_plain_rows(target, sources) or not _reads_as_usual(connection):
        return None
    try:
        sent = PlainSent(target, sources, marks)
    except NotPlainError:
        return None
    return PlainWriter(sent, Writes(target, sources, sent.inputs, shape, decodes=False, marks=marks))


def _reads_as_usual(connection: Connection) -> bool:
    """Return whether the database holds every text of JSON, and makes values of texts as PostgreSQL does."""
    if connection.info.parameter_status("server_encoding") != "UTF8":
        return False
    return connection.execute(_OWN_CASTS).fetchone() == (False,)
