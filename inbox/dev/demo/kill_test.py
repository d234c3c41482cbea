"""A consumer under test: started, killed at the same points as the others, and started again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from inbox.dev.demo.program import Program
from inbox.errors import TryAgainError

_ALIVE_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Contestant:
    """A consumer: what it promises, the arguments of its `python -m`, and its configuration; see `Program`."""

    guarantee: str
    database_url: str
    module_arguments: Sequence[str]
    config_name: str
    config: str


class KillTest:
    """A kill test of one consumer, which counts the applied events only by reading the consumer's database."""

    def __init__(self, contestant: Contestant, kill_at: Sequence[int]) -> None:
        self.guarantee = contestant.guarantee
        self.ended = False
        self._seen: set[UUID] = set()
        self._last_row = 0
        self._alive_at = 0.0
        self._kill_at = kill_at
        self._program = Program(contestant.module_arguments, contestant.config_name, contestant.config)
        self.config = self._program.config
        try:
            self.connection: psycopg.Connection[Any] = psycopg.connect(contestant.database_url, autocommit=True)
        except BaseException:
            self._program.close()
            raise

    @property
    def kills(self) -> int:
        return self._program.kills

    @property
    def applied(self) -> int:
        """Return how many different events the consumer's database shows."""
        return len(self._seen)

    def start(self) -> None:
        self._program.start()

    def look(self) -> bool:
        """Count again; kill and restart the consumer if it passed a point. Return whether it was killed.

        Raises:
            TryAgainError: the consumer failed by itself.
        """
        # one query by primary key: a look must be cheap, since a kill is the closer to its point
        # the shorter the time between looks
        rows = self.connection.execute(
            "SELECT reservation_id, event_id FROM reservations WHERE reservation_id > %s ORDER BY 1", (self._last_row,)
        ).fetchall()
        if rows:
            self._last_row = rows[-1][0]
            self._seen.update(event_id for _, event_id in rows)
        if self.kills < len(self._kill_at) and self.applied >= self._kill_at[self.kills]:
            self._program.crash()
            return True
        self._notice_end()
        return False

    def _notice_end(self) -> None:
        if time.monotonic() - self._alive_at < _ALIVE_EVERY_SECONDS:
            return
        self._alive_at = time.monotonic()
        code = self._program.exit_code
        self.ended = code is not None
        if code:
            said = self._program.last_words()
            raise TryAgainError(f'the consumer "{self.guarantee}" failed with {code}; its last words were:\n{said}')

    def close(self) -> None:
        """End the process, if it still runs, and remove its files."""
        self.connection.close()
        self._program.close()
