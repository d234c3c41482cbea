"""A real PgBouncer in transaction mode, in front of the tests' PostgreSQL."""

import os
import shutil
from contextlib import ExitStack
from typing import Any, LiteralString
from urllib.parse import unquote, urlsplit

import psycopg

from inbox.dev.local.server import LocalServer
from inbox.dev.local.supervised import Supervised
from inbox.dev.local.unprivileged import account_for_postgres, hand_over, let_through
from inbox.dev.ports import LOOPBACK
from inbox.dev.readiness import await_database
from inbox.errors import StartupError
from tests.support.asking import ASKER
from tests.support.databases import by_way_of

INSTALL = "apt-get install pgbouncer"


def program() -> str:
    """Return the path of PgBouncer's program, which Debian keeps out of users' PATH; "" if it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


class PgBouncer(LocalServer):
    """A PgBouncer that keeps its port across restarts, and knows the server's superuser."""

    def __init__(self, server_url: str, *, mode: str = "transaction", pool_size: int = 4) -> None:
        super().__init__()
        self._server = urlsplit(server_url)
        self._mode = mode
        self._pool_size = pool_size
        self._account = account_for_postgres()

    def url(self, database_url: str) -> str:
        """Return the URL of the same database, through the pooler."""
        return by_way_of(database_url, self.port)

    def _prepared(self) -> Supervised:
        process = Supervised("pgbouncer")
        try:
            let_through(process.directory, self._account)
            self._write(process, "users.txt", f'"{self._server.username}" "{unquote(self._server.password or "")}"\n')
            self._write(process, "pgbouncer.ini", self._settings(process))
        except BaseException:
            process.close()
            raise
        return process

    def _write(self, process: Supervised, name: str, text: str) -> None:
        path = process.directory / name
        path.write_text(text)
        hand_over(path, self._account)

    def _settings(self, process: Supervised) -> str:
        return (
            "[databases]\n"
            f"* = host={self._server.hostname} port={self._server.port or 5432}\n"
            "[pgbouncer]\n"
            f"listen_addr = {LOOPBACK}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {process.directory / 'users.txt'}\n"
            f"pool_mode = {self._mode}\ndefault_pool_size = {self._pool_size}\nmax_client_conn = 200\n"
        )

    def _launch(self, process: Supervised) -> None:
        process.start([program(), str(process.directory / "pgbouncer.ini")], account=self._account)

    def _await(self) -> None:
        await_database(self.url(self._server.geturl()), within=120, ended=self._last_words)

    def states(self, database_url: str) -> list[dict[str, Any]]:
        """Return the state of each of the pooler's sessions in this database.

        As many concurrent transactions as there are sessions reach all of them.
        """
        url, count = self.url(database_url), max(1, len(self.sessions(database_url)))
        with ExitStack() as opened:
            connections = [opened.enter_context(psycopg.connect(url, prepare_threshold=None)) for _ in range(count)]
            return [state_of(connection) for connection in connections]

    def sessions(self, database_url: str) -> list[int]:
        """Return the server's process ids of the pooler's sessions in this database."""
        ASKER.close()  # its session is not the pooler's
        with psycopg.connect(database_url, autocommit=True) as connection:
            query = """SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
            return [row[0] for row in connection.execute(query)]


def installed() -> None:
    """Raise StartupError if PgBouncer is not installed."""
    if not program():
        raise StartupError(f"PgBouncer is not installed; install it: {INSTALL}")


def state_of(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Return the state of a session that others would find: settings, locks, tables, channels, cursors, statements."""
    return {name: connection.execute(query).fetchall() for name, query in _HELD.items()}


_HELD: dict[str, LiteralString] = {
    "settings": """SELECT name, setting FROM pg_settings WHERE name NOT IN ('application_name', 'client_encoding')
        AND name NOT LIKE 'transaction%' AND name NOT LIKE 'plpgsql.%' ORDER BY name""",
    "of handlers": "SELECT coalesce(current_setting('of.a_handler', true), ''), current_user, session_user",
    "locks": "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    "tables": "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
    "channels": "SELECT pg_listening_channels()",
    "cursors": "SELECT name FROM pg_cursors WHERE is_holdable",
    "statements": "SELECT name FROM pg_prepared_statements WHERE from_sql",
}
