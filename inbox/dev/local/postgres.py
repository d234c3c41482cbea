"""A real PostgreSQL as a child of this process, from local binaries or from the Python package index."""

import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from inbox.dev.local.postgres_binaries import PostgresBinaries
from inbox.dev.local.server import START_WITHIN_SECONDS, LocalServer
from inbox.dev.local.supervised import Supervised
from inbox.dev.local.unprivileged import account_for_postgres, hand_over, let_through, runnable_by
from inbox.dev.ports import LOOPBACK
from inbox.dev.readiness import await_database
from inbox.errors import StartupError

INITDB_WITHIN_SECONDS = 60.0

SETTINGS: dict[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    # the outbox may be read by change data capture
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
}


class LocalPostgres(LocalServer):
    """A PostgreSQL that keeps its password across restarts, too.

    The superuser is `postgres`, with a generated password: wrong passwords are refused as in production.
    `settings` override ours, `access` are lines placed before those of pg_hba.conf, `files` are put into the
    data directory. That directory is made in `data_parent`, and left there at the end; by default it is in the
    server's own directory, and removed with it.
    """

    def __init__(
        self,
        binaries: PostgresBinaries,
        *,
        settings: Mapping[str, str] | None = None,
        access: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        data_parent: Path | None = None,
    ) -> None:
        super().__init__()
        self._binaries = binaries
        self._settings = {**SETTINGS, **(settings or {}), "port": str(self.port)}
        self._access = access
        self._files = files or {}
        self._data_parent = data_parent
        self._password = secrets.token_urlsafe(12)
        self._account = account_for_postgres()

    @property
    def address(self) -> str:
        """Return the URL of the database `postgres`, with the superuser's password in it."""
        return f"postgresql://postgres:{self._password}@{LOOPBACK}:{self.port}/postgres"

    @property
    def description(self) -> str:
        """Return the product, its version and origin, for a report's header."""
        return f"PostgreSQL {self._binaries.version} ({self._binaries.origin})"

    def _prepared(self) -> Supervised:
        process = Supervised("postgres", stop_signal=signal.SIGINT)
        try:
            let_through(process.directory, self._account)
            self._programs = runnable_by(self._account, self._binaries.directory, process.directory)
            self._initialise(process)
        except BaseException:
            process.close()
            raise
        return process

    def _launch(self, process: Supervised) -> None:
        command = [str(self._programs / "postgres"), "-D", str(self._data(process))]
        process.start(command, account=self._account)

    def _await(self) -> None:
        await_database(self.address, within=START_WITHIN_SECONDS, ended=self._last_words)

    def _data(self, process: Supervised) -> Path:
        return (self._data_parent or process.directory) / "data"

    def _initialise(self, process: Supervised) -> None:
        data = self._data(process)
        data.mkdir(mode=0o700)
        hand_over(data, self._account)
        password_file = process.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        hand_over(password_file, self._account)
        process.start(self._initdb(data, password_file), account=self._account)
        if process.wait(within=INITDB_WITHIN_SECONDS) != 0:
            raise StartupError(f"initdb failed in {data}; its last words were:\n{process.log_tail()}")
        password_file.unlink()
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())
        rules = data / "pg_hba.conf"
        rules.write_text("".join(f"{line}\n" for line in self._access) + rules.read_text())
        for name, content in self._files.items():
            (data / name).touch(mode=0o600)
            (data / name).write_bytes(content)
            hand_over(data / name, self._account)

    def _initdb(self, data: Path, password_file: Path) -> list[str]:
        return [
            str(self._programs / "initdb"),
            f"--pgdata={data}",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            # skips the flush of empty files only: what the server writes later is flushed as in production
            "--no-sync",
        ]
