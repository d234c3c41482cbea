"""Find at a start the columns whose type cannot be made of what the route reads."""

from collections.abc import Sequence

import psycopg

from inbox.errors import InboxError, StartupError
from inbox.store.options import ColumnSource, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.tables.casts.fit import misreadings
from inbox.store.tables.columns import Column
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.statements.statements import Statements
from inbox.store.tables.writing.sent import Sent

_NOBODY = TableEvents((), (), ())


def require_casts(
    connection: Connection,
    target: TableTarget,
    sources: Sequence[tuple[Column, ColumnSource]],
    statements: Statements,
    sent: Sent,
) -> None:
    """Raise StartupError for a missing cast. PostgreSQL looks for casts before the first row, so no row is needed."""
    if problems := list(misreadings(target.name, sources)):
        raise StartupError("\n".join(problems))
    for column, source in sources:
        try:
            with translating_errors(), connection.transaction():
                connection.execute(statements.probe(column, source), sent.parameters(_NOBODY))
        except InboxError as error:
            if not isinstance(error.__cause__, psycopg.errors.CannotCoerce):
                raise
            problems.append(
                f'column "{column.name}" of table "{target.name}" is {column.declared}, which cannot be made of '
                f"{source}; choose another source, or change the column's type"
            )
    if problems:
        raise StartupError("\n".join(problems))
