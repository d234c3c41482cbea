"""A real standby of a PostgreSQL of the tests' own."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from inbox.dev.local.postgres import INITDB_WITHIN_SECONDS, LocalPostgres
from inbox.dev.local.postgres_binaries import PostgresBinaries
from inbox.dev.local.supervised import Supervised
from inbox.dev.local.unprivileged import hand_over
from inbox.errors import StartupError
from tests.support.waiting import eventually


class Standby(LocalPostgres):
    """A copy of a primary, which follows it until it is promoted. Its superuser has the primary's password."""

    def __init__(self, binaries: PostgresBinaries, primary_url: str) -> None:
        super().__init__(binaries)
        self._primary = primary_url
        self._password = unquote(urlsplit(primary_url).password or "")

    def _initialise(self, process: Supervised) -> None:
        data = self._data(process)
        data.mkdir(mode=0o700)
        hand_over(data, self._account)
        process.start(self._basebackup(data), account=self._account)
        if process.wait(within=INITDB_WITHIN_SECONDS) != 0:
            raise StartupError(f"pg_basebackup failed; its last words were:\n{process.log_tail()}")
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"port = '{self.port}'\n")

    def _basebackup(self, data: Path) -> list[str]:
        return [
            str(self._programs / "pg_basebackup"),
            f"--pgdata={data}",
            f"--dbname={self._primary}",
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        ]

    def eventually_has_all(self) -> None:
        """Return when the standby has replayed everything that the primary has by now."""
        with psycopg.connect(self._primary, autocommit=True) as primary:
            [(end,)] = primary.execute("SELECT pg_current_wal_lsn()").fetchall()
        with psycopg.connect(self.address, autocommit=True) as standby:
            query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            eventually(lambda: standby.execute(query, (end,)).fetchone() == (True,), what="the standby to catch up")

    def promote(self) -> None:
        """Promote the standby, and return when it can be written to."""
        with psycopg.connect(self.address, autocommit=True) as standby:
            assert standby.execute("SELECT pg_promote()").fetchone() == (True,)
