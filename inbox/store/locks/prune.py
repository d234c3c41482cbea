"""One prunes a schema at a time: a worker, a relay or a person. The lock is on a table that the roles alone reach."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

from psycopg import errors, sql

from inbox.errors import InboxError, TryAgainError
from inbox.store.locks.holders import Holder, advisory_key, holder_of_advisory, holder_of_table, may_work_in
from inbox.store.postgres.connection import SinkConnection
from inbox.store.postgres.pooler import HOLD

_PRUNING = "pruning"


class AnotherPrunesError(TryAgainError):
    """One at a time: another worker, or a person, is at it."""

    def __init__(self, holder: Holder | None) -> None:
        who = f" ({holder})" if holder is not None else ""
        super().__init__(f"another session prunes this schema at the moment{who}; nothing was done here")
        self.holder = holder

    @property
    def seconds(self) -> float:
        """For how long it has been at it, as far as known."""
        since = self.holder.since if self.holder is not None else None
        return 0.0 if since is None else (datetime.now(UTC) - since).total_seconds()


@contextmanager
def pruning_alone(connection: SinkConnection, schema: str, table: str = _PRUNING) -> Iterator[None]:
    """Raise AnotherPrunesError where another session is in it, without a wait.

    `table` is one that whoever prunes may update. The lock is held by a transaction of another connection, without a
    snapshot or an id, so that it keeps no row from being vacuumed.
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


def _lock(holder: SinkConnection, table: str) -> None:
    # A mode that one session has at a time, and that lets rows be written.
    try:
        holder.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT".encode(), prepare=False)
    except InboxError as error:
        if not isinstance(error.__cause__, errors.LockNotAvailable):
            raise
        holder.execute("ROLLBACK")
        raise AnotherPrunesError(holder_of_table(holder, table)) from error


def _lock_for_earlier_versions(holder: SinkConnection, schema: str) -> None:
    """Beside a version that takes the advisory lock alone, one of the two prunes at a time."""
    key = advisory_key("prune", schema)
    row = holder.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone()
    if row is not None and row[0]:
        return
    other = holder_of_advisory(holder, key)
    if other is not None and may_work_in(holder, other, schema, migrates=False):
        raise AnotherPrunesError(other)
