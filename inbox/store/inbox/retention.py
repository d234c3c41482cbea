"""What is forgotten beside claims: the history, and dead letters that are resolved."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from inbox.store.postgres.connection import SinkConnection
from inbox.store.sql import statements

AT_ONCE = 5_000


@dataclass(frozen=True)
class Old:
    """How many rows are past their retention, and from when the oldest is; None where there are none."""

    rows: int
    oldest: datetime | None


class Kept(NamedTuple):
    """What the owner of the schema keeps, whatever a sink is told: nothing younger is removed.

    Dead letters are those that are resolved, from that time on.
    """

    claims: timedelta
    progress: timedelta
    dead_letters: timedelta


class Round(NamedTuple):
    """The last round of pruning after which nothing was left that could go; `by` is a login, None before the first."""

    at: datetime
    by: str | None


class Retention:
    """Reads and deletes rows past a time; a delete is one portion, in a transaction of its own."""

    def __init__(self, schema: str) -> None:
        self._sql = statements("retention", schema)

    def old_progress(self, connection: SinkConnection, older_than: timedelta) -> Old:
        return old_rows(connection, self._sql["old_progress"], older_than)

    def forget_progress(self, connection: SinkConnection, older_than: timedelta) -> int:
        """How many rows went; 0 once none is left."""
        return _forgotten(connection, self._sql["forget_progress"], older_than)

    def old_letters(self, connection: SinkConnection, older_than: timedelta) -> Old:
        return old_rows(connection, self._sql["old_letters"], older_than)

    def forget_letters(self, connection: SinkConnection, older_than: timedelta) -> int:
        """How many resolved dead letters went, as `forget_progress`."""
        return _forgotten(connection, self._sql["forget_letters"], older_than)

    def note_round(self, connection: SinkConnection) -> None:
        """A whole round ended just now."""
        connection.execute(self._sql["note_round"])

    def last_round(self, connection: SinkConnection) -> Round | None:
        """None where somebody removed the row."""
        row = connection.execute(self._sql["last_round"]).fetchone()
        return Round(*row) if row else None

    def kept(self, connection: SinkConnection) -> Kept | None:
        """What the owner keeps; None where `inbox migrate --roles` has not said it."""
        row = connection.execute(self._sql["kept"]).fetchone()
        return Kept(*row) if row else None


def _forgotten(connection: SinkConnection, statement: bytes, older_than: timedelta) -> int:
    """Return how many rows a function of the owner's removed."""
    row = connection.execute(statement, {"older_than": older_than, "limit": AT_ONCE}).fetchone()
    return int(row[0]) if row else 0


def old_rows(connection: SinkConnection, statement: bytes, older_than: timedelta) -> Old:
    """What a statement of `retention.sql` counts."""
    row = connection.execute(statement, {"older_than": older_than}).fetchone()
    return Old(*row) if row else Old(0, None)


def forget_rows(connection: SinkConnection, statement: bytes, older_than: timedelta) -> int:
    """One portion of what a statement deletes: how many rows went."""
    return connection.execute(statement, {"older_than": older_than, "limit": AT_ONCE}).rowcount
