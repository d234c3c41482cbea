"""Run relays as processes of their own, which a test may stop, let continue and kill."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.e2e.launcher import environment
from tests.support.waiting import WITHIN_SECONDS, eventually


class Relays:
    """A set of relays with one configuration; the holder in `lease`, a table of the inbox's, says which is active."""

    def __init__(self, config: Path, database_url: str, lease: str, *options: str) -> None:
        self._command = [sys.executable, "-P", "-m", "inbox", "relay", "--config", str(config), *options]
        self._log = config.with_suffix(".log")
        self._url = database_url
        self._holder = f"SELECT split_part(holder, ':', 2)::int, epoch FROM inbox.{lease}"  # noqa: S608
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            self._running.append(subprocess.Popen(self._command, env=environment(), stdout=log, stderr=log))
        return self._running[-1]

    def active(self, *among: "subprocess.Popen[bytes]", within: float = WITHIN_SECONDS) -> "subprocess.Popen[bytes]":
        """Return the one of these relays that has the lease, as soon as one has it."""

        with psycopg.connect(self._url, autocommit=True) as connection:

            def holding() -> "list[subprocess.Popen[bytes]]":
                row = connection.execute(self._holder.encode()).fetchone()
                return [relay for relay in among if row is not None and relay.pid == row[0]]

            return eventually(holding, within=within, what=f"an active relay; {self._log}")[0]

    def knows_that_it_was_replaced(self) -> bool:
        """Return whether a relay logged that it was replaced.

        It learns this by the lease, or by Kafka, which fences a transactional relay.
        """
        log = self._log.read_text()
        return "relay-replaced" in log or "another relay began transactions" in log

    def end(self) -> None:
        for relay in self._running:
            relay.send_signal(signal.SIGCONT)
            relay.kill()
            relay.wait()


@contextmanager
def relays(directory: Path, document: str, database_url: str, lease: str, options: Sequence[str]) -> Iterator[Relays]:
    """Provide relays of which none is started yet; those that a test starts end with the context."""
    config = directory / "relay.toml"
    config.write_text(document)
    made = Relays(config, database_url, lease, *options)
    try:
        yield made
    finally:
        made.end()
