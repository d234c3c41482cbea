"""Let one of two sessions run until it waits for the other."""

from inbox.store.postgres.connection import Connection
from tests.support.waiting import eventually


def until_it_waits(observer: Connection, waiting: Connection) -> None:
    """Return once `waiting` waits for a lock."""
    query = "SELECT cardinality(pg_blocking_pids(%s)) > 0"

    def waits() -> bool:
        row = observer.execute(query, (waiting.info.backend_pid,)).fetchone()
        return bool(row and row[0])

    eventually(waits, what="a wait for a lock")
