"""The writer of plain JSON rows: it sends the columns of a batch where every row of it is plain."""

from collections.abc import Sequence

from inbox.store.options import ColumnSource, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.plain.column import NotPlainError
from inbox.store.tables.plain.sent import PlainSent, may_be_plain_rows
from inbox.store.tables.shape import TableShape
from inbox.store.tables.statements.statements import Statements


class PlainWriter:
    """The statements of a route for plain rows, and their inputs."""

    def __init__(self, sent: PlainSent, statements: Statements) -> None:
        self._sent = sent
        self._statements = statements

    def send(self, connection: Connection, events: TableEvents, *, new: bool, distinct: bool) -> bool:
        """Send one statement for these events, or return False, and send nothing, where a row is not plain."""
        parameters = self._sent.parameters(events)
        if parameters is None:
            return False
        with connection.users_path():
            distinct = distinct or len(events.records) == 1
            connection.execute(self._statements.write_of(new=new, distinct=distinct), parameters)
        return True


def plain_writer(
    target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]], shape: TableShape, marks: Marks | None
) -> PlainWriter | None:
    """Return the writer of a route's plain rows; None for a route with columns that only PostgreSQL can make."""
    if not may_be_plain_rows(target, sources):
        return None
    try:
        sent = PlainSent(target, sources, marks)
    except NotPlainError:
        return None
    return PlainWriter(sent, Statements(target, sources, sent.inputs, shape, decodes=False, marks=marks))
