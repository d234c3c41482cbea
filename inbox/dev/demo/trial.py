"""One consumer on trial: started, killed at the same points as the others, and started again."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from inbox.dev.supervised import Supervised
from inbox.errors import StartupError, TryAgainError

_ALIVE_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Contestant:
    """A consumer: what it promises, the arguments of its `python -m`, and its configuration.

    `{config}` in the arguments becomes the file that the configuration is written to: it holds the password of the
    database, which a command line would show to everybody on the machine.
    """

    guarantee: str
    database_url: str
    module_arguments: Sequence[str]
    config_name: str
    config: str


class Trial:
    """Counts what the consumer has applied by looking into its database alone.

    The process is supervised, so it cannot outlive the demo, however that ends.
    """

    def __init__(self, contestant: Contestant, kill_at: Sequence[int]) -> None:
        self.guarantee = contestant.guarantee
        self.kills = 0
        self.ended = False
        self._seen: set[UUID] = set()
        self._last_row = 0
        self._alive_at = 0.0
        self._kill_at = kill_at
        self._process = Supervised("demo")
        try:
            self.config = self._process.directory / contestant.config_name
            self._command = _command(contestant, self.config)
            self.connection: psycopg.Connection[Any] = psycopg.connect(contestant.database_url, autocommit=True)
        except BaseException:
            self._process.close()
            raise

    @property
    def applied(self) -> int:
        """How many different events its database shows."""
        return len(self._seen)

    def start(self) -> None:
        self._process.start(self._command)

    def look(self) -> bool:
        """Count anew; kill and start again at a point that was passed. Returns whether that happened.

        Raises:
            TryAgainError: the consumer failed by itself.
        """
        # one query by primary key: a look must be cheap, for the shorter the time between looks the closer the kill
        rows = self.connection.execute(
            "SELECT reservation_id, event_id FROM reservations WHERE reservation_id > %s ORDER BY 1", (self._last_row,)
        ).fetchall()
        if rows:
            self._last_row = rows[-1][0]
            self._seen.update(event_id for _, event_id in rows)
        if self.kills < len(self._kill_at) and self.applied >= self._kill_at[self.kills]:
            self._kill()
            return True
        self._notice_end()
        return False

    def _kill(self) -> None:
        self._process.kill()
        self.kills += 1
        self.start()

    def _notice_end(self) -> None:
        if time.monotonic() - self._alive_at < _ALIVE_EVERY_SECONDS:
            return
        self._alive_at = time.monotonic()
        code = self._process.exit_code
        self.ended = code is not None
        if code:
            said = self._process.log_tail()
            raise TryAgainError(f'the consumer "{self.guarantee}" failed with {code}; its last words were:\n{said}')

    def close(self) -> None:
        """End the process, if it still runs, and remove its files."""
        self.connection.close()
        with suppress(StartupError):
            self._process.kill()
        self._process.close()


def _command(contestant: Contestant, config: Path) -> list[str]:
    config.touch(mode=0o600)
    config.write_text(contestant.config)
    # what the user's own environment says of an inbox is not for this one
    unset = [word for name in os.environ if name.startswith("INBOX_") for word in ("-u", name)]
    arguments = [str(config) if argument == "{config}" else argument for argument in contestant.module_arguments]
    return ["env", *unset, sys.executable, "-m", *arguments]
