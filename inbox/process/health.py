"""The answers of the probes: whether the loop turns, and whether it can do its work."""

import time
from collections.abc import Callable
from typing import Protocol

from inbox.telemetry import OF_PARTITIONS, PAUSED

_TURN_SECONDS = 30.0


class Progress(Protocol):
    """The state that a worker or a relay keeps up to date.

    `joined`: it joined, to do its work or as a spare. `last_turn` is by `time.monotonic`.
    """

    @property
    def joined(self) -> bool: ...
    @property
    def waiting_for(self) -> str | None: ...
    @property
    def last_turn(self) -> float | None: ...


class Health:
    """The liveness and readiness of one worker or relay. Each answer is None, or the reason for a "no".

    Liveness does not depend on the brokers or the database, or an outage would become a storm of
    restarts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress: Progress | None = None

    def watch(self, progress: Progress) -> None:
        """Set the worker to be probed from now on.

        Before, the worker is being made, which has a time limit of its own.
        """
        self._progress = progress

    def restart(self) -> None:
        """Record that the worker has ended and another is being made."""
        self._progress = None

    def not_live(self) -> str | None:
        """Return why the process should be ended and started again, or None."""
        last = self._progress.last_turn if self._progress is not None else None
        if last is None:
            return None
        idle = self._clock() - last
        return f"the loop has not turned for {idle:.0f} s" if idle > _TURN_SECONDS else None

    def not_ready(self) -> str | None:
        """Return why the worker does not do its work now, or None. A spare member without partitions is ready."""
        if self._progress is None:
            return "starting"
        if not self._progress.joined:
            return "has not joined yet"
        return waits_for(self._progress)


def waits_for(progress: Progress) -> str | None:
    """Return a text that names what a running worker needs and waits for, or None."""
    if progress.waiting_for is not None:
        return progress.waiting_for
    paused = {sample.labels["reason"] for metric in PAUSED.collect() for sample in metric.samples if sample.value}
    paused -= OF_PARTITIONS
    return f"waiting for {', '.join(sorted(paused))}" if paused else None
