"""What a connection says of the server behind it."""

from inbox.store.database import SinkConnection


def started_at(connection: SinkConnection) -> str:
    """Return when the server was started.

    It is another text after a restart or a failover, and the same after a crash of one process, from which it recovers.
    """
    row = connection.execute("SELECT pg_catalog.pg_postmaster_start_time()::text").fetchone()
    return row[0] if row else ""
