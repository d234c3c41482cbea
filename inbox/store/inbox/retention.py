"""Forget what is past its retention beside claims: the history, and resolved dead letters."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements

ROWS_OF_TRANSACTION = 5_000


@dataclass(frozen=True)
class ExpiredRows:
    """The number of rows past their retention, and the time of the oldest; None where there are none."""

    rows: int
    oldest: datetime | None


class KeptPeriods(NamedTuple):
    """The spans for which the schema's owner keeps rows, whatever a sink is configured to remove.

    Nothing younger is removed. `dead_letters` concerns resolved ones, and counts from their
    resolution.
    """

    claims: timedelta
    progress: timedelta
    dead_letters: timedelta


class PruneRound(NamedTuple):
    """The last round of pruning that removed all that could go; `by` is a login, None before the first round."""

    at: datetime
    by: str | None


class Retention:
    """The reads and deletions of rows past a time; each deletion is one portion in a transaction of its own."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("retention", schema)

    def old_progress(self, older_than: timedelta) -> ExpiredRows:
        return old_rows(self._connection, self._sql["old_progress"], older_than)

    def forget_progress(self, older_than: timedelta) -> int:
        """Delete a portion of the history, and return the number of rows; 0 once none is left."""
        return _forgotten(self._connection, self._sql["forget_progress"], older_than)

    def old_letters(self, older_than: timedelta) -> ExpiredRows:
        return old_rows(self._connection, self._sql["old_letters"], older_than)

    def forget_letters(self, older_than: timedelta) -> int:
        """Delete a portion of resolved dead letters, and return their number; 0 once none is left."""
        return _forgotten(self._connection, self._sql["forget_letters"], older_than)

    def old_payloads(self, older_than: timedelta) -> ExpiredRows:
        return old_rows(self._connection, self._sql["old_payloads"], older_than)

    def redact_letters(self, older_than: timedelta) -> int:
        """Remove the payloads of a portion of resolved dead letters; return their number, 0 once none is left."""
        return _forgotten(self._connection, self._sql["redact_letters"], older_than)

    def note_round(self) -> None:
        """Record that a whole round ended now."""
        self._connection.execute(self._sql["note_round"])

    def last_round(self) -> PruneRound | None:
        """Return the last round; None where somebody removed the row."""
        row = self._connection.execute(self._sql["last_round"]).fetchone()
        return PruneRound(*row) if row else None

    def kept(self) -> KeptPeriods | None:
        """Return what the owner keeps; None where `inbox migrate --roles` has not set it."""
        row = self._connection.execute(self._sql["kept"]).fetchone()
        return KeptPeriods(*row) if row else None


def _forgotten(connection: Connection, statement: bytes, older_than: timedelta) -> int:
    """Return the number of rows that a function of the owner's removed."""
    row = connection.execute(statement, {"older_than": older_than, "limit": ROWS_OF_TRANSACTION}).fetchone()
    return int(row[0]) if row else 0


def old_rows(connection: Connection, statement: bytes, older_than: timedelta) -> ExpiredRows:
    """Return the count and the oldest time that a statement of `retention.sql` reports."""
    row = connection.execute(statement, {"older_than": older_than}).fetchone()
    return ExpiredRows(*row) if row else ExpiredRows(0, None)


def forget_rows(connection: Connection, statement: bytes, older_than: timedelta) -> int:
    """Delete one portion by a statement, and return the number of rows."""
    return connection.execute(statement, {"older_than": older_than, "limit": ROWS_OF_TRANSACTION}).rowcount
