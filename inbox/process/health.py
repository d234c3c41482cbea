"""What the probes answer: whether the loop turns, and whether it can do its work."""

import time
from collections.abc import Callable
from typing import Protocol

from inbox.telemetry import OF_PARTITIONS, PAUSED

_TURN_SECONDS = 30.0


class Progress(Protocol):
    """What a worker or a relay keeps up to date: `joined`, to do its work or as a spare, `last_turn` by
    `time.monotonic`."""

    @property
    def joined(self) -> bool: ...
    @property
    def waiting_for(self) -> str | None: ...
    @property
    def last_turn(self) -> float | None: ...


class Health:
    """Liveness and readiness of one worker or relay; each answer is None, or why not.

    Live does not depend on the brokers or the database, or an outage would become a storm of restarts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress: Progress | None = None

    def watch(self, progress: Progress) -> None:
        """From now on there is a worker; before, it is still being made, for a time that has its own limit."""
        self._progress = progress

    def begin_anew(self) -> None:
        """That worker has ended, and another is being made."""
        self._progress = None

    def not_live(self) -> str | None:
        """Why the process should be ended and started again."""
        last = self._progress.last_turn if self._progress is not None else None
        if last is None:
            return None
        idle = self._clock() - last
        return f"the loop has not turned for {idle:.0f} s" if idle > _TURN_SECONDS else None

    def not_ready(self) -> str | None:
        """Why the worker does not do its work now; a spare member without partitions is ready."""
        if self._progress is None:
            return "starting"
        if not self._progress.joined:
            return "has not joined yet"
        return waits_for(self._progress)


def waits_for(progress: Progress) -> str | None:
    """What is away that a running worker needs."""
    if progress.waiting_for is not None:
        return progress.waiting_for
    paused = {sample.labels["reason"] for metric in PAUSED.collect() for sample in metric.samples if sample.value}
    paused -= OF_PARTITIONS
    return f"waiting for {', '.join(sorted(paused))}" if paused else None
