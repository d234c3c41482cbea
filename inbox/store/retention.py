"""What is forgotten beside claims: the history, and dead letters that are resolved."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from inbox.store.database import SinkConnection
from inbox.store.sql import statements

AT_ONCE = 5_000


@dataclass(frozen=True)
class Old:
    """How many rows are past their retention, and from when the oldest is; None where there are none."""

    rows: int
    oldest: datetime | None


class Retention:
    """Reads and deletes rows past a time; a delete is one portion, in a transaction of its own."""

    def __init__(self, schema: str) -> None:
        self._sql = statements("retention", schema)

    def old_progress(self, connection: SinkConnection, older_than: timedelta) -> Old:
        return old_rows(connection, self._sql["old_progress"], older_than)

    def forget_progress(self, connection: SinkConnection, older_than: timedelta) -> int:
        """How many rows went; 0 once none is left."""
        return forget_rows(connection, self._sql["forget_progress"], older_than)

    def old_letters(self, connection: SinkConnection, older_than: timedelta) -> Old:
        return old_rows(connection, self._sql["old_letters"], older_than)

    def forget_letters(self, connection: SinkConnection, older_than: timedelta) -> int:
        """How many resolved dead letters went, as `forget_progress`."""
        return forget_rows(connection, self._sql["forget_letters"], older_than)


def old_rows(connection: SinkConnection, statement: bytes, older_than: timedelta) -> Old:
    """What a statement of `retention.sql` counts."""
    row = connection.execute(statement, {"older_than": older_than}).fetchone()
    return Old(*row) if row else Old(0, None)


def forget_rows(connection: SinkConnection, statement: bytes, older_than: timedelta) -> int:
    """One portion of what a statement of `retention.sql` deletes: how many rows went."""
    return connection.execute(statement, {"older_than": older_than, "limit": AT_ONCE}).rowcount
