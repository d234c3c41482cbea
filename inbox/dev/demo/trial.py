"""One consumer on trial: started, killed at the same points as the others, started again, and counted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

from inbox.errors import TryAgainError

_BOUND_SECONDS = 75.0
_POLL_SECONDS = 0.004


@dataclass(frozen=True)
class Truth:
    """What was committed to Kafka: the quantity of each order by event id, and each sku's stock at the start."""

    quantities: Mapping[UUID, int]
    stock_at_start: int

    @property
    def stock_at_end(self) -> int:
        return self.stock_at_start - sum(self.quantities.values())


@dataclass(frozen=True)
class Trial:
    """A consumer: what it promises, how it is started, and the database that shows what it did."""

    guarantee: str
    command: Sequence[str]
    environment: Mapping[str, str]
    database_url: str


@dataclass(frozen=True)
class Verdict:
    """What became of the committed events, counted in the database alone."""

    guarantee: str
    kills: int
    committed: int
    applied: int
    lost: int
    doubled: int
    ghosts: int
    stock_right: bool

    @property
    def exact(self) -> bool:
        return self.lost == self.doubled == self.ghosts == 0 and self.stock_right


def run_trial(trial: Trial, truth: Truth, kill_at: Sequence[int], note: Callable[[str], None]) -> Verdict:
    """Kill the consumer whenever it has applied so many; then let it finish.

    Raises:
        TryAgainError: it does not get there in time, or fails by itself.
    """
    deadline = time.monotonic() + _BOUND_SECONDS
    kills = 0
    with psycopg.connect(trial.database_url, autocommit=True) as connection:
        for count in kill_at:
            kills += _run_until(trial, connection, count, deadline)
            note(f"{trial.guarantee}: killed {kills} times, {_applied(connection)} applied")
        _run_until(trial, connection, None, deadline)
        return judged(trial.guarantee, kills, truth, connection)


def _run_until(
    trial: Trial, connection: psycopg.Connection[tuple[object, ...]], count: int | None, deadline: float
) -> int:
    """1 if it was killed at that count, 0 if it ended before."""
    process = subprocess.Popen(
        trial.command, env=trial.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None:
            if count is not None and _applied(connection) >= count:
                os.kill(process.pid, signal.SIGKILL)
                return 1
            if time.monotonic() > deadline:
                raise TryAgainError(
                    f'the consumer "{trial.guarantee}" did not end within {_BOUND_SECONDS:g} s; try again'
                )
            time.sleep(_POLL_SECONDS)
        if process.returncode != 0:
            said = process.stderr.read()[-2000:] if process.stderr else ""
            raise TryAgainError(f'the consumer "{trial.guarantee}" failed with {process.returncode}:\n{said}')
        return 0
    finally:
        process.kill()
        process.communicate()


def _applied(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute("SELECT count(DISTINCT event_id) FROM reservations").fetchone()
    return int(str(row[0])) if row else 0


def judged(guarantee: str, kills: int, truth: Truth, connection: psycopg.Connection[tuple[object, ...]]) -> Verdict:
    rows = connection.execute("SELECT event_id, count(*) FROM reservations GROUP BY event_id").fetchall()
    times = {UUID(str(event_id)): int(str(count)) for event_id, count in rows}
    stock = connection.execute("SELECT sum(free)::bigint FROM stock").fetchone()
    return Verdict(
        guarantee=guarantee,
        kills=kills,
        committed=len(truth.quantities),
        applied=sum(times.values()),
        lost=len(truth.quantities.keys() - times.keys()),
        doubled=sum(count - 1 for count in times.values()),
        ghosts=len(times.keys() - truth.quantities.keys()),
        stock_right=stock is not None and int(str(stock[0])) == truth.stock_at_end,
    )


def own_python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
