"""The database between the examples of one property."""

from collections.abc import Iterator
from contextlib import contextmanager

from inbox.store.postgres.connection import Connection


@contextmanager
def one_example(connection: Connection, *tables: str) -> Iterator[None]:
    """Run an example in a transaction of its own, and remove the rows of the tables at its end.

    A rollback would have the same effect, but at a rollback psycopg forgets what it prepared, so that the server
    parses and plans each statement again in each example.
    """
    with connection.transaction():
        yield
        for table in tables:
            connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608
