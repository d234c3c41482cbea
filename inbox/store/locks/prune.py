"""Run one prune of a schema at a time, by a worker, a relay or a person.

The lock is on a table that only the schema's roles reach.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

from psycopg import errors, sql

from inbox.errors import InboxError, TryAgainError
from inbox.store.locks.holders import Holder, advisory_key, holder_of_advisory, holder_of_table, may_work_in
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.pooler import HOLD

_PRUNING = "pruning"


class AnotherPrunesError(TryAgainError):
    """The error raised while another worker, or a person, prunes; only one may at a time."""

    def __init__(self, holder: Holder | None) -> None:
        who = f" ({holder})" if holder is not None else ""
        super().__init__(f"another session prunes this schema at the moment{who}; nothing was done here")
        self.holder = holder

    @property
    def seconds(self) -> float:
        """Return for how many seconds the other prune has run, as far as that is known."""
        since = self.holder.since if self.holder is not None else None
        return 0.0 if since is None else (datetime.now(UTC) - since).total_seconds()


@contextmanager
def pruning_alone(connection: Connection, schema: str, table: str = _PRUNING) -> Iterator[None]:
    """Prune alone; raise AnotherPrunesError without a wait where another session prunes.

    `table` is one that the pruning role may update. A transaction of another connection holds the
    lock, without a snapshot or an id, so that it keeps no row from being vacuumed.
    """
    with closing(connection.another()) as holder:
        holder.begin()
        holder.execute(HOLD.encode(), prepare=False)
        _lock(holder, sql.Identifier(schema, table).as_string())
        _lock_for_earlier_versions(holder, schema)
        try:
            yield
        finally:
            with suppress(InboxError):
                holder.execute("ROLLBACK")  # else a pooler frees it some time after the connection is closed


def _lock(holder: Connection, table: str) -> None:
    # A mode that only one session can have, and that lets others write rows.
    try:
        holder.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT".encode(), prepare=False)
    except InboxError as error:
        if not isinstance(error.__cause__, errors.LockNotAvailable):
            raise
        holder.execute("ROLLBACK")
        raise AnotherPrunesError(holder_of_table(holder, table)) from error


def _lock_for_earlier_versions(holder: Connection, schema: str) -> None:
    """Take the advisory lock too, so that this version and one that takes it alone never prune together."""
    key = advisory_key("prune", schema)
    row = holder.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone()
    if row is not None and row[0]:
        return
    other = holder_of_advisory(holder, key)
    if other is not None and may_work_in(holder, other, schema, migrates=False):
        raise AnotherPrunesError(other)
