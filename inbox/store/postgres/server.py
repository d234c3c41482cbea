"""The server behind a connection: how libpq reaches it, whom it trusts, and when it was started."""

from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection


@dataclass(frozen=True)
class Transport:
    """The hosts that libpq may connect to (none for a socket of this machine), and its `sslmode`.

    `is_encrypted` is True where GSSAPI is required, so that TLS is not needed.
    """

    hosts: tuple[str, ...]
    sslmode: str
    is_encrypted: bool = False


def transport_of(options: DatabaseOptions) -> Transport:
    """Return what the URL says, or else libpq's variables and defaults; a service file is not read."""
    given = {each.keyword.decode(): (each.val or b"").decode() for each in pq.Conninfo.get_defaults()}
    try:
        url = conninfo_to_dict(options.url.get_secret_value())
    except psycopg.ProgrammingError:
        url = {}  # the connection itself says so
    given |= {name: str(value) for name, value in url.items() if value}
    hosts = (given["hostaddr"] or given["host"]).split(",")
    sslmode = "verify-full" if given["sslrootcert"] == "system" else given["sslmode"] or "prefer"
    return Transport(
        hosts=tuple(host for host in hosts if host and not host.startswith(("/", "@"))),
        sslmode=sslmode,
        is_encrypted=given["gssencmode"] == "require",
    )


def started_at(connection: Connection) -> str:
    """Return the time at which the server was started, as text.

    The text changes with a restart or a failover. It stays the same after the crash of one process,
    from which the server recovers.
    """
    row = connection.execute("SELECT pg_catalog.pg_postmaster_start_time()::text").fetchone()
    return row[0] if row else ""
